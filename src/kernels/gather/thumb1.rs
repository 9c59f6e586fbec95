//! Rows that lie anywhere, on Cortex-M0: eight columns a round.
#![allow(unsafe_code)] // Assembly, and slices handed to it as pointers.

use core::arch::naked_asm;

use crate::kernels::portable;

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
    // Four at a time: less of the loop for each.
    let (fours, rest) = numbers.as_chunks();
    let last = rest.iter().fold(0, |last: u16, &number| last.max(number));
    let last = fours.iter().fold(last, |last, &[a, b, c, d]| last.max(a).max(b).max(c).max(d));
    let room =
        |rows: &[i16], count: usize| rows.as_ptr().addr().is_multiple_of(4) && rows.len() >= count * width;
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

/// Copies `count` rows of `width` bytes.
#[unsafe(naked)]
unsafe extern "C" fn copy_rows(
    rows: *const i16,
    numbers: *const u16,
    out: *mut i16,
    count: usize,
    width: usize,
) {
    naked_asm!(
        "push {{r4-r7, lr}}",
        "mov r4, r8",
        "push {{r4}}",
        "mov r12, r0",
        "lsls r3, r3, #1",
        "adds r3, r3, r1",
        "mov r8, r3",
        "ldr r3, [sp, #24]",
        "2:",
        "ldrh r0, [r1]",
        "adds r1, r1, #2",
        "muls r0, r3, r0",
        "add r0, r0, r12",
        "adds r4, r2, r3",
        "mov lr, r4",
        "3:",
        "ldm r0!, {{r4-r7}}",
        "stm r2!, {{r4-r7}}",
        "cmp r2, lr",
        "bne 3b",
        "cmp r1, r8",
        "bne 2b",
        "pop {{r4}}",
        "mov r8, r4",
        "pop {{r4-r7, pc}}",
    )
}

/// Zips `pairs` pairs of rows of `width` bytes.
#[unsafe(naked)]
unsafe extern "C" fn zip_rows(
    rows: *const i16,
    numbers: *const u16,
    out: *mut i16,
    pairs: usize,
    width: usize,
) {
    naked_asm!(
        "push {{r4-r7, lr}}",
        "mov r4, r8",
        "mov r5, r9",
        "mov r6, r10",
        "push {{r4-r6}}",
        "mov r12, r0",
        "mov r8, r1",
        "lsls r3, r3, #2",
        "adds r3, r3, r1",
        "mov r9, r3",
        "ldr r3, [sp, #32]",
        "mov r10, r3",
        "2:",
        "mov r3, r8",
        "ldrh r0, [r3]",
        "ldrh r1, [r3, #2]",
        "adds r3, r3, #4",
        "mov r8, r3",
        "mov r3, r10",
        "muls r0, r3, r0",
        "muls r1, r3, r1",
        "add r0, r0, r12",
        "add r1, r1, r12",
        "adds r3, r3, r0",
        "mov lr, r3",
        "3:",
        "mov r3, r2",
        // Words of both rows in turn; then the two columns in the middle of each two words change places.
        ".irp at, 0, 16",
        "ldm r0!, {{r4, r6}}",
        "ldm r1!, {{r5, r7}}",
        "stm r2!, {{r4-r7}}",
        "strh r5, [r3, #\\at + 2]",
        "lsrs r4, r4, #16",
        "strh r4, [r3, #\\at + 4]",
        "strh r7, [r3, #\\at + 10]",
        "lsrs r6, r6, #16",
        "strh r6, [r3, #\\at + 12]",
        ".endr",
        "cmp r0, lr",
        "bne 3b",
        "cmp r8, r9",
        "bne 2b",
        "pop {{r4-r6}}",
        "mov r8, r4",
        "mov r9, r5",
        "mov r10, r6",
        "pop {{r4-r7, pc}}",
    )
}
