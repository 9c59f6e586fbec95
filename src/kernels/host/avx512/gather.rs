//! Rows that lie anywhere: put side by side, or read where they lie.

use core::arch::x86_64::*;

use super::super::avx2;
use super::dots::{place, store_first, totals};
use super::{LANES, PRODUCTS, first_halves_of, load, load_whole};
use crate::kernels::portable;

/// See [`portable::gather`].
#[target_feature(enable = "avx512f,avx512bw")]
pub(in super::super) fn gather(
    keys: &[i16],
    values: &[i16],
    numbers: &[u16],
    width: usize,
    [keys_out, values_out]: [&mut [i16]; 2],
) {
    if width == 0 {
        return;
    }
    for (&number, out) in numbers.iter().zip(keys_out.chunks_mut(width)) {
        if let Some(row) = row(keys, number, width) {
            for (row, out) in row.chunks(PRODUCTS).zip(out.chunks_mut(PRODUCTS)) {
                store(out, load(row));
            }
        }
    }
    let (lower, upper) = (zipped(0), zipped(PRODUCTS as i16 / 2));
    for (pair, out) in numbers.chunks(2).zip(values_out.chunks_mut(2 * width)) {
        let (first, second) = (pair[0], pair[pair.len() - 1]);
        let (Some(first), Some(second)) = (row(values, first, width), row(values, second, width)) else {
            continue;
        };
        if out.len() < 2 * width {
            portable::zip(first, second, out);
            continue;
        }
        let rows = first.chunks(PRODUCTS).zip(second.chunks(PRODUCTS));
        for ((a, b), out) in rows.zip(out.chunks_mut(2 * PRODUCTS)) {
            let (a, b) = (load(a), load(b));
            let (first, second) = out.split_at_mut(out.len().min(PRODUCTS));
            store(first, _mm512_permutex2var_epi16(a, lower, b));
            store(second, _mm512_permutex2var_epi16(a, upper, b));
        }
    }
}

/// Columns from `first` on of two rows, by turns.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn zipped(first: i16) -> __m512i {
    let mut order = [0_i16; PRODUCTS];
    for (at, column) in order.iter_mut().enumerate() {
        *column = first + at as i16 / 2 + at as i16 % 2 * PRODUCTS as i16;
    }
    load(&order)
}

/// The first elements, as many as have room.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn store(out: &mut [i16], vector: __m512i) {
    // SAFETY: what is stored lies in `out`.
    unsafe { _mm512_mask_storeu_epi16(out.as_mut_ptr(), first_halves_of(out.len()), vector) };
}

fn row(rows: &[i16], number: u16, width: usize) -> Option<&[i16]> {
    let start = usize::from(number) * width;
    rows.get(start..start + width)
}

/// See [`portable::dots_of_listed`].
#[target_feature(enable = "avx2,avx512f,avx512bw,avx512vnni")]
pub(in super::super) fn dots_of_listed(q: &[i16], keys: &[i16], numbers: &[u16], out: &mut [i32]) {
    let (rows, &[]) = keys.as_chunks::<PRODUCTS>() else {
        return avx2::dots_of_listed(q, keys, numbers, out);
    };
    let Some(q) = q.as_array::<PRODUCTS>() else { return avx2::dots_of_listed(q, keys, numbers, out) };
    let q = load_whole(q);
    let product = |number: u16| {
        let row = rows.get(usize::from(number)).unwrap_or(&[0; PRODUCTS]);
        _mm512_madd_epi16(q, load_whole(row))
    };
    for (numbers, out) in numbers.chunks(LANES).zip(out.chunks_mut(LANES)) {
        let mut sums = [_mm512_setzero_si512(); LANES];
        if let Some(numbers) = numbers.as_array::<LANES>() {
            for (at, sum) in sums.iter_mut().enumerate() {
                *sum = product(numbers[place(at)]);
            }
        } else {
            let mut filled = [u16::MAX; LANES];
            filled.iter_mut().zip(numbers).for_each(|(filled, &number)| *filled = number);
            for (at, sum) in sums.iter_mut().enumerate() {
                *sum = product(filled[place(at)]);
            }
        }
        store_first(out, numbers.len(), totals(sums));
    }
}

/// See [`portable::weighted_sum_of_listed`].
#[target_feature(enable = "avx2,avx512f,avx512bw,avx512vnni")]
pub(in super::super) fn weighted_sum_of_listed(
    weights: &[i16],
    values: &[i16],
    numbers: &[u16],
    run: usize,
    shift: u32,
    sum: &mut [i32],
) {
    let (rows, &[]) = values.as_chunks::<PRODUCTS>() else {
        return avx2::weighted_sum_of_listed(weights, values, numbers, run, shift, sum);
    };
    if sum.len() != PRODUCTS || run < 2 || !run.is_multiple_of(2) {
        return avx2::weighted_sum_of_listed(weights, values, numbers, run, shift, sum);
    }
    let row = |number: u16| load_whole(rows.get(usize::from(number)).unwrap_or(&[0; PRODUCTS]));
    let (one, before) = (_mm512_set1_epi32(1), _mm_cvtsi32_si128(shift as i32 - 1));
    let (lower, upper) =
        (_mm512_setr_epi64(0, 1, 8, 9, 2, 3, 10, 11), _mm512_setr_epi64(4, 5, 12, 13, 6, 7, 14, 15));
    for (weights, numbers) in weights.chunks(run).zip(numbers.chunks(run)) {
        // Rows are zipped within quarters: their lower and their upper halves apart. Two sums each keep the multipliers busy.
        let mut totals = [[_mm512_setzero_si512(); 2]; 2];
        for (index, (weights, numbers)) in weights.chunks(2).zip(numbers.chunks(2)).enumerate() {
            let (first, second) = (row(numbers[0]), row(numbers[numbers.len() - 1]));
            let of_second = if weights.len() > 1 { i32::from(weights[1]) << 16 } else { 0 };
            let both = _mm512_set1_epi32(of_second | i32::from(weights[0] as u16));
            let [low, high] = totals[index % 2];
            totals[index % 2] = [
                _mm512_dpwssd_epi32(low, _mm512_unpacklo_epi16(first, second), both),
                _mm512_dpwssd_epi32(high, _mm512_unpackhi_epi16(first, second), both),
            ];
        }
        let [[a, b], [c, d]] = totals;
        let (low, high) = (_mm512_add_epi32(a, c), _mm512_add_epi32(b, d));
        let in_order =
            [_mm512_permutex2var_epi64(low, lower, high), _mm512_permutex2var_epi64(low, upper, high)];
        for (sum, total) in sum.as_chunks_mut::<LANES>().0.iter_mut().zip(in_order) {
            // As `round_shift` does.
            let twofold = _mm512_sra_epi32(total, before);
            let total = _mm512_add_epi32(_mm512_srai_epi32::<1>(twofold), _mm512_and_si512(twofold, one));
            let place = sum.as_mut_ptr();
            // SAFETY: these are sixteen sums.
            unsafe { _mm512_storeu_epi32(place, _mm512_add_epi32(_mm512_loadu_epi32(place), total)) };
        }
    }
}
