//! One head: query, key and value rows in, rows out.
//!
//! Every mechanism of the softmax family is a pattern of (query, key tile, mask) over one [`Accumulator`].

pub mod exact;

use crate::kernels::{KEY_TILE, SUM_SHIFT, VALUE_LIMIT, WEIGHT_FRAC, scores, softmax_weights, weighted_sum};
use crate::model::MAX_TOKENS;
use crate::num::{LogScore, Requant, recip, round_shift, round_shift_wide, saturate};

/// An output row has this many fractional bits more than the value rows: an average of
/// magnitudes up to [`VALUE_LIMIT`] leaves them free.
pub const OUTPUT_GAIN: u32 = (i16::MAX as u32 / VALUE_LIMIT as u32).ilog2();

/// A softmax-weighted sum of value rows, built tile by tile (online softmax, Milakov and Gimelshein 2018).
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

impl<'a> Accumulator<'a> {
    /// Empty; `sum` is scratch of the width of a value row.
    pub fn new(sum: &'a mut [i32]) -> Self {
        sum.fill(0);
        Self { sum, total: 0, top: 0 }
    }

    /// Adds the keys of one tile, `[n, q.len()]`, whose bit in `visible` is set, with their values.
    pub fn absorb(&mut self, q: &[i16], keys: &[i16], values: &[i16], visible: u16, scale: Requant) {
        let mut tile = [LogScore::ZERO; KEY_TILE];
        scores(q, keys, scale, &mut tile);
        let seen = tile.iter().enumerate().filter(|(j, _)| visible >> j & 1 == 1);
        let Some(best) = seen.map(|(_, score)| *score).max() else { return };
        self.raise(ceil(best));

        let mut weights = [0; KEY_TILE];
        self.total += softmax_weights(&tile, visible, self.top, &mut weights);
        weighted_sum(&weights, values, self.sum);
    }

    /// Makes room for scores up to `top`.
    fn raise(&mut self, top: i32) {
        if self.total == 0 {
            self.top = top;
        } else if top > self.top {
            let shift = (top - self.top).min(31) as u32;
            self.sum.iter_mut().for_each(|sum| *sum = round_shift(*sum, shift));
            self.total = round_shift(self.total as i32, shift) as u32;
            self.top = top;
        }
    }

    /// The weighted mean, with [`OUTPUT_GAIN`] more fractional bits than the values; zero if nothing was visible.
    pub fn finish(self, out: &mut [i16]) {
        if self.total == 0 {
            return out.fill(0);
        }
        let reciprocal = recip(self.total);
        let shift = reciprocal.exponent - SUM_SHIFT - OUTPUT_GAIN;
        for (&sum, out) in self.sum.iter().zip(out) {
            let mean = round_shift_wide(i64::from(sum) * i64::from(reciprocal.mantissa), shift);
            *out = saturate(mean.clamp(i64::from(i16::MIN), i64::from(i16::MAX)) as i32);
        }
    }
}

const fn ceil(score: LogScore) -> i32 {
    (score.to_bits() + (1 << LogScore::FRAC_NBITS) - 1) >> LogScore::FRAC_NBITS
}

// The longest sequence fits, with every weight one and every value at its limit.
const _: () =
    assert!(((MAX_TOKENS as u64) << WEIGHT_FRAC) * (VALUE_LIMIT as u64 + 1) <= 1 << (31 + SUM_SHIFT));
