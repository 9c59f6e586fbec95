//! BigBird attention with global tokens of their own.

use super::super::read::{Reader, tri};
use super::super::{MAX_TOKENS, ModelError, Shape};

pub(super) const NUMBER: usize = 6;
pub(super) const NAME: &str = "bigbird";

/// Parameters of BigBird attention, extended transformer construction (ETC): the first tokens are global, a token
/// sees them, a window and a few random blocks, each key once.
///
/// A causal layer is causal in every bit if it has neither global tokens nor random blocks and the window covers all
/// that is seen of up to `dense_tokens` tokens; else only in who attends to whom.
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
            // In a stream it sees so many tokens and itself.
            _ => Some(tri!(reader.field(
                "bigbird_extended.radius",
                0,
                if most < MAX_TOKENS { most } else { MAX_TOKENS - 1 },
            ))),
        };
        let random = tri!(reader.field("bigbird_extended.random", 0, 64));
        let rows = (shape.max_tokens - global).div_ceil(block);
        let count = tri!(reader.word()) as usize;
        Ok(Self { block, dense_tokens, global, radius, random, rows, plan: tri!(reader.i16s(count)) })
    }

    pub(super) const fn check(&self, shape: Shape) -> Result<(), ModelError> {
        let expected = shape.heads * self.rows * self.random;
        if self.plan.len() != expected {
            let (found, expected) = (self.plan.len() as u32, expected as u32);
            return Err(ModelError::Mismatch { field: "bigbird_extended.plan", found, expected });
        }
        let mut rest = self.plan;
        while let [id, tail @ ..] = rest {
            if *id < -1 || *id >= 0 && *id as usize >= self.rows {
                let (found, high) = (*id as u16 as u32, self.rows as u32 - 1);
                let field = "bigbird_extended.plan (block id)";
                return Err(ModelError::Range { field, found, low: 0, high });
            }
            rest = tail;
        }
        Ok(())
    }

    pub(super) const fn can_be_strict(&self) -> bool {
        // In a sequence of so many tokens a causal window reaches back to the first.
        let covered = match self.radius {
            Some(radius) => radius + 1,
            None => 2 * self.block,
        };
        self.global == 0 && self.random == 0 && self.dense_tokens <= covered
    }

    /// Random blocks of a head's query block.
    pub(crate) fn random_of(&self, head: usize, block: usize) -> &'a [i16] {
        let start = (head * self.rows + block) * self.random;
        self.plan.get(start..start + self.random).unwrap_or_default()
    }
}

#[cfg(feature = "std")]
pub(in crate::model) mod write {
    use std::vec::Vec;

    use crate::model::write::Words;

    /// Parameters of BigBird attention with global tokens of their own, to write; see
    /// [`crate::model::BigBirdExtended`].
    #[derive(Clone, Debug)]
    #[allow(missing_docs)] // The fields are those of `BigBirdExtended`.
    pub struct BigBirdExtended {
        pub block: usize,
        pub dense_tokens: usize,
        pub global: usize,
        pub radius: Option<usize>,
        pub random: usize,
        pub plan: Vec<i16>,
    }

    impl BigBirdExtended {
        pub(in crate::model) fn write(&self, out: &mut Words) {
            out.sizes(&[super::NUMBER, self.block, self.dense_tokens, self.global]);
            out.sizes(&[usize::from(self.radius.is_some())]);
            self.radius.iter().for_each(|&radius| out.sizes(&[radius]));
            out.sizes(&[self.random, self.plan.len()]);
            out.i16s(&self.plan);
        }
    }
}
