//! Keys and values that lie anywhere, put side by side.

/// Copies the `keys` and `values` of these numbers, rows of so many columns: keys one after the other, values with the rows of
/// each pair zipped, `a[0] b[0] a[1] b[1] ...`. The value of the last of an odd number stands beside itself.
///
/// A number beyond the rows leaves its place as it is.
pub fn gather(
    keys: &[i16],
    values: &[i16],
    numbers: &[u16],
    width: usize,
    [keys_out, values_out]: [&mut [i16]; 2],
) {
    for (&number, out) in numbers.iter().zip(keys_out.chunks_mut(width.max(1))) {
        super::copy(row(keys, number, width), out);
    }
    for (pair, out) in numbers.chunks(2).zip(values_out.chunks_mut((2 * width).max(1))) {
        let second = pair.last().copied().unwrap_or_default();
        let first = pair.first().copied().unwrap_or(second);
        zip(row(values, first, width), row(values, second, width), out);
    }
}

/// Zips two rows into a pair.
pub fn zip(first: &[i16], second: &[i16], pair: &mut [i16]) {
    // Two columns at a time: many cores load and store them as a word.
    let ((first, a), (second, b)) = (first.as_chunks::<2>(), second.as_chunks::<2>());
    let (columns, last) = pair.as_chunks_mut();
    for (slot, (a, b)) in columns.iter_mut().zip(first.iter().zip(second)) {
        *slot = [a[0], b[0], a[1], b[1]];
    }
    if let ([a], [b], [slot_a, slot_b]) = (a, b, last) {
        (*slot_a, *slot_b) = (*a, *b);
    }
}

fn row(rows: &[i16], number: u16, width: usize) -> &[i16] {
    let start = usize::from(number) * width;
    rows.get(start..start + width).unwrap_or_default()
}
