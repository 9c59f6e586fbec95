//! The table of powers of two as a polynomial, where no instruction looks into a table.

/// Coefficients of `2^(15 - i / 1024)` in `i`, that of `i^5` first: with one rounding a step, and rounded to an integer, each value
/// is that of the table.
pub(super) const MANTISSA: [f32; 6] = [
    f32::from_bits(0xa8f8_653f),
    f32::from_bits(0x2f96_e936),
    f32::from_bits(0xb5e2_81da),
    f32::from_bits(0x3bf5_f19d),
    f32::from_bits(0xc1b1_71d6),
    f32::from_bits(0x46ff_ffff),
];

#[cfg(test)]
#[test]
fn every_mantissa_is_that_of_the_table() {
    for (i, &mantissa) in crate::num::OCTAVE.iter().enumerate() {
        let [last, others @ ..] = MANTISSA;
        let sum = others.into_iter().fold(last, |sum, coefficient| sum.mul_add(i as f32, coefficient));
        assert_eq!(sum.round_ties_even(), f32::from(mantissa), "{i}");
    }
}
