//! The one rounding rule, saturation, and the change of scale.

use crate::checks;
use crate::outcome::{equal, holds};
use fixformer::num::{Requant, round_shift, round_shift_wide, saturate};

checks! { "rounding", 1024,
    fn ties_go_up() {
        for (x, rounded) in [(1, 1), (2, 1), (3, 2), (-1, 0), (-2, -1), (-3, -1)] {
            equal(round_shift(x, 1), rounded)?;
        }
        for (x, rounded) in [(5, 1), (6, 2), (7, 2), (-5, -1), (-6, -1), (-7, -2)] {
            equal(round_shift(x, 2), rounded)?;
        }
    }

    fn is_the_floor_of_a_half_more() {
        for x in -2_000..2_000 {
            for shift in 1..12 {
                equal(round_shift(x, shift), (x + (1 << (shift - 1))).div_euclid(1 << shift))?;
            }
        }
    }

    fn no_shift_changes_nothing() {
        for x in [i32::MIN, -1, 0, 1, i32::MAX] {
            equal(round_shift(x, 0), x)?;
            equal(round_shift_wide(x.into(), 0), x.into())?;
        }
    }

    fn extremes_do_not_overflow() {
        equal(round_shift(i32::MAX, 1), 1 << 30)?;
        equal(round_shift(i32::MIN, 1), -1 << 30)?;
        equal(round_shift(i32::MIN, 31), -1)?;
        equal(round_shift(i32::MAX, 31), 1)?;
        equal(round_shift_wide(i64::MAX, 63), 1)?;
        equal(round_shift_wide(i64::MIN, 63), -1)?;
    }

    fn both_widths_agree() {
        for x in (-200_000..200_000).step_by(97) {
            for shift in 0..20 {
                equal(round_shift_wide(x.into(), shift), round_shift(x, shift).into())?;
            }
        }
    }

    fn saturation_is_the_nearest() {
        for (x, nearest) in [(32_767, 32_767), (32_768, 32_767), (-32_768, -32_768), (-32_769, -32_768), (-5, -5)] {
            equal(saturate(x), nearest)?;
        }
        equal(saturate(i32::MAX), i16::MAX)?;
        equal(saturate(i32::MIN), i16::MIN)?;
    }

    /// On cores without a wide product this is another formula. Features of both signs have factors of both.
    fn requantisation_rounds_once() {
        for multiplier in [0, 1, 2, 16_384, 20_001, i16::MAX, -1, -2, -16_384, -20_001, i16::MIN] {
            for shift in Requant::SHIFTS {
                let requant = Requant { multiplier, shift };
                for x in [0, 1, -1, 12_345, -54_321, 65_535, -65_535, -65_536, 99_999_999, i32::MAX, i32::MIN] {
                    let exact = (i64::from(x) * i64::from(multiplier) + (1 << (15 + shift))) >> (16 + shift);
                    equal(requant.apply(x).into(), exact)?;
                    holds(exact.abs() <= 1 << 29)?;
                }
            }
        }
    }

    fn a_half_is_a_half() {
        let half = Requant { multiplier: 1 << 14, shift: 1 };
        for (x, scaled) in [(8, 1), (4, 1), (3, 0), (-4, 0), (-5, -1), (800, 100)] {
            equal(half.apply(x), scaled)?;
        }
    }
}
