//! Features in blocks that a kernel takes at a time.

use core::ops::Range;

use super::features::signs;
use crate::attention::KEY_TILE;
use crate::kernels::dots;
use crate::model::{Epsilon, Favor};
use crate::num::high;

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

    /// Puts exponents of a row, for features of both signs, in `exponents`: `u - n` of a key, each less its power of two, and
    /// `u` of a query, each with its power of two. Returns the largest of a query.
    #[inline(never)]
    pub(super) fn expose<const KEY: bool>(
        self,
        parameters: &Favor<'_>,
        row: &[i16],
        n: i32,
        tops: &[i16],
        exponents: &mut [i32],
    ) -> i32 {
        let input = if KEY { parameters.key } else { parameters.query };
        let start = self.direction * row.len();
        let directions = parameters.projection.get(start..start + self.directions * row.len());
        let (plus, minus) = exponents.split_at_mut_checked(self.directions).unwrap_or_default();
        dots(row, directions.unwrap_or_default(), plus);
        let mut largest = i32::MIN;
        let mut exponent = |u: i32, top: i16| {
            let top = i32::from(top) << Favor::LOG_FRAC;
            if KEY {
                return (u - n).clamp(-LIMIT, LIMIT - 1) - top;
            }
            largest = largest.max(u + top);
            u + top
        };
        // The compiler does not find the instruction for the upper word in `Requant`.
        let (multiplier, shift) = (i32::from(input.projection.multiplier) << 16, input.projection.shift);
        let u = |product| (high(product, multiplier) + (1 << (shift - 1))) >> shift;
        if signs(parameters) == 2 {
            let tops_of_minus = tops.get(self.directions..).unwrap_or_default();
            for ((minus, &product), &top) in minus.iter_mut().zip(&*plus).zip(tops_of_minus) {
                *minus = exponent(-u(product), top);
            }
        } else {
            minus.fill(NOTHING);
        }
        // Four at a time: the loop itself would cost a good part of the work.
        let tops = tops.get(..plus.len()).unwrap_or_default();
        let ((plus, last), (tops, last_tops)) = (plus.as_chunks_mut::<4>(), tops.as_chunks::<4>());
        for ([p, q, r, s], &[a, b, c, d]) in plus.iter_mut().zip(tops) {
            *p = exponent(u(*p), a);
            *q = exponent(u(*q), b);
            *r = exponent(u(*r), c);
            *s = exponent(u(*s), d);
        }
        for (product, &top) in last.iter_mut().zip(last_tops) {
            *product = exponent(u(*product), top);
        }
        largest
    }
}
