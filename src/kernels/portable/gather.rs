//! Keys and values that lie anywhere, put side by side.

#[cfg(feature = "std")]
use crate::num::round_shift;

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

/// [`super::dots`] of the keys with these numbers.
#[cfg(feature = "std")]
pub fn dots_of_listed(q: &[i16], keys: &[i16], numbers: &[u16], out: &mut [i32]) {
    for (&number, out) in numbers.iter().zip(out.chunks_mut(1)) {
        super::dots(q, row(keys, number, q.len()), out);
    }
}

/// [`super::weighted_sum`] of the values with these numbers, which are in no pairs.
#[cfg(feature = "std")]
pub fn weighted_sum_of_listed(
    weights: &[i16],
    values: &[i16],
    numbers: &[u16],
    run: usize,
    shift: u32,
    sum: &mut [i32],
) {
    let width = sum.len();
    for (weights, numbers) in weights.chunks(run.max(2)).zip(numbers.chunks(run.max(2))) {
        for (column, sum) in sum.iter_mut().enumerate() {
            let products = weights.iter().zip(numbers).map(|(&weight, &number)| {
                let value = row(values, number, width).get(column).copied().unwrap_or_default();
                i32::from(weight) * i32::from(value)
            });
            *sum += round_shift(products.sum(), shift);
        }
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
