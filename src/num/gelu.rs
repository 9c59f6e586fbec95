//! Gaussian error linear unit (Hendrycks and Gimpel 2016): the erf form and the tanh form.
//!
//! Both are `max(x, 0) - g(|x|)` with a small even correction `g`, at most 0.17 and zero from 6 on. `g` is
//! read from a table.

use super::table::{ENTRIES, STEP_SHIFT, exp, interpolate};
use fixed::types::I17F15;

/// From here on the correction is zero: GELU is the identity above and zero below minus this.
pub const GELU_INPUT_MAX: f64 = 6.0;

/// `x Phi(x)` with the normal distribution function `Phi(x) = (1 + erf(x / sqrt 2)) / 2`.
///
/// Error at most 3.7e-5, RMS 8.9e-6 over `-8 ..= 8`.
#[inline]
pub fn gelu_erf(x: I17F15) -> I17F15 {
    gelu(x, &ERF)
}

/// `x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2`, the form of GPT-2 and BERT's `gelu_new`.
///
/// Error at most 3.9e-5, RMS 8.9e-6 over `-8 ..= 8`.
#[inline]
pub fn gelu_tanh(x: I17F15) -> I17F15 {
    gelu(x, &TANH)
}

/// Fractional bits of a table entry.
const TABLE_FRAC: u32 = 17;

static ERF: [u16; ENTRIES] = corrections(Tail::Normal);
static TANH: [u16; ENTRIES] = corrections(Tail::Tanh);

fn gelu(x: I17F15, table: &[u16; ENTRIES]) -> I17F15 {
    let correction = interpolate(table, x.to_bits().unsigned_abs());
    let rounded = super::round_shift(correction, TABLE_FRAC - I17F15::FRAC_NBITS);
    I17F15::from_bits(x.to_bits().max(0) - rounded)
}

#[derive(Clone, Copy)]
enum Tail {
    Normal,
    Tanh,
}

const fn corrections(tail: Tail) -> [u16; ENTRIES] {
    let mut table = [0; ENTRIES];
    let mut i = 0;
    while i < ENTRIES {
        let a = i as f64 / (1 << STEP_SHIFT) as f64;
        let p = match tail {
            Tail::Normal => normal_tail(a),
            Tail::Tanh => tanh_tail(a),
        };
        table[i] = (a * p * (1 << TABLE_FRAC) as f64 + 0.5) as u16;
        i += 1;
    }
    table
}

/// `1 - Phi(a)`, `a >= 0`: `erf x = 2/sqrt(pi) exp(-x^2) sum 2^k x^(2k+1) / (2k+1)!!`, all terms positive.
const fn normal_tail(a: f64) -> f64 {
    let x = a * core::f64::consts::FRAC_1_SQRT_2;
    let mut term = x;
    let mut sum = x;
    let mut k = 1.0;
    while k < 120.0 {
        term *= 2.0 * x * x / (2.0 * k + 1.0);
        sum += term;
        k += 1.0;
    }
    0.5 - 0.5 * core::f64::consts::FRAC_2_SQRT_PI * exp(-x * x) * sum
}

/// `(1 - tanh(sqrt(2/pi) (a + 0.044715 a^3))) / 2`, written as a logistic function.
const fn tanh_tail(a: f64) -> f64 {
    // sqrt(2/pi) = (2/sqrt pi) / sqrt 2
    let slope = core::f64::consts::FRAC_2_SQRT_PI * core::f64::consts::FRAC_1_SQRT_2;
    1.0 / (1.0 + exp(2.0 * slope * (a + 0.044715 * a * a * a)))
}
