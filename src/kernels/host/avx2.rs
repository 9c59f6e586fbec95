//! x86-64 with AVX2: sixteen 16-bit products an instruction, added in pairs.
//!
//! Sums may wrap on the way: what they end in is proved to fit.
#![allow(unsafe_code)] // Loads and stores of vectors.

use core::arch::x86_64::*;

use super::super::linear::{ChannelPairs, pair_len};
use super::super::{Channels, Weight, portable};
use super::mantissa::MANTISSA;
use crate::num::{EXP2_STEPS, LogScore, Requant};

/// Sums of a vector.
const LANES: usize = 8;
/// Products of a vector.
const PRODUCTS: usize = 2 * LANES;
/// Rows of [`linear`] that share the weights, and keys of [`dots`] that share the query.
const ROWS: usize = 4;

/// See [`portable::linear`].
#[target_feature(enable = "avx2")]
pub(super) fn linear<W: Weight>(
    x: &[i16],
    weights: ChannelPairs<'_, W>,
    channels: Channels<'_>,
    out: &mut [i16],
) {
    let ChannelPairs { weights: matrix, inputs, skipped } = weights;
    let outputs = channels.bias.len();
    let matrix_len = (skipped + outputs).div_ceil(2) * pair_len(inputs);
    let rows = x.len().checked_div(inputs).unwrap_or_default();
    let whole = matrix.len() >= matrix_len
        && channels.multipliers.len() == outputs
        && out.len() >= rows * outputs
        && rows * outputs > 0;
    if !whole {
        return portable::linear(x, weights, channels, out);
    }
    // A channel without its partner goes alone.
    if skipped > 0 {
        portable::linear_channel(x, weights, channels, 0, out);
    }
    if (outputs - skipped) % 2 == 1 {
        portable::linear_channel(x, weights, channels, outputs - 1, out);
    }
    let pairs = Pairs {
        weights: &matrix[skipped * pair_len(inputs)..],
        inputs,
        bias: channels.bias[skipped..].as_chunks().0,
        multipliers: channels.multipliers[skipped..].as_chunks().0,
        shift: channels.shift,
    };
    let (fours, rest) = x[..rows * inputs].split_at(rows / ROWS * ROWS * inputs);
    let (of_fours, of_rest) = out.split_at_mut(rows / ROWS * ROWS * outputs);
    for (x, out) in fours.chunks_exact(ROWS * inputs).zip(of_fours.chunks_exact_mut(ROWS * outputs)) {
        pairs.rows::<ROWS>(x, &mut out[skipped..], outputs);
    }
    for (x, out) in rest.chunks_exact(inputs).zip(of_rest.chunks_exact_mut(outputs)) {
        pairs.rows::<1>(x, &mut out[skipped..], outputs);
    }
}

/// Whole pairs of channels.
struct Pairs<'a, W> {
    weights: &'a [W],
    inputs: usize,
    bias: &'a [[i32; 2]],
    multipliers: &'a [[i16; 2]],
    shift: u32,
}

impl<W: Weight> Pairs<'_, W> {
    /// All pairs of `R` rows, at most [`ROWS`]; `out` begins at the first and has `outputs` columns a row.
    #[target_feature(enable = "avx2")]
    fn rows<const R: usize>(&self, x: &[i16], out: &mut [i16], outputs: usize) {
        let rows: [_; R] =
            core::array::from_fn(|row| x[row * self.inputs..][..self.inputs].as_chunks::<LANES>());
        let steps = self.inputs / LANES;
        let starts = rows.map(|(start, _)| &start[..steps]);
        let ends = rows.map(|(_, end)| {
            let mut filled = [0; LANES];
            filled[..end.len()].copy_from_slice(end);
            filled
        });
        let weights = self.weights.chunks_exact(pair_len(self.inputs));
        for (pair, ((weights, &bias), &by)) in weights.zip(self.bias).zip(self.multipliers).enumerate() {
            let (weights, last) = weights.split_at(PRODUCTS * steps);
            let mut sums = [_mm256_setzero_si256(); ROWS];
            for (step, weights) in weights.as_chunks().0.iter().enumerate() {
                let weights = apart(weights);
                for (sum, x) in sums.iter_mut().zip(&starts) {
                    *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(weights, twice(&x[step])));
                }
            }
            if let Some(&any) = last.first() {
                // Weights beyond the last meet zeros.
                let mut filled = [any; PRODUCTS];
                filled[..last.len()].copy_from_slice(last);
                let weights = apart(&filled);
                for (sum, x) in sums.iter_mut().zip(&ends) {
                    *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(weights, twice(x)));
                }
            }
            let bias = _mm256_set_m128i(_mm_set1_epi32(bias[1]), _mm_set1_epi32(bias[0]));
            let sums = _mm256_add_epi32(totals(sums), bias);
            let by = _mm256_set_m128i(multiplier(by[1]), multiplier(by[0]));
            let scaled = rescale(sums, by, self.shift);
            let scaled = _mm256_packs_epi32(scaled, scaled);
            let zipped =
                _mm_unpacklo_epi16(_mm256_castsi256_si128(scaled), _mm256_extracti128_si256::<1>(scaled));
            for (row, both) in halves(zipped).as_chunks::<2>().0.iter().take(R).enumerate() {
                out[row * outputs + 2 * pair..][..2].copy_from_slice(both);
            }
        }
    }
}

/// Eight weights of the first of two zipped channels, then those of the second.
#[inline]
#[target_feature(enable = "avx2")]
fn apart<W: Weight>(zipped: &[W; PRODUCTS]) -> __m256i {
    const { assert!(size_of::<W>() == 1 || size_of::<W>() == 2) };
    if size_of::<W>() == 1 {
        let order = _mm_setr_epi8(0, 2, 4, 6, 8, 10, 12, 14, 1, 3, 5, 7, 9, 11, 13, 15);
        // SAFETY: these are 16 bytes.
        let zipped = unsafe { _mm_loadu_si128(zipped.as_ptr().cast()) };
        return _mm256_cvtepi8_epi16(_mm_shuffle_epi8(zipped, order));
    }
    let order = _mm_setr_epi8(0, 1, 4, 5, 8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15);
    // SAFETY: these are 32 bytes.
    let zipped = unsafe { _mm256_loadu_si256(zipped.as_ptr().cast()) };
    let zipped = _mm256_shuffle_epi8(zipped, _mm256_broadcastsi128_si256(order));
    _mm256_permute4x64_epi64::<0b11_01_10_00>(zipped)
}

/// See [`portable::dots`].
#[target_feature(enable = "avx2")]
pub(super) fn dots(q: &[i16], keys: &[i16], out: &mut [i32]) {
    let width = q.len();
    if width == 0 || !width.is_multiple_of(PRODUCTS) {
        return portable::dots(q, keys, out);
    }
    let (q_steps, steps) = (q.as_chunks().0, width / PRODUCTS);
    let mut fours = keys.chunks_exact(ROWS * width);
    let (of_fours, of_rest) = out.as_chunks_mut::<ROWS>();
    let mut done = 0;
    for (keys, out) in fours.by_ref().zip(&mut *of_fours) {
        let keys = &keys.as_chunks().0[..ROWS * steps];
        let mut sums = [_mm256_setzero_si256(); ROWS];
        for (step, q) in q_steps.iter().enumerate() {
            let q = load(q);
            for (key, sum) in sums.iter_mut().enumerate() {
                *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(q, load(&keys[key * steps + step])));
            }
        }
        let sums = totals(sums);
        let sums = _mm_add_epi32(_mm256_castsi256_si128(sums), _mm256_extracti128_si256::<1>(sums));
        // SAFETY: four sums have room in as many.
        unsafe { _mm_storeu_si128(out.as_mut_ptr().cast(), sums) };
        done += 1;
    }
    let rest = of_fours.get_mut(done).map_or(of_rest, |rest| rest);
    portable::dots(q, &keys[done * ROWS * width..], rest);
}

/// See [`portable::softmax_weights`].
#[target_feature(enable = "avx2,fma")]
pub(super) fn softmax_weights(
    dots: &[i32],
    scale: Requant,
    top: i32,
    weights: &mut [i16],
) -> Result<u32, i32> {
    let eights = dots.len().min(weights.len()) / LANES;
    let (first, rest) = dots.split_at(LANES * eights);
    let (of_first, of_rest) = weights.split_at_mut(LANES * eights);
    let rest = portable::softmax_weights(rest, scale, top, of_rest);

    let from_top = _mm256_set1_epi32(top << LogScore::FRAC_NBITS);
    let by = _mm256_broadcastsi128_si256(multiplier(scale.multiplier));
    let (zero, one) = (_mm256_setzero_si256(), _mm256_set1_epi32(1));
    let (mut sum, mut signs) = (zero, zero);
    for (dots, weights) in first.as_chunks::<LANES>().0.iter().zip(of_first.as_chunks_mut::<LANES>().0) {
        // SAFETY: these are eight of 32 bits.
        let dots = unsafe { _mm256_loadu_si256(dots.as_ptr().cast()) };
        let score = rescale(_mm256_sub_epi32(zero, dots), by, scale.shift);
        let distance = _mm256_add_epi32(from_top, score);
        signs = _mm256_or_si256(signs, distance);
        let whole = _mm256_srli_epi32::<{ LogScore::FRAC_NBITS as i32 }>(distance);
        // From 32 on the shift leaves nothing, as 31 does of 16 bits.
        let value = _mm256_srlv_epi32(mantissas(distance), whole);
        let value = _mm256_srli_epi32::<1>(_mm256_add_epi32(value, one));
        sum = _mm256_add_epi32(sum, value);
        let value = _mm_packs_epi32(_mm256_castsi256_si128(value), _mm256_extracti128_si256::<1>(value));
        // SAFETY: eight weights have room in as many.
        unsafe { _mm_storeu_si128(weights.as_mut_ptr().cast(), value) };
    }
    let sum = totals([sum, zero, zero, zero]);
    let sum = _mm_add_epi32(_mm256_castsi256_si128(sum), _mm256_extracti128_si256::<1>(sum));
    match rest {
        Ok(rest) if _mm256_movemask_ps(_mm256_castsi256_ps(signs)) == 0 => {
            Ok(rest + _mm_cvtsi128_si32(sum) as u32)
        }
        _ => Err(portable::largest(dots)),
    }
}

/// Of each distance the mantissa of its power of two, as [`MANTISSA`] gives it.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn mantissas(distance: __m256i) -> __m256i {
    let step = _mm256_and_si256(distance, _mm256_set1_epi32(EXP2_STEPS as i32 - 1));
    let step = _mm256_cvtepi32_ps(step);
    let [last, others @ ..] = MANTISSA;
    let mut sum = _mm256_set1_ps(last);
    for coefficient in others {
        sum = _mm256_fmadd_ps(sum, step, _mm256_set1_ps(coefficient));
    }
    _mm256_cvtps_epi32(sum)
}

/// See [`portable::weighted_sum`].
#[target_feature(enable = "avx2")]
pub(super) fn weighted_sum(weights: &[i16], values: &[i16], run: usize, shift: u32, sum: &mut [i32]) {
    let width = sum.len();
    let pairs = values.len().checked_div(2 * width).unwrap_or_default();
    let weights_of_pairs = weights.as_chunks().0;
    // An unpaired last row belongs to the sum of its run: rare enough for the portable way.
    let whole = values.len() == 2 * pairs * width && weights_of_pairs.len() >= pairs;
    if !whole || pairs == 0 || run < 2 || !run.is_multiple_of(2) {
        return portable::weighted_sum(weights, values, run, shift, sum);
    }
    let weights_of_pairs = &weights_of_pairs[..pairs];
    let pairs = |first: usize| (weights_of_pairs, &values[2 * first..], 2 * width);
    let (twos, rest) = sum.as_chunks_mut::<{ 2 * LANES }>();
    for (group, sum) in twos.iter_mut().enumerate() {
        add_groups::<2>(pairs(2 * LANES * group), run / 2, shift, sum.as_chunks_mut().0);
    }
    let first = width - rest.len();
    let (ones, rest) = rest.as_chunks_mut::<LANES>();
    add_groups::<1>(pairs(first), run / 2, shift, ones);
    if !rest.is_empty() {
        portable::add_columns(weights, values, run, shift, width, width - rest.len(), rest);
    }
}

/// Weights of pairs of rows, the rows from a column on, and elements from one pair to the next.
type RowPairs<'a> = (&'a [[i16; 2]], &'a [i16], usize);

/// The sums of at most `G` groups of [`LANES`] columns.
#[inline]
#[target_feature(enable = "avx2")]
fn add_groups<const G: usize>(
    (weights, values, stride): RowPairs<'_>,
    run: usize,
    shift: u32,
    sums: &mut [[i32; LANES]],
) {
    let Some(sums) = sums.first_chunk_mut::<G>() else { return };
    let (one, before) = (_mm256_set1_epi32(1), _mm_cvtsi32_si128(shift as i32 - 1));
    let mut start = 0;
    for weights in weights.chunks(run) {
        let mut totals = [_mm256_setzero_si256(); G];
        for &[a, b] in weights {
            let both = _mm256_set1_epi32(i32::from(b) << 16 | i32::from(a) & 0xffff);
            let values = values[start..][..PRODUCTS * G].as_chunks().0;
            for (total, values) in totals.iter_mut().zip(values) {
                *total = _mm256_add_epi32(*total, _mm256_madd_epi16(load(values), both));
            }
            start += stride;
        }
        for (sum, total) in sums.iter_mut().zip(totals) {
            // As `round_shift` does.
            let twofold = _mm256_sra_epi32(total, before);
            let total = _mm256_add_epi32(_mm256_srai_epi32::<1>(twofold), _mm256_and_si256(twofold, one));
            // SAFETY: these are eight sums.
            unsafe {
                let place = sum.as_mut_ptr().cast();
                _mm256_storeu_si256(place, _mm256_add_epi32(_mm256_loadu_si256(place), total));
            }
        }
    }
}

/// Sums of each of four vectors, of its halves apart.
#[inline]
#[target_feature(enable = "avx2")]
fn totals([a, b, c, d]: [__m256i; 4]) -> __m256i {
    _mm256_hadd_epi32(_mm256_hadd_epi32(a, b), _mm256_hadd_epi32(c, d))
}

/// Four times the factor that [`rescale`] takes.
#[inline]
#[target_feature(enable = "avx2")]
fn multiplier(multiplier: i16) -> __m128i {
    _mm_set1_epi32(i32::from(multiplier) << 16)
}

/// [`Requant::apply`] of eight, each with its multiplier in the upper half.
#[inline]
#[target_feature(enable = "avx2")]
fn rescale(x: __m256i, by: __m256i, shift: u32) -> __m256i {
    let even = _mm256_srli_epi64::<32>(_mm256_mul_epi32(x, by));
    let odd = _mm256_mul_epi32(_mm256_srli_epi64::<32>(x), _mm256_srli_epi64::<32>(by));
    let product = _mm256_blend_epi32::<0b1010_1010>(even, odd);
    let rounded = _mm256_add_epi32(product, _mm256_set1_epi32(1 << (shift - 1)));
    _mm256_sra_epi32(rounded, _mm_cvtsi32_si128(shift as i32))
}

#[inline]
#[target_feature(enable = "avx2")]
fn load(row: &[i16; PRODUCTS]) -> __m256i {
    // SAFETY: these are sixteen of 16 bits.
    unsafe { _mm256_loadu_si256(row.as_ptr().cast()) }
}

/// Eight of 16 bits in both halves.
#[inline]
#[target_feature(enable = "avx2")]
fn twice(row: &[i16; LANES]) -> __m256i {
    // SAFETY: these are eight of 16 bits.
    _mm256_broadcastsi128_si256(unsafe { _mm_loadu_si128(row.as_ptr().cast()) })
}

#[inline]
#[target_feature(enable = "avx2")]
fn halves(vector: __m128i) -> [i16; LANES] {
    let mut halves = [0; LANES];
    // SAFETY: eight of 16 bits have room in as many.
    unsafe { _mm_storeu_si128(halves.as_mut_ptr().cast(), vector) };
    halves
}

/// See [`portable::dots_of_listed`].
#[target_feature(enable = "avx2")]
pub(super) fn dots_of_listed(q: &[i16], keys: &[i16], numbers: &[u16], out: &mut [i32]) {
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
pub(super) fn weighted_sum_of_listed(
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

/// Adds totals over `2^shift` to sums, as `round_shift` does.
#[inline]
#[target_feature(enable = "avx2")]
fn add_rounded(sum: &mut [i32; LANES], total: __m256i, shift: u32) {
    let twofold = _mm256_sra_epi32(total, _mm_cvtsi32_si128(shift as i32 - 1));
    let last = _mm256_and_si256(twofold, _mm256_set1_epi32(1));
    let total = _mm256_add_epi32(_mm256_srai_epi32::<1>(twofold), last);
    // SAFETY: these are eight sums.
    unsafe {
        let place = sum.as_mut_ptr().cast();
        _mm256_storeu_si256(place, _mm256_add_epi32(_mm256_loadu_si256(place), total));
    }
}
