//! The record of an encoder block.

use super::kind::{AttentionKind, Causality};
use super::read::{Reader, tri};
use super::record::{Linear, Norm, check_activated, check_linear, read_activation, read_shift};
use super::{ModelError, Shape};
use crate::kernels::Activation;
use crate::num::Requant;

/// Where a block normalises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NormOrder {
    /// Before each sublayer: `x + f(norm(x))`.
    Pre,
    /// After each residual: `norm(x + f(x))`.
    Post,
    /// Before each sublayer, on two residuals (Kitaev et al. 2020, section 3): `x + attention(norm(y))`, then
    /// `y + feed_forward(norm(x))`.
    Reversible,
}

/// Multi-head attention.
#[derive(Clone, Copy, Debug)]
pub struct Attention<'a> {
    /// Which mechanism.
    pub kind: AttentionKind<'a>,
    /// A token attends to itself and to earlier ones only; [`Attention::causality`] says whether that is all.
    pub causal: bool,
    /// From a product of query and key to a score in units of log2.
    pub scale: Requant,
    /// Fractional bits that attended rows have more than values.
    pub gain: u32,
    /// Query projection; head `h` owns the output channels `h * head_width ..`.
    pub query: Linear<'a>,
    /// Key projection; none where [queries are keys too](AttentionKind::shares_query).
    pub key: Option<Linear<'a>>,
    /// Value projection.
    pub value: Linear<'a>,
    /// Output projection, to the format of the residual.
    pub output: Linear<'a>,
}

impl Attention<'_> {
    /// Largest gain.
    pub const MAX_GAIN: u32 = 12;

    /// Whether an output depends on later tokens.
    pub const fn causality(&self) -> Causality {
        match (self.causal, self.kind.can_be_strict()) {
            (false, _) => Causality::Bidirectional,
            (true, false) => Causality::Masked,
            (true, true) => Causality::Strict,
        }
    }
}

/// Position-wise feed-forward network.
#[derive(Clone, Copy, Debug)]
pub struct FeedForward<'a> {
    /// `[width] -> [hidden]`.
    pub expand: Linear<'a>,
    /// Between the two.
    pub activation: Activation,
    /// `[hidden] -> [width]`, to the format of the residual.
    pub contract: Linear<'a>,
}

/// A transformer encoder block.
#[derive(Clone, Copy, Debug)]
pub struct Block<'a> {
    /// Where it normalises.
    pub order: NormOrder,
    /// First sublayer.
    pub attention: Attention<'a>,
    /// Norm of the first sublayer.
    pub norm1: Norm<'a>,
    /// Second sublayer.
    pub feed_forward: FeedForward<'a>,
    /// Norm of the second sublayer.
    pub norm2: Norm<'a>,
}

/// The blocks of a model, read one after the other.
#[derive(Clone, Copy, Debug)]
pub struct Blocks<'a> {
    pub(super) reader: Reader<'a>,
    pub(super) shape: Shape,
    pub(super) left: usize,
}

impl<'a> Blocks<'a> {
    /// `next` for a `const fn`.
    pub const fn take_next(&mut self) -> Option<Block<'a>> {
        if self.left == 0 {
            return None;
        }
        self.left -= 1;
        // Every block was read and checked at parse: none can fail here.
        match Block::read(&mut self.reader, self.shape) {
            Ok(block) => Some(block),
            Err(_) => None,
        }
    }
}

impl<'a> Iterator for Blocks<'a> {
    type Item = Block<'a>;

    fn next(&mut self) -> Option<Block<'a>> {
        self.take_next()
    }
}

impl<'a> Block<'a> {
    pub(super) const fn read(reader: &mut Reader<'a>, shape: Shape) -> Result<Self, ModelError> {
        let width = shape.width;
        let order = match tri!(reader.field("block.order", 0, 2)) {
            0 => NormOrder::Pre,
            1 => NormOrder::Post,
            _ => NormOrder::Reversible,
        };
        let kind = tri!(AttentionKind::read(reader, shape));
        let causal = tri!(reader.field("block.attention.causal", 0, 1)) == 1;
        let multiplier = tri!(reader.field("block.attention.scale", 0, i16::MAX as u32)) as i16;
        let shift = tri!(read_shift(reader, "block.attention.scale"));
        let gain = tri!(reader.field("block.attention.gain", 0, Attention::MAX_GAIN)) as u32;
        let attention = Attention {
            kind,
            causal,
            scale: Requant { multiplier, shift },
            gain,
            query: tri!(Linear::read(reader, "block.attention.query")),
            key: if kind.shares_query() {
                None
            } else {
                Some(tri!(Linear::read(reader, "block.attention.key")))
            },
            value: tri!(Linear::read(reader, "block.attention.value")),
            output: tri!(Linear::read(reader, "block.attention.output")),
        };
        let norm1 = tri!(Norm::read(reader, "block.norm1", width));
        let activation = tri!(read_activation(reader, "block.feed_forward.activation"));
        let feed_forward = FeedForward {
            expand: tri!(Linear::read(reader, "block.feed_forward.expand")),
            activation,
            contract: tri!(Linear::read(reader, "block.feed_forward.contract")),
        };
        let norm2 = tri!(Norm::read(reader, "block.norm2", width));
        Ok(Self { order, attention, norm1, feed_forward, norm2 })
    }

    /// Shapes agree and no accumulator can overflow.
    pub(super) const fn check(&self, shape: Shape) -> Result<(), ModelError> {
        let (width, heads) = (shape.width, shape.heads * shape.head_width);
        let Attention { query, key, value, output, .. } = &self.attention;
        let FeedForward { expand, contract, activation } = &self.feed_forward;
        tri!(check_linear(query, "block.attention.query", width, heads));
        if let Some(key) = key {
            tri!(check_linear(key, "block.attention.key", width, heads));
        }
        tri!(check_linear(value, "block.attention.value", width, heads));
        tri!(check_linear(output, "block.attention.output", heads, width));
        tri!(check_linear(expand, "block.feed_forward.expand", width, expand.outputs));
        tri!(check_linear(contract, "block.feed_forward.contract", expand.outputs, width));
        tri!(self.attention.kind.check(shape, self.attention.causal));
        tri!(self.norm1.check("block.norm1"));
        tri!(self.norm2.check("block.norm2"));
        check_activated(*activation, expand.frac, "block.feed_forward.expand.frac")
    }

    /// Fractional bits of the residuals after the block, from those before, `[first, second]`; only reversible blocks
    /// have a second.
    pub(super) const fn check_residuals(&self, fracs: [i32; 2]) -> Result<[i32; 2], ModelError> {
        tri!(check_residual("block.attention.output.frac", fracs[0], self.attention.output.frac));
        let fracs = self.attended(fracs);
        let changed = if matches!(self.order, NormOrder::Reversible) { fracs[1] } else { fracs[0] };
        tri!(check_residual("block.feed_forward.contract.frac", changed, self.feed_forward.contract.frac));
        Ok(self.fed(fracs))
    }

    /// Fractional bits of the residuals after the attention sublayer, from those before.
    pub(crate) const fn attended(&self, [_, second]: [i32; 2]) -> [i32; 2] {
        match self.order {
            NormOrder::Pre | NormOrder::Reversible => [self.attention.output.frac, second],
            NormOrder::Post => [self.norm1.frac, second],
        }
    }

    /// Fractional bits of the residuals after the feed-forward sublayer, from those before.
    pub(crate) const fn fed(&self, [first, second]: [i32; 2]) -> [i32; 2] {
        match self.order {
            NormOrder::Pre => [self.feed_forward.contract.frac, second],
            NormOrder::Post => [self.norm2.frac, second],
            NormOrder::Reversible => [first, self.feed_forward.contract.frac],
        }
    }
}

/// A residual may change its format by at most 15 bits at a time: more would leave 32 bits.
pub(super) const fn check_residual(field: &'static str, from: i32, to: i32) -> Result<(), ModelError> {
    if (from - to).abs() > 15 {
        return Err(ModelError::Mismatch { field, found: to as u32, expected: from as u32 });
    }
    Ok(())
}
