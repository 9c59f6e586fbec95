//! The records of layers: parameters as they are used, read in place.

use super::ModelError;
use super::read::{Reader, tri};
#[cfg(doc)]
use crate::kernels::ChannelPairs;
use crate::kernels::{Activation, Channels, NORM_BIAS, NormParameters, is_channel, pair_len};
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
            if !is_channel(sum, self.channels.bias[channel].unsigned_abs()) {
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
        Ok(Self { parameters: NormParameters { gain, bias, shift, epsilon }, frac })
    }

    /// No sum can overflow.
    pub(super) const fn check(&self, field: &'static str) -> Result<(), ModelError> {
        let (mut column, mut rest) = (0, self.parameters.bias);
        while let [bias, tail @ ..] = rest {
            if bias.unsigned_abs() > NORM_BIAS {
                return Err(ModelError::Accumulator { field, channel: column });
            }
            (column, rest) = (column + 1, tail);
        }
        Ok(())
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

pub(super) const fn read_activation(
    reader: &mut Reader<'_>,
    field: &'static str,
) -> Result<Activation, ModelError> {
    Ok(match tri!(reader.field(field, 0, 3)) {
        0 => Activation::Relu,
        1 => Activation::GeluErf,
        2 => Activation::GeluTanh,
        _ => Activation::Tanh,
    })
}

/// The format is one that [`crate::kernels::activate`] takes.
pub(super) const fn check_activated(
    activation: Activation,
    frac: i32,
    field: &'static str,
) -> Result<(), ModelError> {
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

pub(super) const fn read_shift(reader: &mut Reader<'_>, field: &'static str) -> Result<u32, ModelError> {
    let (low, high) = (*Requant::SHIFTS.start(), *Requant::SHIFTS.end());
    Ok(tri!(reader.field(field, low, high)) as u32)
}
