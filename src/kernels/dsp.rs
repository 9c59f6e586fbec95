//! Arm cores with the DSP extension (Cortex-M4, M7, M33): two 16-bit products an instruction.
//!
//! Loops are entered at the place that leaves a whole number of rounds, so that their bodies can be unrolled without
//! a tail. Rows that do not lie at a word go the portable way.
#![allow(unsafe_code)] // Assembly, and slices handed to it as pointers.

use core::arch::naked_asm;

use super::portable;
use crate::num::{LogScore, OCTAVE, Requant};

/// Columns of a query that [`dots_16`] keeps in registers.
const QUERY_COLUMNS: usize = 16;
/// Columns of the sums that [`weighted_sum_8`] keeps in registers.
const SUM_COLUMNS: usize = 8;

/// See [`portable::dots`].
pub fn dots(q: &[i16], keys: &[i16], out: &mut [i32]) {
    let width = q.len();
    let count = out.len().min(keys.len().checked_div(width).unwrap_or_default());
    if count == 0 || !width.is_multiple_of(8) || !at_word(q) || !at_word(keys) {
        return portable::dots(q, keys, out);
    }
    if width == QUERY_COLUMNS {
        // SAFETY: `q` has 16 columns, `keys` at least `count` rows of 16 and `out` `count` elements; `count` is not
        // zero and both rows lie at words.
        return unsafe { dots_16(q.as_ptr(), keys.as_ptr(), out.as_mut_ptr(), count) };
    }
    // Where the width is no multiple of 16, zeros meet the first columns of the row after: the last row has none.
    let count = if width.is_multiple_of(QUERY_COLUMNS) { count } else { count - 1 };
    let Some((out, last)) = out.split_at_mut_checked(count) else { return };
    out.fill(0);
    let chunks = if out.is_empty() { 0 } else { width.div_ceil(QUERY_COLUMNS) };
    for (chunk, q) in q.chunks(QUERY_COLUMNS).enumerate().take(chunks) {
        let mut columns = Columns([0; QUERY_COLUMNS]);
        columns.0.iter_mut().zip(q).for_each(|(column, &q)| *column = q);
        let keys = keys.as_ptr().wrapping_add(chunk * QUERY_COLUMNS);
        let skip = 2 * (width as isize - QUERY_COLUMNS as isize);
        // SAFETY: `out` is not empty, and in each of its rows there are 16 columns from `keys` on, at a word.
        unsafe { add_dots_16(columns.0.as_ptr(), keys, out.as_mut_ptr(), out.len(), skip) };
    }
    portable::dots(q, keys.get(out.len() * width..).unwrap_or_default(), last);
}

/// Sixteen columns at a word.
#[repr(align(4))]
struct Columns([i16; QUERY_COLUMNS]);

/// See [`portable::softmax_weights`].
pub fn softmax_weights(dots: &[i32], scale: Requant, top: i32, weights: &mut [i16]) -> Option<u32> {
    let count = dots.len().min(weights.len());
    let fours = if at_word(weights) && scale.shift <= 16 { count / 4 } else { 0 };
    let (Some((dots, rest)), Some((weights, rest_weights))) =
        (dots.split_at_checked(4 * fours), weights.split_at_mut_checked(4 * fours))
    else {
        return None;
    };
    let rest =
        if rest.is_empty() { Some(0) } else { portable::softmax_weights(rest, scale, top, rest_weights) };
    if fours == 0 {
        return rest;
    }
    let multiplier = i32::from(scale.multiplier) << (16 - scale.shift);
    let top = top << LogScore::FRAC_NBITS;
    // SAFETY: both slices have `4 * fours` elements, not zero, and the weights lie at a word; the table has the 1,024
    // entries that ten bits can name.
    let found = unsafe {
        weights_of_fours(dots.as_ptr(), weights.as_mut_ptr(), fours, multiplier, top, OCTAVE.as_ptr())
    };
    // The upper word has the signs of all distances.
    if (found as i64) < 0 { None } else { Some(found as u32 + rest?) }
}

/// See [`portable::weighted_sum`].
pub fn weighted_sum(weights: &[i16], values: &[i16], shift: u32, sum: &mut [i32]) {
    let width = sum.len();
    let pairs = (weights.len() / 2).min(values.len().checked_div(2 * width).unwrap_or_default());
    // An unpaired last row belongs to the same sum: rare enough for the portable way.
    if pairs == 0 || values.len() != 2 * pairs * width || !at_word(values) {
        return portable::weighted_sum(weights, values, shift, sum);
    }
    for (group, sum) in sum.chunks_mut(SUM_COLUMNS).enumerate() {
        let first = group * SUM_COLUMNS;
        if sum.len() < SUM_COLUMNS {
            portable::add_columns(weights, values, width, first, shift, sum);
            continue;
        }
        let values = values.as_ptr().wrapping_add(2 * first);
        // SAFETY: there are `pairs` pairs of weights and of zipped rows, each of which has 8 columns from `first` on
        // and lies at a word; `sum` has 8 elements and `pairs` is not zero.
        unsafe { weighted_sum_8(weights.as_ptr(), values, 4 * width, sum.as_mut_ptr(), pairs, shift) };
    }
}

fn at_word(row: &[i16]) -> bool {
    row.as_ptr().addr().is_multiple_of(4)
}

/// `out[j] = q . keys[j]` for rows of 16.
#[unsafe(naked)]
unsafe extern "C" fn dots_16(q: *const i16, keys: *const i16, out: *mut i32, count: usize) {
    naked_asm!(
        "push {{r4-r11, lr}}",
        "add r4, r2, r3, lsl #2",
        "push {{r4}}",
        "mov r12, r1",
        "mov lr, r2",
        "rsb r3, r3, #0",
        "and r3, r3, #3",
        "mov r8, #48",
        "mul r3, r3, r8",
        "adr.w r8, 2f",
        "add r8, r8, r3",
        "add r8, r8, #1",
        "ldm r0, {{r0-r7}}",
        "bx r8",
        ".p2align 2",
        "2:",
        ".rept 4",
        "ldm r12!, {{r8-r10}}",
        "smuad r11, r8, r0",
        "smlad r11, r9, r1, r11",
        "smlad r11, r10, r2, r11",
        "ldm r12!, {{r8-r10}}",
        "smlad r11, r8, r3, r11",
        "smlad r11, r9, r4, r11",
        "smlad r11, r10, r5, r11",
        "ldm r12!, {{r8-r9}}",
        "smlad r11, r8, r6, r11",
        "smlad r11, r9, r7, r11",
        "str r11, [lr], #4",
        ".endr",
        "ldr r8, [sp]",
        "cmp lr, r8",
        "bne 2b",
        "add sp, sp, #4",
        "pop {{r4-r11, pc}}",
    )
}

/// `out[j] += q . keys[j]` for 16 columns of rows; `skip` bytes from their end to the next.
#[unsafe(naked)]
unsafe extern "C" fn add_dots_16(q: *const i16, keys: *const i16, out: *mut i32, count: usize, skip: isize) {
    naked_asm!(
        "push {{r4-r11, lr}}",
        "ldr r5, [sp, #36]",
        "add r4, r2, r3, lsl #2",
        "push {{r4, r5}}",
        "mov r12, r1",
        "mov lr, r2",
        "rsb r3, r3, #0",
        "and r3, r3, #3",
        "mov r8, #60",
        "mul r3, r3, r8",
        "adr.w r8, 2f",
        "add r8, r8, r3",
        "add r8, r8, #1",
        "ldm r0, {{r0-r7}}",
        "bx r8",
        ".p2align 2",
        "2:",
        ".rept 4",
        "ldr.w r11, [lr]",
        "ldm r12!, {{r8-r10}}",
        "smlad r11, r8, r0, r11",
        "smlad r11, r9, r1, r11",
        "smlad r11, r10, r2, r11",
        "ldm r12!, {{r8-r10}}",
        "smlad r11, r8, r3, r11",
        "smlad r11, r9, r4, r11",
        "smlad r11, r10, r5, r11",
        "ldm r12!, {{r8-r9}}",
        "smlad r11, r8, r6, r11",
        "smlad r11, r9, r7, r11",
        "ldr.w r8, [sp, #4]",
        "add.w r12, r12, r8",
        "str r11, [lr], #4",
        ".endr",
        "ldr r8, [sp]",
        "cmp lr, r8",
        "bne 2b",
        "add sp, sp, #8",
        "pop {{r4-r11, pc}}",
    )
}

/// Four weights a round: distance below the top, mantissa from the table, both halves of a word rounded together.
/// The lower word of the result is the sum, the upper one has the signs of the distances.
#[unsafe(naked)]
unsafe extern "C" fn weights_of_fours(
    dots: *const i32,
    weights: *mut i16,
    fours: usize,
    multiplier: i32,
    top: i32,
    table: *const u16,
) -> u64 {
    naked_asm!(
        "push {{r4-r11, lr}}",
        "ldr r10, [sp, #36]",
        "ldr r11, [sp, #40]",
        "add r2, r0, r2, lsl #4",
        "mov r8, #0",
        "mov r9, #0",
        "mov lr, #0x00010001",
        "2:",
        "ldm r0!, {{r4-r7}}",
        ".irp distance, r4, r5, r6, r7",
        "smmlsr \\distance, \\distance, r3, r10",
        "orr r9, r9, \\distance",
        "ubfx r12, \\distance, #0, #10",
        "usat \\distance, #5, \\distance, asr #10",
        "ldrh r12, [r11, r12, lsl #1]",
        "lsr \\distance, r12, \\distance",
        ".endr",
        "pkhbt r4, r4, r5, lsl #16",
        "pkhbt r5, r6, r7, lsl #16",
        "uhadd16 r4, r4, lr",
        "uhadd16 r5, r5, lr",
        "smlad r8, r4, lr, r8",
        "smlad r8, r5, lr, r8",
        "strd r4, r5, [r1], #8",
        "cmp r0, r2",
        "bne 2b",
        "mov r0, r8",
        "mov r1, r9",
        "pop {{r4-r11, pc}}",
    )
}

/// `sum[c] += (sum_j weights[j] values[j][c]) / 2^shift` for 8 columns of zipped pairs, `stride` bytes apart.
#[unsafe(naked)]
unsafe extern "C" fn weighted_sum_8(
    weights: *const i16,
    values: *const i16,
    stride: usize,
    sum: *mut i32,
    pairs: usize,
    shift: u32,
) {
    naked_asm!(
        "push {{r3-r11, lr}}",
        "ldr r12, [sp, #40]",
        "add r5, r0, r12, lsl #2",
        "push {{r5}}",
        "rsb r12, r12, #0",
        "and r12, r12, #3",
        "mov r6, #56",
        "mul r12, r12, r6",
        "adr.w r6, 2f",
        "add r12, r12, r6",
        "add r12, r12, #1",
        // Half of the last place that is kept.
        "ldr r6, [sp, #48]",
        "sub r6, r6, #1",
        "mov r4, #1",
        "lsl r4, r4, r6",
        ".irp sum, r5, r6, r7, r8, r9, r10, r11",
        "mov \\sum, r4",
        ".endr",
        "bx r12",
        ".p2align 2",
        "2:",
        ".rept 4",
        "ldr r3, [r0], #4",
        "ldrd r12, lr, [r1]",
        "smlad r4, r12, r3, r4",
        "smlad r5, lr, r3, r5",
        "ldrd r12, lr, [r1, #8]",
        "smlad r6, r12, r3, r6",
        "smlad r7, lr, r3, r7",
        "ldrd r12, lr, [r1, #16]",
        "smlad r8, r12, r3, r8",
        "smlad r9, lr, r3, r9",
        "ldrd r12, lr, [r1, #24]",
        "smlad r10, r12, r3, r10",
        "smlad r11, lr, r3, r11",
        "add.w r1, r1, r2",
        ".endr",
        "ldr r3, [sp]",
        "cmp r0, r3",
        "bne 2b",
        "ldr r0, [sp, #4]",
        "ldr r1, [sp, #48]",
        "ldm r0, {{r2, r3, r12, lr}}",
        "asr r4, r4, r1",
        "asr r5, r5, r1",
        "asr r6, r6, r1",
        "asr r7, r7, r1",
        "add r2, r2, r4",
        "add r3, r3, r5",
        "add r12, r12, r6",
        "add lr, lr, r7",
        "stm r0!, {{r2, r3, r12, lr}}",
        "ldm r0, {{r2, r3, r12, lr}}",
        "asr r8, r8, r1",
        "asr r9, r9, r1",
        "asr r10, r10, r1",
        "asr r11, r11, r1",
        "add r2, r2, r8",
        "add r3, r3, r9",
        "add r12, r12, r10",
        "add lr, lr, r11",
        "stm r0, {{r2, r3, r12, lr}}",
        "add sp, sp, #4",
        "pop {{r3-r11, pc}}",
    )
}
