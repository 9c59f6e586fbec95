//! Cortex-M3: a product is one instruction, and so is the load of a half-word, which need not lie at a word.
//!
//! Loops are entered at the place that leaves a whole number of rounds, so that their bodies can be unrolled without
//! a tail.
#![allow(unsafe_code)] // Assembly, and slices handed to it as pointers.

use core::arch::naked_asm;

use crate::kernels::{SCORE_SHIFT, domain, portable, processor};
use crate::num::{LogScore, OCTAVE, Requant};

/// Keys that share the columns of a query, at least.
const KEYS: usize = 4;
/// Columns of a query whose keys [`dots_16`] finds with an offset.
const QUERY_COLUMNS: usize = 16;
/// Columns of the sums that [`weighted_sums`] keeps in registers.
const SUM_COLUMNS: usize = 8;

/// See [`portable::dots`].
pub fn dots(q: &[i16], keys: &[i16], out: &mut [i32]) {
    debug_assert!(domain::dots(q, keys));
    let width = q.len();
    let count = out.len().min(keys.len().checked_div(width).unwrap_or_default());
    if count < KEYS {
        return portable::dots(q, keys, out);
    }
    // Of 16 columns, keys are done in eights as far as they go.
    let eights = if width == QUERY_COLUMNS { count / 8 } else { 0 };
    let fours = (count - 8 * eights) / KEYS;
    let from = |first: usize| keys.as_ptr().wrapping_add(first * width);
    let mut to = |first: usize| out.as_mut_ptr().wrapping_add(first);
    if eights > 0 {
        // SAFETY: `q` has 16 columns, `keys` has `8 * eights` rows of 16, not zero, and `out` as many elements.
        unsafe { dots_16(q.as_ptr(), from(0), to(0), eights) };
    }
    // The keys that are left are done in a four with those before them.
    for (first, fours) in [(8 * eights, fours), (count - KEYS, usize::from(!count.is_multiple_of(KEYS)))] {
        if fours > 0 {
            // SAFETY: from `first` on `keys` has `4 * fours` rows of the length of `q`, not zero, and `out` as many elements.
            unsafe { dots_of_fours(q.as_ptr(), from(first), to(first), fours, width) };
        }
    }
}

/// See [`portable::softmax_weights`].
pub fn softmax_weights(dots: &[i32], scale: Requant, top: i32, weights: &mut [i16]) -> Result<u32, i32> {
    debug_assert!(domain::softmax_weights(scale, top));
    let count = dots.len().min(weights.len());
    if count == 0 || scale.shift > SCORE_SHIFT {
        return portable::softmax_weights(dots, scale, top, weights);
    }
    let multiplier = i32::from(scale.multiplier) << (SCORE_SHIFT - scale.shift);
    let from_top = top << LogScore::FRAC_NBITS;
    let (from, to) = (dots.as_ptr(), weights.as_mut_ptr());
    // SAFETY: both slices have `count` elements, not zero; the table has the 1,024 entries that ten bits can name.
    let found = unsafe { weights_of(from, to, count, -multiplier, from_top, OCTAVE.as_ptr()) };
    if found >> 63 == 0 { Ok(found as u32) } else { Err(portable::largest(dots)) }
}

/// See [`portable::weighted_sum`].
pub fn weighted_sum(weights: &[i16], values: &[i16], run: usize, shift: u32, sum: &mut [i32]) {
    let width = sum.len();
    debug_assert!(domain::weighted_sum(weights, values, run, shift, width));
    let pairs = (weights.len() / 2).min(values.len().checked_div(2 * width).unwrap_or_default());
    // An unpaired last row belongs to the sum of its run: rare enough for the portable way.
    if !(pairs > 0 && run > 1 && run.is_multiple_of(2) && values.len() == 2 * pairs * width) {
        return portable::weighted_sum(weights, values, run, shift, sum);
    }
    let groups = width / SUM_COLUMNS;
    if let Some(rest @ [_, ..]) = sum.get_mut(groups * SUM_COLUMNS..) {
        portable::add_columns(weights, values, run, shift, width, groups * SUM_COLUMNS, rest);
    }
    if groups > 0 {
        let (weights, values, sum) = (weights.as_ptr(), values.as_ptr(), sum.as_mut_ptr());
        // SAFETY: there are `pairs` pairs of weights and of zipped rows, which have `groups` times 8 columns of `width`, as
        // many as `sum`; neither `groups` nor `pairs` nor the pairs of a run are zero.
        unsafe { weighted_sums(weights, values, sum, pairs, (run / 2).min(pairs), shift, groups, 4 * width) };
    }
}

/// See [`portable::offset_exponents`].
pub fn offset_exponents(products: &mut [i32], scale: Requant, offsets: &[i32], base: i32) -> i32 {
    let count = products.len().min(offsets.len());
    if count == 0 || scale.shift > SCORE_SHIFT {
        return portable::offset_exponents(products, scale, offsets, base);
    }
    let multiplier = i32::from(scale.multiplier) << (SCORE_SHIFT - scale.shift);
    // SAFETY: both slices have `count` elements, not zero.
    unsafe { exponents_of(products.as_mut_ptr(), offsets.as_ptr(), count, multiplier, base) };
    portable::largest(products)
}

/// `out[j] = q . keys[j]` for `eights` times eight rows of 16.
#[unsafe(naked)]
unsafe extern "C" fn dots_16(q: *const i16, keys: *const i16, out: *mut i32, eights: usize) {
    naked_asm!(
        processor!(),
        "push {{r4-r11, lr}}",
        "add r3, r2, r3, lsl #5",
        "push {{r3}}",
        "add r0, r0, #32",
        ".macro column operation",
        "ldrsh r12, [r3], #2",
        ".irp key, 5, 6, 7, 8, 9, 10, 11",
        "ldrsh lr, [r1, #32 * (\\key - 4)]",
        "\\operation r\\key",
        ".endr",
        "ldrsh lr, [r1], #2",
        "\\operation r4",
        ".endm",
        ".macro begin sum",
        "mul \\sum, lr, r12",
        ".endm",
        ".macro go_on sum",
        "mla \\sum, lr, r12, \\sum",
        ".endm",
        "3:",
        "sub r3, r0, #32",
        "column begin",
        "2:",
        ".rept 3",
        "column go_on",
        ".endr",
        ".purgem column",
        ".purgem begin",
        ".purgem go_on",
        "cmp r3, r0",
        "bne 2b",
        "add r1, r1, #7 * 32",
        "stm r2!, {{r4-r11}}",
        "ldr r3, [sp]",
        "cmp r2, r3",
        "bne.w 3b",
        "add sp, sp, #4",
        "pop {{r4-r11, pc}}",
    )
}

/// `out[j] = q . keys[j]` for `fours` times four rows.
#[unsafe(naked)]
unsafe extern "C" fn dots_of_fours(
    q: *const i16,
    keys: *const i16,
    out: *mut i32,
    fours: usize,
    width: usize,
) {
    naked_asm!(
        processor!(),
        "push {{r4-r11, lr}}",
        "ldr r4, [sp, #36]",
        "add r3, r2, r3, lsl #4",
        "push {{r3}}",
        // A row, three rows, the end of the query, and where to begin.
        "lsl r8, r4, #1",
        "add r9, r8, r4, lsl #2",
        "add lr, r0, r8",
        "rsb r4, r4, #0",
        "and r4, r4, #7",
        "mov r5, #36",
        "mul r4, r4, r5",
        "adr.w r12, 2f",
        "add r12, r12, r4",
        "add r12, r12, #1",
        "3:",
        "mov r3, r0",
        "mov r4, #0",
        "mov r5, #0",
        "mov r6, #0",
        "mov r7, #0",
        "bx r12",
        ".p2align 2",
        "2:",
        ".rept 8",
        "ldrsh r10, [r3], #2",
        "ldrsh r11, [r1, r8]",
        "mla r5, r11, r10, r5",
        "ldrsh r11, [r1, r8, lsl #1]",
        "mla r6, r11, r10, r6",
        "ldrsh r11, [r1, r9]",
        "mla r7, r11, r10, r7",
        "ldrsh r11, [r1], #2",
        "mla r4, r11, r10, r4",
        ".endr",
        "cmp r3, lr",
        "bne 2b",
        "add r1, r1, r9",
        "stm r2!, {{r4-r7}}",
        "ldr r11, [sp]",
        "cmp r2, r11",
        "bne 3b",
        "add sp, sp, #4",
        "pop {{r4-r11, pc}}",
    )
}

/// A weight a round: distance below the top, mantissa from the table, and `v - v / 2`, which is half of it rounded up.
/// The lower word of the result is the sum, the upper one is below zero if some distance is.
#[unsafe(naked)]
unsafe extern "C" fn weights_of(
    dots: *const i32,
    weights: *mut i16,
    count: usize,
    minus_multiplier: i32,
    top: i32,
    table: *const u16,
) -> u64 {
    naked_asm!(
        processor!(),
        "push {{r4-r11, lr}}",
        "ldrd r10, r11, [sp, #36]",
        "mov r8, #0",
        "mov r9, #0",
        "rsb r4, r2, #0",
        "and r4, r4, #3",
        "add r2, r0, r2, lsl #2",
        "mov r5, #44",
        "mul r4, r4, r5",
        "adr.w r5, 2f",
        "add r4, r4, r5",
        "add r4, r4, #1",
        "bx r4",
        ".p2align 2",
        "2:",
        ".rept 4",
        "ldr r4, [r0], #4",
        "smull r5, r6, r4, r3",
        // The half that rounds is the carry.
        "lsls r5, r5, #1",
        "adc r6, r6, r10",
        "orr r9, r9, r6",
        "ubfx r7, r6, #0, #10",
        "usat r6, #5, r6, asr #10",
        "ldrh r7, [r11, r7, lsl #1]",
        "lsrs r7, r7, r6",
        "sub r7, r7, r7, lsr #1",
        "add.w r8, r8, r7",
        "strh r7, [r1], #2",
        ".endr",
        "cmp r0, r2",
        "bne 2b",
        "mov r0, r8",
        "mov r1, r9",
        "pop {{r4-r11, pc}}",
    )
}

/// An exponent a round.
#[unsafe(naked)]
unsafe extern "C" fn exponents_of(
    products: *mut i32,
    offsets: *const i32,
    count: usize,
    multiplier: i32,
    base: i32,
) {
    naked_asm!(
        processor!(),
        "push {{r4-r8, lr}}",
        "ldr r8, [sp, #24]",
        "rsb r4, r2, #0",
        "and r4, r4, #3",
        "add r2, r0, r2, lsl #2",
        "mov r5, #24",
        "mul r4, r4, r5",
        "adr.w r5, 2f",
        "add r4, r4, r5",
        "add r4, r4, #1",
        "bx r4",
        ".p2align 2",
        "2:",
        ".rept 4",
        "ldr.w r4, [r0]",
        "smull r5, r6, r4, r3",
        "ldr r4, [r1], #4",
        "sub r6, r6, r8",
        // The half that rounds is the carry.
        "lsls r5, r5, #1",
        "adcs r6, r4",
        "str r6, [r0], #4",
        ".endr",
        "cmp r0, r2",
        "bne 2b",
        "pop {{r4-r8, pc}}",
    )
}

/// `sum[c] += (sum_j weights[j] values[j][c]) / 2^shift` for every `run` pairs, 8 columns of zipped pairs at a time, which
/// are `stride` bytes apart.
#[unsafe(naked)]
unsafe extern "C" fn weighted_sums(
    weights: *const i16,
    values: *const i16,
    sum: *mut i32,
    pairs: usize,
    run: usize,
    shift: u32,
    groups: usize,
    stride: usize,
) {
    naked_asm!(
        processor!(),
        "push {{r4-r11, lr}}",
        "add r3, r0, r3, lsl #2",
        // sp: end of the run, weights, values, sum, end of the weights; from 56 on the arguments.
        "push {{r0-r3}}",
        "sub sp, sp, #4",
        "4:",
        "ldrd r0, r1, [sp, #4]",
        "3:",
        "ldr r3, [sp, #56]",
        "ldr r12, [sp, #16]",
        "ldr.w lr, [sp, #68]",
        "add r3, r0, r3, lsl #2",
        "cmp r3, r12",
        "it hi",
        "movhi r3, r12",
        "str r3, [sp]",
        ".irp sum, r4, r5, r6, r7, r8, r9, r10, r11",
        "mov \\sum, #0",
        ".endr",
        // An odd number of pairs leaves out the first of a round.
        "sub r3, r3, r0",
        "lsls r3, r3, #29",
        "bmi 5f",
        ".macro pair_of_rows",
        "ldrsh r2, [r0], #2",
        "ldrsh r3, [r0], #2",
        "column_of_pair r4, 0",
        "column_of_pair r5, 4",
        "column_of_pair r6, 8",
        "column_of_pair r7, 12",
        "column_of_pair r8, 16",
        "column_of_pair r9, 20",
        "column_of_pair r10, 24",
        "column_of_pair r11, 28",
        "add r1, r1, lr",
        ".endm",
        ".macro column_of_pair sum, at",
        "ldrsh r12, [r1, #\\at]",
        "mla \\sum, r12, r2, \\sum",
        "ldrsh r12, [r1, #\\at + 2]",
        "mla \\sum, r12, r3, \\sum",
        ".endm",
        "2:",
        "pair_of_rows",
        "5:",
        "pair_of_rows",
        ".purgem pair_of_rows",
        ".purgem column_of_pair",
        "ldr r12, [sp]",
        "cmp r0, r12",
        "bne.w 2b",
        "ldr r12, [sp, #12]",
        "ldr r2, [sp, #60]",
        // The last bit that is dropped, which is the carry, rounds: half of a place in the sums would need room there.
        ".macro add_two first, second, at",
        "ldrd r3, lr, [r12, #\\at]",
        "asrs \\first, \\first, r2",
        "adc \\first, \\first, r3",
        "asrs \\second, \\second, r2",
        "adc \\second, \\second, lr",
        ".endm",
        "add_two r4, r5, 0",
        "add_two r6, r7, 8",
        "add_two r8, r9, 16",
        "add_two r10, r11, 24",
        ".purgem add_two",
        "stm r12!, {{r4-r11}}",
        "ldr r3, [sp, #16]",
        "cmp r0, r3",
        "bne.w 3b",
        "ldr r1, [sp, #8]",
        "add r1, r1, #32",
        "strd r1, r12, [sp, #8]",
        "ldr r3, [sp, #64]",
        "subs r3, r3, #1",
        "str r3, [sp, #64]",
        "bne.w 4b",
        "add sp, sp, #20",
        "pop {{r4-r11, pc}}",
    )
}
