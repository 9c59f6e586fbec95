//! Sums that keep 32 bits in two halves, so that kernels of 16 bits read them.

use super::blocks::Block;
use crate::kernels::dots;
use crate::memory::{i16s, i16s_mut, i32s};
use crate::num::round_shift;

/// `S` and `z` of all features. A row of a block is a column of the values; the last one is `z`, as of a column that is always
/// [`ONE`].
pub(super) struct Sums<'m> {
    /// Columns of the values.
    pub(super) width: usize,
    /// In each block `[width + 2, count]`: sums over 2^16, to nearest, then what those of `z` lack.
    pub(super) upper: &'m mut [u32],
    /// In each block `[width, count]`: what the upper halves of `S` lack.
    pub(super) lower: &'m mut [u32],
}

/// The column of `z`.
pub(super) const ONE: i16 = 1 << 12;

const HALF: i32 = 1 << 15;
/// The upper half of a word.
const UPPER: u32 = 0xffff_0000;

impl<'m> Sums<'m> {
    pub(super) const fn words(features: usize, width: usize) -> [usize; 2] {
        [features * (width + 2) / 2, features * width / 2]
    }

    /// The halves of a row, two a word.
    fn halves(&mut self, block: Block, row: usize) -> (&mut [u32], &mut [u32]) {
        let (width, words) = (self.width, block.count / 2);
        let start = block.first / 2 * (width + 2) + row * words;
        if row == width {
            let both = self.upper.get_mut(start..start + 2 * words).unwrap_or_default();
            return both.split_at_mut_checked(words).unwrap_or_default();
        }
        let upper = self.upper.get_mut(start..start + words).unwrap_or_default();
        let start = block.first / 2 * width + row * words;
        (upper, self.lower.get_mut(start..start + words).unwrap_or_default())
    }

    /// Takes the sums of a row out, half of them if `halves`.
    pub(super) fn take(&mut self, block: Block, row: usize, halves: bool, sums: &mut [i32]) {
        let (upper, lower) = self.halves(block, row);
        for ((&upper, &lower), [a, b]) in upper.iter().zip(&*lower).zip(sums.as_chunks_mut().0) {
            *a = ((upper << 16) as i32) + i32::from(lower as i16);
            *b = ((upper & UPPER) as i32) + (lower as i32 >> 16);
        }
        if halves {
            sums.iter_mut().for_each(|sum| *sum = round_shift(*sum, 1));
        }
    }

    /// Puts the sums of a row in.
    pub(super) fn put(&mut self, block: Block, row: usize, sums: &[i32]) {
        let (upper, lower) = self.halves(block, row);
        for ((upper, lower), &[a, b]) in upper.iter_mut().zip(lower).zip(sums.as_chunks().0) {
            *upper = (b + HALF) as u32 & UPPER | (a + HALF) as u32 >> 16;
            *lower = (b as u32) << 16 | a as u32 & !UPPER;
        }
    }

    /// Multiplies the sums of feature `index` of a block by `2^-shift`.
    #[inline(never)]
    pub(super) fn scale(&mut self, block: Block, index: usize, shift: i32) {
        let (width, count) = (self.width, block.count);
        let (halves_of_upper, halves_of_lower) = (2 * self.upper.len(), 2 * self.lower.len());
        let upper = i16s_mut(self.upper, halves_of_upper).get_mut(block.first * (width + 2) + index..);
        let lower = i16s_mut(self.lower, halves_of_lower).get_mut(block.first * width + index..);
        let (upper, lower) = (upper.unwrap_or_default(), lower.unwrap_or_default());
        let mut at = 0;
        while at < width * count {
            if let (Some(upper), Some(lower)) = (upper.get_mut(at), lower.get_mut(at)) {
                (*upper, *lower) = split(scaled(whole(*upper, *lower), shift));
            }
            at += count;
        }
        if let Some([upper, rest @ ..]) = upper.get_mut(at..)
            && let Some(lower) = rest.get_mut(count - 1)
        {
            (*upper, *lower) = split(scaled(whole(*upper, *lower), shift));
        }
    }

    /// Adds the weighted sums of a block, over 2^16, to `out`, those of `S`, then that of `z`; `products` has room for
    /// `2 width + 2`.
    pub(super) fn read(&self, block: Block, weights: &[i16], products: &mut [i32], out: &mut [i32]) {
        let (above, below) = products.split_at_mut_checked(self.width + 2).unwrap_or_default();
        let below = below.get_mut(..self.width).unwrap_or_default();
        let (upper, lower) = (i16s(i32s(self.upper)), i16s(i32s(self.lower)));
        dots(weights, upper.get(block.rows(self.width + 2)).unwrap_or_default(), above);
        dots(weights, lower.get(block.rows(self.width)).unwrap_or_default(), below);
        let (sums, z) = out.split_at_mut_checked(self.width).unwrap_or_default();
        for (sum, (above, below)) in sums.iter_mut().zip(above.iter().zip(&*below)) {
            *sum += above + ((below + HALF) >> 16);
        }
        if let ([z], [.., above, below]) = (z, above) {
            *z += *above + ((*below + HALF) >> 16);
        }
    }
}

fn whole(upper: i16, lower: i16) -> i32 {
    (i32::from(upper) << 16) + i32::from(lower)
}

fn split(sum: i32) -> (i16, i16) {
    (((sum + HALF) >> 16) as i16, sum as i16)
}

fn scaled(sum: i32, shift: i32) -> i32 {
    if shift < 0 { sum << -shift } else { round_shift(sum, shift.min(31) as u32) }
}
