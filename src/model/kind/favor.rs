//! The parameters of FAVOR+ attention.

use super::super::read::{Reader, tri};
use super::super::{ModelError, Shape};
use crate::kernels::dot_limit;
use crate::num::Requant;

/// Parameters of FAVOR+ attention, `phi(q) S / phi(q) z`.
#[derive(Clone, Copy, Debug)]
pub struct Favor<'a> {
    /// The feature map `phi`.
    pub features: Features,
    /// Rows of the projection, `m`.
    pub directions: usize,
    /// `W`, `[m, width]`, at any one scale; empty where [`Features::Relu`] works on the rows themselves.
    pub projection: &'a [i16],
    /// From the integers of a query.
    pub query: FavorInput,
    /// From the integers of a key.
    pub key: FavorInput,
    /// What is added to every feature.
    pub epsilon: Epsilon,
}

/// The feature map, with `u = W x`, `n = |x|^2 / 2` and `x` scaled by `width^-1/4`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Features {
    /// `exp(u - n)`: `m` features.
    Exponential,
    /// `exp(u - n)` and `exp(-u - n)`: `2 m` features.
    Hyperbolic,
    /// `max(u, 0)`: `m` features.
    Relu,
}

/// What the `epsilon` that the authors add to every feature of a key is relative to; see `attention::favor`. For
/// [`Features::Relu`] it is absolute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Epsilon {
    /// Nothing is added.
    Zero,
    /// The largest `u` of the keys that a query sees: causal in every bit.
    Seen,
    /// A constant, which the keys' [`FavorInput::epsilon`] has in it: causal in every bit too.
    Fixed,
    /// The largest `u` of all keys, later ones included, as in the authors' code. Causal attention then passes over
    /// the keys once more, and depends on what follows by `O(epsilon)`.
    Sequence,
}

/// From the integers of a row to exponents in units of log2 with [`Favor::LOG_FRAC`] fractional bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FavorInput {
    /// From a product with a row of `W` to `u`. [`Features::Relu`]: to any unit.
    pub projection: Requant,
    /// From the sum of squares to `n`.
    pub norm: Requant,
    /// `log2(epsilon)`; [`Features::Relu`]: in its unit. Magnitude up to [`Favor::MAX_EPSILON`].
    pub epsilon: i32,
}

impl<'a> Favor<'a> {
    /// Most rows of a projection.
    pub const MAX_DIRECTIONS: u32 = 1024;
    /// Fractional bits of an exponent.
    pub const LOG_FRAC: u32 = 14;
    /// Largest magnitude of `log2(epsilon)`: 64.
    pub const MAX_EPSILON: i32 = 64 << Self::LOG_FRAC;

    pub(super) const fn read(reader: &mut Reader<'a>, shape: Shape) -> Result<Self, ModelError> {
        let width = shape.head_width;
        let features = match tri!(reader.field("favor.features", 0, 2)) {
            0 => Features::Exponential,
            1 => Features::Hyperbolic,
            _ => Features::Relu,
        };
        let directions = tri!(reader.field("favor.directions", 1, Self::MAX_DIRECTIONS));
        // Only ReLU features can do without a projection, and then there is one per column.
        let projection =
            match tri!(reader.field("favor.has_projection", !matches!(features, Features::Relu) as u32, 1)) {
                0 if directions != width => {
                    let field = "favor.directions (the head width, without a projection)";
                    let (found, expected) = (directions as u32, width as u32);
                    return Err(ModelError::Mismatch { field, found, expected });
                }
                0 => &[],
                _ => {
                    tri!(reader.expect("favor.projection", directions * width));
                    tri!(reader.i16s(directions * width))
                }
            };
        tri!(check_projection(projection, width));
        let query = tri!(FavorInput::read(reader, "favor.query"));
        let key = tri!(FavorInput::read(reader, "favor.key"));
        let epsilon = match tri!(reader.field("favor.epsilon", 0, 3)) {
            0 => Epsilon::Zero,
            1 => Epsilon::Seen,
            2 => Epsilon::Fixed,
            _ => Epsilon::Sequence,
        };
        Ok(Self { features, directions, projection, query, key, epsilon })
    }

    /// Features of a row, `m'`.
    pub const fn length(&self) -> usize {
        match self.features {
            Features::Hyperbolic => 2 * self.directions,
            _ => self.directions,
        }
    }
}

impl FavorInput {
    const fn read(reader: &mut Reader<'_>, field: &'static str) -> Result<Self, ModelError> {
        let projection = tri!(read_requant(reader, field));
        let norm = tri!(read_requant(reader, field));
        let found = tri!(reader.word());
        let epsilon = found as i32;
        if epsilon < -Favor::MAX_EPSILON || epsilon > Favor::MAX_EPSILON {
            return Err(ModelError::Range { field, found, low: 0, high: Favor::MAX_EPSILON as u32 });
        }
        Ok(Self { projection, norm, epsilon })
    }
}

const fn read_requant(reader: &mut Reader<'_>, field: &'static str) -> Result<Requant, ModelError> {
    let multiplier = tri!(reader.field(field, 0, i16::MAX as u32)) as i16;
    let (low, high) = (*Requant::SHIFTS.start(), *Requant::SHIFTS.end());
    Ok(Requant { multiplier, shift: tri!(reader.field(field, low, high)) as u32 })
}

/// A product with any query or key stays within 32 bits.
const fn check_projection(projection: &[i16], width: usize) -> Result<(), ModelError> {
    let mut channel = 0;
    let mut rest = projection;
    while let Some((row, tail)) = rest.split_at_checked(width) {
        let mut sum = 0_u64;
        let mut row = row;
        while let [x, columns @ ..] = row {
            sum += x.unsigned_abs() as u64;
            row = columns;
        }
        if sum * dot_limit(width) as u64 > i32::MAX as u64 {
            return Err(ModelError::Accumulator { field: "favor.projection", channel: channel as u32 });
        }
        (channel, rest) = (channel + 1, tail);
    }
    Ok(())
}
