//! Reciprocal square root of an unsigned integer.

use super::product::product;

/// `1 / sqrt(x) = mantissa * 2^-exponent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReciprocalSqrt {
    /// In `2^30 ..= 2^31 - 1`.
    pub mantissa: i32,
    /// In `31 ..= 62`.
    pub exponent: u32,
}

/// The reciprocal square root of `x`, which must not be zero (zero is taken for one).
///
/// Newton's iteration on the normalised value; relative error at most 1.35e-9, RMS 3.9e-10.
pub const fn rsqrt(x: u64) -> ReciprocalSqrt {
    let x = if x == 0 { 1 } else { x };
    // Of one word: where it takes a function, it is there once.
    let [word, above] = if x >> 32 == 0 { [x as u32, 32] } else { [(x >> 32) as u32, 0] };
    let zeros = (above + word.leading_zeros()) & !1; // even, so that its root is a shift
    let u = ((x << zeros) >> 32) as u32; // [1/4, 1) in Q32
    // A line that is within 14 % of 1/sqrt(u); each step makes of an error e about 1.5 e^2. So no word overflows.
    let mut r = SEED_OFFSET - (product(u, SEED_SLOPE) >> 32) as u32; // (1, 2] in Q30
    let mut step = 0;
    while step < 4 {
        let ur = (product(u, r) >> 32) as u32;
        let urr = (product(ur, r) >> 30) as u32; // u r^2, near 1 in Q30
        r = (product(r, (3 << 30) - urr) >> 31) as u32;
        step += 1;
    }
    let mantissa = if r > i32::MAX as u32 { i32::MAX } else { r as i32 };
    ReciprocalSqrt { mantissa, exponent: 62 - zeros / 2 }
}

/// 2.2 in Q30.
const SEED_OFFSET: u32 = 2_362_232_013;
/// 1.25 in Q30.
const SEED_SLOPE: u32 = 1_342_177_280;
