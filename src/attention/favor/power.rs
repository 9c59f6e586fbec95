//! Features as powers of two.

use super::running::SUM_SHIFT;
use crate::kernels::VALUE_LIMIT;
use crate::model::{Favor, MAX_TOKENS};
use crate::num::{LogScore, Probability, exp2_neg, round_shift};

/// Fractional bits of a feature relative to its row's power of two.
pub(super) const FEATURE_FRAC: u32 = Probability::FRAC_NBITS;

/// One feature of one key.
#[derive(Clone, Copy)]
pub(super) enum Feature {
    /// Its logarithm, [`Favor::LOG_FRAC`] fractional bits.
    Log(i32),
    /// Itself; nothing if not positive.
    Plain(i32),
}

impl Feature {
    /// The smallest power of two that is not below it.
    pub(super) fn top(self) -> Option<i32> {
        match self {
            Self::Log(log) => Some(ceil(log)),
            Self::Plain(x) => (x > 0).then(|| (i32::BITS - (x - 1).leading_zeros()) as i32),
        }
    }

    /// Itself over `2^top`, [`FEATURE_FRAC`] fractional bits.
    pub(super) fn relative_to(self, top: i32) -> i32 {
        match self {
            Self::Log(log) => i32::from(exp2_neg(below(log, top)).to_bits()),
            Self::Plain(x) if top <= FEATURE_FRAC as i32 => x << (FEATURE_FRAC as i32 - top),
            Self::Plain(x) => round_shift(x, (top - FEATURE_FRAC as i32) as u32),
        }
    }
}

/// `mantissa 2^exponent`; the mantissa is in `2^30 ..= 2^31`, or zero.
#[derive(Clone, Copy)]
pub(super) struct Power {
    pub(super) mantissa: u32,
    pub(super) exponent: i32,
}

impl Power {
    pub(super) const ZERO: Self = Self { mantissa: 0, exponent: 0 };

    pub(super) fn new(x: u64, exponent: i32) -> Self {
        let excess = 33 - x.leading_zeros() as i32;
        match excess {
            _ if x == 0 => Self::ZERO,
            1.. => Self { mantissa: (x >> excess) as u32, exponent: exponent + excess },
            _ => Self { mantissa: (x << -excess) as u32, exponent: exponent + excess },
        }
    }

    pub(super) fn plus(self, other: Self) -> Self {
        if self.mantissa == 0 || other.mantissa == 0 {
            return if self.mantissa == 0 { other } else { self };
        }
        let exponent = self.exponent.max(other.exponent);
        let part = |x: Self| u64::from(shift_down(x.mantissa, exponent.abs_diff(x.exponent)));
        Self::new(part(self) + part(other), exponent)
    }

    pub(super) fn times(self, other: Self) -> Self {
        Self::new(u64::from(self.mantissa) * u64::from(other.mantissa), self.exponent + other.exponent)
    }
}

/// `2^(log / 2^LOG_FRAC)`.
pub(super) fn exp2(log: i32) -> Power {
    let whole = ceil(log);
    let mantissa = u32::from(exp2_neg(below(log, whole)).to_bits());
    Power { mantissa: mantissa << (31 - FEATURE_FRAC), exponent: whole - 31 }
}

/// How far `log` lies below `2^top`, as the table of powers has it.
fn below(log: i32, top: i32) -> LogScore {
    let distance = (top << Favor::LOG_FRAC).saturating_sub(log);
    LogScore::from_bits(round_shift(distance, Favor::LOG_FRAC - LogScore::FRAC_NBITS))
}

const fn ceil(log: i32) -> i32 {
    (log >> Favor::LOG_FRAC) + (log & ((1 << Favor::LOG_FRAC) - 1) != 0) as i32
}

/// `x / 2^shift` to nearest.
pub(super) fn shift_down(x: u32, shift: u32) -> u32 {
    match shift {
        0 => x,
        1..=32 => ((u64::from(x) + (1 << (shift - 1))) >> shift) as u32,
        _ => 0,
    }
}

// The longest sequence fits, with every feature at its power of two and every value at its limit. Each addition
// and each move of the top rounds by half a unit, and a move halves at least: one unit per token is enough.
const _: () = {
    let term = ((VALUE_LIMIT as u64) << FEATURE_FRAC >> SUM_SHIFT) + 1;
    assert!(MAX_TOKENS as u64 * term < 1 << 31);
    assert!((MAX_TOKENS as u64) << FEATURE_FRAC < 1 << 31);
    // A weight times a total is at most 2^(31 + FEATURE_FRAC), and a sum at most twice `term` / 2^FEATURE_FRAC
    // of its total: what a query gathers from all rows fits into 64 bits.
    let rows = 2 * Favor::MAX_DIRECTIONS as u64 + 1;
    assert!((rows << 31) * 2 * term < 1 << 63);
};
