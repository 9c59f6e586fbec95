//! Value rows in pairs, column by column `a[0] b[0] a[1] b[1] ...`: what the kernels multiply two weights with.

/// Zips two rows into a pair; a row that is missing counts as zeros.
pub(super) fn zip(first: &[i16], second: &[i16], pair: &mut [i16]) {
    let second = second.iter().copied().chain(core::iter::repeat(0));
    for (slot, (&a, b)) in pair.as_chunks_mut().0.iter_mut().zip(first.iter().zip(second)) {
        *slot = [a, b];
    }
}

/// Puts a row beside the first one of a pair.
pub(super) fn complete(second: &[i16], pair: &mut [i16]) {
    for (slot, &b) in pair.as_chunks_mut::<2>().0.iter_mut().zip(second) {
        slot[1] = b;
    }
}

/// Row `index` of zipped rows of `width` columns.
pub(super) fn row(pairs: &[i16], index: usize, width: usize) -> impl Iterator<Item = i16> {
    let pair = pairs.get(index / 2 * 2 * width..).unwrap_or_default();
    pair.iter().skip(index % 2).step_by(2).take(width).copied()
}

/// Zips rows that lie one after the other; an odd last row gets zeros for a partner. `spare` has room for a row.
pub(super) fn zip_in_place(rows: &mut [i16], count: usize, width: usize, spare: &mut [i16]) {
    let pairs = rows.chunks_exact_mut((2 * width).max(1)).take(count.div_ceil(2));
    for (index, pair) in pairs.enumerate() {
        let Some((first, second)) = pair.split_at_mut_checked(width) else { return };
        if 2 * index + 1 == count {
            second.fill(0);
        }
        spare.iter_mut().zip(first).for_each(|(spare, &mut v)| *spare = v);
        // A value of the second row is read before its place is written.
        for (column, &a) in spare.iter().enumerate().take(width) {
            let b = pair.get(width + column).copied().unwrap_or_default();
            if let Some(slot) = pair.as_chunks_mut().0.get_mut(column) {
                *slot = [a, b];
            }
        }
    }
}
