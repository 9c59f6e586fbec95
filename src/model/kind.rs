//! The mechanisms of attention and their parameters.

mod extended;
mod favor;
mod local;
mod lsh;

pub use extended::BigBirdExtended;
pub use favor::{Epsilon, Favor, FavorInput, Features};
pub use local::Local;
pub use lsh::{Lsh, Rotations};

use super::read::{Reader, tri};
use super::{MAX_TOKENS, ModelError, Shape};

/// Which mechanism a block's attention uses.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum AttentionKind<'a> {
    /// Every key.
    Exact,
    /// H-Transformer-1D.
    Hierarchical(Hierarchical<'a>),
    /// Global, window and random blocks.
    BigBird(BigBird<'a>),
    /// Random features, Performer.
    Favor(Favor<'a>),
    /// Locality-sensitive hashing, Reformer.
    Lsh(Lsh<'a>),
    /// A circular window of chunks.
    Local(Local),
    /// Global tokens, window and random blocks.
    BigBirdExtended(BigBirdExtended<'a>),
}

/// Parameters of hierarchical attention.
#[derive(Clone, Copy, Debug)]
pub struct Hierarchical<'a> {
    /// Rows of a block, `Nr`; even.
    pub block: usize,
    /// `[heads, 4 Nr - 1]`: bias by key row minus query row, in units of log2 with 10 fractional bits; or empty.
    pub bias: &'a [i16],
    /// Fractional bits of causal values by level.
    pub extra: &'a [i8],
}

/// Parameters of BigBird attention.
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

impl<'a> AttentionKind<'a> {
    /// Number of mechanisms.
    pub const COUNT: usize = 7;

    /// Number of the mechanism in the file.
    pub const fn index(&self) -> usize {
        match self {
            Self::Exact => 0,
            Self::Hierarchical(_) => 1,
            Self::BigBird(_) => 2,
            Self::Favor(_) => 3,
            Self::Lsh(_) => 4,
            Self::Local(_) => 5,
            Self::BigBirdExtended(_) => 6,
        }
    }

    /// Whether queries are keys too.
    pub const fn shares_query(&self) -> bool {
        matches!(self, Self::Lsh(_))
    }

    pub(super) const fn read(reader: &mut Reader<'a>, shape: Shape) -> Result<Self, ModelError> {
        match tri!(reader.field("block.attention.kind", 0, 6)) {
            0 => Ok(Self::Exact),
            1 => Ok(Self::Hierarchical(tri!(Hierarchical::read(reader, shape)))),
            2 => Ok(Self::BigBird(tri!(BigBird::read(reader, shape)))),
            3 => Ok(Self::Favor(tri!(Favor::read(reader, shape)))),
            4 => Ok(Self::Lsh(tri!(Lsh::read(reader, shape)))),
            5 => Ok(Self::Local(tri!(Local::read(reader, shape)))),
            _ => Ok(Self::BigBirdExtended(tri!(BigBirdExtended::read(reader, shape)))),
        }
    }
}

impl<'a> Hierarchical<'a> {
    const fn read(reader: &mut Reader<'a>, shape: Shape) -> Result<Self, ModelError> {
        let block = tri!(reader.field("hierarchical.block", 2, 1024));
        if !block.is_multiple_of(2) {
            let field = "hierarchical.block (must be even)";
            return Err(ModelError::Mismatch { field, found: block as u32, expected: block as u32 + 1 });
        }
        let length = match tri!(reader.field("hierarchical.has_bias", 0, 1)) {
            0 => 0,
            _ => shape.heads * (4 * block - 1),
        };
        Ok(Self { block, bias: tri!(reader.i16s(length)), extra: &[0; 14] })
    }

    /// Relative position bias of a head.
    pub(crate) fn bias_of(&self, head: usize) -> Option<&'a [i16]> {
        let length = 4 * self.block - 1;
        self.bias.get(head * length..(head + 1) * length)
    }
}

impl<'a> BigBird<'a> {
    const fn read(reader: &mut Reader<'a>, shape: Shape) -> Result<Self, ModelError> {
        let block = tri!(reader.field("bigbird.block", 1, 1024));
        let blocks = shape.max_tokens.div_ceil(block);
        let dense_blocks = tri!(reader.field("bigbird.dense_blocks", 0, u32::MAX));
        let random = tri!(reader.field("bigbird.random", 0, 64));
        // Blocks may repeat: the keys of a query are what a sum of weights has room for.
        if block * (5 + random) > MAX_TOKENS as usize {
            let field = "bigbird.random (keys of a query: block * (5 + random))";
            let found = (block * (5 + random)) as u32;
            return Err(ModelError::Range { field, found, low: 1, high: MAX_TOKENS });
        }
        let rows = blocks.saturating_sub(2);
        tri!(reader.expect("bigbird.plan", shape.heads * rows * random));
        let plan = tri!(reader.i16s(shape.heads * rows * random));
        let mut rest = plan;
        while let [id, tail @ ..] = rest {
            if *id < 0 || *id as usize >= blocks {
                let (found, high) = (*id as u16 as u32, blocks as u32 - 1);
                return Err(ModelError::Range { field: "bigbird.plan (block id)", found, low: 0, high });
            }
            rest = tail;
        }
        Ok(Self { block, dense_blocks, random, rows, plan })
    }

    /// Random blocks of a head's query block, which is neither the first nor the last.
    pub(crate) fn random_of(&self, head: usize, block: usize) -> &'a [i16] {
        let start = (head * self.rows + block - 1) * self.random;
        self.plan.get(start..start + self.random).unwrap_or_default()
    }
}
