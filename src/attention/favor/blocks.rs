//! Features in blocks that a kernel takes at a time.

use core::ops::Range;

use super::features::signs;
use crate::attention::KEY_TILE;
use crate::kernels::dots;
use crate::model::{Epsilon, Favor, FavorInput};

/// Up to [`KEY_TILE`] features, an even number of them.
#[derive(Clone, Copy)]
pub(super) struct Block {
    /// Its first feature.
    pub(super) first: usize,
    /// Number of features.
    pub(super) count: usize,
    /// First of its directions, and their number; none: its first feature is one for every key, whose weight has epsilon in it.
    direction: usize,
    pub(super) directions: usize,
}

pub(super) const fn has_epsilon(parameters: &Favor<'_>) -> bool {
    !matches!(parameters.epsilon, Epsilon::Zero)
}

/// Features of the directions.
const fn plain(parameters: &Favor<'_>) -> usize {
    (signs(parameters) * parameters.directions).next_multiple_of(2)
}

/// Features of all blocks.
pub(super) const fn all(parameters: &Favor<'_>) -> usize {
    plain(parameters) + 2 * has_epsilon(parameters) as usize
}

/// Number of blocks.
pub(super) const fn number(parameters: &Favor<'_>) -> usize {
    plain(parameters).div_ceil(KEY_TILE) + has_epsilon(parameters) as usize
}

/// An exponent without a feature.
pub(super) const NOTHING: i32 = -(1 << 29);

impl Block {
    /// Its features that are not there to make their number even.
    pub(super) const fn used(self, parameters: &Favor<'_>) -> usize {
        if self.directions == 0 { 1 } else { signs(parameters) * self.directions }
    }

    pub(super) fn of(parameters: &Favor<'_>, index: usize) -> Self {
        let signs = signs(parameters);
        let first = index * KEY_TILE;
        let direction = if signs == 1 { first } else { first / 2 };
        if direction >= parameters.directions {
            return Self { first: plain(parameters), count: 2, direction, directions: 0 };
        }
        let most = if signs == 1 { KEY_TILE } else { KEY_TILE / 2 };
        let directions = most.min(parameters.directions - direction);
        Self { first, count: (signs * directions).next_multiple_of(2), direction, directions }
    }

    /// Where its features are.
    pub(super) const fn features(self) -> Range<usize> {
        self.first..self.first + self.count
    }

    /// Where its features are, of which there are `rows` rows.
    pub(super) const fn rows(self, rows: usize) -> Range<usize> {
        self.first * rows..(self.first + self.count) * rows
    }

    /// Puts `u` of a row, for features of both signs, in `exponents`.
    pub(super) fn project(
        self,
        parameters: &Favor<'_>,
        row: &[i16],
        input: FavorInput,
        exponents: &mut [i32],
    ) {
        let start = self.direction * row.len();
        let directions = parameters.projection.get(start..start + self.directions * row.len());
        let (plus, minus) = exponents.split_at_mut_checked(self.directions).unwrap_or_default();
        dots(row, directions.unwrap_or_default(), plus);
        if signs(parameters) == 2 {
            for (minus, plus) in minus.iter_mut().zip(plus) {
                *plus = input.projection.apply(*plus);
                *minus = -*plus;
            }
        } else {
            plus.iter_mut().for_each(|u| *u = input.projection.apply(*u));
            minus.fill(NOTHING);
        }
    }
}
