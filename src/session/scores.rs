//! What a model says of one recording.

use crate::num::{LogScore, Probability, exp2_neg, recip, round_shift_wide};

/// One score a class, and what follows from them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Scores<'a> {
    raw: &'a [i16],
    frac: i32,
}

impl<'a> Scores<'a> {
    pub(super) fn new(raw: &'a [i16], frac: i32) -> Self {
        Self { raw, frac }
    }

    /// The scores (logits) as integers with [`Scores::frac`] fractional bits.
    pub fn raw(&self) -> &'a [i16] {
        self.raw
    }

    /// Fractional bits of the scores.
    pub fn frac(&self) -> i32 {
        self.frac
    }

    /// The class with the largest score; the first of equals.
    pub fn best(&self) -> usize {
        let top = self.top();
        self.raw.iter().position(|&score| score == top).unwrap_or_default()
    }

    /// Softmax over the classes, within 0.002 of the probabilities of the same scores in real arithmetic. Zero
    /// for a class that does not exist.
    pub fn probability(&self, class: usize) -> Probability {
        let Some(&score) = self.raw.get(class) else { return Probability::ZERO };
        let total: u32 = self.raw.iter().map(|&score| u32::from(self.weight(score).to_bits())).sum();
        let reciprocal = recip(total);
        let weight = i64::from(self.weight(score).to_bits());
        let ratio = round_shift_wide(weight * i64::from(reciprocal.mantissa), reciprocal.exponent - 15);
        Probability::from_bits(ratio as u16)
    }

    /// The scores as real numbers, for hosts.
    #[cfg(feature = "std")]
    pub fn to_f64(&self) -> impl Iterator<Item = f64> + use<'a> {
        let unit = f64::powi(0.5, self.frac);
        self.raw.iter().map(move |&score| f64::from(score) * unit)
    }

    fn top(&self) -> i16 {
        self.raw.iter().copied().max().unwrap_or_default()
    }

    /// `exp(score - top)`.
    fn weight(&self, score: i16) -> Probability {
        const LOG2_E: i64 = 1_549_082_005; // 30 fractional bits
        let distance = i64::from(self.top()) - i64::from(score);
        let shift = 30 + self.frac - LogScore::FRAC_NBITS as i32;
        let log2 = round_shift_wide(distance * LOG2_E, shift as u32);
        exp2_neg(LogScore::from_bits(log2.min(i64::from(i32::MAX)) as i32))
    }
}
