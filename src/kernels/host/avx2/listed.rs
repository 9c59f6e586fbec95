//! Rows that lie anywhere, read where they lie.

use core::arch::x86_64::*;

use super::{LANES, PRODUCTS, ROWS, add_rounded, load, totals};
use crate::kernels::portable;

/// See [`portable::dots_of_listed`].
#[target_feature(enable = "avx2")]
pub(in super::super) fn dots_of_listed(q: &[i16], keys: &[i16], numbers: &[u16], out: &mut [i32]) {
    let width = q.len();
    if width == 0 || !width.is_multiple_of(PRODUCTS) {
        return portable::dots_of_listed(q, keys, numbers, out);
    }
    let (fours, rest) = numbers.as_chunks::<ROWS>();
    let (of_fours, of_rest) = out.split_at_mut(out.len().min(ROWS * fours.len()));
    for (numbers, out) in fours.iter().zip(of_fours.as_chunks_mut::<ROWS>().0) {
        let mut sums = [_mm256_setzero_si256(); ROWS];
        for (&number, sum) in numbers.iter().zip(&mut sums) {
            let start = usize::from(number) * width;
            let key = keys.get(start..start + width).unwrap_or_default();
            for (q, key) in q.as_chunks().0.iter().zip(key.as_chunks().0) {
                *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(load(q), load(key)));
            }
        }
        let sums = totals(sums);
        let sums = _mm_add_epi32(_mm256_castsi256_si128(sums), _mm256_extracti128_si256::<1>(sums));
        // SAFETY: four sums have room in as many.
        unsafe { _mm_storeu_si128(out.as_mut_ptr().cast(), sums) };
    }
    portable::dots_of_listed(q, keys, rest, of_rest);
}

/// See [`portable::weighted_sum_of_listed`].
#[target_feature(enable = "avx2")]
pub(in super::super) fn weighted_sum_of_listed(
    weights: &[i16],
    values: &[i16],
    numbers: &[u16],
    run: usize,
    shift: u32,
    sum: &mut [i32],
) {
    let width = sum.len();
    if !width.is_multiple_of(PRODUCTS) || run < 2 || !run.is_multiple_of(2) {
        return portable::weighted_sum_of_listed(weights, values, numbers, run, shift, sum);
    }
    for (first, sum) in sum.as_chunks_mut::<PRODUCTS>().0.iter_mut().enumerate() {
        let row = |number: u16| {
            let start = usize::from(number) * width + first * PRODUCTS;
            let row = values.get(start..).and_then(|row| row.first_chunk());
            load(row.unwrap_or(&[0; PRODUCTS]))
        };
        for (weights, numbers) in weights.chunks(run).zip(numbers.chunks(run)) {
            // Rows are zipped within halves: the lower and the upper half of each apart.
            let (mut low, mut high) = (_mm256_setzero_si256(), _mm256_setzero_si256());
            for (weights, numbers) in weights.chunks(2).zip(numbers.chunks(2)) {
                let (first, second) = (row(numbers[0]), row(numbers[numbers.len() - 1]));
                let of_second = if weights.len() > 1 { i32::from(weights[1]) << 16 } else { 0 };
                let both = _mm256_set1_epi32(of_second | i32::from(weights[0] as u16));
                low = _mm256_add_epi32(low, _mm256_madd_epi16(_mm256_unpacklo_epi16(first, second), both));
                high = _mm256_add_epi32(high, _mm256_madd_epi16(_mm256_unpackhi_epi16(first, second), both));
            }
            let in_order =
                [_mm256_permute2x128_si256::<0x20>(low, high), _mm256_permute2x128_si256::<0x31>(low, high)];
            for (sum, total) in sum.as_chunks_mut::<LANES>().0.iter_mut().zip(in_order) {
                add_rounded(sum, total, shift);
            }
        }
    }
}
