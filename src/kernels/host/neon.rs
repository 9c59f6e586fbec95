//! aarch64, whose processors all have NEON: eight 16-bit products in two instructions, added to what is there.
//!
//! Sums may wrap on the way: what they end in is proved to fit.
#![allow(unsafe_code)] // Loads and stores of vectors.

use core::arch::aarch64::*;

use super::super::portable;
use super::mantissa::MANTISSA;
use crate::num::{EXP2_STEPS, LogScore, Requant};

/// Sums of a vector.
const LANES: usize = 4;
/// Elements of a vector of 16 bits.
const HALVES: usize = 2 * LANES;

/// See [`portable::dots`].
#[target_feature(enable = "neon")]
pub(super) fn dots(q: &[i16], keys: &[i16], out: &mut [i32]) {
    let width = q.len();
    if width == 0 || !width.is_multiple_of(HALVES) {
        return portable::dots(q, keys, out);
    }
    let q = q.as_chunks::<HALVES>().0;
    for (keys, out) in keys.chunks(LANES * width).zip(out.chunks_mut(LANES)) {
        let mut sums = [vdupq_n_s32(0); LANES];
        for (key, sum) in keys.chunks_exact(width).zip(&mut sums) {
            for (q, key) in q.iter().zip(key.as_chunks::<HALVES>().0) {
                let (q, key) = (load(q), load(key));
                *sum = vmlal_s16(*sum, vget_low_s16(q), vget_low_s16(key));
                *sum = vmlal_high_s16(*sum, q, key);
            }
        }
        let [a, b, c, d] = sums;
        let mut totals = [0; LANES];
        // SAFETY: four sums have room in as many.
        unsafe { vst1q_s32(totals.as_mut_ptr(), vpaddq_s32(vpaddq_s32(a, b), vpaddq_s32(c, d))) };
        out.iter_mut().zip(totals).take(keys.len() / width).for_each(|(out, total)| *out = total);
    }
}

/// See [`portable::softmax_weights`].
#[target_feature(enable = "neon")]
pub(super) fn softmax_weights(
    dots: &[i32],
    scale: Requant,
    top: i32,
    weights: &mut [i16],
) -> Result<u32, i32> {
    let count = dots.len().min(weights.len());
    let (first, rest) = dots[..count].as_chunks::<LANES>();
    let (of_first, of_rest) = weights[..count].as_chunks_mut::<LANES>();
    let rest = portable::softmax_weights(rest, scale, top, of_rest);

    let from_top = vdupq_n_s32(top << LogScore::FRAC_NBITS);
    let (mut sum, mut signs) = (vdupq_n_u32(0), vdupq_n_s32(0));
    for (dots, weights) in first.iter().zip(of_first) {
        // SAFETY: these are four of 32 bits.
        let dots = unsafe { vld1q_s32(dots.as_ptr()) };
        let distance = vaddq_s32(from_top, rescale(vnegq_s32(dots), scale));
        signs = vorrq_s32(signs, distance);
        let whole = vreinterpretq_s32_u32(vshrq_n_u32::<{ LogScore::FRAC_NBITS as i32 }>(
            vreinterpretq_u32_s32(distance),
        ));
        // A shift has no more than a byte: 31 leaves nothing of 16 bits, as any larger one.
        let down = vnegq_s32(vminq_s32(whole, vdupq_n_s32(31)));
        let value = vshlq_u32(mantissas(distance), down);
        let value = vrshrq_n_u32::<1>(value);
        sum = vaddq_u32(sum, value);
        // SAFETY: four weights have room in as many.
        unsafe { vst1_s16(weights.as_mut_ptr(), vreinterpret_s16_u16(vmovn_u32(value))) };
    }
    match rest {
        Ok(rest) if vminvq_s32(signs) >= 0 => Ok(rest + vaddvq_u32(sum)),
        _ => Err(portable::largest(&dots[..count])),
    }
}

/// Of each distance the mantissa of its power of two, as [`MANTISSA`] gives it.
#[inline]
#[target_feature(enable = "neon")]
fn mantissas(distance: int32x4_t) -> uint32x4_t {
    let step = vcvtq_f32_s32(vandq_s32(distance, vdupq_n_s32(EXP2_STEPS as i32 - 1)));
    let [last, others @ ..] = MANTISSA;
    let mut sum = vdupq_n_f32(last);
    for coefficient in others {
        sum = vfmaq_f32(vdupq_n_f32(coefficient), sum, step);
    }
    vcvtnq_u32_f32(sum)
}

/// [`Requant::apply`] of four.
#[inline]
#[target_feature(enable = "neon")]
fn rescale(x: int32x4_t, scale: Requant) -> int32x4_t {
    let by = i32::from(scale.multiplier);
    let low = vshrn_n_s64::<16>(vmull_n_s32(vget_low_s32(x), by));
    let product = vshrn_high_n_s64::<16>(low, vmull_high_n_s32(x, by));
    vrshlq_s32(product, vdupq_n_s32(-(scale.shift as i32)))
}

/// See [`portable::weighted_sum`].
#[target_feature(enable = "neon")]
pub(super) fn weighted_sum(weights: &[i16], values: &[i16], run: usize, shift: u32, sum: &mut [i32]) {
    let width = sum.len();
    let pairs = values.len().checked_div(2 * width).unwrap_or_default();
    let weights_of_pairs = weights.as_chunks().0;
    // An unpaired last row belongs to the sum of its run: rare enough for the portable way.
    let whole = values.len() == 2 * pairs * width && weights_of_pairs.len() >= pairs;
    if !whole || pairs == 0 || run < 2 || !run.is_multiple_of(2) || !width.is_multiple_of(HALVES) {
        return portable::weighted_sum(weights, values, run, shift, sum);
    }
    let down = vdupq_n_s32(-(shift as i32));
    for (group, sum) in sum.as_chunks_mut::<HALVES>().0.iter_mut().enumerate() {
        let mut rows = values.chunks_exact(2 * width);
        for weights in weights_of_pairs[..pairs].chunks(run / 2) {
            let mut totals = [vdupq_n_s32(0); 2];
            for (&[a, b], row) in weights.iter().zip(&mut rows) {
                let both = &row[2 * HALVES * group..].as_chunks::<{ 2 * HALVES }>().0[0];
                // SAFETY: these are sixteen of 16 bits.
                let int16x8x2_t(first, second) = unsafe { vld2q_s16(both.as_ptr()) };
                totals[0] = vmlal_n_s16(totals[0], vget_low_s16(first), a);
                totals[0] = vmlal_n_s16(totals[0], vget_low_s16(second), b);
                totals[1] = vmlal_high_n_s16(totals[1], first, a);
                totals[1] = vmlal_high_n_s16(totals[1], second, b);
            }
            for (sum, total) in sum.as_chunks_mut::<LANES>().0.iter_mut().zip(totals) {
                let place = sum.as_mut_ptr();
                // SAFETY: these are four sums.
                unsafe { vst1q_s32(place, vaddq_s32(vld1q_s32(place), vrshlq_s32(total, down))) };
            }
        }
    }
}

#[inline]
#[target_feature(enable = "neon")]
fn load(row: &[i16; HALVES]) -> int16x8_t {
    // SAFETY: these are eight of 16 bits.
    unsafe { vld1q_s16(row.as_ptr()) }
}
