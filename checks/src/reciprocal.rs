//! Reciprocal, reciprocal square root, logarithm and sine.

use crate::checks;
use crate::outcome::{equal, holds, near};
use fixformer::num::{log2, recip, rsqrt, sine};

/// Numbers of every size.
fn sizes() -> impl Iterator<Item = u32> {
    (1..2_000).chain((0..32).map(|k| 1 << k)).chain((0x8000_0000..=u32::MAX).step_by(0x0012_3457))
}

checks! { "reciprocal", 3072,
    /// `x m = 2^e` to one part in 9e8.
    fn of_every_size() {
        for x in sizes() {
            let r = recip(x);
            let product = u64::from(x) * r.mantissa as u64;
            let one = 1_u64 << r.exponent;
            near(product, one, one / 900_000_000)?;
        }
    }

    fn mantissa_is_normalised() {
        for x in sizes() {
            holds(recip(x).mantissa >= 1 << 30)?;
            holds(rsqrt(x.into()).mantissa >= 1 << 30)?;
        }
    }

    /// `x m^2 = 4^e` to one part in 3e8.
    fn square_root_of_every_size() {
        for x in sizes().map(u64::from).chain(sizes().map(|x| u64::from(x) << 32 | 77)) {
            let r = rsqrt(x);
            let product = u128::from(x) * (r.mantissa as u128).pow(2);
            let one = 1_u128 << (2 * r.exponent);
            holds(product.abs_diff(one) <= one / 300_000_000)?;
        }
    }

    fn of_zero_is_of_one() {
        holds(recip(0) == recip(1))?;
        holds(rsqrt(0) == rsqrt(1))?;
        holds(log2(0) == log2(1))?;
    }

    fn logarithm_of_powers_is_exact() {
        for k in 0..32 {
            equal(log2(1 << k).to_bits(), k << 14)?;
        }
    }

    fn known_logarithms() {
        // 2^14 log2(3) and 2^14 log2(10).
        near(log2(3).to_bits(), 25_968, 1)?;
        near(log2(10).to_bits(), 54_426, 1)?;
    }

    fn logarithm_never_falls() {
        let mut last = 0;
        for x in (0x8000_0000..=u32::MAX).step_by(0x0001_2345) {
            holds(log2(x).to_bits() >= last)?;
            last = log2(x).to_bits();
        }
    }

    fn sine_of_known_angles() {
        for (eighths, value) in [(0, 0), (1, 23_170), (2, 32_767), (3, 23_170), (4, 0), (5, -23_170), (7, -23_170)] {
            near(sine(eighths << 29).to_bits().into(), value, 1)?;
        }
        near(i32::from(sine(u32::MAX / 12).to_bits()), 16_384, 1)?;
    }

    fn sine_and_cosine_lie_on_the_circle() {
        for phase in (0..=u32::MAX).step_by(0x0101_0101) {
            let square = |phase: u32| i64::from(sine(phase).to_bits()).pow(2);
            // Three units of a coordinate.
            near(square(phase) + square(phase.wrapping_add(1 << 30)), 1 << 30, 3 << 16)?;
        }
    }
}
