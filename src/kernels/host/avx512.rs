//! x86-64 with AVX-512 and its VNNI: thirty-two 16-bit products an instruction, added in pairs to what is there.
//!
//! Sums may wrap on the way: what they end in is proved to fit. What this file lacks, AVX2 does.
#![allow(unsafe_code)] // Loads and stores of vectors.

mod dots;
mod gather;
mod powers;

use core::arch::x86_64::*;

pub(super) use dots::{dots, dots_of_rows};
pub(super) use gather::{dots_of_listed, gather, weighted_sum_of_listed};
pub(super) use powers::{offset_exponents, softmax_weights};

use super::super::portable;

/// Sums of a vector.
const LANES: usize = 16;
/// Products of a vector.
const PRODUCTS: usize = 2 * LANES;

/// See [`portable::weighted_sum`].
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
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
    let (mut first, mut rest) = (0, sum);
    while rest.len() >= 2 * LANES {
        let (columns, after) = rest.split_at_mut(2 * LANES);
        let values = &values[2 * first..];
        add_columns::<2, true>((weights_of_pairs, values, 2 * width), run / 2, shift, columns);
        (first, rest) = (first + 2 * LANES, after);
    }
    for columns in rest.chunks_mut(LANES) {
        let values = &values[2 * first..];
        add_columns::<1, false>((weights_of_pairs, values, 2 * width), run / 2, shift, columns);
        first += LANES;
    }
}

/// Weights of pairs of rows, the rows from a column on, and elements from one pair to the next.
type RowPairs<'a> = (&'a [[i16; 2]], &'a [i16], usize);

/// The sums of `G` groups of [`LANES`] columns, the last of which may have fewer unless they are `WHOLE`.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn add_columns<const G: usize, const WHOLE: bool>(
    (weights, values, stride): RowPairs<'_>,
    run: usize,
    shift: u32,
    sums: &mut [i32],
) {
    /// As many pairs at a time keep the multipliers busy.
    const PAIRS: usize = 4;
    let columns = if WHOLE { G * LANES } else { sums.len() };
    let sums = &mut sums[..columns];
    let there: [_; G] = core::array::from_fn(|group| first_of(columns.saturating_sub(group * LANES)));
    let (one, before) = (_mm512_set1_epi32(1), _mm_cvtsi32_si128(shift as i32 - 1));
    let mut place = 0;
    for weights in weights.chunks(run) {
        let mut totals = [[_mm512_setzero_si512(); G]; PAIRS];
        let (fours, rest) = weights.as_chunks::<PAIRS>();
        for four in fours {
            let last = place + (PAIRS - 1) * stride;
            // All rows of the four lie before the end of the last.
            let values = &values[place..last + 2 * columns];
            for (index, (&weights, totals)) in four.iter().zip(&mut totals).enumerate() {
                // SAFETY: the row lies among the values.
                let row = unsafe { values.as_ptr().add(index * stride) };
                // SAFETY: it has as many columns.
                unsafe { add_row::<G, WHOLE>(weights, row, &there, totals) };
            }
            place += PAIRS * stride;
        }
        for (&weights, totals) in rest.iter().zip(&mut totals) {
            let row = &values[place..place + 2 * columns];
            // SAFETY: the row has as many columns.
            unsafe { add_row::<G, WHOLE>(weights, row.as_ptr(), &there, totals) };
            place += stride;
        }
        let [a, b, c, d] = totals;
        for (group, &there) in there.iter().enumerate() {
            let total =
                _mm512_add_epi32(_mm512_add_epi32(a[group], b[group]), _mm512_add_epi32(c[group], d[group]));
            // As `round_shift` does.
            let twofold = _mm512_sra_epi32(total, before);
            let total = _mm512_add_epi32(_mm512_srai_epi32::<1>(twofold), _mm512_and_si512(twofold, one));
            // SAFETY: what is there lies among the sums.
            unsafe {
                let place = sums.as_mut_ptr().wrapping_add(group * LANES);
                let sum = _mm512_maskz_loadu_epi32(there, place);
                _mm512_mask_storeu_epi32(place, there, _mm512_add_epi32(sum, total));
            }
        }
    }
}

/// Adds a pair of rows.
///
/// # Safety
/// `row` has the columns that are `there`, all if they are `WHOLE`.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
unsafe fn add_row<const G: usize, const WHOLE: bool>(
    [a, b]: [i16; 2],
    row: *const i16,
    there: &[__mmask16; G],
    totals: &mut [__m512i; G],
) {
    let both = _mm512_set1_epi32(i32::from(b) << 16 | i32::from(a as u16));
    for (group, total) in totals.iter_mut().enumerate() {
        let place = row.wrapping_add(group * PRODUCTS).cast();
        let values = if WHOLE {
            // SAFETY: as the caller promises.
            unsafe { _mm512_loadu_epi32(place) }
        } else {
            // SAFETY: as the caller promises.
            unsafe { _mm512_maskz_loadu_epi32(there[group], place) }
        };
        *total = _mm512_dpwssd_epi32(*total, values, both);
    }
}

/// See [`portable::weighted_sum_of_rows`].
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
pub(super) fn weighted_sum_of_rows<const R: usize>(
    weights: [&[i16]; R],
    values: &[i16],
    run: usize,
    shift: u32,
    mut sums: [&mut [i32]; R],
) {
    let width = sums.first().map_or(0, |sum| sum.len());
    let pairs = values.len().checked_div(2 * width).unwrap_or_default();
    let whole = width.is_multiple_of(2 * LANES)
        && values.len() == 2 * pairs * width
        && weights.iter().all(|weights| weights.len() == 2 * pairs)
        && sums.iter().all(|sum| sum.len() == width);
    if !whole || pairs == 0 || run < 2 || !run.is_multiple_of(2) {
        let rows = weights.into_iter().zip(sums);
        return rows.for_each(|(weights, sum)| weighted_sum(weights, values, run, shift, sum));
    }
    let weights = weights.map(|weights| weights.as_chunks::<2>().0);
    let before = _mm_cvtsi32_si128(shift as i32 - 1);
    for group in 0..width / (2 * LANES) {
        for first in (0..pairs).step_by(run / 2) {
            let mut totals = [[_mm512_setzero_si512(); 2]; R];
            for pair in first..pairs.min(first + run / 2) {
                let start = 2 * (pair * width + group * 2 * LANES);
                let row = values[start..start + 2 * PRODUCTS].as_chunks::<PRODUCTS>().0;
                let values = [load_whole(&row[0]), load_whole(&row[1])];
                for (totals, weights) in totals.iter_mut().zip(weights) {
                    let [a, b] = weights[pair];
                    let both = _mm512_set1_epi32(i32::from(b) << 16 | i32::from(a as u16));
                    for (total, values) in totals.iter_mut().zip(values) {
                        *total = _mm512_dpwssd_epi32(*total, values, both);
                    }
                }
            }
            for (sums, totals) in sums.iter_mut().zip(totals) {
                let sums = sums[group * 2 * LANES..].as_chunks_mut::<LANES>().0;
                for (sums, total) in sums.iter_mut().zip(totals) {
                    // As `round_shift` does.
                    let twofold = _mm512_sra_epi32(total, before);
                    let last = _mm512_and_si512(twofold, _mm512_set1_epi32(1));
                    let total = _mm512_add_epi32(_mm512_srai_epi32::<1>(twofold), last);
                    let place = sums.as_mut_ptr();
                    // SAFETY: these are sixteen sums.
                    unsafe {
                        _mm512_storeu_epi32(place, _mm512_add_epi32(_mm512_loadu_epi32(place), total));
                    }
                }
            }
        }
    }
}

/// The first `count` elements of a vector of 16, or all.
#[inline(always)]
fn first_of(count: usize) -> __mmask16 {
    u16::MAX.checked_shr((LANES - count.min(LANES)) as u32).unwrap_or_default()
}

/// The first `count` elements of a vector of 32, or all.
#[inline(always)]
fn first_halves_of(count: usize) -> __mmask32 {
    u32::MAX.checked_shr((PRODUCTS - count.min(PRODUCTS)) as u32).unwrap_or_default()
}

/// A row of at most 32 of 16 bits, and zeros.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn load(row: &[i16]) -> __m512i {
    // SAFETY: what is loaded lies in the row.
    unsafe { _mm512_maskz_loadu_epi16(first_halves_of(row.len()), row.as_ptr()) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load_whole(row: &[i16; PRODUCTS]) -> __m512i {
    // SAFETY: these are 32 of 16 bits.
    unsafe { _mm512_loadu_si512(row.as_ptr().cast()) }
}
