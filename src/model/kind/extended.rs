//! Parameters of BigBird attention with global tokens of their own.

use super::super::read::{Reader, tri};
use super::super::{ModelError, Shape};

/// Parameters of BigBird attention, extended transformer construction (ETC): the first tokens are global, a token
/// sees them, a window and a few random blocks, each key once.
#[derive(Clone, Copy, Debug)]
pub struct BigBirdExtended<'a> {
    /// Tokens of a block; blocks begin after the global tokens.
    pub block: usize,
    /// Up to this many tokens the attention is dense.
    pub dense_tokens: usize,
    /// Global tokens: the first ones.
    pub global: usize,
    /// Tokens on either side that a token sees; if there is no such number, its own block and the two beside it.
    pub radius: Option<usize>,
    /// Random blocks of a query block.
    pub random: usize,
    /// Query blocks of a head in the plan: those of the longest sequence.
    pub rows: usize,
    /// `[heads, rows, random]`: block ids, or -1 for none.
    pub plan: &'a [i16],
}

impl<'a> BigBirdExtended<'a> {
    pub(super) const fn read(reader: &mut Reader<'a>, shape: Shape) -> Result<Self, ModelError> {
        let most = shape.max_tokens as u32;
        let block = tri!(reader.field("bigbird_extended.block", 1, 1024));
        let dense_tokens = tri!(reader.field("bigbird_extended.dense_tokens", 0, u32::MAX));
        let global = tri!(reader.field("bigbird_extended.global", 0, most));
        let radius = match tri!(reader.field("bigbird_extended.has_radius", 0, 1)) {
            0 => None,
            _ => Some(tri!(reader.field("bigbird_extended.radius", 0, most))),
        };
        let random = tri!(reader.field("bigbird_extended.random", 0, 64));
        let rows = (shape.max_tokens - global).div_ceil(block);
        let count = tri!(reader.expect("bigbird_extended.plan", shape.heads * rows * random));
        let plan = tri!(reader.i16s(count));
        let mut rest = plan;
        while let [id, tail @ ..] = rest {
            if *id < -1 || *id >= 0 && *id as usize >= rows {
                let (found, high) = (*id as u16 as u32, rows as u32 - 1);
                let field = "bigbird_extended.plan (block id)";
                return Err(ModelError::Range { field, found, low: 0, high });
            }
            rest = tail;
        }
        Ok(Self { block, dense_tokens, global, radius, random, rows, plan })
    }

    /// Random blocks of a head's query block.
    pub(crate) fn random_of(&self, head: usize, block: usize) -> &'a [i16] {
        let start = (head * self.rows + block) * self.random;
        self.plan.get(start..start + self.random).unwrap_or_default()
    }
}
