//! The one rounding rule: add half, shift arithmetically (to nearest, ties up), then saturate.

/// `x / 2^shift`, rounded to nearest, ties towards plus infinity. Exact for every `x`; `shift <= 31`.
#[inline(always)]
pub const fn round_shift(x: i32, shift: u32) -> i32 {
    if shift == 0 {
        return x;
    }
    // The bit below the cut is the half: adding it afterwards cannot overflow, adding it before could.
    (x >> shift) + ((x >> (shift - 1)) & 1)
}

/// [`round_shift`] of a 64-bit value; `shift <= 63`.
#[inline(always)]
pub const fn round_shift_wide(x: i64, shift: u32) -> i64 {
    if shift == 0 {
        return x;
    }
    (x >> shift) + ((x >> (shift - 1)) & 1)
}

/// The nearest `i16`.
#[inline(always)]
pub const fn saturate(x: i32) -> i16 {
    if x > i16::MAX as i32 {
        i16::MAX
    } else if x < i16::MIN as i32 {
        i16::MIN
    } else {
        x as i16
    }
}

/// Change of scale `x * multiplier / 2^(16 + shift)` with one rounding.
///
/// A 16-bit multiplier is enough because the quantiser derives the weights' scale *from* the multiplier, so no
/// error is left in it, and it costs two instructions on a core with SMLAWB and SSAT, and two 16-bit
/// products on a Cortex-M0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Requant {
    /// Factor, of either sign; model files, and the kernels that take a scale, have none below zero.
    pub multiplier: i16,
    /// Extra right shift, in [`Requant::SHIFTS`].
    pub shift: u32,
}

impl Requant {
    /// The shifts for which no intermediate value leaves 32 bits.
    pub const SHIFTS: core::ops::RangeInclusive<u32> = 1..=30;

    /// The scaled value, not saturated: no `x` gives more than `2^29`.
    #[inline(always)]
    pub const fn apply(self, x: i32) -> i32 {
        debug_assert!(self.shift >= *Self::SHIFTS.start() && self.shift <= *Self::SHIFTS.end());
        // Dropping 16 bits before the rounding at the final place is exact: floor of a floor.
        let product = self.product(x);
        (product + (1 << (self.shift - 1))) >> self.shift
    }

    /// `x * multiplier / 2^16`, rounded down: the upper word of one product.
    #[cfg(not(fixformer_thumb1))]
    #[inline(always)]
    const fn product(self, x: i32) -> i32 {
        ((x as i64 * ((self.multiplier as i64) << 16)) >> 32) as i32
    }

    /// The same where a product has one word: of the halves of `x`. That of the lower half fits 31 bits and a sign, and is
    /// rounded down whatever its sign.
    #[cfg(fixformer_thumb1)]
    #[inline(always)]
    const fn product(self, x: i32) -> i32 {
        let multiplier = self.multiplier as i32;
        (x >> 16) * multiplier + (((x & 0xffff) * multiplier) >> 16)
    }

    /// The real factor this stands for.
    #[cfg(feature = "std")]
    pub fn factor(self) -> f64 {
        f64::from(self.multiplier) * f64::powi(0.5, 16 + self.shift as i32)
    }
}
