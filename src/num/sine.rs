//! Sine of a phase, for sinusoidal positions.

use fixed::types::I1F15;

/// `sin(2 pi phase / 2^32)`: the phase is a fraction of a turn and wraps by itself.
///
/// Odd polynomial of degree 7 on a quarter turn; error at most 1 unit of 2^-15 (where 1 itself saturates), RMS 0.3.
pub const fn sine(phase: u32) -> I1F15 {
    let quarter = phase >> 30;
    let rest = phase & 0x3fff_ffff;
    // Fold to the rising quarter: x in [0, 1] stands for [0, pi/2], Q30.
    let x = if quarter & 1 == 0 { rest as i64 } else { (1 << 30) - rest as i64 };
    let square = (x * x) >> 30;
    let mut y = C7;
    y = C5 + ((y * square) >> 30);
    y = C3 + ((y * square) >> 30);
    y = C1 + ((y * square) >> 30);
    y = (y * x) >> 30;
    let signed = if quarter < 2 { y } else { -y };
    let rounded = (signed + (1 << 14)) >> 15;
    I1F15::from_bits(super::saturate(rounded as i32))
}

// Minimax coefficients of sin(pi x / 2) on [0, 1], in Q30.
const C1: i64 = 1_686_624_005;
const C3: i64 = -693_522_166;
const C5: i64 = 85_291_978;
const C7: i64 = -4_652_625;
