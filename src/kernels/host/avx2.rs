//! x86-64 with AVX2: sixteen 16-bit products an instruction, added in pairs.
//!
//! Sums may wrap on the way: what they end in is proved to fit.
#![allow(unsafe_code)] // Loads and stores of vectors.

mod attention;
mod listed;

use core::arch::x86_64::*;

use super::super::linear::{ChannelPairs, pair_len};
use super::super::{Channels, Weight, portable};
pub(super) use attention::{dots, dots_of_rows, offset_exponents, softmax_weights, weighted_sum};
pub(super) use listed::{dots_of_listed, weighted_sum_of_listed};

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
