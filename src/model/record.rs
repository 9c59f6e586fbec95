//! The records of a model file: parameters as the layers use them, read in place.

use super::kind::AttentionKind;
use super::read::{Reader, tri};
use super::{ModelError, Shape};
#[cfg(doc)]
use crate::kernels::ChannelPairs;
use crate::kernels::{Activation, Channels, NormParameters, pair_len};
use crate::num::Requant;

/// The elements of a matrix as stored.
#[derive(Clone, Copy, Debug)]
pub enum Weights<'a> {
    /// 8 bits, the rule.
    Int8(&'a [i8]),
    /// 16 bits, where 8 cost accuracy.
    Int16(&'a [i16]),
}

impl<'a> Weights<'a> {
    const fn read(reader: &mut Reader<'a>, field: &'static str, count: usize) -> Result<Self, ModelError> {
        match tri!(reader.word()) {
            8 => Ok(Self::Int8(tri!(reader.i8s(count)))),
            16 => Ok(Self::Int16(tri!(reader.i16s(count)))),
            found => Err(ModelError::Range { field, found, low: 8, high: 16 }),
        }
    }

    /// Bits of an element.
    pub const fn bits(&self) -> u32 {
        match self {
            Self::Int8(_) => 8,
            Self::Int16(_) => 16,
        }
    }

    /// More than any weight has where there is none.
    const fn magnitude(&self, index: usize) -> u32 {
        match self {
            Self::Int8(values) if index < values.len() => values[index].unsigned_abs() as u32,
            Self::Int16(values) if index < values.len() => values[index].unsigned_abs() as u32,
            _ => u32::MAX,
        }
    }
}

/// A linear layer: `y = requant(x W + bias)`.
#[derive(Clone, Copy, Debug)]
pub struct Linear<'a> {
    /// Input width.
    pub inputs: usize,
    /// Output width.
    pub outputs: usize,
    /// `[outputs, inputs]` in [`ChannelPairs`].
    pub weights: Weights<'a>,
    /// Channels before the first output channel: heads share a matrix.
    pub(crate) first: usize,
    /// Bias and scale of each output channel.
    pub channels: Channels<'a>,
    /// Fractional bits of the output.
    pub frac: i32,
}

impl<'a> Linear<'a> {
    /// Largest input or output width.
    pub const MAX_WIDTH: u32 = 8192;

    pub(super) const fn read(reader: &mut Reader<'a>, field: &'static str) -> Result<Self, ModelError> {
        let inputs = tri!(reader.field(field, 1, Self::MAX_WIDTH));
        let outputs = tri!(reader.field(field, 1, Self::MAX_WIDTH));
        let shift = tri!(read_shift(reader, field));
        let frac = tri!(reader.frac(field));
        let multipliers = tri!(reader.i16s(outputs));
        let bias = tri!(reader.i32s(outputs));
        let weights = tri!(Weights::read(reader, field, outputs.div_ceil(2) * pair_len(inputs)));
        let channels = Channels { bias, multipliers, shift };
        Ok(Self { inputs, outputs, weights, first: 0, channels, frac })
    }

    /// The accumulator of every channel stays within 32 bits whatever the input: `sum |w| * 2^15 + |bias| < 2^31`.
    pub(super) const fn check(&self, field: &'static str) -> Result<(), ModelError> {
        let mut channel = 0;
        while channel < self.outputs && channel < self.channels.bias.len() {
            let mut sum = 0_u64;
            let start = channel / 2 * pair_len(self.inputs) + channel % 2;
            let mut i = start;
            while i < start + 2 * self.inputs {
                sum += self.weights.magnitude(i) as u64;
                i += 2;
            }
            let bound = (sum << 15) + self.channels.bias[channel].unsigned_abs() as u64;
            if bound > i32::MAX as u64 {
                return Err(ModelError::Accumulator { field, channel: channel as u32 });
            }
            channel += 1;
        }
        check_multipliers(self.channels.multipliers, field)
    }

    /// The layer restricted to the output channels `from .. from + count`.
    pub(crate) fn columns(&self, from: usize, count: usize) -> Self {
        let channels = from..from + count;
        Self {
            outputs: count,
            first: from,
            channels: Channels {
                bias: self.channels.bias.get(channels.clone()).unwrap_or_default(),
                multipliers: self.channels.multipliers.get(channels).unwrap_or_default(),
                ..self.channels
            },
            ..*self
        }
    }
}

/// Rows to look up: embeddings and learned positions, `[rows, width]`.
#[derive(Clone, Copy, Debug)]
pub struct Table<'a> {
    /// Number of rows.
    pub rows: usize,
    /// Width of a row.
    pub width: usize,
    /// `[rows, width]`.
    pub weights: Weights<'a>,
    /// `[width]`, multiplier of each column.
    pub multipliers: &'a [i16],
    /// Shift common to the columns.
    pub shift: u32,
    /// Fractional bits of a row.
    pub frac: i32,
}

impl<'a> Table<'a> {
    /// An entry counts as this many units, so that the common [`Requant`] fits.
    pub const ONE_SHIFT: u32 = 14;

    pub(super) const fn read(
        reader: &mut Reader<'a>,
        field: &'static str,
        width: usize,
    ) -> Result<Self, ModelError> {
        let rows = tri!(reader.field(field, 1, 32_767));
        let width = tri!(reader.expect(field, width));
        let shift = tri!(read_shift(reader, field));
        let frac = tri!(reader.frac(field));
        let multipliers = tri!(reader.i16s(width));
        let weights = tri!(Weights::read(reader, field, rows * width));
        tri!(check_multipliers(multipliers, field));
        Ok(Self { rows, width, weights, multipliers, shift, frac })
    }
}

/// Layer normalisation.
#[derive(Clone, Copy, Debug)]
pub struct Norm<'a> {
    /// What [`crate::kernels::layer_norm`] takes.
    pub parameters: NormParameters<'a>,
    /// Fractional bits of the output.
    pub frac: i32,
}

impl<'a> Norm<'a> {
    pub(super) const fn read(
        reader: &mut Reader<'a>,
        field: &'static str,
        width: usize,
    ) -> Result<Self, ModelError> {
        tri!(reader.expect(field, width));
        let shift = tri!(reader.field(field, 0, 30)) as u32;
        let frac = tri!(reader.frac(field));
        let epsilon = tri!(reader.word()) as u64 | (tri!(reader.word()) as u64) << 32;
        let gain = tri!(reader.i16s(width));
        let bias = tri!(reader.i32s(width));
        let mut column = 0;
        while column < width {
            // |normalised * gain| < 2^30 leaves this much.
            if bias[column].unsigned_abs() > 1 << 30 {
                return Err(ModelError::Accumulator { field, channel: column as u32 });
            }
            column += 1;
        }
        Ok(Self { parameters: NormParameters { gain, bias, shift, epsilon }, frac })
    }
}

/// A hidden layer of the head.
#[derive(Clone, Copy, Debug)]
pub struct Hidden<'a> {
    /// From the pooled row.
    pub linear: Linear<'a>,
    /// Of its result.
    pub activation: Activation,
}

impl<'a> Hidden<'a> {
    /// None where the file says so.
    pub(super) const fn read(reader: &mut Reader<'a>, inputs: usize) -> Result<Option<Self>, ModelError> {
        if tri!(reader.field("head.hidden", 0, 1)) == 0 {
            return Ok(None);
        }
        let activation = tri!(read_activation(reader, "head.hidden.activation"));
        let linear = tri!(Linear::read(reader, "head.hidden"));
        tri!(check_linear(&linear, "head.hidden", inputs, linear.outputs));
        tri!(check_activated(activation, linear.frac, "head.hidden.frac"));
        Ok(Some(Self { linear, activation }))
    }
}

/// Where a block normalises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NormOrder {
    /// Before each sublayer: `x + f(norm(x))`.
    Pre,
    /// After each residual: `norm(x + f(x))`.
    Post,
    /// Before each sublayer, on two streams (Kitaev et al. 2020, section 3): `x + attention(norm(y))`, then
    /// `y + feed_forward(norm(x))`.
    Reversible,
}

/// Multi-head attention.
#[derive(Clone, Copy, Debug)]
pub struct Attention<'a> {
    /// Which mechanism.
    pub kind: AttentionKind<'a>,
    /// A token attends to itself and to earlier ones only.
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
    /// Output projection, to the format of the residual stream.
    pub output: Linear<'a>,
}

impl Attention<'_> {
    /// Largest gain.
    pub const MAX_GAIN: u32 = 12;
}

/// Position-wise feed-forward network.
#[derive(Clone, Copy, Debug)]
pub struct FeedForward<'a> {
    /// `[width] -> [hidden]`.
    pub expand: Linear<'a>,
    /// Between the two.
    pub activation: Activation,
    /// `[hidden] -> [width]`, to the format of the residual stream.
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
        // Every block was read at parse: none can fail here.
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
        check_activated(*activation, expand.frac, "block.feed_forward.expand.frac")
    }

    /// Fractional bits of the two streams after the block, from those before; only reversible blocks have a second.
    pub(super) const fn read_streams(&self, streams: [i32; 2]) -> Result<[i32; 2], ModelError> {
        tri!(check_stream("block.attention.output.frac", streams[0], self.attention.output.frac));
        let streams = self.attended(streams);
        let changed = if matches!(self.order, NormOrder::Reversible) { streams[1] } else { streams[0] };
        tri!(check_stream("block.feed_forward.contract.frac", changed, self.feed_forward.contract.frac));
        Ok(self.fed(streams))
    }

    /// Fractional bits of the two streams after the attention sublayer, from those before.
    pub(crate) const fn attended(&self, [_, second]: [i32; 2]) -> [i32; 2] {
        match self.order {
            NormOrder::Pre | NormOrder::Reversible => [self.attention.output.frac, second],
            NormOrder::Post => [self.norm1.frac, second],
        }
    }

    /// Fractional bits of the two streams after the feed-forward sublayer, from those before.
    pub(crate) const fn fed(&self, [first, second]: [i32; 2]) -> [i32; 2] {
        match self.order {
            NormOrder::Pre => [self.feed_forward.contract.frac, second],
            NormOrder::Post => [self.norm2.frac, second],
            NormOrder::Reversible => [first, self.feed_forward.contract.frac],
        }
    }
}

/// A stream may change its format by at most 15 bits at a time: more would leave 32 bits.
pub(super) const fn check_stream(field: &'static str, from: i32, to: i32) -> Result<(), ModelError> {
    if (from - to).abs() > 15 {
        return Err(ModelError::Mismatch { field, found: to as u32, expected: from as u32 });
    }
    Ok(())
}

const fn read_activation(reader: &mut Reader<'_>, field: &'static str) -> Result<Activation, ModelError> {
    Ok(match tri!(reader.field(field, 0, 3)) {
        0 => Activation::Relu,
        1 => Activation::GeluErf,
        2 => Activation::GeluTanh,
        _ => Activation::Tanh,
    })
}

/// The format is one that [`crate::kernels::activate`] takes.
const fn check_activated(activation: Activation, frac: i32, field: &'static str) -> Result<(), ModelError> {
    if !matches!(activation, Activation::Relu) && (frac < 0 || frac > 15) {
        return Err(ModelError::Range { field, found: frac as u32, low: 0, high: 15 });
    }
    Ok(())
}

/// A layer has the shape it must have and cannot overflow.
pub(super) const fn check_linear(
    linear: &Linear<'_>,
    field: &'static str,
    inputs: usize,
    outputs: usize,
) -> Result<(), ModelError> {
    if linear.inputs != inputs {
        return Err(ModelError::Mismatch { field, found: linear.inputs as u32, expected: inputs as u32 });
    }
    if linear.outputs != outputs {
        return Err(ModelError::Mismatch { field, found: linear.outputs as u32, expected: outputs as u32 });
    }
    linear.check(field)
}

const fn check_multipliers(multipliers: &[i16], field: &'static str) -> Result<(), ModelError> {
    let mut rest = multipliers;
    while let [first, tail @ ..] = rest {
        if *first < 0 {
            let found = *first as u16 as u32;
            return Err(ModelError::Range { field, found, low: 0, high: i16::MAX as u32 });
        }
        rest = tail;
    }
    Ok(())
}

const fn read_shift(reader: &mut Reader<'_>, field: &'static str) -> Result<u32, ModelError> {
    let (low, high) = (*Requant::SHIFTS.start(), *Requant::SHIFTS.end());
    Ok(tri!(reader.field(field, low, high)) as u32)
}
