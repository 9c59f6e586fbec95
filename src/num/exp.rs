//! Powers of two with a negative exponent: the weights of a softmax.

use fixed::types::{I22F10, U1F15};

/// A score in units of log2: `score * log2(e)`, 10 fractional bits.
pub type LogScore = I22F10;

/// A number in `0 ..= 1`, 15 fractional bits.
pub type Probability = U1F15;

/// Steps of an octave that [`exp2_neg`] resolves: the fractional bits of [`LogScore`].
pub const EXP2_STEPS: usize = 1 << LogScore::FRAC_NBITS;

/// `2^-x` for `x >= 0`; a negative `x` counts as zero.
///
/// Each value is the nearest of its format but for a double rounding of the table: the error is at most
/// 0.75 units of 2^-15, RMS 0.29, over every `x`.
#[inline(always)]
pub fn exp2_neg(x: LogScore) -> Probability {
    let x = x.to_bits().max(0) as u32;
    let whole = (x >> LogScore::FRAC_NBITS).min(31);
    let mantissa = OCTAVE[x as usize % EXP2_STEPS];
    // The mantissa has at most 16 bits, so that from 17 on the result is zero.
    Probability::from_bits(((u32::from(mantissa) + (1 << whole >> 1)) >> whole) as u16)
}

/// `2^-x` for `x >= 0` with 14 fractional bits; a negative `x` counts as zero.
///
/// The error is at most 0.75 units of 2^-14, RMS 0.29, over every `x`.
#[inline(always)]
pub fn exp2_weight(x: LogScore) -> u16 {
    let x = x.to_bits().max(0) as u32;
    let whole = (x >> LogScore::FRAC_NBITS).min(31);
    (((u32::from(OCTAVE[x as usize % EXP2_STEPS]) >> whole) + 1) >> 1) as u16
}

/// `2^(15 - i / 1024)`, rounded to nearest.
pub(crate) static OCTAVE: [u16; EXP2_STEPS] = octave();

const fn octave() -> [u16; EXP2_STEPS] {
    // 2^(64 - 1/1024), to nearest; after 1,023 products of 64 bits the error is still below 2^-53.
    const RATIO: u128 = 18_434_261_669_329_232_140;
    let mut table = [0; EXP2_STEPS];
    let mut power: u128 = 1 << 63;
    let mut i = 0;
    while i < EXP2_STEPS {
        table[i] = ((power + (1 << 47)) >> 48) as u16;
        power = (power * RATIO) >> 64;
        i += 1;
    }
    table
}
