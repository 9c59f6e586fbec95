//! FAVOR+ attention.

use super::super::read::{Reader, tri};
use super::super::{ModelError, Shape};
use crate::kernels::is_direction;
use crate::num::Requant;

pub(super) const NUMBER: usize = 3;
pub(super) const NAME: &str = "favor";

/// Parameters of FAVOR+ attention, `phi(q) S / phi(q) z`. A causal layer is causal in every bit unless its epsilon is
/// [`Epsilon::Sequence`].
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
    /// Keys that a head adds to its sums together, `1 ..=` [`Favor::MAX_TILE`]: each time, these are rounded once. In a
    /// bidirectional head 1 stands for 64, and the others for the next multiple of 4. [`Features::Relu`], and causal heads
    /// with [`Epsilon::Sequence`], take a key at a time.
    pub tile: usize,
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

    /// Most keys of a tile.
    pub const MAX_TILE: u32 = 64;
    /// Keys of a causal tile where a description says nothing.
    pub const TILE: usize = 16;

    pub(super) const fn read(reader: &mut Reader<'a>) -> Result<Self, ModelError> {
        let features = match tri!(reader.field("favor.features", 0, 2)) {
            0 => Features::Exponential,
            1 => Features::Hyperbolic,
            _ => Features::Relu,
        };
        let directions = tri!(reader.field("favor.directions", 1, Self::MAX_DIRECTIONS));
        // Only ReLU features can do without a projection.
        let least = !matches!(features, Features::Relu) as u32;
        let count = match tri!(reader.field("favor.has_projection", least, 1)) {
            0 => 0,
            _ => tri!(reader.word()) as usize,
        };
        let projection = tri!(reader.i16s(count));
        let query = tri!(FavorInput::read(reader, "favor.query"));
        let key = tri!(FavorInput::read(reader, "favor.key"));
        let epsilon = match tri!(reader.field("favor.epsilon", 0, 3)) {
            0 => Epsilon::Zero,
            1 => Epsilon::Seen,
            2 => Epsilon::Fixed,
            _ => Epsilon::Sequence,
        };
        let tile = tri!(reader.field("favor.tile", 1, Self::MAX_TILE));
        Ok(Self { features, directions, projection, query, key, epsilon, tile })
    }

    pub(super) const fn check(&self, shape: Shape) -> Result<(), ModelError> {
        let (width, found) = (shape.head_width, self.projection.len() as u32);
        let expected = (self.directions * width) as u32;
        // Without a projection there is a direction for each column.
        if self.projection.is_empty() && matches!(self.features, Features::Relu) {
            if self.directions != width {
                let field = "favor.directions (the head width, without a projection)";
                let (found, expected) = (self.directions as u32, width as u32);
                return Err(ModelError::Mismatch { field, found, expected });
            }
        } else if found != expected {
            return Err(ModelError::Mismatch { field: "favor.projection", found, expected });
        }
        check_projection(self.projection, width)
    }

    pub(super) const fn can_be_strict(&self) -> bool {
        !matches!(self.epsilon, Epsilon::Sequence)
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
            let (low, high) = (-Favor::MAX_EPSILON as u32, Favor::MAX_EPSILON as u32);
            return Err(ModelError::Range { field, found, low, high });
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
        if !is_direction(sum, width) {
            return Err(ModelError::Accumulator { field: "favor.projection", channel: channel as u32 });
        }
        (channel, rest) = (channel + 1, tail);
    }
    Ok(())
}

#[cfg(feature = "std")]
pub(in crate::model) mod write {
    use std::vec::Vec;

    use super::{Epsilon, FavorInput, Features};
    use crate::model::write::Words;

    /// Parameters of FAVOR+ attention to write; see [`crate::model::Favor`].
    #[derive(Clone, Debug)]
    #[allow(missing_docs)] // The fields are those of `Favor`.
    pub struct Favor {
        pub features: Features,
        pub directions: usize,
        pub projection: Vec<i16>,
        pub query: FavorInput,
        pub key: FavorInput,
        pub epsilon: Epsilon,
        pub tile: usize,
    }

    impl Favor {
        /// The parameters as the engine takes them.
        pub fn view(&self) -> super::Favor<'_> {
            let Self { features, directions, ref projection, query, key, epsilon, tile } = *self;
            super::Favor { features, directions, projection, query, key, epsilon, tile }
        }

        pub(in crate::model) fn write(&self, out: &mut Words) {
            let stored = !self.projection.is_empty();
            out.sizes(&[super::NUMBER, self.features as usize, self.directions, usize::from(stored)]);
            if stored {
                out.sizes(&[self.projection.len()]);
                out.i16s(&self.projection);
            }
            for input in [self.query, self.key] {
                out.requant(input.projection);
                out.requant(input.norm);
                out.words(&[input.epsilon as u32]);
            }
            out.sizes(&[self.epsilon as usize, self.tile]);
        }
    }
}
