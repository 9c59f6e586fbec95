//! A tile in the loops of Helium.
#![allow(unsafe_code)] // What the loops need has been checked.

use crate::kernels::SCORE_SHIFT;
use crate::kernels::attention::helium::{
    COLUMNS, SUM_COLUMNS, dots_8, dots_16, dots_24, dots_32, largest_of, weighted_sums, weights_of,
};
use crate::num::{LogScore, OCTAVE, Requant};

/// Fewest keys of a tile.
pub(super) const LEAST: usize = 4;

/// Whether the functions below take rows of this width.
pub(super) const fn takes(width: usize) -> bool {
    width.is_multiple_of(COLUMNS) && matches!(width / COLUMNS, 1..=4)
}

/// The products of a query and `count` keys.
#[inline(always)]
pub(super) unsafe fn products(q: *const i16, keys: *const i16, width: usize, count: usize, out: *mut i32) {
    let kernel = match width / COLUMNS {
        1 => dots_8,
        2 => dots_16,
        3 => dots_24,
        _ => dots_32,
    };
    // SAFETY: the caller has so many keys, at least 4, of this width, and room for their products.
    unsafe {
        kernel(q, keys, out, count / 4);
        if !count.is_multiple_of(4) {
            // The last keys are done in a four with those before them.
            kernel(q, keys.add((count - 4) * width), out.add(count - 4), 1);
        }
    }
}

/// The weights of `count` products; what makes their number even is zero.
#[inline(always)]
pub(super) unsafe fn weigh(
    products: *mut i32,
    weights: *mut i16,
    count: usize,
    scale: Requant,
    top: i32,
    known: bool,
) -> Result<u32, i32> {
    let multiplier = i32::from(scale.multiplier) << (SCORE_SHIFT - scale.shift);
    let from_top = top << LogScore::FRAC_NBITS;
    // SAFETY: the caller has so many products, not zero, and room for as many weights and one more where their number is odd; the
    // table has the 1,024 entries that ten bits can name.
    unsafe {
        let found = weights_of(products, weights, count, multiplier, from_top, OCTAVE.as_ptr());
        // The upper word has the farthest distance below the top; one above it is negative, and farther than any.
        if !known && ((found >> 32) as i32) < 0 {
            return Err(largest_of(products, count));
        }
        if !count.is_multiple_of(2) {
            weights.add(count).write(0);
        }
        Ok(found as u32)
    }
}

/// Adds weighted values to the sums.
#[inline(always)]
pub(super) unsafe fn add(
    weights: *const i16,
    values: *const i16,
    width: usize,
    pairs: usize,
    run: usize,
    shift: u32,
    sum: *mut i32,
) {
    // SAFETY: the caller has them.
    unsafe { weighted_sums(weights, values, sum, pairs, run, shift, width / SUM_COLUMNS, 4 * width) };
}
