//! Rows that lie anywhere, put side by side.

use core::arch::x86_64::*;

use super::{PRODUCTS, first_halves_of, load};
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
