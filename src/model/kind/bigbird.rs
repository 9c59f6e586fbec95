//! BigBird attention, internal transformer construction (ITC).

use super::super::read::{Reader, tri};
use super::super::{MAX_TOKENS, ModelError, Shape};

pub(super) const NUMBER: usize = 2;
pub(super) const NAME: &str = "bigbird";

/// Parameters of BigBird attention: the first and the last block are global, other blocks see them, their neighbours
/// and random ones. A causal layer is so only in who attends to whom: which block is the last, and whether the
/// attention is dense, depends on the length.
#[derive(Clone, Copy, Debug)]
pub struct BigBird<'a> {
    /// Tokens of a block.
    pub block: usize,
    /// Up to this many blocks the attention is dense.
    pub dense_blocks: usize,
    /// Random blocks of a query block.
    pub random: usize,
    /// Query blocks of a head in the plan: those of the longest sequence, but for the first and the last.
    pub rows: usize,
    /// `[heads, rows, random]`: block ids.
    pub plan: &'a [i16],
}

impl<'a> BigBird<'a> {
    pub(super) const fn read(reader: &mut Reader<'a>, shape: Shape) -> Result<Self, ModelError> {
        let block = tri!(reader.field("bigbird.block", 1, 1024));
        let dense_blocks = tri!(reader.field("bigbird.dense_blocks", 0, u32::MAX));
        let random = tri!(reader.field("bigbird.random", 0, 64));
        let rows = shape.max_tokens.div_ceil(block).saturating_sub(2);
        let count = tri!(reader.word()) as usize;
        Ok(Self { block, dense_blocks, random, rows, plan: tri!(reader.i16s(count)) })
    }

    pub(super) const fn check(&self, shape: Shape) -> Result<(), ModelError> {
        // Blocks may repeat: the keys of a query are what a sum of weights has room for.
        let keys = (self.block * (5 + self.random)) as u32;
        if keys > MAX_TOKENS {
            let field = "bigbird.random (keys of a query: block * (5 + random))";
            return Err(ModelError::Range { field, found: keys, low: 1, high: MAX_TOKENS });
        }
        let expected = shape.heads * self.rows * self.random;
        if self.plan.len() != expected {
            let (found, expected) = (self.plan.len() as u32, expected as u32);
            return Err(ModelError::Mismatch { field: "bigbird.plan", found, expected });
        }
        let block = if self.block > 0 { self.block } else { 1 };
        let blocks = shape.max_tokens.div_ceil(block);
        let mut rest = self.plan;
        while let [id, tail @ ..] = rest {
            if *id < 0 || *id as usize >= blocks {
                let (found, high) = (*id as u16 as u32, blocks as u32 - 1);
                return Err(ModelError::Range { field: "bigbird.plan (block id)", found, low: 0, high });
            }
            rest = tail;
        }
        Ok(())
    }

    /// Random blocks of a head's query block, which is neither the first nor the last.
    pub(crate) fn random_of(&self, head: usize, block: usize) -> &'a [i16] {
        let start = (head * self.rows + block - 1) * self.random;
        self.plan.get(start..start + self.random).unwrap_or_default()
    }
}

#[cfg(feature = "std")]
pub(in crate::model) mod write {
    use std::vec::Vec;

    use crate::model::write::Words;

    /// Parameters of BigBird attention to write; see [`crate::model::BigBird`].
    #[derive(Clone, Debug)]
    #[allow(missing_docs)] // The fields are those of `BigBird`.
    pub struct BigBird {
        pub block: usize,
        pub dense_blocks: usize,
        pub random: usize,
        pub plan: Vec<i16>,
    }

    impl BigBird {
        pub(in crate::model) fn write(&self, out: &mut Words) {
            out.sizes(&[super::NUMBER, self.block, self.dense_blocks, self.random, self.plan.len()]);
            out.i16s(&self.plan);
        }
    }
}
