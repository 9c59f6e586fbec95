//! Gaussian error linear unit (Hendrycks and Gimpel 2016): the erf form and the tanh form.
//!
//! Both are `max(x, 0) - g(|x|)` with a small even correction `g`, at most 0.17 and zero from 6 on. `g` is
//! read from a table of 1/16 steps with quadratic interpolation.

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

/// Table steps per unit, as a shift.
const STEP_SHIFT: u32 = 4;
/// 6 units of 16 steps, and two more entries for the interpolation.
const ENTRIES: usize = (6 << STEP_SHIFT) + 2;
/// Fractional bits of a table entry.
const TABLE_FRAC: u32 = 17;

static ERF: [u16; ENTRIES] = corrections(Tail::Normal);
static TANH: [u16; ENTRIES] = corrections(Tail::Tanh);

fn gelu(x: I17F15, table: &[u16; ENTRIES]) -> I17F15 {
    const WITHIN: u32 = I17F15::FRAC_NBITS - STEP_SHIFT;
    let magnitude = x.to_bits().unsigned_abs();
    let index = (magnitude >> WITHIN) as usize;
    let rest = (magnitude & ((1 << WITHIN) - 1)) as i32;
    let correction = match table.get(index..index + 3) {
        Some(&[a, b, c]) => {
            let (a, b, c) = (i32::from(a), i32::from(b), i32::from(c));
            // Newton's forward form: a + t (b - a) + t (t - 1) / 2 (a - 2 b + c), t = rest / 2^WITHIN.
            let linear = ((b - a) * rest) >> WITHIN;
            let bend = (a - 2 * b + c) * ((rest * (rest - (1 << WITHIN))) >> (WITHIN + 1));
            a + linear + (bend >> WITHIN)
        }
        _ => 0,
    };
    let rounded = super::round_shift(correction, TABLE_FRAC - I17F15::FRAC_NBITS);
    I17F15::from_bits(x.to_bits().max(0) - rounded)
}

// The tables are made by the compiler: floating point never reaches the target.

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

/// Taylor's series after halving the argument ten times.
const fn exp(x: f64) -> f64 {
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
