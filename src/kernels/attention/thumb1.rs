//! Cortex-M0: a product costs its load, and as much again for what loops around it. Registers from `r8` on take sums.
//!
//! Loops are entered at the place that leaves a whole number of rounds, so that their bodies can be unrolled without
//! a tail.
#![allow(unsafe_code)] // Assembly, and slices handed to it as pointers.

mod sums;

use core::arch::naked_asm;

use crate::kernels::{at_word, domain, portable};
use crate::num::{LogScore, OCTAVE, Requant};
use sums::{SUM_COLUMNS, weighted_sums};

/// Keys that share the columns of a query.
const KEYS: usize = 4;
/// Most columns, and most rows, that are counted with a product in one word: a quotient takes as long as a key.
const MOST: usize = 1 << 12;

/// See [`portable::dots`].
pub fn dots(q: &[i16], keys: &[i16], out: &mut [i32]) {
    debug_assert!(domain::dots(q, keys));
    let (width, count) = (q.len(), out.len());
    let shaped = width > 0 && count >= KEYS && width.max(count) <= MOST && count * width <= keys.len();
    if !shaped {
        return portable::dots(q, keys, out);
    }
    let mut fours = |first: usize, fours: usize| {
        let (keys, out) = (keys.as_ptr().wrapping_add(first * width), out.as_mut_ptr().wrapping_add(first));
        // SAFETY: from `first` on `keys` has `4 * fours` rows of the length of `q` and `out` as many elements; neither is
        // zero.
        unsafe { dots_of_fours(q.as_ptr(), keys, out, fours, width) };
    };
    fours(0, count / KEYS);
    if !count.is_multiple_of(KEYS) {
        // The keys that are left are done in a four with those before them.
        fours(count - KEYS, 1);
    }
}

/// See [`portable::softmax_weights`].
pub fn softmax_weights(dots: &[i32], scale: Requant, top: i32, weights: &mut [i16]) -> Result<u32, i32> {
    debug_assert!(domain::softmax_weights(scale, top));
    let Requant { multiplier, shift } = scale;
    let count = dots.len().min(weights.len());
    let from_top = top << LogScore::FRAC_NBITS;
    // The top and the half that rounds are added before the shift, to products below `2^30`: they have as much room.
    if count == 0 || from_top.unsigned_abs() >= 1 << (30 - shift) {
        return portable::softmax_weights(dots, scale, top, weights);
    }
    let from_top = (from_top << shift) + (1 << (shift - 1));
    let (from, to, multiplier) = (dots.as_ptr(), weights.as_mut_ptr(), -i32::from(multiplier));
    // SAFETY: both slices have `count` elements, not zero; the table has the 1,024 entries that ten bits can name.
    let found = unsafe { weights_of(from, to, count, multiplier, shift, from_top, OCTAVE.as_ptr()) };
    if found >> 32 == 0 { Ok(found as u32) } else { Err(portable::largest(dots)) }
}

/// See [`portable::weighted_sum`].
pub fn weighted_sum(weights: &[i16], values: &[i16], run: usize, shift: u32, sum: &mut [i32]) {
    let width = sum.len();
    debug_assert!(domain::weighted_sum(weights, values, run, shift, width));
    let pairs = weights.len() / 2;
    // An unpaired last row belongs to the sum of its run: rare enough for the portable way.
    let whole = pairs > 0 && run > 1 && run.is_multiple_of(2);
    let shaped = width.max(pairs) <= MOST && values.len() == 2 * pairs * width;
    if !whole || !shaped || !at_word(weights) || !at_word(values) {
        return portable::weighted_sum(weights, values, run, shift, sum);
    }
    let groups = width / SUM_COLUMNS;
    if let Some(rest @ [_, ..]) = sum.get_mut(groups * SUM_COLUMNS..) {
        portable::add_columns(weights, values, run, shift, width, groups * SUM_COLUMNS, rest);
    }
    if groups > 0 {
        let (weights, values, sum) = (weights.as_ptr(), values.as_ptr(), sum.as_mut_ptr());
        let (run, skip) = ((run / 2).min(pairs), 4 * (width - SUM_COLUMNS));
        // SAFETY: there are `pairs` pairs of weights and of zipped rows, which lie at words and have `groups` times 4
        // columns of `width`, as many as `sum`; neither `groups` nor `pairs` nor the pairs of a run are zero.
        unsafe { weighted_sums(weights, values, sum, pairs, run, shift, groups, skip) };
    }
}

/// See [`portable::offset_exponents`].
pub fn offset_exponents(products: &mut [i32], scale: Requant, offsets: &[i32], base: i32) -> i32 {
    let Requant { multiplier, shift } = scale;
    let count = products.len().min(offsets.len());
    // As the top of weights: there is room before the shift.
    if count == 0 || base.unsigned_abs() >= 1 << (30 - shift) {
        return portable::offset_exponents(products, scale, offsets, base);
    }
    let below = (1 << (shift - 1)) - (base << shift);
    let (from, offsets) = (products.as_mut_ptr(), offsets.as_ptr());
    // SAFETY: both slices have `count` elements, not zero.
    unsafe { exponents_of(from, offsets, count, multiplier.into(), shift, below) };
    portable::largest(products)
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
        "push {{r4-r7, lr}}",
        "mov r4, r8",
        "mov r5, r9",
        "mov r6, r10",
        "mov r7, r11",
        "push {{r4-r7}}",
        "ldr r4, [sp, #36]",
        "lsls r3, r3, #4",
        "adds r3, r3, r2",
        // sp: output, its end, bytes of four rows.
        "lsls r5, r4, #3",
        "push {{r2, r3, r5}}",
        // Where to begin.
        "movs r6, #1",
        "subs r5, r6, r4",
        "movs r6, #7",
        "ands r5, r6",
        "movs r6, #28",
        "muls r5, r6, r5",
        "adr r6, 2f",
        "adds r5, r5, r6",
        "mov lr, r5",
        // Rows are named by their ends, so that the last column is the one at zero.
        "lsls r4, r4, #1",
        "rsbs r5, r4, #0",
        "mov r12, r5",
        "adds r5, r1, r4",
        "adds r6, r5, r4",
        "adds r7, r6, r4",
        "adds r1, r0, r4",
        "adds r4, r7, r4",
        "3:",
        "mov r0, r12",
        ".macro column operation",
        "ldrsh r2, [r1, r0]",
        "ldrsh r3, [r5, r0]",
        "muls r3, r2, r3",
        "\\operation r8, r3",
        "ldrsh r3, [r6, r0]",
        "muls r3, r2, r3",
        "\\operation r9, r3",
        "ldrsh r3, [r7, r0]",
        "muls r3, r2, r3",
        "\\operation r10, r3",
        "ldrsh r3, [r4, r0]",
        "muls r3, r2, r3",
        "\\operation r11, r3",
        "adds r0, r0, #2",
        ".endm",
        // The first column begins the sums.
        "column mov",
        "beq 5f",
        "mov pc, lr",
        ".p2align 2",
        "2:",
        ".rept 8",
        "column add",
        ".endr",
        ".purgem column",
        "bne 2b",
        "5:",
        "ldr r0, [sp]",
        "mov r2, r8",
        "mov r3, r9",
        "stm r0!, {{r2, r3}}",
        "mov r2, r10",
        "mov r3, r11",
        "stm r0!, {{r2, r3}}",
        "str r0, [sp]",
        "ldr r2, [sp, #8]",
        "adds r5, r5, r2",
        "adds r6, r6, r2",
        "adds r7, r7, r2",
        "adds r4, r4, r2",
        "ldr r2, [sp, #4]",
        "cmp r0, r2",
        "beq 4f",
        "b 3b",
        "4:",
        "add sp, sp, #12",
        "pop {{r4-r7}}",
        "mov r8, r4",
        "mov r9, r5",
        "mov r10, r6",
        "mov r11, r7",
        "pop {{r4-r7, pc}}",
    )
}

/// A weight a round: distance below the top, mantissa from the table. `top` has `shift` bits more than distances, and half of
/// a place. The lower word of the result is the sum, the upper one is not zero if some product lies above the top.
#[unsafe(naked)]
unsafe extern "C" fn weights_of(
    dots: *const i32,
    weights: *mut i16,
    count: usize,
    minus_multiplier: i32,
    shift: u32,
    top: i32,
    table: *const u16,
) -> u64 {
    naked_asm!(
        "push {{r4-r7, lr}}",
        "mov r4, r8",
        "mov r5, r9",
        "mov r6, r10",
        "push {{r4-r6}}",
        "ldr r5, [sp, #32]",
        "ldr r6, [sp, #36]",
        "mov r8, r6",
        "ldr r6, [sp, #40]",
        "movs r7, #0",
        "mov r9, r7",
        "mov r4, r3",
        "lsls r7, r2, #2",
        "adds r7, r7, r0",
        "mov r10, r7",
        // What the first round leaves out, it leaves out of the weights too.
        "rsbs r2, r2, #0",
        "movs r7, #3",
        "ands r2, r7",
        "subs r1, r1, r2",
        "subs r1, r1, r2",
        "movs r7, #40",
        "muls r2, r7, r2",
        "adr r7, 2f",
        "adds r7, r7, r2",
        "mov pc, r7",
        ".p2align 2",
        "2:",
        ".macro weight_of far, near, at",
        "ldm r0!, {{r2}}",
        "asrs r3, r2, #16",
        "uxth r2, r2",
        "muls r3, r4, r3",
        "muls r2, r4, r2",
        "asrs r2, r2, #16",
        "adds r2, r2, r3",
        "add r2, r2, r8",
        "asrs r2, r2, r5",
        "asrs r3, r2, #10",
        "cmp r3, #15",
        "bhi \\far\\()f",
        "lsls r2, r2, #22",
        "lsrs r2, r2, #21",
        "ldrh r2, [r6, r2]",
        "lsrs r2, r2, r3",
        "adds r2, r2, #1",
        "lsrs r2, r2, #1",
        "\\near:",
        "strh r2, [r1, #\\at]",
        "add r9, r9, r2",
        ".endm",
        "weight_of 21, 31, 0",
        "weight_of 22, 32, 2",
        "weight_of 23, 33, 4",
        "weight_of 24, 34, 6",
        ".purgem weight_of",
        "adds r1, r1, #8",
        "cmp r0, r10",
        "bne 2b",
        "mov r0, r9",
        "movs r1, #0",
        "3:",
        "pop {{r4-r6}}",
        "mov r8, r4",
        "mov r9, r5",
        "mov r10, r6",
        "pop {{r4-r7, pc}}",
        // 16 octaves below the top nothing is left; above it is whatever seems further than that.
        ".irp which, 1, 2, 3, 4",
        "2\\which:",
        "movs r2, #0",
        "cmp r3, #0",
        "bge 3\\which\\()b",
        "b 4f",
        ".endr",
        "4:",
        "movs r1, #1",
        "b 3b",
    )
}

/// An exponent a round. `below` is half of a place less the base, with `shift` bits more than exponents.
#[unsafe(naked)]
unsafe extern "C" fn exponents_of(
    products: *mut i32,
    offsets: *const i32,
    count: usize,
    multiplier: i32,
    shift: u32,
    below: i32,
) {
    naked_asm!(
        "push {{r4-r7, lr}}",
        "ldr r5, [sp, #20]",
        "ldr r6, [sp, #24]",
        "lsls r4, r2, #2",
        "adds r4, r4, r0",
        "mov r12, r4",
        "rsbs r2, r2, #0",
        "movs r4, #3",
        "ands r2, r4",
        "movs r4, #24",
        "muls r2, r4, r2",
        "adr r4, 2f",
        "adds r4, r4, r2",
        "mov pc, r4",
        ".p2align 2",
        "2:",
        ".rept 4",
        "ldr r2, [r0]",
        "asrs r4, r2, #16",
        "uxth r2, r2",
        "muls r4, r3, r4",
        "muls r2, r3, r2",
        "asrs r2, r2, #16",
        "adds r2, r2, r4",
        "adds r2, r2, r6",
        "asrs r2, r2, r5",
        "ldm r1!, {{r4}}",
        "adds r2, r2, r4",
        "stm r0!, {{r2}}",
        ".endr",
        "cmp r0, r12",
        "bne 2b",
        "pop {{r4-r7, pc}}",
    )
}
