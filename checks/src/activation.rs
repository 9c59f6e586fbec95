//! The activations: known values, symmetries, and what lies beyond their tables.

use crate::checks;
use crate::outcome::{equal, holds, near, rows};
use fixed::types::I17F15;
use fixformer::kernels::{Activation, activate};
use fixformer::num::{gelu_erf, gelu_tanh, tanh};

const ONE: i32 = 1 << 15;

fn bits(function: fn(I17F15) -> I17F15, x: i32) -> i32 {
    function(I17F15::from_bits(x)).to_bits()
}

checks! { "activation", 3072,
    fn known_values() {
        near(bits(tanh, ONE), 24_956, 4)?;
        near(bits(tanh, ONE / 2), 15_143, 4)?;
        near(bits(gelu_erf, ONE), 27_569, 2)?;
        near(bits(gelu_tanh, ONE), 27_564, 2)?;
    }

    fn zero_stays_zero() {
        equal(bits(tanh, 0), 0)?;
        equal(bits(gelu_erf, 0), 0)?;
        equal(bits(gelu_tanh, 0), 0)?;
    }

    fn tanh_is_odd_and_never_falls() {
        for x in (0..7 * ONE).step_by(37) {
            equal(bits(tanh, -x), -bits(tanh, x))?;
            // But for its rounding.
            holds(bits(tanh, x + 37) + 1 >= bits(tanh, x))?;
        }
    }

    /// `x phi(x) - -x phi(-x) = x`.
    fn gelu_of_both_signs_differs_by_x() {
        for x in (0..8 * ONE).step_by(53) {
            near(bits(gelu_erf, x) - bits(gelu_erf, -x), x, 1)?;
            near(bits(gelu_tanh, x) - bits(gelu_tanh, -x), x, 1)?;
        }
    }

    fn far_away_is_a_line() {
        equal(bits(tanh, i32::MAX), ONE)?;
        equal(bits(tanh, i32::MIN), -ONE)?;
        for gelu in [gelu_erf, gelu_tanh] {
            equal(bits(gelu, i32::MAX), i32::MAX)?;
            equal(bits(gelu, i32::MIN), 0)?;
        }
    }

    fn relu_cuts_below_zero() {
        let mut x = [-32_768, -1, 0, 1, 32_767];
        activate(&mut x, Activation::Relu, 12);
        rows(&x, &[0, 0, 0, 1, 32_767], 0)?;
    }

    fn rows_have_their_own_format() {
        // One in 8 and in 15 fractional bits.
        for (frac, one) in [(8, 256), (14, 16_384)] {
            let mut x = [one, -one, 0];
            activate(&mut x, Activation::Tanh, frac);
            let expected = ((24_956_i32 + (1 << (14 - frac))) >> (15 - frac)) as i16;
            rows(&x, &[expected, -expected, 0], 2)?;
        }
    }
}
