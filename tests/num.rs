//! The stated error of every approximation, over its whole domain, from above and from below.

use fixed::types::I17F15;
use fixformer::num::*;

/// Largest and root-mean-square absolute error of a series of differences.
#[derive(Default)]
struct Errors {
    max: f64,
    sum: f64,
    count: f64,
}

impl Errors {
    fn add(&mut self, error: f64) {
        self.max = self.max.max(error.abs());
        self.sum += error * error;
        self.count += 1.0;
    }

    /// Both figures lie in `0.9 .. 1.0` of what the documentation states.
    #[track_caller]
    fn assert(&self, max: f64, rms: f64) {
        let found = (self.sum / self.count).sqrt();
        println!("max {:.4e} (stated {max:.4e}), rms {found:.4e} (stated {rms:.4e})", self.max);
        assert!(self.max <= max && self.max > 0.9 * max, "maximum {:e}, stated {max:e}", self.max);
        assert!(found <= rms && found > 0.9 * rms, "rms {found:e}, stated {rms:e}");
    }
}

#[test]
fn means_are_rounded_to_nearest_ties_up() {
    for count in (1..=40).chain([4_095, 1 << 20, 1 << 30, (1 << 31) - 1]) {
        let near_zero = -3 * count..=3 * count;
        let near_ends = [i64::from(i32::MIN), i64::from(i32::MAX)].map(|end| end * count);
        for total in near_zero.step_by((count as usize / 40).max(1)).chain(near_ends) {
            let found = i64::from(mean(total, count as u64));
            // 2 total lies in (2 found - 1) count .. (2 found + 1) count.
            assert!((2 * found - 1) * count <= 2 * total, "{total} / {count}: {found}");
            assert!(2 * total < (2 * found + 1) * count, "{total} / {count}: {found}");
        }
    }
}

#[test]
fn exp2_neg_over_every_exponent() {
    let mut errors = Errors::default();
    for bits in 0..20 << 10 {
        let exact = f64::from(bits as f32 / 1024.0);
        let found = exp2_neg(LogScore::from_bits(bits)).to_bits();
        errors.add(f64::from(found) - 32768.0 * (-exact).exp2());
    }
    errors.assert(0.75, 0.29);
    assert_eq!(exp2_neg(LogScore::ZERO), 1);
    assert_eq!(exp2_neg(LogScore::from_bits(-5)), 1);
    assert_eq!(exp2_neg(LogScore::MAX), 0);
}

#[test]
fn exp2_weight_over_every_exponent() {
    let mut errors = Errors::default();
    for bits in 0..20 << 10 {
        let exact = 16384.0 * (-f64::from(bits) / 1024.0).exp2();
        errors.add(f64::from(exp2_weight(LogScore::from_bits(bits))) - exact);
    }
    println!("{} {}", errors.max, (errors.sum / errors.count).sqrt());
    assert!(errors.max <= 0.75 && errors.max > 0.6, "{}", errors.max);
    assert_eq!(exp2_weight(LogScore::ZERO), 1 << 14);
    assert_eq!(exp2_weight(LogScore::from_bits(-5)), 1 << 14);
    assert_eq!(exp2_weight(LogScore::MAX), 0);
}

#[test]
fn recip_over_one_octave_and_all_exponents() {
    let mut errors = Errors::default();
    let relative = |x: u32| {
        let r = recip(x);
        f64::from(r.mantissa) * (-f64::from(r.exponent)).exp2() * f64::from(x) - 1.0
    };
    for x in (0x8000_0000_u32..=u32::MAX).step_by(1021) {
        errors.add(relative(x));
    }
    errors.assert(1.1e-9, 3.7e-10);
    for x in (1..70_000).chain((0..32).map(|k| 1 << k)) {
        assert!(relative(x).abs() <= 1.1e-9, "{x}");
    }
    assert_eq!(recip(0), recip(1));
}

#[test]
fn log2_over_one_octave_and_all_exponents() {
    let mut errors = Errors::default();
    let units = |x: u32| f64::from(log2(x).to_bits()) - f64::from(1 << 14) * f64::from(x).log2();
    for x in (0x8000_0000_u32..=u32::MAX).step_by(1021) {
        errors.add(units(x));
    }
    errors.assert(0.51, 0.29);
    for x in (1..70_000).chain((0..32).map(|k| 1 << k)) {
        assert!(units(x).abs() <= 0.51, "{x}");
    }
    assert_eq!(log2(0), log2(1));
}

#[test]
fn rsqrt_over_two_octaves_and_all_exponents() {
    let mut errors = Errors::default();
    let relative = |x: u64| {
        let r = rsqrt(x);
        f64::from(r.mantissa) * (-f64::from(r.exponent)).exp2() * (x as f64).sqrt() - 1.0
    };
    for top in (0x4000_0000_u64..=0xffff_ffff).step_by(3067) {
        errors.add(relative(top << 32));
    }
    errors.assert(1.35e-9, 3.9e-10);
    for x in (1..70_000).chain((0..64).map(|k| 1 << k)) {
        assert!(relative(x).abs() <= 1.35e-9, "{x}");
    }
    assert_eq!(rsqrt(0), rsqrt(1));
}

#[test]
fn sine_over_the_turn() {
    let mut errors = Errors::default();
    for phase in (0..=u32::MAX).step_by(65_521) {
        let exact = (std::f64::consts::TAU * f64::from(phase) / 4294967296.0).sin();
        errors.add(f64::from(sine(phase).to_bits()) - exact * 32768.0);
    }
    errors.assert(1.0, 0.3);
}

#[test]
fn gelu_over_its_domain() {
    let mut erf = Errors::default();
    let mut tanh = Errors::default();
    for bits in -(8 << 15)..=8 << 15 {
        let fixed = I17F15::from_bits(bits);
        let x = f64::from(bits) / 32768.0;
        erf.add(gelu_erf(fixed).to_num::<f64>() - x * 0.5 * libm::erfc(-x / 2f64.sqrt()));
        let inner = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x * x * x);
        tanh.add(gelu_tanh(fixed).to_num::<f64>() - 0.5 * x * (1.0 + inner.tanh()));
    }
    erf.assert(3.7e-5, 8.9e-6);
    tanh.assert(3.9e-5, 8.9e-6);
    assert_eq!(gelu_erf(I17F15::MAX), I17F15::MAX);
    assert_eq!(gelu_tanh(I17F15::MIN), 0);
}

#[test]
fn tanh_over_its_domain() {
    let mut errors = Errors::default();
    for bits in -(8 << 15)..=8 << 15 {
        let exact = (f64::from(bits) / 32768.0).tanh();
        errors.add(tanh(I17F15::from_bits(bits)).to_num::<f64>() - exact);
    }
    errors.assert(9.3e-5, 3.0e-5);
    assert_eq!(tanh(I17F15::MAX), 1);
    assert_eq!(tanh(I17F15::MIN), -1);
}

#[test]
fn one_rounding_rule() {
    for x in -70_000..70_000 {
        for shift in 1..12 {
            let exact = (f64::from(x) / f64::from(1 << shift) + 0.5).floor() as i32;
            assert_eq!(round_shift(x, shift), exact);
            assert_eq!(round_shift_wide(i64::from(x), shift), i64::from(exact));
        }
    }
    assert_eq!(round_shift(i32::MAX, 1), 1 << 30);
    assert_eq!(round_shift(i32::MIN, 31), -1);
    assert_eq!(round_shift_wide(i64::MAX, 63), 1);
    assert_eq!(saturate(32_768), i16::MAX);
    assert_eq!(saturate(-32_769), i16::MIN);
}

#[test]
fn requant_rounds_once() {
    for multiplier in [1, 2, 16_384, 20_001, i16::MAX] {
        for shift in [1, 2, 7, 15, 30] {
            let requant = Requant { multiplier, shift };
            for x in [0, 1, -1, 12_345, -54_321, 99_999_999, i32::MAX, i32::MIN] {
                let exact = (i128::from(x) * i128::from(multiplier) + (1 << (15 + shift))) >> (16 + shift);
                assert_eq!(i128::from(requant.apply(x)), exact, "{x} * {multiplier} >> {shift}");
            }
        }
    }
}
