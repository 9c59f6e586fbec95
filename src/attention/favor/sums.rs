//! Sums that keep 32 bits in two halves, so that kernels of 16 bits read them.

use super::blocks::Block;
use crate::kernels::dots;
use crate::num::round_shift;

/// `S` and `z` of all features. Within a block there is a row for each column of the values and one for `z`, as of a column
/// that is always [`ONE`].
pub(super) struct Sums<'m> {
    /// Columns of the values, and one.
    pub(super) rows: usize,
    /// Sums over 2^16, to nearest.
    pub(super) upper: &'m mut [i16],
    /// What the upper halves lack.
    pub(super) lower: &'m mut [i16],
}

/// The column of `z`.
pub(super) const ONE: i16 = 1 << 12;

/// Bits dropped from a product of feature and value before sums take it.
pub(super) const PRODUCT_SHIFT: u32 = 3;

/// No `z` exceeds it, and no `S` twice that.
const MOST: i32 = 1 << 29;

fn whole(upper: i16, lower: i16) -> i32 {
    (i32::from(upper) << 16) + i32::from(lower)
}

fn split(sum: i32) -> (i16, i16) {
    (((sum + (1 << 15)) >> 16) as i16, sum as i16)
}

/// What sums take of `term` where their power of two is `2^shift` times the smallest that a feature leaves them.
fn scaled(term: i32, shift: i16) -> i32 {
    ((term >> shift) + 1) >> 1
}

impl Sums<'_> {
    /// Divides the sums of feature `index` of a block by `2^shift`.
    #[inline(never)]
    pub(super) fn lower(&mut self, block: Block, index: usize, shift: u32) {
        for row in 0..self.rows {
            let at = block.first * self.rows + row * block.count + index;
            if let (Some(upper), Some(lower)) = (self.upper.get_mut(at), self.lower.get_mut(at)) {
                (*upper, *lower) = split(round_shift(whole(*upper, *lower), shift.min(31)));
            }
        }
    }

    /// Whether `z` of feature `index` has no room for a term.
    pub(super) fn is_full(&self, block: Block, index: usize, term: i32, shift: i16) -> bool {
        let at = block.first * self.rows + (self.rows - 1) * block.count + index;
        let halves = self.upper.get(at).zip(self.lower.get(at));
        let z = halves.map_or(0, |(&upper, &lower)| whole(upper, lower));
        z + scaled(term, shift) > MOST
    }

    /// Adds a term to each sum of a row of a block.
    pub(super) fn add(&mut self, block: Block, row: usize, terms: &[i32], shifts: &[i16]) {
        let start = block.first * self.rows + row * block.count;
        let range = start..start + block.count;
        let upper = self.upper.get_mut(range.clone()).unwrap_or_default();
        let lower = self.lower.get_mut(range).unwrap_or_default();
        for ((upper, lower), (&term, &shift)) in upper.iter_mut().zip(lower).zip(terms.iter().zip(shifts)) {
            (*upper, *lower) = split(whole(*upper, *lower) + scaled(term, shift));
        }
    }

    /// Adds the weighted sums of a block, over 2^16, to `out`, one a row; `products` has room for two a row.
    pub(super) fn read(&self, block: Block, weights: &[i16], products: &mut [i32], out: &mut [i32]) {
        let (above, below) = products.split_at_mut_checked(self.rows).unwrap_or_default();
        let range = block.rows(self.rows);
        dots(weights, self.upper.get(range.clone()).unwrap_or_default(), above);
        dots(weights, self.lower.get(range).unwrap_or_default(), below);
        for (out, (&above, &below)) in out.iter_mut().zip(above.iter().zip(&*below)) {
            *out += above + round_shift(below, 16);
        }
    }
}
