//! A softmax and what is around it.

use core::arch::x86_64::*;

use super::super::mantissa::MANTISSA;
use super::{LANES, PRODUCTS, ROWS, add_rounded, load, multiplier, rescale, totals, twice};
use crate::kernels::portable;
use crate::num::{EXP2_STEPS, LogScore, Requant};

/// See [`portable::dots`].
#[target_feature(enable = "avx2")]
pub(in super::super) fn dots(q: &[i16], keys: &[i16], out: &mut [i32]) {
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
pub(in super::super) fn softmax_weights(
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

/// See [`portable::dots_of_rows`].
#[target_feature(enable = "avx2")]
pub(in super::super) fn dots_of_rows<const R: usize>(rows: [&[i16]; R], keys: &[i16], out: [&mut [i32]; R]) {
    let width = rows.first().map_or(0, |row| row.len());
    match width {
        _ if rows.iter().any(|row| row.len() != width) => {}
        16 => return dots_of_eighths::<R, 2>(rows, keys, out),
        32 => return dots_of_eighths::<R, 4>(rows, keys, out),
        _ => {}
    }
    rows.into_iter().zip(out).for_each(|(row, out)| dots(row, keys, out));
}

/// [`dots_of_rows`] of `8 N` columns: eight keys at a time, of which half a vector has as many columns of one.
#[inline]
#[target_feature(enable = "avx2")]
fn dots_of_eighths<const R: usize, const N: usize>(
    rows: [&[i16]; R],
    keys: &[i16],
    mut out: [&mut [i32]; R],
) {
    let rows = rows.map(|row| row.as_chunks::<LANES>().0);
    let (keys, _) = keys.as_chunks::<LANES>().0.as_chunks::<N>();
    let (groups, rest) = keys.as_chunks::<LANES>();
    for (group, keys) in groups.iter().enumerate() {
        let mut halves = [[_mm256_setzero_si256(); N]; 4];
        for (index, vectors) in halves.iter_mut().enumerate() {
            for ((vector, first), second) in vectors.iter_mut().zip(&keys[index]).zip(&keys[4 + index]) {
                // SAFETY: these are eight of 16 bits each.
                *vector = unsafe { _mm256_loadu2_m128i(second.as_ptr().cast(), first.as_ptr().cast()) };
            }
        }
        for (row, out) in rows.iter().zip(&mut out) {
            let mut sums = [_mm256_setzero_si256(); 4];
            for (column, q) in row.iter().enumerate().take(N) {
                let q = twice(q);
                for (sum, keys) in sums.iter_mut().zip(&halves) {
                    *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(q, keys[column]));
                }
            }
            let [a, b, c, d] = sums;
            let first = _mm256_add_epi32(_mm256_unpacklo_epi32(a, b), _mm256_unpackhi_epi32(a, b));
            let second = _mm256_add_epi32(_mm256_unpacklo_epi32(c, d), _mm256_unpackhi_epi32(c, d));
            let total =
                _mm256_add_epi32(_mm256_unpacklo_epi64(first, second), _mm256_unpackhi_epi64(first, second));
            let Some(out) = out.get_mut(LANES * group..).and_then(|out| out.first_chunk_mut::<LANES>())
            else {
                continue;
            };
            // SAFETY: eight sums have room in as many.
            unsafe { _mm256_storeu_si256(out.as_mut_ptr().cast(), total) };
        }
    }
    for (row, out) in rows.iter().zip(out) {
        let out = out.get_mut(LANES * groups.len()..).unwrap_or_default();
        dots(row.as_flattened(), rest.as_flattened().as_flattened(), out);
    }
}

/// See [`portable::offset_exponents`].
#[target_feature(enable = "avx2")]
pub(in super::super) fn offset_exponents(
    products: &mut [i32],
    scale: Requant,
    offsets: &[i32],
    base: i32,
) -> i32 {
    let count = products.len().min(offsets.len());
    let (eights, rest) = products[..count].as_chunks_mut::<LANES>();
    let (of_eights, of_rest) = offsets[..count].as_chunks::<LANES>();
    let by = _mm256_broadcastsi128_si256(multiplier(scale.multiplier));
    let base_of_each = _mm256_set1_epi32(base);
    let mut most = _mm256_set1_epi32(-i32::MAX);
    for (products, offsets) in eights.iter_mut().zip(of_eights) {
        let place = products.as_mut_ptr().cast();
        // SAFETY: these are eight of 32 bits each.
        let (product, offset) =
            unsafe { (_mm256_loadu_si256(place), _mm256_loadu_si256(offsets.as_ptr().cast())) };
        let exponent = _mm256_add_epi32(rescale(product, by, scale.shift), offset);
        let exponent = _mm256_sub_epi32(exponent, base_of_each);
        most = _mm256_max_epi32(most, exponent);
        // SAFETY: as above.
        unsafe { _mm256_storeu_si256(place, exponent) };
    }
    let mut largest = [0; LANES];
    // SAFETY: these are eight of 32 bits.
    unsafe { _mm256_storeu_si256(largest.as_mut_ptr().cast(), most) };
    let of_rest = portable::offset_exponents(rest, scale, of_rest, base);
    largest.into_iter().fold(of_rest, i32::max)
}

/// See [`portable::weighted_sum`].
#[target_feature(enable = "avx2")]
pub(in super::super) fn weighted_sum(
    weights: &[i16],
    values: &[i16],
    run: usize,
    shift: u32,
    sum: &mut [i32],
) {
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
            add_rounded(sum, total, shift);
        }
    }
}
