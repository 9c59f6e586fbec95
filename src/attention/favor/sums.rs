//! Sums of the keys of closed tiles.

use super::blocks::Block;
use crate::kernels::dots_of_sums;
use crate::num::round_shift;

/// `S` and `z` of all features. A row of a block is a column of the values; the last one is `z`, as of a column that is always
/// [`ONE`].
pub(super) struct Sums<'m> {
    /// Columns of the values.
    pub(super) width: usize,
    /// In each block `[width + 1, count]`.
    pub(super) sums: &'m mut [i32],
}

/// The column of `z`.
pub(super) const ONE: i16 = 1 << 12;

impl Sums<'_> {
    /// Words of all sums.
    pub(super) const fn words(features: usize, width: usize) -> usize {
        features * (width + 1)
    }

    /// A row of a block.
    pub(super) fn row(&mut self, block: Block, row: usize) -> &mut [i32] {
        let start = block.first * (self.width + 1) + row * block.count;
        self.sums.get_mut(start..start + block.count).unwrap_or_default()
    }

    /// Multiplies the sums of feature `index` of a block by `2^-shift`.
    #[inline(never)]
    pub(super) fn scale(&mut self, block: Block, index: usize, shift: i32) {
        let sums = self.sums.get_mut(block.rows(self.width + 1)).unwrap_or_default();
        for sum in sums.iter_mut().skip(index).step_by(block.count.max(1)) {
            *sum = if shift < 0 { *sum << -shift } else { round_shift(*sum, shift.min(31) as u32) };
        }
    }

    /// Adds the weighted sums of a block, over 2^16, to `out`, those of `S`, then that of `z`.
    pub(super) fn read(&self, block: Block, weights: &[i16], out: &mut [i32]) {
        dots_of_sums(weights, self.sums.get(block.rows(self.width + 1)).unwrap_or_default(), out);
    }
}
