//! The meaning of every kernel.
//!
//! Slices of rows are row-major. Lengths that do not agree are cut to the shorter: nothing here panics. Of the kernels that a host
//! alone has, for some rows and for listed ones, lengths agree; checked builds assert it.
//! That no accumulator overflows is proved when a model is parsed.

mod favor;
mod gather;
mod means;

use fixed::types::I17F15;

use super::{Activation, ChannelPairs, Channels, NormParameters, Weight, domain};
pub use favor::{dots_of_sums, exp2_weights, key_exponents, offset_exponents, query_exponents};
#[cfg(feature = "std")]
pub use gather::{dots_of_listed, weighted_sum_of_listed};
pub use gather::{gather, zip};
pub use means::{Means, copy, expand, expand_pairs, half, join, join_pairs, lift, lift_twice};

use crate::memory::rows;
use crate::num::{
    Factor, LogScore, Requant, exp2_weight, gelu_erf, gelu_tanh, high, round_shift, rsqrt, saturate, tanh,
};

/// `out[r][o] = requant(bias[o] + sum_i x[r][i] weights[o][i])`.
///
/// `x` is `[rows, inputs]`, `weights` `[outputs, inputs]`, `out` `[rows, outputs]`; no more than 8,192 outputs.
pub fn linear<W: Weight>(x: &[i16], weights: ChannelPairs<'_, W>, channels: Channels<'_>, out: &mut [i16]) {
    debug_assert!(domain::linear(channels));
    for channel in 0..channels.bias.len() {
        linear_channel(x, weights, channels, channel, out);
    }
}

/// One output column of [`linear`].
pub(super) fn linear_channel<W: Weight>(
    x: &[i16],
    weights: ChannelPairs<'_, W>,
    channels: Channels<'_>,
    channel: usize,
    out: &mut [i16],
) {
    let dot = |x: &[i16]| {
        x.iter().zip(weights.channel(channel)).map(|(&x, weight)| i32::from(x) * weight.into()).sum()
    };
    each_row(x, weights.inputs(), &dot, channels, channel, out);
}

/// A column of the output from a product of each row: one function for weights of any kind.
#[inline(never)]
fn each_row(
    x: &[i16],
    inputs: usize,
    dot: &dyn Fn(&[i16]) -> i32,
    channels: Channels<'_>,
    channel: usize,
    out: &mut [i16],
) {
    let (Some(&bias), Some(&multiplier)) = (channels.bias.get(channel), channels.multipliers.get(channel))
    else {
        return;
    };
    for (x, out) in rows(x, inputs).zip(out.chunks_mut(channels.bias.len())) {
        let Some(out) = out.get_mut(channel) else { return };
        *out = saturate(Requant { multiplier, shift: channels.shift }.apply(bias + dot(x)));
    }
}

/// `out[j] = q . keys[j]`; `keys` is `[n, q.len()]`.
///
/// Neither `q` nor `keys` may hold a magnitude above [`super::dot_limit`], unless the magnitudes of all products of `q` and a
/// key sum up to less than `2^31`: then no sum of some of them can be larger.
pub fn dots(q: &[i16], keys: &[i16], out: &mut [i32]) {
    debug_assert!(domain::dots(q, keys));
    if q.is_empty() {
        return;
    }
    for (key, out) in rows(keys, q.len()).zip(out) {
        let mut dot = 0;
        for (&q, &k) in q.iter().zip(key) {
            dot += i32::from(q) * i32::from(k);
        }
        *out = dot;
    }
}

/// [`dots`] of some rows of one width, each with an output of its own.
#[cfg(feature = "std")]
pub fn dots_of_rows<const R: usize>(rows: [&[i16]; R], keys: &[i16], out: [&mut [i32]; R]) {
    rows.into_iter().zip(out).for_each(|(row, out)| dots(row, keys, out));
}

/// `weights[j] = 2^(scale dots[j] - top)`, the scaled product in units of log2; returns their sum, or the largest product
/// if it lies above `top`: the weights are of no use then.
///
/// Weights and sum have [`super::WEIGHT_FRAC`] fractional bits. The multiplier is not below zero, and `top` within `2^20`.
pub fn softmax_weights(dots: &[i32], scale: Requant, top: i32, weights: &mut [i16]) -> Result<u32, i32> {
    debug_assert!(domain::softmax_weights(scale, top));
    let from_top = top << LogScore::FRAC_NBITS;
    let (mut sum, mut signs) = (0, 0);
    for (&dot, weight) in dots.iter().zip(weights) {
        let distance = from_top + scale.apply(-dot);
        signs |= distance;
        let value = exp2_weight(LogScore::from_bits(distance));
        *weight = value as i16;
        sum += u32::from(value);
    }
    if signs < 0 { Err(largest(dots)) } else { Ok(sum) }
}

/// The largest of some products.
pub(crate) fn largest(dots: &[i32]) -> i32 {
    // Four at a time: a loop costs as much as what is in it.
    let (fours, rest) = dots.as_chunks::<4>();
    let most = fours.iter().fold(-i32::MAX, |most, &[a, b, c, d]| most.max(a).max(b).max(c).max(d));
    rest.iter().copied().fold(most, i32::max)
}

/// `sum[c] += (sum_j weights[j] values[j][c]) / 2^shift`, once for every `run` rows; `values` is `[n, sum.len()]` with
/// the rows of each pair zipped: `a[0] b[0] a[1] b[1] ...`. The last row of an odd number is as it is.
///
/// The sum of the weights of a run times the largest magnitude of `values` is below `2^31`, and stays so while it is rounded;
/// `run` is even, and `shift` from 1 to 31.
pub fn weighted_sum(weights: &[i16], values: &[i16], run: usize, shift: u32, sum: &mut [i32]) {
    debug_assert!(domain::weighted_sum(weights, values, run, shift, sum.len()));
    add_columns(weights, values, run, shift, sum.len(), 0, sum);
}

/// [`weighted_sum`] of some rows of weights, each with sums of its own.
#[cfg(feature = "std")]
pub fn weighted_sum_of_rows<const R: usize>(
    weights: [&[i16]; R],
    values: &[i16],
    run: usize,
    shift: u32,
    sums: [&mut [i32]; R],
) {
    let rows = weights.into_iter().zip(sums);
    rows.for_each(|(weights, sum)| weighted_sum(weights, values, run, shift, sum));
}

/// [`weighted_sum`] of the columns from `first` on.
pub(super) fn add_columns(
    weights: &[i16],
    values: &[i16],
    run: usize,
    shift: u32,
    width: usize,
    first: usize,
    sum: &mut [i32],
) {
    let (run, row) = (run.max(2), width.max(1));
    // Not zipped: that would divide by lengths, which could panic for all the compiler knows.
    let mut runs = values.chunks((run * row).max(1));
    for weights in weights.chunks(run) {
        let Some(values) = runs.next() else { return };
        let paired = values.len() / row / 2 * 2;
        let last = values.get(paired * row + first..).unwrap_or_default();
        let last = last.iter().copied().chain(core::iter::repeat(0));
        let last_weight = i32::from(weights.get(paired).copied().unwrap_or_default());
        for ((column, sum), last) in sum.iter_mut().enumerate().zip(last) {
            let mut total = last_weight * i32::from(last);
            let mut pairs = values.get(2 * (first + column)..).unwrap_or_default().chunks((2 * row).max(1));
            for [of_a, of_b] in weights.as_chunks::<2>().0.iter().take(paired / 2) {
                if let Some([a, b, ..]) = pairs.next() {
                    total += i32::from(*a) * i32::from(*of_a) + i32::from(*b) * i32::from(*of_b);
                }
            }
            *sum += round_shift(total, shift);
        }
    }
}

/// `out[c] = sum[c]`, scaled by a factor and saturated.
pub(crate) fn scale(sum: &[i32], factor: Factor, out: &mut [i16]) {
    for (&sum, out) in sum.iter().zip(out) {
        *out = saturate(factor.of(sum));
    }
}

/// Layer normalisation of one row (Ba et al. 2016): `(x - mean) / sqrt(variance + epsilon) * gain + bias`.
///
/// The sums are exact integers, the root is [`crate::num::rsqrt`], and the normalised value has
/// [`normalised_frac`] fractional bits before it meets the gain. At most 2,048 columns, biases up to `2^30` and a shift up
/// to 30.
pub fn layer_norm(x: &[i16], norm: NormParameters<'_>, out: &mut [i16]) {
    debug_assert!(domain::layer_norm(x, norm));
    Centred::new(x.len(), sums(x), norm.epsilon).normalise(x, norm, out);
}

/// The sum of a row and of its squares.
pub(super) fn sums(x: &[i16]) -> (i32, u64) {
    let (mut sum, mut squares) = (0, 0);
    for &x in x {
        let x = i32::from(x);
        sum += x;
        squares += u64::from((x * x) as u32);
    }
    (sum, squares)
}

/// What the sums of a row make of each of its columns: `round((x * width - sum) * mantissa / 2^(32 + down))`.
#[repr(C)]
pub(super) struct Centred {
    /// The sum of the row, times a power of two.
    sum: i32,
    /// Of the reciprocal deviation.
    mantissa: i32,
    /// At least 1.
    down: u32,
    /// The number of columns, times the same power.
    pub(super) width: i32,
}

impl Centred {
    /// From the [`sums`] of `n` columns.
    #[inline(never)]
    pub(super) fn new(n: usize, (sum, squares): (i32, u64), epsilon: u64) -> Self {
        // n^2 times the variance; never negative (Cauchy-Schwarz).
        let spread = n as u64 * squares - (i64::from(sum) * i64::from(sum)) as u64;
        let root = rsqrt(spread.saturating_add(epsilon));
        let shift = root.exponent - normalised_frac(n);
        // What is centred is at most `sqrt(n spread)`: there is room for what a short shift lacks, if not in its parts.
        let up = 33_u32.saturating_sub(shift);
        Self { sum: sum << up, mantissa: root.mantissa, down: shift + up - 32, width: (n as i32) << up }
    }

    /// The normalised columns with gain and bias.
    #[inline(never)]
    pub(super) fn normalise(&self, x: &[i16], norm: NormParameters<'_>, out: &mut [i16]) {
        let half = 1 << (self.down - 1);
        // The place below the last that is kept, and whether there is one: one form for every shift.
        let below = norm.shift.saturating_sub(1);
        let rounded = norm.shift - below;
        let parameters = norm.gain.iter().zip(norm.bias);
        for ((&x, (&gain, &bias)), out) in x.iter().zip(parameters).zip(out) {
            let centred = i32::from(x).wrapping_mul(self.width).wrapping_sub(self.sum);
            let normalised = (high(centred, self.mantissa) + half) >> self.down;
            let sum = normalised * i32::from(gain) + bias;
            *out = saturate(((sum >> below) + rounded as i32) >> rounded);
        }
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
    match Curve::of(activation) {
        Some(curve) => curve.apply(x, frac),
        None => relu(x),
    }
}

/// `max(x[i], 0)`.
pub fn relu(x: &mut [i16]) {
    x.iter_mut().for_each(|x| *x = (*x).max(0));
}

/// An activation that is a curve.
#[derive(Clone, Copy, Debug)]
pub struct Curve(fn(I17F15) -> I17F15);

impl Curve {
    /// That of an activation; none of ReLU.
    pub const fn of(activation: Activation) -> Option<Self> {
        match activation {
            Activation::Relu => None,
            Activation::GeluErf => Some(Self(gelu_erf)),
            Activation::GeluTanh => Some(Self(gelu_tanh)),
            Activation::Tanh => Some(Self(tanh)),
        }
    }

    /// In place; `frac` fractional bits, at most 15, before and after.
    pub fn apply(self, x: &mut [i16], frac: u32) {
        debug_assert!(frac <= I17F15::FRAC_NBITS);
        let up = I17F15::FRAC_NBITS.saturating_sub(frac);
        for x in x {
            let y = (self.0)(I17F15::from_bits(i32::from(*x) << up)).to_bits();
            *x = saturate(round_shift(y, up));
        }
    }
}

/// `x[i] = saturate(x[i] / 2^shift + y[i])`: the residual stream takes the format of what is added.
///
/// A negative `shift` multiplies; from -15 to 15.
pub fn add(x: &mut [i16], shift: i32, y: &[i16]) {
    debug_assert!(domain::add(shift));
    for (x, &y) in x.iter_mut().zip(y) {
        let wide = i32::from(*x);
        let scaled = if shift >= 0 { round_shift(wide, shift as u32) } else { wide << -shift };
        *x = saturate(scaled + i32::from(y));
    }
}

/// `x[i]` limited to `-limit ..= limit`.
pub fn clamp(x: &mut [i16], limit: i16) {
    // Otherwise `clamp` would panic.
    if limit >= 0 {
        x.iter_mut().for_each(|x| *x = (*x).clamp(-limit, limit));
    }
}
