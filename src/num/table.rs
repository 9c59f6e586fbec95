//! A smooth function of a magnitude that is zero from 6 on: a table of 1/16 steps with quadratic interpolation.
//!
//! The tables are made by the compiler: floating point never reaches the target.

use fixed::types::I17F15;

/// Table steps per unit, as a shift.
pub(super) const STEP_SHIFT: u32 = 4;
/// 6 units of 16 steps, and two more entries for the interpolation.
pub(super) const ENTRIES: usize = (6 << STEP_SHIFT) + 2;

/// The function at a magnitude in units of [`I17F15`].
pub(super) fn interpolate(table: &[u16; ENTRIES], magnitude: u32) -> i32 {
    const WITHIN: u32 = I17F15::FRAC_NBITS - STEP_SHIFT;
    let index = (magnitude >> WITHIN) as usize;
    let rest = (magnitude & ((1 << WITHIN) - 1)) as i32;
    match table.get(index..index + 3) {
        Some(&[a, b, c]) => {
            let (a, b, c) = (i32::from(a), i32::from(b), i32::from(c));
            // Newton's forward form: a + t (b - a) + t (t - 1) / 2 (a - 2 b + c), t = rest / 2^WITHIN.
            let linear = ((b - a) * rest) >> WITHIN;
            let bend = (a - 2 * b + c) * ((rest * (rest - (1 << WITHIN))) >> (WITHIN + 1));
            a + linear + (bend >> WITHIN)
        }
        _ => 0,
    }
}

/// Taylor's series after halving the argument ten times.
pub(super) const fn exp(x: f64) -> f64 {
    let x = x / 1024.0;
    let mut term = 1.0;
    let mut sum = 1.0;
    let mut k = 1.0;
    while k < 12.0 {
        term *= x / k;
        sum += term;
        k += 1.0;
    }
    let mut i = 0;
    while i < 10 {
        sum *= sum;
        i += 1;
    }
    sum
}
