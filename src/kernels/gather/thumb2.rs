//! Rows that lie anywhere, on Arm cores that load several words an instruction: eight columns a round.
#![allow(unsafe_code)] // Assembly, and slices handed to it as pointers.

use core::arch::naked_asm;

use crate::kernels::{portable, processor};

/// Rows have a multiple of as many columns.
const COLUMNS: usize = 8;

/// See [`portable::gather`].
pub fn gather(
    keys: &[i16],
    values: &[i16],
    numbers: &[u16],
    width: usize,
    [keys_out, values_out]: [&mut [i16]; 2],
) {
    let (count, pairs) = (numbers.len(), numbers.len() / 2);
    // Four at a time: one at a time costs half as much as the rows.
    let (fours, rest) = numbers.as_chunks();
    let last = rest.iter().fold(0, |last: u16, &number| last.max(number));
    let last = fours.iter().fold(last, |last, &[a, b, c, d]| last.max(a).max(b).max(c).max(d));
    let room = |rows: &[i16], count: usize| at_word(rows) && rows.len() >= count.saturating_mul(width);
    let there = |rows: &[i16]| room(rows, usize::from(last) + 1);
    let whole = pairs > 0 && width > 0 && width.is_multiple_of(COLUMNS);
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
        processor!(),
        "push {{r4-r9, lr}}",
        "ldr r4, [sp, #28]",
        "add r3, r1, r3, lsl #1",
        "2:",
        "ldrh r5, [r1], #2",
        "add lr, r2, r4",
        "mla r12, r5, r4, r0",
        "3:",
        "ldm r12!, {{r6-r9}}",
        "stm r2!, {{r6-r9}}",
        "cmp r2, lr",
        "bne 3b",
        "cmp r1, r3",
        "bne 2b",
        "pop {{r4-r9, pc}}",
    )
}

/// Two columns of two rows, `\\a` and `\\b`, into two words.
#[cfg(fixformer_dsp)]
macro_rules! zip_columns {
    () => {
        "pkhbt r12, \\a, \\b, lsl #16
        pkhtb \\b, \\b, \\a, asr #16
        strd r12, \\b, [r2], #8"
    };
}
#[cfg(not(fixformer_dsp))]
macro_rules! zip_columns {
    () => {
        "uxth r12, \\a
        orr r12, r12, \\b, lsl #16
        lsr \\a, \\a, #16
        bfi \\b, \\a, #0, #16
        strd r12, \\b, [r2], #8"
    };
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
        processor!(),
        "push {{r0, r1, r3-r11, lr}}",
        "ldr r11, [sp, #48]",
        "2:",
        "ldrd r0, r1, [sp]",
        "ldrh r3, [r1], #2",
        "ldrh r4, [r1], #2",
        "str r1, [sp, #4]",
        "mla r1, r4, r11, r0",
        "mla r0, r3, r11, r0",
        "add lr, r0, r11",
        "3:",
        "ldm.w r0!, {{r3-r6}}",
        "ldm.w r1!, {{r7-r10}}",
        ".macro zip_columns a, b",
        zip_columns!(),
        ".endm",
        "zip_columns r3, r7",
        "zip_columns r4, r8",
        "zip_columns r5, r9",
        "zip_columns r6, r10",
        ".purgem zip_columns",
        "cmp r0, lr",
        "bne 3b",
        "ldr r3, [sp, #8]",
        "subs r3, r3, #1",
        "str r3, [sp, #8]",
        "bne 2b",
        "add sp, sp, #12",
        "pop {{r4-r11, pc}}",
    )
}

fn at_word(row: &[i16]) -> bool {
    row.as_ptr().addr().is_multiple_of(4)
}
