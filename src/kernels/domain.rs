//! What the kernels take, written once: for what is checked where a model is parsed, for the assertions at the entry of every
//! kernel, which debug builds have, and for the checks that reach it.
//!
//! No bound has a term for rounding, because nothing is added to a sum before it is shifted: what is kept is the shifted sum
//! and the last bit that was dropped, or the upper word of a product and half a place of what is left of it.

use super::portable::Means;
use super::{Channels, NormParameters, VALUE_LIMIT, dot_limit};
use crate::num::Requant;

/// Largest magnitude of a sum of products.
pub(crate) const SUM_LIMIT: u64 = i32::MAX as u64;

/// Largest magnitude of an activation.
const ACTIVATION: u64 = 1 << 15;

/// Largest magnitude of the bias of a normalisation: a normalised column times its gain is below `2^30`.
pub(crate) const NORM_BIAS: u32 = 1 << 30;

/// Widest row that is normalised: two residuals side by side.
const NORM_WIDTH: usize = 2 * 1024;

/// Most bits by which a residual changes its format at a time.
pub(crate) const RESIDUAL_SHIFT: u32 = 15;

/// Largest sum of a query's weights with which sums are read, in magnitudes.
pub(crate) const SUM_WEIGHTS: u64 = 1 << 16;

/// Magnitudes of rows that are lifted or joined stay below this.
const LIFTED: i32 = 1 << 14;

/// Scores, and powers of two, stay within this, in octaves.
const TOP: i32 = 1 << 20;

/// Largest magnitude of an exponent from a product: what a scale makes of any.
pub(crate) const EXPONENT: i32 = 1 << 29;

/// Whether a channel of a linear layer, the sum of the magnitudes of its weights and that of its bias, takes any row.
pub(crate) const fn is_channel(weights: u64, bias: u32) -> bool {
    weights * ACTIVATION + bias as u64 <= SUM_LIMIT
}

/// Whether a row takes the product with every query and key of its width: the sum of its magnitudes.
pub(crate) const fn is_direction(magnitudes: u64, width: usize) -> bool {
    magnitudes * dot_limit(width) as u64 <= SUM_LIMIT
}

/// Whether a scale is one that models have.
pub(super) fn is_scale(scale: Requant) -> bool {
    scale.multiplier >= 0 && Requant::SHIFTS.contains(&scale.shift)
}

/// Whether [`super::linear`] takes the channels; that their sums fit is known of every model.
pub(super) fn linear(channels: Channels<'_>) -> bool {
    channels.multipliers.iter().all(|&multiplier| is_scale(Requant { multiplier, shift: channels.shift }))
}

/// Whether no sum of some products of a row and a key has more than 32 bits.
pub(super) fn dots(q: &[i16], keys: &[i16]) -> bool {
    let limit = dot_limit(q.len()).unsigned_abs();
    let within = |row: &[i16]| largest(row) <= u32::from(limit);
    within(q) && within(keys)
        || keys.chunks(q.len().max(1)).all(|key| {
            let magnitude = |(&q, &k): (&i16, &i16)| u64::from((i32::from(q) * i32::from(k)).unsigned_abs());
            q.iter().zip(key).map(magnitude).sum::<u64>() <= SUM_LIMIT
        })
}

/// Whether [`super::softmax_weights`] takes the scale and the top: no distance has more than 32 bits.
pub(super) fn softmax_weights(scale: Requant, top: i32) -> bool {
    is_scale(scale) && top.abs() <= TOP
}

/// Whether no sum of some products of a run has more than 32 bits.
pub(super) fn weighted_sum(weights: &[i16], values: &[i16], run: usize, shift: u32, width: usize) -> bool {
    let (run, width) = (run.max(2), width.max(1));
    let fits = |weights: &[i16], values: &[i16]| {
        let sum =
            |weights: &[i16]| weights.iter().map(|&weight| u64::from(weight.unsigned_abs())).sum::<u64>();
        if sum(weights) * u64::from(largest(values)) <= SUM_LIMIT {
            return true;
        }
        // A row whose weight is zero may be anything.
        let mut total = 0;
        for (pair, values) in weights.chunks(2).zip(values.chunks(2 * width)) {
            for (index, &weight) in pair.iter().enumerate() {
                let of_row = values.iter().skip(index).step_by(pair.len());
                let row = of_row.fold(0, |most, value| value.unsigned_abs().max(most));
                total += u64::from(weight.unsigned_abs()) * u64::from(row);
            }
        }
        total <= SUM_LIMIT
    };
    let mut runs = weights.chunks(run).zip(values.chunks(run * width));
    shift > 0 && shift < 32 && run.is_multiple_of(2) && runs.all(|(weights, values)| fits(weights, values))
}

/// Whether [`super::layer_norm`] takes the row.
pub(super) fn layer_norm(x: &[i16], norm: NormParameters<'_>) -> bool {
    let bias = norm.bias.iter().all(|bias| bias.unsigned_abs() <= NORM_BIAS);
    x.len() <= NORM_WIDTH && norm.shift <= 30 && bias
}

/// Whether [`super::add`] takes the shift.
pub(super) const fn add(shift: i32) -> bool {
    shift.unsigned_abs() <= RESIDUAL_SHIFT
}

/// Whether [`super::key_exponents`] takes the scale and the norm of the key.
pub(super) fn key_exponents(scale: Requant, n: i32) -> bool {
    is_scale(scale) && (0..=EXPONENT).contains(&n)
}

/// Whether [`super::dots_of_sums`] takes the weights: what is in the sums fits whatever they are.
pub(super) fn dots_of_sums(q: &[i16]) -> bool {
    q.iter().map(|&q| u64::from(q.unsigned_abs())).sum::<u64>() <= SUM_WEIGHTS
}

/// Whether [`super::lift`] takes rows in their place.
pub(super) fn lift(rows: &[i16], means: Means) -> bool {
    (0..2 * means.count).all(|row| {
        let start = row * means.half;
        below(rows.get(start..start + means.width).unwrap_or_default(), LIFTED)
    })
}

/// Whether [`super::join`] takes rows, one after the other.
pub(super) fn join(rows: &[i16], means: Means) -> bool {
    below(rows.get(..2 * means.count * means.width).unwrap_or_default(), LIFTED)
}

/// Whether [`super::join_pairs`] takes rows, one after the other.
pub(super) fn join_pairs(rows: &[i16], means: Means) -> bool {
    below(rows.get(..2 * means.count * means.width).unwrap_or_default(), i32::from(VALUE_LIMIT) + 1)
}

/// Largest magnitude.
fn largest(values: &[i16]) -> u32 {
    values.iter().fold(0, |most, value| value.unsigned_abs().max(most)).into()
}

fn below(values: &[i16], limit: i32) -> bool {
    largest(values) < limit as u32
}
