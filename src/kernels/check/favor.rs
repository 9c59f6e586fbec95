//! Rows of features of causal FAVOR+.

use super::{Aligned, Comparison, LONGEST, Mismatch, Source, known};
use crate::kernels::{self, dot_limit, portable};
use crate::num::Requant;

/// Rows of sums.
const ROWS: usize = 5;
/// An element that no kernel may write.
const GUARD: i32 = 0x5a5a_5a5a;

/// Exponents of keys, then of queries, of every number of features; tops begin at a word and between two.
pub(super) fn exponents() -> Result<(), Mismatch> {
    let (mut source, mut comparison) = (Source(14), Comparison::new());
    for features in 0..LONGEST {
        let at = features % 3 % 2;
        let mut tops = Aligned([0; LONGEST + 1]);
        source.fill(&mut tops.0, i16::MAX);
        let tops = tops.0.get(at..at + features).unwrap_or_default();
        // The last shift is one that no single instruction has.
        for shift in [1, 6, 16, 17] {
            let scale = Requant { multiplier: source.below(i16::MAX - 1).wrapping_abs(), shift };
            let n = i32::from(source.below(i16::MAX)).abs() << (2 * (features % 8));
            let mut products = [GUARD; LONGEST];
            let drawn = products.get_mut(..features).unwrap_or_default();
            drawn
                .iter_mut()
                .for_each(|product| *product = i32::from(source.below(i16::MAX)) << (features % 16));
            let mut of_key = [products; 2];
            let [expected, found] = &mut of_key;
            let slices = [expected, found].map(|products| products.get_mut(..features).unwrap_or_default());
            let [expected, found] = slices;
            let above = [
                portable::key_exponents(expected, scale, n, tops),
                kernels::key_exponents(found, scale, n, tops),
            ];
            compare(&mut comparison, above, &of_key);
            let mut of_query = [products; 2];
            let [expected, found] = &mut of_query;
            let slices = [expected, found].map(|products| products.get_mut(..features).unwrap_or_default());
            let [expected, found] = slices;
            let largest = [
                portable::query_exponents(expected, scale, tops),
                kernels::query_exponents(found, scale, tops),
            ];
            compare(&mut comparison, largest, &of_query);
            let offsets: [i32; LONGEST] =
                core::array::from_fn(|index| -(source.next() as i32 >> (2 + index % 16)));
            let mut offset = [products; 2];
            let [expected, found] = &mut offset;
            let slices = [expected, found].map(|products| products.get_mut(..features).unwrap_or_default());
            let [expected, found] = slices;
            let scale = Requant {
                multiplier: if features % 2 == 0 { scale.multiplier } else { -scale.multiplier },
                shift,
            };
            let base = (n & 0x3fff) << (features % 5);
            portable::offset_exponents(expected, scale, &offsets, base);
            kernels::offset_exponents(found, scale, &offsets, base);
            compare(&mut comparison, [0; 2], &offset);
        }
    }
    comparison.finish(known::EXPONENTS)
}

/// Weighted sums of rows of every even length, the weights at a word and between two.
pub(super) fn dots_of_sums() -> Result<(), Mismatch> {
    let (mut source, mut comparison) = (Source(15), Comparison::new());
    for features in (0..LONGEST).step_by(2) {
        let at = features / 2 % 2;
        let mut weights = Aligned([0; LONGEST + 1]);
        // Together at most 2^16.
        let limit = dot_limit(features).min(i16::MAX / (features as i16 / 2 + 1)) - 1;
        source.fill(&mut weights.0, limit);
        let weights = weights.0.get(at..at + features).unwrap_or_default();
        let mut sums = [0; ROWS * LONGEST];
        sums.iter_mut().for_each(|sum| *sum = source.next() as i32);
        for rows in 0..=ROWS {
            let mut out = [[GUARD >> 8; ROWS + 1]; 2];
            for (out, kernel) in out.iter_mut().zip([portable::dots_of_sums, kernels::dots_of_sums]) {
                let sums = sums.get(..rows * features).unwrap_or_default();
                kernel(weights, sums, out.get_mut(..rows).unwrap_or_default());
            }
            compare(&mut comparison, [rows; 2], &out);
        }
    }
    comparison.finish(known::DOTS_OF_SUMS)
}

/// What the portable kernel and the backend returned and wrote.
fn compare<T: PartialEq, const N: usize>(
    comparison: &mut Comparison,
    [expected, found]: [T; 2],
    outputs: &[[i32; N]; 2],
) {
    comparison.compare(&[expected], &[found]);
    comparison.compare(&outputs[0], &outputs[1]);
    for output in outputs[0] {
        comparison.digest.scores(&[output as i16, (output >> 16) as i16]);
    }
}
