//! The online softmax that every mechanism of the softmax family shares.

use crate::kernels::{KEY_TILE, SUM_SHIFT, VALUE_LIMIT, WEIGHT_FRAC, scores, softmax_weights, weighted_sum};
use crate::model::MAX_TOKENS;
use crate::num::{LogScore, Requant, recip, round_shift, round_shift_wide, saturate};

/// A softmax-weighted mean of value rows, built tile by tile (online softmax, Milakov and Gimelshein 2018).
///
/// The running maximum is a whole power of two, so that moving it is a shift.
pub struct Accumulator<'a> {
    /// `[width]`, weighted values; `WEIGHT_FRAC - SUM_SHIFT` fractional bits more than the values.
    sum: &'a mut [i32],
    /// Sum of the weights, [`WEIGHT_FRAC`] fractional bits.
    total: u32,
    /// Weights are relative to `2^top`.
    top: i32,
}

/// An accumulator without its sums.
#[derive(Clone, Copy, Debug, Default)]
pub struct State {
    total: u32,
    top: i32,
}

/// At most [`KEY_TILE`] keys and their values, `[n, width]` each.
#[derive(Clone, Copy)]
pub struct KeyTile<'a> {
    /// Magnitudes as [`scores`] takes them.
    pub keys: &'a [i16],
    /// Magnitudes up to [`VALUE_LIMIT`].
    pub values: &'a [i16],
    /// Bit `j`: key `j` takes part.
    pub visible: u16,
    /// What each key stands for.
    pub weight: Weight<'a>,
}

/// How many tokens a key stands for.
#[derive(Clone, Copy)]
pub enum Weight<'a> {
    /// One.
    One,
    /// `count[j]` of at most `2^level`, and `bias[j]` (if any) is added to the score, in units of log2.
    Coarse {
        /// Level of the keys.
        level: u32,
        /// Tokens that are not masked; a key with none must not be visible.
        counts: &'a [u16; KEY_TILE],
        /// Relative position bias.
        bias: Option<&'a [i16]>,
        /// Fractional bits that these values have more than those of the tokens.
        extra: u32,
    },
}

impl<'a> Accumulator<'a> {
    /// Empty; `sum` is scratch of the width of a value row.
    pub fn new(sum: &'a mut [i32]) -> Self {
        sum.fill(0);
        Self { sum, total: 0, top: 0 }
    }

    /// Goes on from `state` with the sums that it left in `sum`.
    pub fn resume(sum: &'a mut [i32], state: State) -> Self {
        Self { sum, total: state.total, top: state.top }
    }

    /// What [`Accumulator::resume`] needs besides the sums.
    pub fn state(&self) -> State {
        State { total: self.total, top: self.top }
    }

    /// Adds the visible keys of one tile.
    pub fn absorb(&mut self, q: &[i16], tile: KeyTile<'_>, scale: Requant) {
        let mut log = [LogScore::ZERO; KEY_TILE];
        scores(q, tile.keys, scale, &mut log);
        if let Weight::Coarse { level, bias, .. } = tile.weight {
            raise_by_level(&mut log, level, bias.unwrap_or_default());
        }
        let seen = log.iter().enumerate().filter(|(j, _)| tile.visible >> j & 1 == 1);
        let Some(best) = seen.map(|(_, score)| *score).max() else { return };
        raise(self.sum, &mut self.total, &mut self.top, ceil(best));

        let mut weights = [0; KEY_TILE];
        let mut total = softmax_weights(&log, tile.visible, self.top, &mut weights);
        let mut shift = SUM_SHIFT;
        if let Weight::Coarse { level, counts, extra, .. } = tile.weight {
            total = scale_by_counts(&mut weights, counts, level);
            shift += extra;
        }
        self.total += total;
        weighted_sum(&weights, tile.values, shift, self.sum);
    }

    /// Whether no key was visible.
    pub fn is_empty(&self) -> bool {
        self.total == 0
    }

    /// The weighted mean, with `gain` more fractional bits than the values; zero if nothing was visible.
    pub fn finish(self, gain: u32, out: &mut [i16]) {
        if self.is_empty() {
            return out.fill(0);
        }
        let reciprocal = recip(self.total);
        let shift = reciprocal.exponent - SUM_SHIFT - gain;
        for (&sum, out) in self.sum.iter().zip(out) {
            let mean = round_shift_wide(i64::from(sum) * i64::from(reciprocal.mantissa), shift);
            *out = saturate(mean.clamp(i64::from(i16::MIN), i64::from(i16::MAX)) as i32);
        }
    }
}

/// Makes room for weights up to `2^limit`: sums and total are relative to `2^top`, and a total of zero has no top yet.
pub(super) fn raise(sums: &mut [i32], total: &mut u32, top: &mut i32, limit: i32) {
    if *total == 0 {
        *top = limit;
    } else if limit > *top {
        let shift = (limit - *top).min(31) as u32;
        sums.iter_mut().for_each(|sum| *sum = round_shift(*sum, shift));
        *total = round_shift(*total as i32, shift) as u32;
        *top = limit;
    }
}

/// A key of level `l` stands for `2^l` tokens: `l` in units of log2.
fn raise_by_level(log: &mut [LogScore; KEY_TILE], level: u32, bias: &[i16]) {
    let level = (level as i32) << LogScore::FRAC_NBITS;
    log.iter_mut().for_each(|score| *score = LogScore::from_bits(score.to_bits() + level));
    for (score, &bias) in log.iter_mut().zip(bias) {
        *score = LogScore::from_bits(score.to_bits() + i32::from(bias));
    }
}

/// Where masked tokens or the end of the sequence leave less than `2^level` tokens; returns the new sum.
fn scale_by_counts(weights: &mut [i16; KEY_TILE], counts: &[u16; KEY_TILE], level: u32) -> u32 {
    for (weight, &count) in weights.iter_mut().zip(counts) {
        if u32::from(count) < 1 << level {
            *weight = round_shift(i32::from(*weight) * i32::from(count), level) as i16;
        }
    }
    weights.iter().map(|&weight| weight as u32).sum()
}

const fn ceil(score: LogScore) -> i32 {
    (score.to_bits() + (1 << LogScore::FRAC_NBITS) - 1) >> LogScore::FRAC_NBITS
}

// The longest sequence fits, with every weight one and every value at its limit.
const _: () =
    assert!(((MAX_TOKENS as u64) << WEIGHT_FRAC) * (VALUE_LIMIT as u64 + 1) <= 1 << (31 + SUM_SHIFT));
