//! A tile in the loops of cores with the DSP extension.
#![allow(unsafe_code)] // What the loops need has been checked.

use core::slice;

use crate::kernels::attention::dsp::{
    QUERY_COLUMNS, SATURATED, SUM_COLUMNS, WIDEST, dots_16, dots_of_pairs, to_next_pair, weighted_sums,
    weights_of,
};
use crate::kernels::{SCORE_SHIFT, portable};
use crate::num::{LogScore, OCTAVE, Requant};

/// Query, keys, output, pairs of keys, width.
type Dots = unsafe extern "C" fn(*const i16, *const i16, *mut i32, usize, usize);

/// Fewest keys of a tile.
pub(super) const LEAST: usize = 2;

/// Whether the functions below take rows of this width.
pub(super) const fn takes(width: usize) -> bool {
    width.is_multiple_of(8) && width.wrapping_sub(1) < WIDEST
}

/// The products of a query and `count` keys.
#[inline(always)]
pub(super) unsafe fn products(q: *const i16, keys: *const i16, width: usize, count: usize, out: *mut i32) {
    let kernel: Dots = if width == QUERY_COLUMNS { dots_16 } else { dots_of_pairs };
    // SAFETY: the caller has so many keys, at least 2, of this width, and room for their products.
    unsafe {
        kernel(q, keys, out, count / 2, width);
        if !count.is_multiple_of(2) {
            // An odd key is done in a pair with the one before it.
            kernel(q, keys.add((count - 2) * width), out.add(count - 2), 1, width);
        }
    }
}

/// The weights of `count` products; what follows up to a multiple of four is zero.
#[inline(always)]
pub(super) unsafe fn weigh(
    products: *mut i32,
    weights: *mut i16,
    count: usize,
    scale: Requant,
    top: i32,
    known: bool,
) -> Result<u32, i32> {
    let padded = count.next_multiple_of(4);
    let multiplier = i32::from(scale.multiplier) << (SCORE_SHIFT - scale.shift);
    let from_top = top << LogScore::FRAC_NBITS;
    // SAFETY: the caller has room for a tile, whose size is a multiple of four; the table has the 1,024 entries that ten bits can
    // name.
    let found = unsafe {
        for place in count..padded {
            products.add(place).write(*products.add(count - 1));
        }
        weights_of(products, weights, padded, multiplier, from_top, OCTAVE.as_ptr())
    };
    if !known && found >> 32 & SATURATED != 0 {
        // SAFETY: the caller has so many products.
        let largest = portable::largest(unsafe { slice::from_raw_parts(products, count) });
        if from_top + scale.apply(-largest) < 0 {
            return Err(largest);
        }
    }
    let mut sum = found as u32;
    for place in count..padded {
        // SAFETY: see above.
        unsafe {
            sum -= *weights.add(place) as u32;
            weights.add(place).write(0);
        }
    }
    Ok(sum)
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
    let groups = width / SUM_COLUMNS;
    // SAFETY: the caller has them.
    unsafe { weighted_sums(weights, values, sum, pairs, run, shift, groups, to_next_pair(width)) };
}
