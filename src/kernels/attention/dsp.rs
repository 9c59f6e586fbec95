//! Arm cores with the DSP extension (Cortex-M4, M7, M33, M55): two 16-bit products an instruction.
//!
//! Loops are entered at the place that leaves a whole number of rounds, so that their bodies can be unrolled without
//! a tail. Rows that do not lie at a word go the portable way. `FIXFORMER_ASSEMBLER` tells the assembler of the processor
//! where the target alone does not (see `build.rs`).
#![allow(unsafe_code)] // Assembly, and slices handed to it as pointers.

use core::arch::naked_asm;

#[cfg(not(fixformer_mve))]
use crate::kernels::SCORE_SHIFT;
use crate::kernels::{at_word, domain, portable, processor};
#[cfg(not(fixformer_mve))]
use crate::num::{LogScore, OCTAVE, Requant};

/// Columns of a query that [`dots_16`] keeps in registers.
pub(in crate::kernels) const QUERY_COLUMNS: usize = 16;
/// Most columns that [`dots_of_pairs`] takes.
pub(in crate::kernels) const WIDEST: usize = 64;
/// Columns of the sums that [`weighted_sums`] keeps in registers.
#[cfg(not(fixformer_mve))]
pub(in crate::kernels) const SUM_COLUMNS: usize = 8;

/// See [`portable::dots`].
#[cfg_attr(fixformer_mve, expect(unreachable_pub, reason = "Helium has one before it"))]
pub fn dots(q: &[i16], keys: &[i16], out: &mut [i32]) {
    debug_assert!(domain::dots(q, keys));
    let width = q.len();
    let count = out.len().min(keys.len().checked_div(width).unwrap_or_default());
    if count < 2 || width > WIDEST || !width.is_multiple_of(8) || !at_word(q) || !at_word(keys) {
        return portable::dots(q, keys, out);
    }
    let mut pairs = |first: usize, pairs: usize| {
        let (q, keys, out) = (q.as_ptr(), keys.as_ptr().wrapping_add(first * width), out.as_mut_ptr());
        let out = out.wrapping_add(first);
        // SAFETY: from `first` on `keys` has `2 * pairs` rows of the length of `q` and `out` as many elements; neither is
        // zero, the length is 16 or a multiple of 8 up to 64, and the rows lie at words.
        unsafe {
            match width {
                QUERY_COLUMNS => dots_16(q, keys, out, pairs, width),
                _ => dots_of_pairs(q, keys, out, pairs, width),
            }
        }
    };
    pairs(0, count / 2);
    if count % 2 == 1 {
        // An odd key is done in a pair with the one before it.
        pairs(count - 2, 1);
    }
}

/// See [`portable::softmax_weights`].
#[cfg(not(fixformer_mve))]
pub fn softmax_weights(dots: &[i32], scale: Requant, top: i32, weights: &mut [i16]) -> Result<u32, i32> {
    debug_assert!(domain::softmax_weights(scale, top));
    let count = dots.len().min(weights.len());
    let fours = count / 4;
    if fours == 0 || scale.shift > SCORE_SHIFT || !at_word(weights) {
        return portable::softmax_weights(dots, scale, top, weights);
    }
    let multiplier = i32::from(scale.multiplier) << (SCORE_SHIFT - scale.shift);
    let from_top = top << LogScore::FRAC_NBITS;
    // SAFETY: both slices have `4 * fours` elements, not zero, and the weights lie at a word; the table has the 1,024
    // entries that ten bits can name.
    let found = unsafe {
        weights_of(dots.as_ptr(), weights.as_mut_ptr(), 4 * fours, multiplier, from_top, OCTAVE.as_ptr())
    };
    let mut sum = found as u32;
    // The upper word has the flag of saturation: some product lies above the top, or some far below it.
    let mut in_doubt = found >> 32 & SATURATED != 0;
    if !count.is_multiple_of(4)
        && let (Some(dots), Some(weights)) = (dots.get(4 * fours..count), weights.get_mut(4 * fours..))
    {
        match portable::softmax_weights(dots, scale, top, weights) {
            Ok(rest) => sum += rest,
            Err(_) => in_doubt = true,
        }
    }
    if in_doubt {
        let largest = portable::largest(dots);
        if from_top + scale.apply(-largest) < 0 {
            return Err(largest);
        }
    }
    Ok(sum)
}

/// The bit of saturation in the program status.
pub(in crate::kernels) const SATURATED: u64 = 1 << 27;

/// See [`portable::weighted_sum`].
#[cfg(not(fixformer_mve))]
pub fn weighted_sum(weights: &[i16], values: &[i16], run: usize, shift: u32, sum: &mut [i32]) {
    let width = sum.len();
    debug_assert!(domain::weighted_sum(weights, values, run, shift, width));
    let pairs = (weights.len() / 2).min(values.len().checked_div(2 * width).unwrap_or_default());
    // An unpaired last row belongs to the sum of its run: rare enough for the portable way.
    let whole = pairs > 0 && run > 1 && run.is_multiple_of(2) && values.len() == 2 * pairs * width;
    if !whole || !at_word(values) {
        return portable::weighted_sum(weights, values, run, shift, sum);
    }
    let groups = width / SUM_COLUMNS;
    if let Some(rest @ [_, ..]) = sum.get_mut(groups * SUM_COLUMNS..) {
        portable::add_columns(weights, values, run, shift, width, groups * SUM_COLUMNS, rest);
    }
    if groups > 0 {
        let (weights, values, sum) = (weights.as_ptr(), values.as_ptr(), sum.as_mut_ptr());
        // SAFETY: there are `pairs` pairs of weights and of zipped rows, which lie at words and have `groups` times 8
        // columns of `width`, as many as `sum`; neither `groups` nor `pairs` nor the pairs of a run are zero.
        unsafe { weighted_sums(weights, values, sum, pairs, run / 2, shift, groups, to_next_pair(width)) };
    }
}

/// Bytes from the last two columns of a group in a pair of rows to its first columns in the next.
#[cfg(not(fixformer_mve))]
pub(in crate::kernels) const fn to_next_pair(width: usize) -> usize {
    (4 * width + 8).saturating_sub(4 * SUM_COLUMNS)
}

/// `out[j] = q . keys[j]` for `pairs` pairs of rows of 16.
#[unsafe(naked)]
pub(in crate::kernels) unsafe extern "C" fn dots_16(
    q: *const i16,
    keys: *const i16,
    out: *mut i32,
    pairs: usize,
    _: usize,
) {
    naked_asm!(
        processor!(),
        "push {{r4-r11, lr}}",
        "add r4, r2, r3, lsl #3",
        "push {{r4}}",
        "mov r12, r1",
        "mov lr, r2",
        "and r3, r3, #1",
        "mov r8, #92",
        "mul r3, r3, r8",
        "adr.w r8, 2f",
        "add r8, r8, r3",
        "add r8, r8, #1",
        "ldm r0, {{r0-r7}}",
        "bx r8",
        ".p2align 2",
        "2:",
        ".rept 2",
        "ldm r12!, {{r8-r11}}",
        "smuad r8, r8, r0",
        "smlad r8, r9, r1, r8",
        "smlad r8, r10, r2, r8",
        "smlad r8, r11, r3, r8",
        "ldm r12!, {{r9-r11}}",
        "smlad r8, r9, r4, r8",
        "smlad r8, r10, r5, r8",
        "smlad r8, r11, r6, r8",
        "ldm r12!, {{r9-r11}}",
        "smlad r8, r9, r7, r8",
        "smuad r10, r10, r0",
        "smlad r10, r11, r1, r10",
        "str r8, [lr], #4",
        "ldm r12!, {{r8, r9, r11}}",
        "smlad r10, r8, r2, r10",
        "smlad r10, r9, r3, r10",
        "smlad r10, r11, r4, r10",
        "ldm r12!, {{r8, r9, r11}}",
        "smlad r10, r8, r5, r10",
        "smlad r10, r9, r6, r10",
        "smlad r10, r11, r7, r10",
        "str r10, [lr], #4",
        ".endr",
        "ldr r8, [sp]",
        "cmp lr, r8",
        "bne 2b",
        "add sp, sp, #4",
        "pop {{r4-r11, pc}}",
    )
}

/// `out[j] = q . keys[j]` for `pairs` pairs of rows whose width is a multiple of 8 up to [`WIDEST`]. The query is read
/// anew for each pair.
#[unsafe(naked)]
pub(in crate::kernels) unsafe extern "C" fn dots_of_pairs(
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
        "add r5, r2, r3, lsl #3",
        "add r3, r1, r4",
        // Eights of the width are left out at the front.
        "lsr r6, r4, #4",
        "rsb r6, r6, #{eights}",
        "mov r8, #44",
        "mul r6, r6, r8",
        "adr.w r8, 2f",
        "add r6, r6, r8",
        "add r6, r6, #1",
        // sp: query, width in bytes, end of the output, where to begin.
        "push {{r0, r4, r5, r6}}",
        "3:",
        "ldr r8, [sp, #12]",
        "mov r12, #0",
        "mov lr, #0",
        "bx r8",
        ".p2align 2",
        "2:",
        ".rept {eights}",
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
        "strd r12, lr, [r2], #8",
        "ldrd r0, r8, [sp]",
        "mov r1, r3",
        "add r3, r3, r8",
        "ldr r8, [sp, #8]",
        "cmp r2, r8",
        "bne 3b",
        "add sp, sp, #16",
        "pop {{r4-r11, pc}}",
        eights = const WIDEST / 8,
    )
}

/// `count` weights, a multiple of four, a four a round: distance below the top, mantissa from the table, both halves of a word rounded together.
/// The lower word of the result is the sum, the upper one the program status: USAT sets its Q.
#[cfg(not(fixformer_mve))]
#[unsafe(naked)]
pub(in crate::kernels) unsafe extern "C" fn weights_of(
    dots: *const i32,
    weights: *mut i16,
    count: usize,
    multiplier: i32,
    top: i32,
    table: *const u16,
) -> u64 {
    naked_asm!(
        processor!(),
        "push {{r4-r11, lr}}",
        "ldrd r10, r11, [sp, #36]",
        "mov r8, #0",
        "msr apsr_nzcvq, r8",
        "mov lr, #0x00010001",
        // The first round leaves out what makes the number of fours even.
        "tst r2, #4",
        "add r2, r0, r2, lsl #2",
        "bne 3f",
        ".irp four, 2, 3",
        "\\four:",
        "ldm r0!, {{r4-r7}}",
        ".irp distance, r4, r5, r6, r7",
        "smmlsr \\distance, \\distance, r3, r10",
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
        ".endr",
        "cmp r0, r2",
        "bne 2b",
        "mov r0, r8",
        "mrs r1, apsr",
        "pop {{r4-r11, pc}}",
    )
}

/// `sum[c] += (sum_j weights[j] values[j][c]) / 2^shift` for every `run` pairs, 8 columns of zipped pairs at a time. Rows
/// of 16 and 32 have loops of their own: there `skip` is part of an instruction.
#[cfg(not(fixformer_mve))]
#[unsafe(naked)]
pub(in crate::kernels) unsafe extern "C" fn weighted_sums(
    weights: *const i16,
    values: *const i16,
    sum: *mut i32,
    pairs: usize,
    run: usize,
    shift: u32,
    groups: usize,
    skip: usize,
) {
    naked_asm!(
        processor!(),
        "push {{r4-r11, lr}}",
        "add r3, r0, r3, lsl #2",
        "push {{r0-r3}}",
        "ldr r4, [sp, #64]",
        "adr.w r5, 6f",
        "mov r6, #12",
        "cmp r4, #{skip_16}",
        "beq 9f",
        "adr.w r5, 7f",
        "cmp r4, #{skip_32}",
        "beq 9f",
        "adr.w r5, 8f",
        "mov r6, #14",
        "9:",
        "add r5, r5, #1",
        // sp: end of the run, loop, words of a round, weights, values, sum, end of the weights; from 64 on the arguments.
        "push {{r4-r6}}",
        "4:",
        "ldrd r0, r1, [sp, #12]",
        "3:",
        "ldr r3, [sp, #64]",
        "ldr r12, [sp, #24]",
        "add r3, r0, r3, lsl #2",
        "cmp r3, r12",
        "it hi",
        "movhi r3, r12",
        "str r3, [sp]",
        // Pairs that the first round leaves out.
        "sub r12, r0, r3",
        "and r12, r12, #12",
        "ldrd r3, lr, [sp, #4]",
        "mla r12, r12, lr, r3",
        ".irp sum, r4, r5, r6, r7, r8, r9, r10, r11",
        "mov \\sum, #0",
        ".endr",
        "bx r12",
        ".macro eight_columns skip",
        ".rept 4",
        "ldr r3, [r0], #4",
        "ldm r1!, {{r2, r12, lr}}",
        "smlad r4, r2, r3, r4",
        "smlad r5, r12, r3, r5",
        "smlad r6, lr, r3, r6",
        "ldm r1!, {{r2, r12, lr}}",
        "smlad r7, r2, r3, r7",
        "smlad r8, r12, r3, r8",
        "smlad r9, lr, r3, r9",
        ".if \\skip",
        "ldrd r12, lr, [r1], #\\skip",
        ".else",
        "ldrd r12, lr, [r1]",
        "ldr.w r2, [sp, #76]",
        "add.w r1, r1, r2",
        ".endif",
        "smlad r10, r12, r3, r10",
        "smlad r11, lr, r3, r11",
        ".endr",
        "ldr r3, [sp]",
        "cmp r0, r3",
        ".endm",
        ".p2align 2",
        "6:",
        "eight_columns {skip_16}",
        "bne 6b",
        "b 5f",
        ".p2align 2",
        "7:",
        "eight_columns {skip_32}",
        "bne 7b",
        "b 5f",
        ".p2align 2",
        "8:",
        "eight_columns 0",
        "bne 8b",
        ".purgem eight_columns",
        "5:",
        "ldr r12, [sp, #20]",
        "ldr r2, [sp, #68]",
        // The last bit that is dropped, which is the carry, rounds: half of a place in the sums would need room there.
        "ldrd r3, lr, [r12]",
        "asrs r4, r4, r2",
        "adc r4, r4, r3",
        "asrs r5, r5, r2",
        "adc r5, r5, lr",
        "ldrd r3, lr, [r12, #8]",
        "asrs r6, r6, r2",
        "adc r6, r6, r3",
        "asrs r7, r7, r2",
        "adc r7, r7, lr",
        "ldrd r3, lr, [r12, #16]",
        "asrs r8, r8, r2",
        "adc r8, r8, r3",
        "asrs r9, r9, r2",
        "adc r9, r9, lr",
        "ldrd r3, lr, [r12, #24]",
        "asrs r10, r10, r2",
        "adc r10, r10, r3",
        "asrs r11, r11, r2",
        "adc r11, r11, lr",
        "stm r12!, {{r4-r11}}",
        "ldr r3, [sp, #24]",
        "cmp r0, r3",
        "bne 3b",
        "ldr r1, [sp, #16]",
        "add r1, r1, #32",
        "strd r1, r12, [sp, #16]",
        "ldr r3, [sp, #72]",
        "subs r3, r3, #1",
        "str r3, [sp, #72]",
        "bne 4b",
        "add sp, sp, #28",
        "pop {{r4-r11, pc}}",
        skip_16 = const to_next_pair(16),
        skip_32 = const to_next_pair(32),
    )
}
