//! Every sum at the bound that models are held to, with every shift: what rounds it has to have room too.

use super::{Aligned, Comparison, GUARD, Mismatch, known};
use crate::kernels::domain::{EXPONENT, SUM_LIMIT, SUM_WEIGHTS};
use crate::kernels::{
    self, ChannelPairs, Channels, SAFE_KEYS, VALUE_LIMIT, WEIGHT_FRAC, Weight, dot_limit, portable,
};
use crate::num::Requant;

/// Weights of one and values at their limit; and the features and values of causal FAVOR+, which change places.
pub(super) fn weighted_sums() -> Result<(), Mismatch> {
    const WIDEST: usize = 19;
    /// A whole run, and a pair of the next.
    const KEYS: usize = SAFE_KEYS + 2;
    const ONE: i16 = 1 << WEIGHT_FRAC;
    let mut comparison = Comparison::new();
    for shift in 1..=30 {
        for width in [3, 8, 16, WIDEST] {
            for (weight, value) in [(ONE, VALUE_LIMIT), (ONE, -VALUE_LIMIT), (-VALUE_LIMIT, ONE)] {
                let (mut weights, mut values) = (Aligned([weight; KEYS]), Aligned([0; KEYS * WIDEST]));
                for (index, slot) in values.0.iter_mut().enumerate() {
                    // Every third column has the other sign.
                    *slot = if index / 2 % width % 3 == 2 { -value } else { value };
                }
                // With a product less there is something to round.
                weights.0[1] -= i16::from(shift % 2 == 0);
                let values = values.0.get(..KEYS * width).unwrap_or_default();
                let mut sums = [[77; WIDEST]; 2];
                for (sums, kernel) in sums.iter_mut().zip([portable::weighted_sum, kernels::weighted_sum]) {
                    let sums = sums.get_mut(..width).unwrap_or_default();
                    kernel(&weights.0, values, SAFE_KEYS, shift, sums);
                }
                words(&mut comparison, &sums);
            }
        }
    }
    comparison.finish(known::LARGEST_WEIGHTED_SUMS)
}

/// Rows and keys at their limit in every column.
pub(super) fn dots() -> Result<(), Mismatch> {
    const WIDEST: usize = 64;
    const KEYS: usize = 5;
    let mut comparison = Comparison::new();
    for width in [1, 2, 7, 8, 16, 24, 31, 32, 48, WIDEST] {
        let limit = dot_limit(width);
        for sign in [1, -1] {
            let q = Aligned([limit; WIDEST]);
            let mut keys = Aligned([sign * limit; KEYS * WIDEST]);
            // The second key sums up to nothing, or nearly so.
            keys.0.iter_mut().skip(width).take(width).step_by(2).for_each(|k| *k = -*k);
            let keys = keys.0.get(..KEYS * width).unwrap_or_default();
            let mut products = [[0; KEYS]; 2];
            for (products, kernel) in products.iter_mut().zip([portable::dots, kernels::dots]) {
                kernel(q.0.get(..width).unwrap_or_default(), keys, products);
            }
            words(&mut comparison, &products);
        }
    }
    comparison.finish(known::LARGEST_DOTS)
}

/// Channels whose weights and bias come to the last unit that there is.
pub(super) fn channels() -> Result<(), Mismatch> {
    let mut comparison = Comparison::new();
    each_shift(&mut comparison, [i16::MIN, i16::MIN + 1], [i16::MAX; 2]);
    each_shift(&mut comparison, [i8::MIN; 67], [i8::MAX; 67]);
    comparison.finish(known::LARGEST_CHANNELS)
}

/// Channels of such weights in turn, at the first of which sums are largest and at the second smallest.
fn each_shift<W: Weight + Default, const INPUTS: usize>(
    comparison: &mut Comparison,
    first: [W; INPUTS],
    second: [W; INPUTS],
) {
    const ROWS: usize = 5;
    const OUTPUTS: usize = 4;
    const MOST: usize = OUTPUTS * 68;
    let mut weights = [W::default(); MOST];
    for pair in weights.chunks_exact_mut(kernels::pair_len(INPUTS)) {
        let columns = pair.as_chunks_mut::<2>().0.iter_mut();
        columns.zip(first.into_iter().zip(second)).for_each(|(column, (a, b))| *column = [a, b]);
    }
    let room = |weights: &[W]| {
        let sum: u64 = weights.iter().map(|&weight| u64::from(weight.into().unsigned_abs())).sum();
        (SUM_LIMIT - (sum << 15)) as i32
    };
    let [most, least] = [room(&first), -room(&second)];
    let bias = [most, least, most, least];
    let x = [i16::MIN; ROWS * 67];
    for shift in Requant::SHIFTS {
        let channels = Channels { bias: &bias, multipliers: &[i16::MAX; OUTPUTS], shift };
        let weights = ChannelPairs::new(&weights, INPUTS, 0);
        let x = x.get(..ROWS * INPUTS).unwrap_or_default();
        let mut buffers = [[GUARD; ROWS * OUTPUTS + 2]; 2];
        let [expected, found] = &mut buffers;
        let used = 1..1 + ROWS * OUTPUTS;
        portable::linear(x, weights, channels, expected.get_mut(used.clone()).unwrap_or_default());
        kernels::linear(x, weights, channels, found.get_mut(used.clone()).unwrap_or_default());
        comparison.guarded(expected, found, used);
    }
}

/// Products of any size, with every scale, as far from the top as they come.
pub(super) fn weights() -> Result<(), Mismatch> {
    const PRODUCTS: [i32; 9] = [i32::MAX, -i32::MAX, 0, 1, -1, 1 << 30, -1 << 30, 123_456_789, -987_654_321];
    let mut comparison = Comparison::new();
    for shift in Requant::SHIFTS {
        for multiplier in [0, 1, 20_000, i16::MAX] {
            let scale = Requant { multiplier, shift };
            let largest = (scale.apply(i32::MAX) >> 10) + 1;
            for top in [-1 << 20, -largest, -1, 0, largest, largest + 30, 1 << 20] {
                super::attention::softmax::<{ PRODUCTS.len() + 4 }>(
                    &mut comparison,
                    &PRODUCTS,
                    scale,
                    top,
                    2,
                );
            }
        }
    }
    comparison.finish(known::EXTREME_WEIGHTS)
}

/// Exponents of any size with every scale, then sums that are read with all the weight that there may be.
pub(super) fn features() -> Result<(), Mismatch> {
    const PRODUCTS: [i32; 9] = [i32::MAX, -i32::MAX, 0, 5, -5, 1 << 30, -1 << 30, 123_456_789, -987_654_321];
    const TOPS: Aligned<[i16; 9]> = Aligned([i16::MAX, i16::MIN, 0, -1, 1, 1 << 14, -1 << 14, 7, i16::MIN]);
    let mut comparison = Comparison::new();
    for shift in Requant::SHIFTS {
        for (multiplier, n) in [(0, 0), (1, EXPONENT), (20_000, 1), (i16::MAX, 0), (i16::MAX, EXPONENT)] {
            let scale = Requant { multiplier, shift };
            let mut of_key = [PRODUCTS; 2];
            let [expected, found] = &mut of_key;
            let above = portable::key_exponents(expected, scale, n, &TOPS.0);
            comparison.compare(&[above], &[kernels::key_exponents(found, scale, n, &TOPS.0)]);
            words(&mut comparison, &of_key);
            let mut of_query = [PRODUCTS; 2];
            let [expected, found] = &mut of_query;
            let largest = portable::query_exponents(expected, scale, &TOPS.0);
            comparison.compare(&[largest], &[kernels::query_exponents(found, scale, &TOPS.0)]);
            words(&mut comparison, &of_query);
        }
    }
    const FEATURES: usize = 16;
    const ROWS: usize = 3;
    for used in [4, FEATURES] {
        let mut weights = Aligned([0; FEATURES]);
        weights.0.iter_mut().take(used).for_each(|weight| *weight = (SUM_WEIGHTS / used as u64) as i16);
        for sum in [i32::MAX, i32::MIN, -1] {
            let mut out = [[0; ROWS]; 2];
            for (out, kernel) in out.iter_mut().zip([portable::dots_of_sums, kernels::dots_of_sums]) {
                kernel(&weights.0, &[sum; ROWS * FEATURES], out);
            }
            words(&mut comparison, &out);
        }
    }
    comparison.finish(known::EXTREME_FEATURES)
}

/// Compares words, and collects them.
fn words<const N: usize>(comparison: &mut Comparison, [expected, found]: &[[i32; N]; 2]) {
    comparison.compare(expected, found);
    for word in expected {
        comparison.digest.scores(&[*word as i16, (*word >> 16) as i16]);
    }
}
