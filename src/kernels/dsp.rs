//! Arm cores with the DSP extension (Cortex-M4, M7, M33): two 16-bit products an instruction.
//!
//! Loops are entered at the place that leaves a whole number of rounds, so that their bodies can be unrolled without
//! a tail. Rows that do not lie at a word go the portable way.
#![allow(unsafe_code)] // Assembly, and slices handed to it as pointers.

use core::arch::naked_asm;

use super::{SCORE_SHIFT, portable, processor};
use crate::num::{LogScore, OCTAVE, Requant};

/// Columns of a query that [`dots_16`] keeps in registers.
const QUERY_COLUMNS: usize = 16;
/// Columns of the sums that [`weighted_sum_8`] keeps in registers.
const SUM_COLUMNS: usize = 8;

/// See [`portable::dots`].
pub fn dots(q: &[i16], keys: &[i16], out: &mut [i32]) {
    let width = q.len();
    let count = out.len().min(keys.len().checked_div(width).unwrap_or_default());
    if count < 2 || !width.is_multiple_of(8) || !at_word(q) || !at_word(keys) {
        return portable::dots(q, keys, out);
    }
    if width == QUERY_COLUMNS {
        // SAFETY: `q` has 16 columns, `keys` at least `count` rows of 16 and `out` `count` elements; `count` is not
        // zero and both rows lie at words.
        return unsafe { dots_16(q.as_ptr(), keys.as_ptr(), out.as_mut_ptr(), count) };
    }
    // An odd key is done in a pair with the one before it.
    for (first, pairs) in [(0, count / 2), (count - 2, count % 2)] {
        if let (Some(keys), Some(out), 1..) = (keys.get(first * width..), out.get_mut(first..), pairs) {
            // SAFETY: `keys` has `2 * pairs` rows of the length of `q` and `out` as many elements; neither is zero, the
            // length is a multiple of 8, and the rows lie at words.
            unsafe { dots_of_pairs(q.as_ptr(), keys.as_ptr(), out.as_mut_ptr(), pairs, width) };
        }
    }
}

/// See [`portable::softmax_weights`].
pub fn softmax_weights(dots: &[i32], scale: Requant, top: i32, weights: &mut [i16]) -> Option<u32> {
    let count = dots.len().min(weights.len());
    let fours = if at_word(weights) && scale.shift <= SCORE_SHIFT { count / 4 } else { 0 };
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
    let multiplier = i32::from(scale.multiplier) << (SCORE_SHIFT - scale.shift);
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
pub fn weighted_sum(weights: &[i16], values: &[i16], run: usize, shift: u32, sum: &mut [i32]) {
    let width = sum.len();
    let pairs = (weights.len() / 2).min(values.len().checked_div(2 * width).unwrap_or_default());
    // An unpaired last row belongs to the sum of its run: rare enough for the portable way.
    let whole = pairs > 0 && run > 1 && run.is_multiple_of(2) && values.len() == 2 * pairs * width;
    if !whole || !at_word(values) {
        return portable::weighted_sum(weights, values, run, shift, sum);
    }
    for (group, sum) in sum.chunks_mut(SUM_COLUMNS).enumerate() {
        let first = group * SUM_COLUMNS;
        if sum.len() < SUM_COLUMNS {
            portable::add_columns(weights, values, run, shift, width, first, sum);
            continue;
        }
        let values = values.as_ptr().wrapping_add(2 * first);
        // SAFETY: there are `pairs` pairs of weights and of zipped rows, each of which has 8 columns from `first` on
        // and lies at a word; `sum` has 8 elements, and neither `pairs` nor the pairs of a run are zero.
        unsafe {
            weighted_sum_8(weights.as_ptr(), values, 4 * width, sum.as_mut_ptr(), pairs, run / 2, shift);
        }
    }
}

fn at_word(row: &[i16]) -> bool {
    row.as_ptr().addr().is_multiple_of(4)
}

/// `out[j] = q . keys[j]` for rows of 16.
#[unsafe(naked)]
unsafe extern "C" fn dots_16(q: *const i16, keys: *const i16, out: *mut i32, count: usize) {
    naked_asm!(
        processor!(),
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

/// `out[j] = q . keys[j]` for `pairs` pairs of rows whose width is a multiple of 8. The query is read anew for each pair.
#[unsafe(naked)]
unsafe extern "C" fn dots_of_pairs(
    q: *const i16,
    keys: *const i16,
    out: *mut i32,
    pairs: usize,
    width: usize,
) {
    naked_asm!(
        processor!(),
        "push {{r4-r11, lr}}",
        "ldr r4, [sp, #36]",
        "lsl r4, r4, #1",
        "add r5, r0, r4",
        "add r6, r2, r3, lsl #3",
        "add r3, r1, r4",
        // Eights of the width that the first round leaves out.
        "lsr r7, r4, #4",
        "rsb r7, r7, #0",
        "and r7, r7, #3",
        "mov r8, #44",
        "mul r7, r7, r8",
        "adr.w r8, 2f",
        "add r7, r7, r8",
        "add r7, r7, #1",
        // sp: query, width in bytes, end of the query, end of the output, first round.
        "push {{r0, r4, r5, r6, r7}}",
        "3:",
        "ldr r8, [sp, #16]",
        "mov r12, #0",
        "mov lr, #0",
        "bx r8",
        ".p2align 2",
        "2:",
        ".rept 4",
        "ldm.w r0!, {{r4-r7}}",
        "ldm r1!, {{r8-r11}}",
        "smlad r12, r8, r4, r12",
        "smlad r12, r9, r5, r12",
        "smlad r12, r10, r6, r12",
        "smlad r12, r11, r7, r12",
        "ldm r3!, {{r8-r11}}",
        "smlad lr, r8, r4, lr",
        "smlad lr, r9, r5, lr",
        "smlad lr, r10, r6, lr",
        "smlad lr, r11, r7, lr",
        ".endr",
        "ldr r8, [sp, #8]",
        "cmp r0, r8",
        "bne 2b",
        "strd r12, lr, [r2], #8",
        "ldrd r0, r8, [sp]",
        "mov r1, r3",
        "add r3, r3, r8",
        "ldr r8, [sp, #12]",
        "cmp r2, r8",
        "bne 3b",
        "add sp, sp, #20",
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
        processor!(),
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

/// `sum[c] += (sum_j weights[j] values[j][c]) / 2^shift` for every `run` pairs, 8 columns of zipped pairs `stride` bytes
/// apart.
#[unsafe(naked)]
unsafe extern "C" fn weighted_sum_8(
    weights: *const i16,
    values: *const i16,
    stride: usize,
    sum: *mut i32,
    pairs: usize,
    run: usize,
    shift: u32,
) {
    naked_asm!(
        processor!(),
        "push {{r3-r11, lr}}",
        "ldr r4, [sp, #40]",
        "add r4, r0, r4, lsl #2",
        // sp: end of the run, end of the weights, sum; from 48 on the arguments.
        "push {{r3, r4}}",
        "3:",
        "ldr r3, [sp, #52]",
        "ldr r12, [sp, #4]",
        "add r3, r0, r3, lsl #2",
        "cmp r3, r12",
        "it hi",
        "movhi r3, r12",
        "str r3, [sp]",
        // Pairs that the first round leaves out.
        "sub r12, r0, r3",
        "and r12, r12, #12",
        "mov r3, #14",
        "mul r12, r12, r3",
        "adr.w r3, 2f",
        "add r12, r12, r3",
        "add r12, r12, #1",
        // Half of the last place that is kept.
        "ldr r3, [sp, #56]",
        "sub r3, r3, #1",
        "mov r4, #1",
        "lsl r4, r4, r3",
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
        "ldr r12, [sp, #8]",
        "ldr r3, [sp, #56]",
        ".irp sum, r4, r5, r6, r7, r8, r9, r10, r11",
        "asr \\sum, \\sum, r3",
        ".endr",
        "ldrd r3, lr, [r12]",
        "add r4, r4, r3",
        "add r5, r5, lr",
        "ldrd r3, lr, [r12, #8]",
        "add r6, r6, r3",
        "add r7, r7, lr",
        "ldrd r3, lr, [r12, #16]",
        "add r8, r8, r3",
        "add r9, r9, lr",
        "ldrd r3, lr, [r12, #24]",
        "add r10, r10, r3",
        "add r11, r11, lr",
        "stm r12, {{r4-r11}}",
        "ldr r3, [sp, #4]",
        "cmp r0, r3",
        "bne 3b",
        "add sp, sp, #8",
        "pop {{r3-r11, pc}}",
    )
}
