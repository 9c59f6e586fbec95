//! Features in blocks that a kernel takes at a time.

use core::ops::Range;

use super::features::signs;
use crate::attention::KEY_TILE;
use crate::kernels::{EXPONENT_FRAC, dots, key_exponents, query_exponents};
use crate::model::{Epsilon, Favor};

const _: () = assert!(Favor::LOG_FRAC == EXPONENT_FRAC);

/// Up to [`KEY_TILE`] features, an even number of them.
#[derive(Clone, Copy)]
pub(super) struct Block {
    /// Its first feature.
    pub(super) first: usize,
    /// Number of features.
    pub(super) count: usize,
    /// First of its directions, and their number; none: its features are the same for every key, and their weights have epsilon in
    /// them.
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

/// Exponents, and powers of two beside them, stay within 2^14 octaves.
pub(super) const LIMIT: i32 = 1 << 28;

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

    /// Puts the products of a row with the directions in `exponents`, for features of both signs.
    #[inline(never)]
    fn project(self, parameters: &Favor<'_>, row: &[i16], exponents: &mut [i32]) {
        let start = self.direction * row.len();
        let directions = parameters.projection.get(start..start + self.directions * row.len());
        let (plus, minus) = exponents.split_at_mut_checked(self.directions).unwrap_or_default();
        dots(row, directions.unwrap_or_default(), plus);
        if signs(parameters) == 2 {
            minus.iter_mut().zip(plus).for_each(|(minus, product)| *minus = -*product);
        }
    }

    /// Puts exponents of a key, each less its power of two, in `exponents`, as [`key_exponents`] does.
    pub(super) fn expose_key(
        self,
        parameters: &Favor<'_>,
        row: &[i16],
        n: i32,
        tops: &[i16],
        exponents: &mut [i32],
    ) -> bool {
        self.project(parameters, row, exponents);
        let used = exponents.get_mut(..self.used(parameters)).unwrap_or_default();
        let above = key_exponents(used, parameters.key.projection, n, tops);
        self.leave_out(parameters, exponents);
        above
    }

    /// Puts exponents of a query, each with its power of two, in `exponents`; returns the largest.
    pub(super) fn expose_query(
        self,
        parameters: &Favor<'_>,
        row: &[i16],
        tops: &[i16],
        exponents: &mut [i32],
    ) -> i32 {
        self.project(parameters, row, exponents);
        let used = exponents.get_mut(..self.used(parameters)).unwrap_or_default();
        let largest = query_exponents(used, parameters.query.projection, tops);
        self.leave_out(parameters, exponents);
        largest
    }

    /// What makes the number of features even is none.
    fn leave_out(self, parameters: &Favor<'_>, exponents: &mut [i32]) {
        exponents.get_mut(self.used(parameters)..).unwrap_or_default().fill(NOTHING);
    }
}
