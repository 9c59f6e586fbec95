//! What a query meets in a tile of keys.

use super::{Aligned, Comparison, GUARD, LONGEST, Mismatch, Source, known};
use crate::kernels::{self, KEY_TILE, SAFE_KEYS, SUM_SHIFT, Tiles, VALUE_LIMIT, dot_limit, portable};
use crate::num::{Factor, Requant};

/// Products, weights and weighted sum: what one key tile goes through.
pub(super) fn tile() -> Result<(), Mismatch> {
    const KEYS: usize = 18;
    let mut source = Source(2);
    let mut comparison = Comparison::new();
    for &width in &[1, 2, 3, 4, 7, 8, 14, 15, 16, 17, 18, 24, 31, 32, WIDEST] {
        for keys in 0..=KEYS {
            // Rows begin at a word and between two.
            let at = 2 + keys % 3 % 2;
            let mut q = Aligned([0; WIDEST + 3]);
            let mut k = Aligned([0; WIDEST * KEYS + 3]);
            let mut v = Aligned([0; WIDEST * KEYS + 3]);
            source.fill(&mut q.0, dot_limit(width) - 1);
            source.fill(&mut k.0, dot_limit(width) - 1);
            source.fill(&mut v.0, VALUE_LIMIT - 1);
            let q = q.0.get(at..at + width).unwrap_or_default();
            let k = k.0.get(at..at + width * keys).unwrap_or_default();
            let v = v.0.get(at..at + width * keys).unwrap_or_default();

            let mut products = [[i32::from(GUARD); KEYS + 1]; 2];
            for (products, kernel) in products.iter_mut().zip([portable::dots, kernels::dots]) {
                kernel(q, k, products.get_mut(..keys).unwrap_or_default());
            }
            comparison.compare(&products[0], &products[1]);

            let products = products[0].get(..keys).unwrap_or_default();
            let scale = Requant { multiplier: 20_000, shift: 13 + width as u32 % 5 };
            let largest = products.iter().map(|&product| scale.apply(product) >> 10).max();
            // The last of these tops is too low for some product.
            for above in [7, 1, -3] {
                let top = largest.unwrap_or_default() + above;
                let weights = softmax::<{ KEYS + 4 }>(&mut comparison, products, scale, top, at);
                let Some(weights) = weights else { continue };
                let weights = weights.0.get(at..at + keys).unwrap_or_default();
                let run = if keys % 4 == 0 { SAFE_KEYS } else { 6 };
                let mut sums = [[-12_345; WIDEST + 1]; 2];
                for (sums, kernel) in sums.iter_mut().zip([portable::weighted_sum, kernels::weighted_sum]) {
                    kernel(weights, v, run, SUM_SHIFT, sums.get_mut(..width).unwrap_or_default());
                }
                comparison.compare(&sums[0], &sums[1]);
                for sum in sums[0] {
                    comparison.digest.scores(&[sum as i16, (sum >> 16) as i16]);
                }
            }
        }
    }
    comparison.finish(known::ATTENTION_TILE)
}

/// Columns of the widest rows of a tile.
const WIDEST: usize = 34;

/// Tiles of narrow rows, and few of them.
pub(super) fn small_tiles() -> Result<(), Mismatch> {
    each_tile::<{ 17 * 6 + 3 }>(&[1, 2, 4, 8, 15, 16, 17], 6)
}

/// Whole tiles, and rows as wide as a tile of [`tile`].
pub(super) fn large_tiles() -> Result<(), Mismatch> {
    each_tile::<{ WIDEST * KEY_TILE + 3 }>(&[1, 2, 3, 8, 14, 16, 18, 24, 31, 32, WIDEST], KEY_TILE)
}

/// Tiles of up to so many keys, with room for `N` elements of keys and of values.
fn each_tile<const N: usize>(widths: &[usize], most: usize) -> Result<(), Mismatch> {
    let (mut source, mut comparison) = (Source(22), Comparison::new());
    for &width in widths {
        for keys in 0..=most {
            // Rows begin at a word and between two.
            let at = 2 + keys % 3 % 2;
            let (mut q, mut k, mut v) = (Aligned([0; WIDEST + 3]), Aligned([0; N]), Aligned([0; N]));
            source.fill(&mut q.0, dot_limit(width) - 1);
            source.fill(&mut k.0, dot_limit(width) - 1);
            source.fill(&mut v.0, VALUE_LIMIT - 1);
            let q = q.0.get(at..at + width).unwrap_or_default();
            let k = k.0.get(at..at + width * keys).unwrap_or_default();
            let v = v.0.get(at..at + width * keys.next_multiple_of(2)).unwrap_or_default();
            let scale = Requant { multiplier: 20_000, shift: 13 + width as u32 % 5 };
            let product = |key: &[i16]| {
                let mut product = [0];
                portable::dots(q, key, &mut product);
                scale.apply(product[0]) >> 10
            };
            let largest = k.chunks(width).map(product).max().unwrap_or_default();
            // The last of these tops is too low for some product.
            for above in [7, 1, -3] {
                tiles(&mut comparison, [q, k, v], scale, largest + above);
            }
        }
    }
    comparison.agreed()
}

/// Sums times a factor, with which some saturate and others do not.
#[inline(never)]
fn scaled(comparison: &mut Comparison, sum: &[i32], keys: u32) {
    let factor = Factor::new(0x5a5a_5a5a, 33 + keys % 19);
    let mut outputs = [Aligned([GUARD; LONGEST]), Aligned([GUARD; LONGEST])];
    for (out, kernel) in outputs.iter_mut().zip([portable::scale, kernels::scale]) {
        let at = 1 + keys as usize % 2;
        kernel(sum, factor, out.0.get_mut(at..at + sum.len()).unwrap_or_default());
    }
    comparison.compare(&outputs[0].0, &outputs[1].0);
}

/// A tile as [`kernels::Tiles`] takes it, and once more in two parts, the first of an even number of keys.
#[inline(never)]
fn tiles(comparison: &mut Comparison, [q, k, v]: [&[i16]; 3], scale: Requant, top: i32) {
    let (width, keys) = (q.len(), k.len() / q.len().max(1));
    for first in [keys, keys / 4 * 2] {
        let mut sums = [[-12_345; WIDEST + 1]; 2];
        let [expected, found] = &mut sums;
        let expected = expected.get_mut(..width).unwrap_or_default();
        let (mut products, mut weights) = ([0; KEY_TILE], Aligned([0; KEY_TILE]));
        let found = found.get_mut(..width).unwrap_or_default();
        let mut tiles = Tiles::new(q, (keys, k, v), &mut products, &mut weights.0, found);
        for (start, count) in [(0, first), (first, keys - first)] {
            let (mut products, mut weights) = ([0; KEY_TILE], [0; KEY_TILE]);
            let products = products.get_mut(..count).unwrap_or_default();
            let weights = weights.get_mut(..count.next_multiple_of(2)).unwrap_or_default();
            portable::dots(q, k.get(start * width..).unwrap_or_default(), products);
            let total = portable::softmax_weights(products, scale, top, weights);
            if let Some(unpaired) = weights.get_mut(count) {
                *unpaired = 0;
            }
            tiles.dots(start, count);
            comparison.compare(products, tiles.tile().0);
            comparison.compare(&[total], &[tiles.weigh(scale, top, false)]);
            if total.is_ok() {
                comparison.compare(&[total], &[tiles.weigh(scale, top, true)]);
                comparison.compare(weights, tiles.tile().1);
                let run = if count % 4 == 0 { SAFE_KEYS } else { 6 };
                let values = v.get(start * width..).unwrap_or_default();
                let values = values.get(..weights.len() * width).unwrap_or_default();
                portable::weighted_sum(weights, values, run, SUM_SHIFT, expected);
                tiles.add(run, SUM_SHIFT);
            }
        }
        comparison.compare(&sums[0], &sums[1]);
        scaled(comparison, sums[0].get(..width).unwrap_or_default(), keys as u32);
    }
}

/// The weights of rows longer than a tile of [`tile`].
pub(super) fn softmax_row() -> Result<(), Mismatch> {
    let mut source = Source(8);
    let mut comparison = Comparison::new();
    for count in 0..=LONGEST {
        let mut products = [0; LONGEST];
        products.iter_mut().for_each(|product| *product = i32::from(source.below(i16::MAX)) << 14);
        let products = products.get(..count).unwrap_or_default();
        let scale = Requant { multiplier: 20_000, shift: 13 + count as u32 % 5 };
        let largest = products.iter().map(|&product| scale.apply(product) >> 10).max();
        for above in [1, -3] {
            let top = largest.unwrap_or_default() + above;
            softmax::<{ LONGEST + 4 }>(&mut comparison, products, scale, top, 2 + count % 3 % 2);
        }
    }
    comparison.finish(known::SOFTMAX_ROW)
}

/// The weights of a row, from `at` on; none if `top` is too low.
pub(super) fn softmax<const N: usize>(
    comparison: &mut Comparison,
    products: &[i32],
    scale: Requant,
    top: i32,
    at: usize,
) -> Option<Aligned<[i16; N]>> {
    let output = at..at + products.len();
    let mut weights = [Aligned([GUARD; N]), Aligned([GUARD; N])];
    let mut totals = [Ok(0); 2];
    let kernels = [portable::softmax_weights, kernels::softmax_weights];
    for ((weights, total), kernel) in weights.iter_mut().zip(&mut totals).zip(kernels) {
        *total = kernel(products, scale, top, weights.0.get_mut(output.clone()).unwrap_or_default());
    }
    let [total, of_backend] = totals;
    comparison.compare(&[total], &[of_backend]);
    total.ok()?;
    let [weights, mut of_backend] = weights;
    comparison.guarded(&weights.0, &of_backend.0, output.clone());
    of_backend.0.fill(GUARD);
    let again = of_backend.0.get_mut(output).unwrap_or_default();
    let sum = kernels::exp2_weights(products, scale, top, again);
    comparison.compare(&[total], &[Ok(sum)]);
    comparison.compare(&weights.0, &of_backend.0);
    Some(weights)
}
