//! The loops of cores with the DSP extension: two 16-bit products an instruction for the sums, then for each column one
//! product for the mean, one for the deviation, one for the gain and one for the last shift.
#![allow(unsafe_code)] // Assembly.

use core::arch::naked_asm;

use crate::kernels::portable::Centred;
use crate::kernels::processor;

/// Rows have a multiple of as many columns.
pub(super) const COLUMNS: usize = 4;
/// Bytes at a multiple of which 16-bit rows begin.
pub(super) const ALIGNMENT: usize = 4;
/// The least last shift: it is a product with a power of two below 2^31.
pub(super) const LEAST_SHIFT: u32 = 2;

/// Whether a width times its power of two is one that [`columns`] takes: half a word. Columns that hardly differ have
/// more.
pub(super) const fn takes(width: i32) -> bool {
    width <= i16::MAX as i32
}

/// Returns the sum of the squares; the sum of the row goes to `sum`.
#[unsafe(naked)]
pub(super) unsafe extern "C" fn sums(x: *const i16, width: usize, sum: *mut i32) -> u64 {
    naked_asm!(
        processor!(),
        "push {{r4-r6, lr}}",
        "add r1, r0, r1, lsl #1",
        "movs r3, #0",
        "movs r4, #0",
        "movs r5, #0",
        "mov r12, #0x00010001",
        "2:",
        "ldrd r6, lr, [r0], #8",
        "smlald r4, r5, r6, r6",
        "smlad r3, r6, r12, r3",
        "smlald r4, r5, lr, lr",
        "smlad r3, lr, r12, r3",
        "cmp r0, r1",
        "bne 2b",
        "str r3, [r2]",
        "mov r0, r4",
        "mov r1, r5",
        "pop {{r4-r6, pc}}",
    )
}

/// [`Centred::normalise`], two columns a round.
#[unsafe(naked)]
pub(super) unsafe extern "C" fn columns(
    x: *const i16,
    gain: *const i16,
    bias: *const i32,
    out: *mut i16,
    width: usize,
    row: *const Centred,
    shift: u32,
) {
    naked_asm!(
        processor!(),
        "push {{r4-r11, lr}}",
        "ldrd r4, r5, [sp, #36]",
        "ldr r7, [sp, #44]",
        // In place of the width: the end of the row.
        "add r4, r0, r4, lsl #1",
        "str r4, [sp, #36]",
        // Sum, mantissa, shift, width; the last two in one word.
        "ldm r5, {{r4-r6, r8}}",
        "negs r4, r4",
        "orr r8, r6, r8, lsl #16",
        "subs r6, r6, #1",
        "movs r9, #1",
        "lsl r6, r9, r6",
        "ror r7, r9, r7",
        "2:",
        "ldr r9, [r0], #4",
        "ldr r10, [r1], #4",
        "ldrd r11, r12, [r2], #8",
        "smlabt lr, r9, r8, r4",
        "smlatt r9, r9, r8, r4",
        "smmla lr, lr, r5, r6",
        "smmla r9, r9, r5, r6",
        "asr lr, lr, r8",
        "asr r9, r9, r8",
        "smlabb lr, lr, r10, r11",
        "smlabt r9, r9, r10, r12",
        "smmulr lr, lr, r7",
        "smmulr r9, r9, r7",
        "ssat lr, #16, lr",
        "ssat r9, #16, r9",
        "pkhbt lr, lr, r9, lsl #16",
        "str lr, [r3], #4",
        "ldr r9, [sp, #36]",
        "cmp r0, r9",
        "bne 2b",
        "pop {{r4-r11, pc}}",
    )
}
