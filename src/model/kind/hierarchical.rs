//! Hierarchical attention, H-Transformer-1D.

use super::super::read::{Reader, tri};
use super::super::{MAX_TOKENS, ModelError, Shape};

pub(super) const NUMBER: usize = 1;
pub(super) const NAME: &str = "hierarchical";

/// Parameters of hierarchical attention. A causal layer is causal in every bit.
#[derive(Clone, Copy, Debug)]
pub struct Hierarchical<'a> {
    /// Rows of a block, `Nr`; even.
    pub block: usize,
    /// `[heads, 4 Nr - 1]`: bias by key row minus query row, in units of log2 with 10 fractional bits; or empty.
    pub bias: &'a [i16],
    /// Of a causal layer, `[levels]` for [the levels](Hierarchical::levels) of the model's horizon: fractional bits that
    /// the means of values of a level, the first that of pairs of tokens, have more than the values of the tokens. Each
    /// level has as many as the level below or one more, up to [`Hierarchical::MAX_EXTRA`]; what does not fit saturates. A mean
    /// of some tokens of its run, the others masked, has none: it may be as large as a value.
    /// Empty for a bidirectional layer: it finds them in the sequence.
    pub extra: &'a [i8],
}

impl<'a> Hierarchical<'a> {
    /// Most extra bits of a level.
    pub const MAX_EXTRA: i8 = 14;
    /// Most levels above the tokens.
    pub const MAX_LEVELS: usize = 30;

    /// Levels above the tokens in a sequence of `tokens`: halvings until two blocks of `block` rows are left.
    pub const fn levels(tokens: usize, block: usize) -> usize {
        let (mut levels, mut rows) = (0, tokens);
        while rows > 2 * block {
            rows = rows.div_ceil(2);
            levels += 1;
        }
        levels
    }

    pub(super) const fn read(reader: &mut Reader<'a>, shape: Shape) -> Result<Self, ModelError> {
        let block = tri!(reader.field("hierarchical.block", 2, 1024));
        let length = match tri!(reader.field("hierarchical.has_bias", 0, 1)) {
            0 => 0,
            _ => shape.heads * (4 * block - 1),
        };
        let bias = tri!(reader.i16s(length));
        let levels = tri!(reader.field("hierarchical.extra", 0, Self::MAX_LEVELS as u32));
        Ok(Self { block, bias, extra: tri!(reader.i8s(levels)) })
    }

    pub(super) const fn check(&self, shape: Shape, causal: bool) -> Result<(), ModelError> {
        let block = self.block as u32;
        if !block.is_multiple_of(2) {
            let field = "hierarchical.block (must be even)";
            return Err(ModelError::Mismatch { field, found: block, expected: block + 1 });
        }
        let levels = if causal { Self::levels(shape.horizon, self.block) } else { 0 };
        if self.extra.len() != levels {
            let field = "hierarchical.extra (levels of the horizon, of a causal layer)";
            let (found, expected) = (self.extra.len() as u32, levels as u32);
            return Err(ModelError::Mismatch { field, found, expected });
        }
        // What a sum of weights has room for: two blocks of tokens, and one of every level above.
        let keys = block * (levels as u32 + 2);
        if causal && keys > MAX_TOKENS {
            let field = "hierarchical.block (keys of a query: block * (levels of the horizon + 2))";
            return Err(ModelError::Range { field, found: keys, low: 1, high: MAX_TOKENS });
        }
        let (mut below, mut rest) = (0, self.extra);
        while let [bits, tail @ ..] = rest {
            let high = if below < Self::MAX_EXTRA { below + 1 } else { below };
            if *bits < below || *bits > high {
                let field = "hierarchical.extra (as many as the level below, or one more)";
                let (found, low, high) = (*bits as u8 as u32, below as u32, high as u32);
                return Err(ModelError::Range { field, found, low, high });
            }
            (below, rest) = (*bits, tail);
        }
        Ok(())
    }

    /// Relative position bias of a head.
    pub(crate) fn bias_of(&self, head: usize) -> Option<&'a [i16]> {
        let length = 4 * self.block - 1;
        self.bias.get(head * length..(head + 1) * length)
    }
}

#[cfg(feature = "std")]
pub(in crate::model) mod write {
    use std::vec::Vec;

    use crate::model::write::Words;

    /// Parameters of hierarchical attention to write; see [`crate::model::Hierarchical`].
    #[derive(Clone, Debug)]
    #[allow(missing_docs)] // The fields are those of `Hierarchical`.
    pub struct Hierarchical {
        pub block: usize,
        pub bias: Vec<i16>,
        pub extra: Vec<i8>,
    }

    impl Hierarchical {
        pub(in crate::model) fn write(&self, out: &mut Words) {
            out.sizes(&[super::NUMBER, self.block, usize::from(!self.bias.is_empty())]);
            out.i16s(&self.bias);
            out.sizes(&[self.extra.len()]);
            out.i8s(&self.extra);
        }
    }
}
