//! Means of rows on cores with the DSP extension: two columns an instruction, or the same column of two rows.
#![allow(unsafe_code)] // Slices handed to assembly as pointers.

mod loops;

use crate::kernels::portable::{self, Means};
use crate::kernels::{at_word, domain};
use loops::{
    ONES, copies, expand_row_pairs, expand_rows, join_row_pairs, join_rows, lift_rows, lift_twice_rows,
};

/// Rows have a multiple of as many columns.
const COLUMNS: usize = 8;
/// Bytes that [`copies`] moves at a time.
const COPIED: usize = 32;

/// Whether there are rows such as the loops take.
const fn regular(Means { width, count, half, .. }: Means) -> bool {
    width > 0 && width.is_multiple_of(COLUMNS) && half.is_multiple_of(2) && count > 0
}

/// Whether rows lie at a word and do not end before `reach`.
fn fits(rows: &[i16], reach: usize) -> bool {
    rows.len() >= reach && at_word(rows)
}

/// Elements of rows one after the other.
const fn rows(count: usize, width: usize) -> usize {
    count.saturating_mul(width)
}

/// What the first row adds before it is halved.
const fn rounding(first: usize) -> u32 {
    (first % 2) as u32 * ONES
}

/// See [`portable::lift`].
pub fn lift(rows: &mut [i16], means: Means) {
    debug_assert!(domain::lift(rows, means));
    if !(regular(means) && fits(rows, means.reach())) {
        return portable::lift(rows, means);
    }
    let Means { width, first, count, half } = means;
    // SAFETY: `rows` lie at words and reach to the end of the last of `count` rows, which is not zero; their columns are a
    // multiple of 8 and not zero, and `half` is even.
    unsafe { lift_rows(rows.as_mut_ptr(), 2 * half, 2 * width, count, rounding(first)) }
}

/// See [`portable::lift_twice`].
pub fn lift_twice(rows: &mut [i16], means: Means, halved: bool) -> u32 {
    debug_assert!(domain::lift(rows, means));
    if !(regular(means) && fits(rows, means.reach())) {
        return portable::lift_twice(rows, means, halved);
    }
    let Means { width, count, half, .. } = means;
    // SAFETY: `rows` lie at words and reach to the end of the last of `count` rows, which is not zero; their columns are a
    // multiple of 8 and not zero, and `half` is even.
    unsafe { lift_twice_rows(rows.as_mut_ptr(), 2 * half, 2 * width, count, halved) }
}

/// Whether so many rows and differences, and twice as many rows of the output, are there.
fn expands(means_of: &[i16], differences: &[i16], out: &[i16], means: Means) -> bool {
    let (all, last) = (rows(means.count, means.width), means.reach().saturating_sub(means.half));
    fits(means_of, all) && fits(differences, last) && fits(out, all.saturating_mul(2))
}

/// See [`portable::expand`].
pub fn expand(means_of: &[i16], differences: &[i16], out: &mut [i16], means: Means) {
    let Means { width, first, count, half } = means;
    if !(regular(means) && expands(means_of, differences, out, means)) {
        return portable::expand(means_of, differences, out, means);
    }
    let (means_of, differences, out) = (means_of.as_ptr(), differences.as_ptr(), out.as_mut_ptr());
    // SAFETY: all lie at words, and have `count` rows, not zero, of a multiple of 8 columns, not zero, `out` twice as many
    // and the differences one every `2 half`, which is even.
    unsafe { expand_rows(means_of, differences, out, 2 * width, 4 * half, count, rounding(first)) }
}

/// See [`portable::expand_pairs`].
pub fn expand_pairs(means_of: &[i16], differences: &[i16], out: &mut [i16], means: Means, whole: bool) {
    let Means { width, count, half, .. } = means;
    if !(regular(means) && count.is_multiple_of(2) && expands(means_of, differences, out, means)) {
        return portable::expand_pairs(means_of, differences, out, means, whole);
    }
    let (means_of, differences, out) = (means_of.as_ptr(), differences.as_ptr(), out.as_mut_ptr());
    // SAFETY: all lie at words, and have `count` rows, even and not zero, of a multiple of 8 columns, not zero, `out` twice
    // as many and the differences one every `2 half`, which is even.
    unsafe { expand_row_pairs(means_of, differences, out, 2 * width, 4 * half, count / 2, whole) }
}

/// Whether so many rows of the output, and twice as many, are there.
fn joins(of: &[i16], out: &[i16], means: Means) -> bool {
    let all = rows(means.count, means.width);
    fits(of, all.saturating_mul(2)) && fits(out, all)
}

/// See [`portable::join`].
pub fn join(of: &[i16], out: &mut [i16], means: Means) {
    debug_assert!(domain::join(of, means));
    let Means { width, first, count, .. } = means;
    if !(regular(means) && joins(of, out, means)) {
        return portable::join(of, out, means);
    }
    // SAFETY: both lie at words, and have `count` rows, not zero, of a multiple of 8 columns, not zero, and twice as many.
    unsafe { join_rows(of.as_ptr(), out.as_mut_ptr(), 2 * width, count, rounding(first)) }
}

/// See [`portable::join_pairs`].
pub fn join_pairs(of: &[i16], out: &mut [i16], means: Means, whole: bool) {
    debug_assert!(domain::join_pairs(of, means));
    let Means { width, count, .. } = means;
    if !(regular(means) && count.is_multiple_of(2) && joins(of, out, means)) {
        return portable::join_pairs(of, out, means, whole);
    }
    // SAFETY: both lie at words, and have `count` rows, even and not zero, of a multiple of 8 columns, not zero, and twice
    // as many.
    unsafe { join_row_pairs(of.as_ptr(), out.as_mut_ptr(), 4 * width, count / 2, whole) }
}

/// See [`portable::copy`].
pub fn copy<T: Copy + Into<i64>>(from: &[T], to: &mut [T]) {
    let (group, count) = (COPIED / size_of::<T>(), from.len().min(to.len()));
    let (groups, both) = (count / group, from.as_ptr().addr() | to.as_ptr().addr());
    let mut copied = 0;
    if groups > 0 && both.is_multiple_of(4) {
        copied = groups * group;
        // SAFETY: both lie at words and have `groups` groups of integers, not zero, of 32 bytes each.
        unsafe { copies(from.as_ptr().cast(), to.as_mut_ptr().cast(), groups) };
    }
    if copied < count {
        portable::copy(from.get(copied..).unwrap_or_default(), to.get_mut(copied..).unwrap_or_default());
    }
}
