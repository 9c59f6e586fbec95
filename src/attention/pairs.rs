//! Value rows in pairs, column by column `a[0] b[0] a[1] b[1] ...`: what the kernels multiply two weights with.

use crate::kernels;

/// Zips two rows into a pair, all of `pair`; a second row that is empty counts as zeros.
pub(super) fn zip(first: &[i16], second: &[i16], pair: &mut [i16]) {
    if second.is_empty() {
        return pair.as_chunks_mut().0.iter_mut().zip(first).for_each(|(slot, &a)| *slot = [a, 0]);
    }
    kernels::zip(first, second, pair);
}

/// Puts a row in its place. What stands beside the last of an odd number of rows has no weight.
pub(super) fn put(pairs: &mut [i16], index: usize, row: &[i16]) {
    let pair = pairs.get_mut(index / 2 * 2 * row.len()..).unwrap_or_default();
    for (slot, &x) in pair.as_chunks_mut::<2>().0.iter_mut().zip(row) {
        slot[index % 2] = x;
    }
}

/// Row `index` of zipped rows of `width` columns.
pub(super) fn row(pairs: &[i16], index: usize, width: usize) -> impl Iterator<Item = i16> {
    let pair = pairs.get(index / 2 * 2 * width..).unwrap_or_default();
    let is_second = index % 2 == 1;
    pair.as_chunks().0.iter().take(width).map(move |&[a, b]| if is_second { b } else { a })
}

/// Zips rows that lie one after the other; an odd last row gets zeros for a partner. `spare` has room for two rows.
pub(super) fn zip_in_place(rows: &mut [i16], count: usize, width: usize, spare: &mut [i16]) {
    let spare = spare.get_mut(..2 * width).unwrap_or_default();
    let pairs = rows.chunks_exact_mut((2 * width).max(1)).take(count.div_ceil(2));
    for (index, pair) in pairs.enumerate() {
        if spare.len() == pair.len() {
            spare.copy_from_slice(pair);
        }
        let (first, second) = spare.split_at_checked(width).unwrap_or_default();
        zip(first, if 2 * index + 1 == count { &[] } else { second }, pair);
    }
}
