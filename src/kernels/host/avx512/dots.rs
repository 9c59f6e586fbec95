//! Products of rows: of one row, sums are added up across vectors; of some rows, keys are turned first, so that no sum is.

use core::arch::x86_64::*;

use super::{LANES, PRODUCTS, first_of, load, load_whole};
/// See [`portable::dots`].
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
pub(in super::super) fn dots(q: &[i16], keys: &[i16], out: &mut [i32]) {
    let width = q.len();
    if width == 0 {
        return;
    }
    if let (Some(q), (rows, [])) = (q.as_array::<PRODUCTS>(), keys.as_chunks::<PRODUCTS>()) {
        let q = load_whole(q);
        for (keys, out) in rows.chunks(LANES).zip(out.chunks_mut(LANES)) {
            let mut sums = [_mm512_setzero_si512(); LANES];
            for (at, sum) in sums.iter_mut().enumerate() {
                *sum = _mm512_madd_epi16(q, load_whole(keys.get(place(at)).unwrap_or(&[0; PRODUCTS])));
            }
            store_first(out, keys.len(), totals(sums));
        }
        return;
    }
    for (keys, out) in keys.chunks(LANES * width).zip(out.chunks_mut(LANES)) {
        let mut sums = [_mm512_setzero_si512(); LANES];
        for (at, sum) in sums.iter_mut().enumerate() {
            if let Some(key) = keys.get(place(at) * width..(place(at) + 1) * width) {
                *sum = product(q, key);
            }
        }
        store_first(out, keys.len() / width, totals(sums));
    }
}

/// Stores so many sums of a vector, as far as they have room.
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn store_first(out: &mut [i32], count: usize, sums: __m512i) {
    // SAFETY: what is stored lies in `out`.
    unsafe { _mm512_mask_storeu_epi32(out.as_mut_ptr(), first_of(out.len().min(count)), sums) };
}

/// The key that [`totals`] wants at a place, so that its sums are in order.
pub(super) const fn place(at: usize) -> usize {
    4 * (at % 4) + [0, 2, 1, 3][at / 4]
}

/// Sums of the products of two rows.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn product(q: &[i16], key: &[i16]) -> __m512i {
    let mut sum = _mm512_setzero_si512();
    for (q, key) in q.chunks(PRODUCTS).zip(key.chunks(PRODUCTS)) {
        sum = _mm512_dpwssd_epi32(sum, load(q), load(key));
    }
    sum
}

/// Sums of each of sixteen vectors: the one at `i` at [`place`] `i`.
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn totals(vectors: [__m512i; LANES]) -> __m512i {
    let mut sums = vectors;
    for i in 0..8 {
        let (a, b) = (sums[i], sums[i + 8]);
        sums[i] = _mm512_add_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
    }
    for i in 0..4 {
        let (a, b) = (sums[i], sums[i + 4]);
        sums[i] = _mm512_add_epi32(_mm512_unpacklo_epi64(a, b), _mm512_unpackhi_epi64(a, b));
    }
    for i in 0..2 {
        let (a, b) = (sums[2 * i], sums[2 * i + 1]);
        sums[i] = _mm512_add_epi32(_mm512_shuffle_i32x4::<0x44>(a, b), _mm512_shuffle_i32x4::<0xee>(a, b));
    }
    let (a, b) = (sums[0], sums[1]);
    _mm512_add_epi32(_mm512_shuffle_i32x4::<0x88>(a, b), _mm512_shuffle_i32x4::<0xdd>(a, b))
}

/// See [`portable::dots_of_rows`].
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
pub(in super::super) fn dots_of_rows<const R: usize>(
    rows: [&[i16]; R],
    keys: &[i16],
    mut out: [&mut [i32]; R],
) {
    if rows.iter().any(|row| row.len() != PRODUCTS) {
        return rows.into_iter().zip(out).for_each(|(row, out)| dots(row, keys, out));
    }
    let rows = rows.map(|row| row.as_array().expect("as many columns"));
    let (groups, rest) = keys.as_chunks::<PRODUCTS>().0.as_chunks::<LANES>();
    let filled;
    let last = if rest.is_empty() {
        None
    } else {
        filled = padded(rest);
        Some(&filled)
    };
    for (group, keys) in groups.iter().chain(last).enumerate() {
        let count = if group < groups.len() { LANES } else { rest.len() };
        let mut vectors = [_mm512_setzero_si512(); LANES];
        for (vector, key) in vectors.iter_mut().zip(keys) {
            *vector = load_whole(key);
        }
        let groups = in_quarters(vectors);
        for (row, out) in rows.iter().zip(&mut out) {
            store_first(out.get_mut(group * LANES..).unwrap_or_default(), count, products(row, &groups));
        }
    }
}

/// Less than sixteen keys, and keys of zeros.
#[cold]
fn padded(keys: &[[i16; PRODUCTS]]) -> [[i16; PRODUCTS]; LANES] {
    let mut padded = [[0; PRODUCTS]; LANES];
    padded.iter_mut().zip(keys).for_each(|(slot, key)| *slot = *key);
    padded
}

/// A quarter of the columns of four keys, for every quarter; the keys of the group `g` are `g`, `4 + g`, `8 + g`, `12 + g`.
#[inline]
#[target_feature(enable = "avx512f")]
fn in_quarters(keys: [__m512i; LANES]) -> [[__m512i; 4]; 4] {
    let mut groups = [[_mm512_setzero_si512(); 4]; 4];
    for (group, quarters) in groups.iter_mut().enumerate() {
        let [a, b, c, d] = [keys[group], keys[4 + group], keys[8 + group], keys[12 + group]];
        let (even, odd) = (_mm512_shuffle_i32x4::<0x88>(a, b), _mm512_shuffle_i32x4::<0xdd>(a, b));
        let (even_too, odd_too) = (_mm512_shuffle_i32x4::<0x88>(c, d), _mm512_shuffle_i32x4::<0xdd>(c, d));
        *quarters = [
            _mm512_shuffle_i32x4::<0x88>(even, even_too),
            _mm512_shuffle_i32x4::<0x88>(odd, odd_too),
            _mm512_shuffle_i32x4::<0xdd>(even, even_too),
            _mm512_shuffle_i32x4::<0xdd>(odd, odd_too),
        ];
    }
    groups
}

/// The products of a row with sixteen keys.
#[inline]
#[target_feature(enable = "avx512f,avx512vnni")]
fn products(row: &[i16; PRODUCTS], groups: &[[__m512i; 4]; 4]) -> __m512i {
    let mut quarters = [_mm512_setzero_si512(); 4];
    for (vector, quarter) in quarters.iter_mut().zip(row.as_chunks::<8>().0) {
        // SAFETY: these are eight of 16 bits.
        *vector = _mm512_broadcast_i32x4(unsafe { _mm_loadu_si128(quarter.as_ptr().cast()) });
    }
    let mut products = [_mm512_setzero_si512(); 4];
    for (product, keys) in products.iter_mut().zip(groups) {
        for (q, keys) in quarters.iter().zip(keys) {
            *product = _mm512_dpwssd_epi32(*product, *q, *keys);
        }
    }
    let [a, b, c, d] = products;
    let first = _mm512_add_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
    let second = _mm512_add_epi32(_mm512_unpacklo_epi32(c, d), _mm512_unpackhi_epi32(c, d));
    _mm512_add_epi32(_mm512_unpacklo_epi64(first, second), _mm512_unpackhi_epi64(first, second))
}
