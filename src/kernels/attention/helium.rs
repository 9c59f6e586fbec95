//! Helium (Cortex-M55): eight 16-bit products an instruction, four weights at a time. What it does not take, the loops for
//! cores with DSP do.
//!
//! Sums of products take even registers.
#![allow(unsafe_code)] // Assembly, and slices handed to it as pointers.

use core::arch::naked_asm;

use super::dsp;
use crate::kernels::{SCORE_SHIFT, at_word, domain, portable, processor};
use crate::num::{LogScore, OCTAVE, Requant};

/// 16-bit columns of a vector register.
pub(in crate::kernels) const COLUMNS: usize = 8;
/// Columns of the sums that [`weighted_sums`] keeps in registers.
pub(in crate::kernels) const SUM_COLUMNS: usize = 8;

/// See [`portable::dots`].
pub fn dots(q: &[i16], keys: &[i16], out: &mut [i32]) {
    debug_assert!(domain::dots(q, keys));
    let width = q.len();
    let kernel = match width / COLUMNS {
        1 => dots_8,
        2 => dots_16,
        3 => dots_24,
        4 => dots_32,
        _ => return dsp::dots(q, keys, out),
    };
    let fours = out.len().min(keys.len().checked_div(width).unwrap_or_default()) / 4;
    if !width.is_multiple_of(COLUMNS) || fours == 0 {
        return dsp::dots(q, keys, out);
    }
    // SAFETY: `keys` has `4 * fours` rows of the length of `q`, for which the kernel is, and `out` as many elements, not zero.
    unsafe { kernel(q.as_ptr(), keys.as_ptr(), out.as_mut_ptr(), fours) };
    if let (Some(keys @ [_, ..]), Some(out @ [_, ..])) =
        (keys.get(4 * fours * width..), out.get_mut(4 * fours..))
    {
        portable::dots(q, keys, out);
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
    let found = unsafe { weights_of(from, to, count, multiplier, from_top, OCTAVE.as_ptr()) };
    // The upper word has the farthest distance below the top; one above it is negative, and farther than any.
    if (found >> 32) as i32 >= 0 { Ok(found as u32) } else { Err(largest(dots)) }
}

/// See [`portable::largest`].
pub(crate) fn largest(dots: &[i32]) -> i32 {
    // SAFETY: the slice has so many elements.
    unsafe { largest_of(dots.as_ptr(), dots.len()) }
}

/// See [`portable::weighted_sum`].
pub fn weighted_sum(weights: &[i16], values: &[i16], run: usize, shift: u32, sum: &mut [i32]) {
    let width = sum.len();
    debug_assert!(domain::weighted_sum(weights, values, run, shift, width));
    let groups = width / SUM_COLUMNS;
    let pairs = (weights.len() / 2).min(values.len() / (2 * width).max(1));
    let whole = pairs > 0 && run > 1 && run.is_multiple_of(2) && values.len() == 2 * pairs * width;
    if !whole || groups == 0 || !at_word(values) {
        return portable::weighted_sum(weights, values, run, shift, sum);
    }
    let (of_weights, of_values, of_sum) = (weights.as_ptr(), values.as_ptr(), sum.as_mut_ptr());
    // SAFETY: there are `pairs` pairs of weights and of zipped rows, which lie at words and have `groups` times 8 columns of
    // `width`, as many as `sum`; neither `groups` nor `pairs` nor the pairs of a run are zero.
    unsafe { weighted_sums(of_weights, of_values, of_sum, pairs, run / 2, shift, groups, 4 * width) };
    if let Some(rest @ [_, ..]) = sum.get_mut(groups * SUM_COLUMNS..) {
        portable::add_columns(weights, values, run, shift, width, groups * SUM_COLUMNS, rest);
    }
}

/// A function for queries of one width, `out[j] = q . keys[j]` for fours of keys: the registers of the query after `q0`.
macro_rules! dots {
    ($name:ident, [$($others:literal),*]) => {
        #[unsafe(naked)]
        pub(in crate::kernels) unsafe extern "C" fn $name(q: *const i16, keys: *const i16, out: *mut i32, fours: usize) {
            naked_asm!(
                processor!(),
                "push {{r4-r10, lr}}",
                "vpush {{d8, d9}}",
                "vldrw.u32 q0, [r0], #16",
                $(concat!("vldrw.u32 ", $others, ", [r0], #16"),)*
                "dls lr, r3",
                "2:",
                ".irp sum, r4, r6, r8, r10",
                "vldrw.u32 q4, [r1], #16",
                "vmladav.s16 \\sum, q4, q0",
                $(
                    "vldrw.u32 q4, [r1], #16",
                    concat!("vmladava.s16 \\sum, q4, ", $others),
                )*
                ".endr",
                "stm r2!, {{r4, r6, r8, r10}}",
                "le lr, 2b",
                "vpop {{d8, d9}}",
                "pop {{r4-r10, pc}}",
            )
        }
    };
}

dots!(dots_8, []);
dots!(dots_16, ["q1"]);
dots!(dots_24, ["q1", "q2"]);
dots!(dots_32, ["q1", "q2", "q3"]);

/// Four weights a round: distance below the top, mantissa from the table, shifted and rounded. Returns the sum in the lower word,
/// the farthest distance in the upper one.
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
        "push {{r4-r9, lr}}",
        "ldrd r4, r5, [sp, #28]",
        "vpush {{d8-d11}}",
        "movw r6, #0xffff",
        "vdup.32 q5, r6",
        "rsb r3, r3, #0",
        "vdup.32 q2, r3",
        "movw r6, #{steps}",
        "vdup.32 q3, r6",
        "mov r8, #0",
        "mov r9, #0",
        "dlstp.32 lr, r2",
        "2:",
        "vldrw.u32 q0, [r0], #16",
        "vrmulh.s32 q0, q0, q2",
        "vadd.i32 q0, q0, r4",
        "vmaxv.u32 r9, q0",
        // Nothing is above the top, and beyond 16 octaves every weight is zero.
        "vmin.u32 q0, q0, q5",
        "vand q4, q0, q3",
        "vldrh.u32 q1, [r5, q4, uxtw #1]",
        // Inverted, the octaves are a shift to the right by one more, which rounds.
        "vshr.u32 q0, q0, #{frac}",
        "vmvn q0, q0",
        "vrshl.u32 q1, q1, q0",
        "vaddva.u32 r8, q1",
        "vstrh.32 q1, [r1], #8",
        "letp lr, 2b",
        "vpop {{d8-d11}}",
        "mov r0, r8",
        "mov r1, r9",
        "pop {{r4-r9, pc}}",
        frac = const LogScore::FRAC_NBITS,
        steps = const OCTAVE.len() - 1,
    )
}

/// The largest of some products.
#[unsafe(naked)]
pub(in crate::kernels) unsafe extern "C" fn largest_of(dots: *const i32, count: usize) -> i32 {
    naked_asm!(
        processor!(),
        "push {{r7, lr}}",
        "movw r2, #1",
        "movt r2, #0x8000",
        "wlstp.32 lr, r1, 3f",
        "2:",
        "vldrw.u32 q0, [r0], #16",
        "vmaxv.s32 r2, q0",
        "letp lr, 2b",
        "3:",
        "mov r0, r2",
        "pop {{r7, pc}}",
    )
}

/// `sum[c] += (sum_j weights[j] values[j][c]) / 2^shift` for every `run` pairs, 8 columns of four zipped pairs at a time, which lie
/// `row` bytes apart.
#[unsafe(naked)]
pub(in crate::kernels) unsafe extern "C" fn weighted_sums(
    weights: *const i16,
    values: *const i16,
    sum: *mut i32,
    pairs: usize,
    run: usize,
    shift: u32,
    groups: usize,
    row: usize,
) {
    naked_asm!(
        processor!(),
        "push {{r4-r11, lr}}",
        "ldrd r4, r5, [sp, #36]",
        "ldrd r6, r7, [sp, #44]",
        "rsb r11, r5, #0",
        "mov r9, r2",
        // Where the pairs of a four lie, and how far it is to the next four.
        "mov r8, #0",
        "vidup.u32 q3, r8, #1",
        "vmul.i32 q3, q3, r7",
        "lsl r5, r7, #2",
        // sp: eight sums; 32: weights, values, pairs, run, groups.
        "push {{r0, r1, r3, r4, r6}}",
        "sub sp, sp, #32",
        "4:",
        "ldr r1, [sp, #32]",
        "ldr r3, [sp, #36]",
        "ldr r7, [sp, #40]",
        "vadd.i32 q0, q3, r3",
        "3:",
        // Pairs of this run, and after it.
        "ldr r3, [sp, #44]",
        "cmp r3, r7",
        "it hi",
        "movhi r3, r7",
        "sub r7, r7, r3",
        ".irp sum, r0, r2, r4, r6, r8, r10, r12, lr",
        "mov \\sum, #0",
        ".endr",
        ".macro four_pairs",
        "vldrw.u32 q2, [q0]",
        "vmladava.s16 r0, q2, q1",
        "vldrw.u32 q2, [q0, #4]",
        "vmladava.s16 r2, q2, q1",
        "vldrw.u32 q2, [q0, #8]",
        "vmladava.s16 r4, q2, q1",
        "vldrw.u32 q2, [q0, #12]",
        "vmladava.s16 r6, q2, q1",
        "vldrw.u32 q2, [q0, #16]",
        "vmladava.s16 r8, q2, q1",
        "vldrw.u32 q2, [q0, #20]",
        "vmladava.s16 r10, q2, q1",
        "vldrw.u32 q2, [q0, #24]",
        "vmladava.s16 r12, q2, q1",
        "vldrw.u32 q2, [q0, #28]",
        "vmladava.s16 lr, q2, q1",
        ".endm",
        "subs r3, r3, #8",
        "blo 6f",
        "5:",
        ".rept 2",
        "vldrh.u16 q1, [r1], #16",
        "four_pairs",
        "vadd.i32 q0, q0, r5",
        ".endr",
        "subs r3, r3, #8",
        "bhs 5b",
        "6:",
        "adds r3, r3, #8",
        "beq 8f",
        "subs r3, r3, #4",
        "blo 7f",
        "vldrh.u16 q1, [r1], #16",
        "four_pairs",
        "vadd.i32 q0, q0, r5",
        "cmp r3, #0",
        "beq 8f",
        "b 9f",
        "7:",
        "adds r3, r3, #4",
        "9:",
        // Of the last pairs the weights of those that are not there are zero, and they lie where the last one does.
        "push {{r3, r5, r7}}",
        "lsl r7, r3, #1",
        "vctp.16 r7",
        "vpst",
        "vldrht.u16 q1, [r1]",
        "add r1, r1, r3, lsl #2",
        "lsr r5, r5, #2",
        "vmov r7, s0",
        "subs r3, r3, #1",
        "mla r7, r3, r5, r7",
        "vdup.32 q2, r7",
        "vmin.u32 q2, q0, q2",
        "add r7, r7, r5",
        "vmov q0, q2",
        "four_pairs",
        ".purgem four_pairs",
        "vadd.i32 q0, q3, r7",
        "pop {{r3, r5, r7}}",
        "8:",
        "stm sp, {{r0, r2, r4, r6, r8, r10, r12, lr}}",
        "vldrw.u32 q1, [sp]",
        "vldrw.u32 q2, [r9]",
        "vrshl.s32 q1, r11",
        "vadd.i32 q1, q1, q2",
        "vstrw.32 q1, [r9]",
        "vldrw.u32 q1, [sp, #16]",
        "vldrw.u32 q2, [r9, #16]",
        "vrshl.s32 q1, r11",
        "vadd.i32 q1, q1, q2",
        "vstrw.32 q1, [r9, #16]",
        "cmp r7, #0",
        "bne 3b",
        "adds r9, r9, #32",
        "ldr r3, [sp, #36]",
        "adds r3, r3, #32",
        "str r3, [sp, #36]",
        "ldr r3, [sp, #48]",
        "subs r3, r3, #1",
        "str r3, [sp, #48]",
        "bne 4b",
        "add sp, sp, #52",
        "pop {{r4-r11, pc}}",
    )
}
