//! Rows that lie anywhere, on Arm cores: eight columns a round.
#![allow(unsafe_code)] // Slices handed to assembly as pointers.

#[cfg_attr(fixformer_mla, path = "thumb2.rs")]
#[cfg_attr(fixformer_thumb1, path = "thumb1.rs")]
mod loops;

use crate::kernels::{at_word, portable};
use loops::{copy_rows, zip_rows};

/// The largest number. One at a time costs half as much as the rows.
#[cfg(fixformer_dsp)]
fn largest(numbers: &[u16]) -> u16 {
    let (eights, rest) = numbers.as_chunks::<8>();
    let last = rest.iter().fold(0, |last: u16, &number| last.max(number));
    // SAFETY: there are so many eights; where there are none, none is read.
    last.max(unsafe { loops::largest_of_eights(eights.as_ptr().cast(), eights.len()) })
}

#[cfg(not(fixformer_dsp))]
fn largest(numbers: &[u16]) -> u16 {
    let (fours, rest) = numbers.as_chunks();
    let last = rest.iter().fold(0, |last: u16, &number| last.max(number));
    fours.iter().fold(last, |last, &[a, b, c, d]| last.max(a).max(b).max(c).max(d))
}

/// Rows have a multiple of as many columns.
const COLUMNS: usize = 8;
/// Most columns, and most numbers, whose products with a number are certain to fit a word.
const MOST: usize = 1 << 12;

/// See [`portable::gather`].
pub fn gather(
    keys: &[i16],
    values: &[i16],
    numbers: &[u16],
    width: usize,
    [keys_out, values_out]: [&mut [i16]; 2],
) {
    let (count, pairs) = (numbers.len(), numbers.len() / 2);
    let last = largest(numbers);
    let room = |rows: &[i16], count: usize| at_word(rows) && rows.len() >= count * width;
    let there = |rows: &[i16]| room(rows, usize::from(last) + 1);
    let whole = pairs > 0 && width > 0 && width.is_multiple_of(COLUMNS) && width.max(count) <= MOST;
    if !(whole && there(keys) && there(values) && room(keys_out, count) && room(values_out, 2 * pairs)) {
        return portable::gather(keys, values, numbers, width, [keys_out, values_out]);
    }
    // SAFETY: all lie at words; every number is that of a row of `width` columns, a multiple of 8 and not zero, of which the
    // outputs have as many as there are numbers, or pairs of them, not zero.
    unsafe {
        copy_rows(keys.as_ptr(), numbers.as_ptr(), keys_out.as_mut_ptr(), count, 2 * width);
        zip_rows(values.as_ptr(), numbers.as_ptr(), values_out.as_mut_ptr(), pairs, 2 * width);
    }
    if let Some(rest @ [_]) = numbers.get(2 * pairs..) {
        let out = values_out.get_mut(2 * pairs * width..).unwrap_or_default();
        portable::gather(&[], values, rest, width, [&mut [], out]);
    }
}
