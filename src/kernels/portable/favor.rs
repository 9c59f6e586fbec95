//! What FAVOR+ does with rows of features, each of which, where it is causal, has a power of two of its own.

use super::softmax_weights;
use crate::kernels::{EXPONENT_FRAC, domain};
use crate::num::{Requant, high};

/// Exponents, and powers of two beside them, stay within 2^14 octaves.
const LIMIT: i32 = 1 << (EXPONENT_FRAC + 14);

/// Replaces the products of a key with the directions by the exponents of its features, each less its power of two:
/// `scale products[i] - n`, within 2^14 octaves, less `tops[i]` octaves. Whether some exponent may be above zero.
///
/// Exponents have [`EXPONENT_FRAC`] fractional bits. The multiplier is not below zero, nor is `n`, which is at most `2^29`.
pub fn key_exponents(products: &mut [i32], scale: Requant, n: i32, tops: &[i16]) -> bool {
    debug_assert!(domain::key_exponents(scale, n));
    let mut above = false;
    each(products, scale, tops, |u, top| {
        let limited = (u - n).clamp(-LIMIT, LIMIT - 1);
        above |= limited > top || limited != u - n;
        limited - top
    });
    above
}

/// Replaces the products of a query with the directions by the exponents of what its features weigh the sums with:
/// `scale products[i]` and `tops[i]` octaves. Returns the largest. The multiplier is not below zero.
pub fn query_exponents(products: &mut [i32], scale: Requant, tops: &[i16]) -> i32 {
    debug_assert!(domain::is_scale(scale));
    let mut largest = i32::MIN;
    each(products, scale, tops, |u, top| {
        largest = largest.max(u + top);
        u + top
    });
    largest
}

/// Replaces the products of a row with some others by exponents, `scale products[i] + offsets[i] - base`. Returns the largest,
/// which is `-i32::MAX` of none.
///
/// The multiplier may be below zero. No exponent leaves 32 bits.
pub fn offset_exponents(products: &mut [i32], scale: Requant, offsets: &[i32], base: i32) -> i32 {
    let (scaled, mut largest) = (scaled(scale), -i32::MAX);
    for (product, &offset) in products.iter_mut().zip(offsets) {
        *product = scaled(*product) + offset - base;
        largest = largest.max(*product);
    }
    largest
}

/// Replaces each product by what `exponent` makes of it, scaled, and of its octaves.
#[inline(always)]
fn each(products: &mut [i32], scale: Requant, tops: &[i16], mut exponent: impl FnMut(i32, i32) -> i32) {
    let scaled = scaled(scale);
    for (product, &top) in products.iter_mut().zip(tops) {
        *product = exponent(scaled(*product), i32::from(top) << EXPONENT_FRAC);
    }
}

/// [`Requant::apply`], in which the compiler does not find the instruction for the upper word.
#[inline(always)]
fn scaled(scale: Requant) -> impl Fn(i32) -> i32 {
    let (multiplier, shift) = (i32::from(scale.multiplier) << 16, scale.shift);
    move |product| (high(product, multiplier) + (1 << (shift - 1))) >> shift
}

/// The weights of [`softmax_weights`], where no scaled product lies above `top`; returns their sum.
pub fn exp2_weights(dots: &[i32], scale: Requant, top: i32, weights: &mut [i16]) -> u32 {
    softmax_weights(dots, scale, top, weights).unwrap_or_default()
}

/// `out[j] += sum_i floor(q[i] sums[j][i] / 2^16)` for rows `[n, q.len()]`.
///
/// The sum of the magnitudes of `q` is at most `2^16`, and what it makes of `out` stays within 32 bits.
pub fn dots_of_sums(q: &[i16], sums: &[i32], out: &mut [i32]) {
    debug_assert!(domain::dots_of_sums(q));
    if q.is_empty() {
        return;
    }
    for (sums, out) in sums.chunks_exact(q.len()).zip(out) {
        for (&q, &sum) in q.iter().zip(sums) {
            let (upper, lower) = (sum >> 16, sum & 0xffff);
            *out += upper * i32::from(q) + ((lower * i32::from(q)) >> 16);
        }
    }
}
