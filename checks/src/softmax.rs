//! Powers of two with a negative exponent, and the weights of a softmax.

use crate::checks;
use crate::outcome::{equal, holds, near, rows};
use fixformer::kernels::softmax_weights;
use fixformer::num::{LogScore, Requant, exp2_neg, exp2_weight};

fn power(bits: i32) -> u16 {
    exp2_neg(LogScore::from_bits(bits)).to_bits()
}

fn weight(bits: i32) -> u16 {
    exp2_weight(LogScore::from_bits(bits))
}

/// Products are scores of 10 fractional bits.
const UNIT: Requant = Requant { multiplier: 1 << 14, shift: 1 };
/// The product of one octave: [`UNIT`] divides by eight.
const OCTAVE: i32 = 8 << 10;

checks! { "softmax", 1024,
    fn whole_exponents_are_exact() {
        for k in 0..16 {
            equal(power(k << 10), 32_768 >> k)?;
        }
        for k in 0..15 {
            equal(weight(k << 10), 16_384 >> k)?;
        }
    }

    fn known_powers() {
        // 2^-0.5, 2^-0.25 and 2^-1.75, to nearest.
        for (bits, nearest) in [(512, 23_170), (256, 27_554), (1_792, 9_742)] {
            equal(power(bits), nearest)?;
            near(weight(bits), nearest / 2, 1)?;
        }
    }

    fn never_rises() {
        for bits in 0..18 << 10 {
            holds(power(bits + 1) <= power(bits))?;
            holds(weight(bits + 1) <= weight(bits))?;
        }
    }

    fn twice_the_exponent_is_the_square() {
        for bits in 0..4 << 10 {
            let root = u32::from(power(bits));
            near((root * root) >> 15, power(2 * bits).into(), 3)?;
        }
    }

    fn below_zero_is_one() {
        equal(power(-5), 32_768)?;
        equal(weight(-5), 16_384)?;
        equal(weight(i32::MIN), 16_384)?;
    }

    fn far_below_is_nothing() {
        equal(power(i32::MAX), 0)?;
        equal(power(17 << 10), 0)?;
        equal(weight(i32::MAX), 0)?;
    }

    fn equal_scores_weigh_the_same() {
        let mut weights = [0; 5];
        let sum = softmax_weights(&[0; 5], UNIT, 0, &mut weights);
        rows(&weights, &[1 << 14; 5], 0)?;
        equal(sum.unwrap_or_default(), 5 << 14)?;
    }

    fn an_octave_halves() {
        let dots = [0, -1, -2, -3].map(|octaves| octaves * OCTAVE);
        let mut weights = [0; 4];
        let sum = softmax_weights(&dots, UNIT, 0, &mut weights);
        rows(&weights, &[16_384, 8_192, 4_096, 2_048], 0)?;
        equal(sum.unwrap_or_default(), 30_720)?;
    }

    fn a_score_above_the_top_is_told() {
        let dots = [3 * OCTAVE, -4, 7 * OCTAVE];
        equal(softmax_weights(&dots, UNIT, 6, &mut [0; 3]).err().unwrap_or_default(), 7 * OCTAVE)?;
        holds(softmax_weights(&dots, UNIT, 7, &mut [0; 3]).is_ok())?;
    }
}
