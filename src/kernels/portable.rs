//! The meaning of every kernel.
//!
//! Slices of rows are row-major. Lengths that do not agree are cut to the shorter: nothing here panics.
//! That no accumulator overflows is proved when a model is parsed.

use fixed::types::I17F15;

use super::{Activation, Channels, KEY_TILE, NormParameters, WEIGHT_FRAC, Weight};
use crate::num::{
    LogScore, Probability, Requant, exp2_neg, gelu_erf, gelu_tanh, round_shift, round_shift_wide, rsqrt,
    saturate, tanh,
};

/// `out[r][o] = requant(bias[o] + sum_i x[r][i] weights[o][i])`.
///
/// `x` is `[rows, inputs]`, `weights` `[outputs, inputs]`, `out` `[rows, outputs]`.
pub fn linear<W: Weight>(x: &[i16], inputs: usize, weights: &[W], channels: Channels<'_>, out: &mut [i16]) {
    let outputs = channels.bias.len();
    if inputs == 0 || outputs == 0 {
        return;
    }
    for (x, out) in x.chunks_exact(inputs).zip(out.chunks_exact_mut(outputs)) {
        let parameters = channels.bias.iter().zip(channels.multipliers);
        for ((row, (&bias, &multiplier)), out) in weights.chunks_exact(inputs).zip(parameters).zip(out) {
            let mut sum = bias;
            for (&x, &weight) in x.iter().zip(row) {
                sum += i32::from(x) * weight.into();
            }
            *out = saturate(Requant { multiplier, shift: channels.shift }.apply(sum));
        }
    }
}

/// `out[j] = requant(q . keys[j])`: scores in units of log2. At most [`KEY_TILE`] keys, `[n, q.len()]`.
///
/// Neither `q` nor `keys` may hold a magnitude above [`super::dot_limit`], unless the product of the lengths of `q`
/// and of a key is below `2^31`: then no sum of some of the products can be larger.
pub fn scores(q: &[i16], keys: &[i16], scale: Requant, out: &mut [LogScore; KEY_TILE]) {
    if q.is_empty() {
        return;
    }
    for (key, out) in keys.chunks_exact(q.len()).zip(out) {
        let mut dot = 0;
        for (&q, &k) in q.iter().zip(key) {
            dot += i32::from(q) * i32::from(k);
        }
        *out = LogScore::from_bits(scale.apply(dot));
    }
}

/// `weights[j] = 2^(scores[j] - top)` where bit `j` of `visible` is set, else zero; returns their sum.
///
/// No visible score may lie above `top`. Weights and sum have [`WEIGHT_FRAC`] fractional bits.
pub fn softmax_weights(
    scores: &[LogScore; KEY_TILE],
    visible: u16,
    top: i32,
    weights: &mut [i16; KEY_TILE],
) -> u32 {
    const DROPPED: u32 = Probability::FRAC_NBITS - WEIGHT_FRAC;
    let top = top << LogScore::FRAC_NBITS;
    let mut sum = 0;
    for (j, (&score, weight)) in scores.iter().zip(weights).enumerate() {
        let distance = LogScore::from_bits(top.saturating_sub(score.to_bits()));
        let seen = u32::from(visible >> j & 1);
        let value = (u32::from(exp2_neg(distance).to_bits()) * seen + 1) >> DROPPED;
        *weight = value as i16;
        sum += value;
    }
    sum
}

/// `sum[c] += (sum_j weights[j] values[j][c]) / 2^shift`; `values` is `[n, sum.len()]`, `n <= KEY_TILE`.
///
/// No magnitude of `values` may exceed [`super::VALUE_LIMIT`].
pub fn weighted_sum(weights: &[i16; KEY_TILE], values: &[i16], shift: u32, sum: &mut [i32]) {
    let width = sum.len();
    for (column, sum) in sum.iter_mut().enumerate() {
        let mut tile = 0;
        let values = values.iter().skip(column).step_by(width);
        for (&weight, &value) in weights.iter().zip(values) {
            tile += i32::from(weight) * i32::from(value);
        }
        *sum += round_shift(tile, shift);
    }
}

/// Layer normalisation of one row (Ba et al. 2016): `(x - mean) / sqrt(variance + epsilon) * gain + bias`.
///
/// The sums are exact integers, the root is [`rsqrt`], and the normalised value has
/// [`normalised_frac`] fractional bits before it meets the gain. At most 1,024 columns.
pub fn layer_norm(x: &[i16], norm: NormParameters<'_>, out: &mut [i16]) {
    let n = x.len() as i64;
    let mut sum = 0_i32;
    let mut squares = 0_u64;
    for &x in x {
        sum += i32::from(x);
        squares += u64::from(i32::from(x).unsigned_abs().pow(2));
    }
    // n^2 times the variance; never negative (Cauchy-Schwarz).
    let spread = n as u64 * squares - (i64::from(sum) * i64::from(sum)) as u64;
    let root = rsqrt(spread.saturating_add(norm.epsilon));
    let shift = root.exponent - normalised_frac(x.len());

    let parameters = norm.gain.iter().zip(norm.bias);
    for ((&x, (&gain, &bias)), out) in x.iter().zip(parameters).zip(out) {
        let centred = n * i64::from(x) - i64::from(sum);
        let normalised = round_shift_wide(centred * i64::from(root.mantissa), shift) as i32;
        *out = saturate(round_shift(normalised * i32::from(gain) + bias, norm.shift));
    }
}

/// Fractional bits of a normalised value in 16 bits: no column of `width` can exceed `sqrt(width - 1)`.
pub const fn normalised_frac(width: usize) -> u32 {
    let mut whole = 0;
    while width > 1 << (2 * whole) {
        whole += 1;
    }
    15 - whole
}

/// The activation in place; `frac` fractional bits, at most 15, before and after.
pub fn activate(x: &mut [i16], activation: Activation, frac: u32) {
    let function = match activation {
        Activation::Relu => {
            x.iter_mut().for_each(|x| *x = (*x).max(0));
            return;
        }
        Activation::GeluErf => gelu_erf,
        Activation::GeluTanh => gelu_tanh,
        Activation::Tanh => tanh,
    };
    let up = I17F15::FRAC_NBITS.saturating_sub(frac);
    for x in x {
        let y = function(I17F15::from_bits(i32::from(*x) << up)).to_bits();
        *x = saturate(round_shift(y, up));
    }
}

/// `x[i] = saturate(x[i] / 2^shift + y[i])`: the residual stream takes the format of what is added.
///
/// A negative `shift` multiplies.
pub fn add(x: &mut [i16], shift: i32, y: &[i16]) {
    for (x, &y) in x.iter_mut().zip(y) {
        let wide = i32::from(*x);
        let scaled = if shift >= 0 { round_shift(wide, shift as u32) } else { wide << -shift };
        *x = saturate(scaled + i32::from(y));
    }
}

/// `x[i]` limited to `-limit ..= limit`.
pub fn clamp(x: &mut [i16], limit: i16) {
    x.iter_mut().for_each(|x| *x = (*x).clamp(-limit, limit));
}
