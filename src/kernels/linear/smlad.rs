//! The innermost loops with SMLAD: a round of 8-bit weights is 13 instructions for 16 products, and all 14 registers.
#![allow(unsafe_code)] // Assembly.

use core::arch::naked_asm;

use super::super::processor;
pub(super) use super::thumb2::Kernel;
use super::thumb2::accumulate;

/// Columns of a row that lie together in the block, and make a round.
pub(super) const STEP: usize = 2;

/// Four rows, `stride` bytes apart, zipped by steps.
#[unsafe(naked)]
pub(super) unsafe extern "C" fn load_four_rows(
    block: *mut i16,
    x: *const i16,
    stride: usize,
    columns: usize,
) {
    naked_asm!(
        processor!(),
        "push {{r4-r9, lr}}",
        "add r7, r1, r2",
        "add r8, r7, r2",
        "add r9, r8, r2",
        "subs r3, r3, #2",
        "blo 3f",
        "2:",
        "ldr r4, [r1], #4",
        "ldr r5, [r7], #4",
        "ldr r6, [r8], #4",
        "ldr r12, [r9], #4",
        "stm r0!, {{r4, r5, r6, r12}}",
        "subs r3, r3, #2",
        "bhs 2b",
        "3:",
        "adds r3, r3, #2",
        "beq 4f",
        "ldrh r4, [r1]",
        "ldrh r5, [r7]",
        "ldrh r6, [r8]",
        "ldrh r12, [r9]",
        "stm r0!, {{r4, r5, r6, r12}}",
        "4:",
        "pop {{r4-r9, pc}}",
    )
}

/// A row as it is.
#[unsafe(naked)]
pub(super) unsafe extern "C" fn load_row(block: *mut i16, x: *const i16, columns: usize) {
    naked_asm!(
        processor!(),
        "subs r2, r2, #2",
        "blo 3f",
        "2:",
        "ldr r3, [r1], #4",
        "str r3, [r0], #4",
        "subs r2, r2, #2",
        "bhs 2b",
        "3:",
        "adds r2, r2, #2",
        "beq 4f",
        "ldrh r3, [r1]",
        "str r3, [r0]",
        "4:",
        "bx lr",
    )
}

/// Pairs of channels of four rows, `stride` bytes apart: scaled, rounded, saturated and stored as a word.
#[unsafe(naked)]
pub(super) unsafe extern "C" fn store_four_rows(
    sums: *const i32,
    multipliers: *const i16,
    out: *mut i16,
    pairs: usize,
    shift: u32,
    stride: usize,
) {
    naked_asm!(
        processor!(),
        "push {{r4-r11, lr}}",
        "add r4, r0, r3, lsl #5",
        "ldr r5, [sp, #40]",
        // The end of the sums, the stride.
        "push {{r4, r5}}",
        "ldr lr, [sp, #44]",
        "sub r4, lr, #1",
        "mov r12, #1",
        "lsl r12, r12, r4",
        "2:",
        "ldm r0!, {{r4-r11}}",
        "ldr r3, [r1], #4",
        ".irp sum, r4, r6, r8, r10",
        "smlawb \\sum, \\sum, r3, r12",
        ".endr",
        ".irp sum, r5, r7, r9, r11",
        "smlawt \\sum, \\sum, r3, r12",
        ".endr",
        ".irp sum, r4, r5, r6, r7, r8, r9, r10, r11",
        "asr \\sum, \\sum, lr",
        "ssat \\sum, #16, \\sum",
        ".endr",
        "pkhbt r4, r4, r5, lsl #16",
        "pkhbt r6, r6, r7, lsl #16",
        "pkhbt r8, r8, r9, lsl #16",
        "pkhbt r10, r10, r11, lsl #16",
        "ldrd r3, r5, [sp]",
        "add r7, r2, r5",
        "str r6, [r2, r5]",
        "str r8, [r2, r5, lsl #1]",
        "str r10, [r7, r5, lsl #1]",
        "str r4, [r2], #4",
        "cmp r0, r3",
        "bne 2b",
        "add sp, sp, #8",
        "pop {{r4-r11, pc}}",
    )
}

accumulate!(
    four_rows_i8,
    52,
    4,
    5,
    "{{r4-r11}}",
    "ldr r3, [r0], #4",
    "sxtb16 r2, r3",
    "sxtb16 r3, r3, ror #8",
    "ldrd r12, lr, [r1], #8",
    "smlad r4, r12, r2, r4",
    "smlad r5, r12, r3, r5",
    "smlad r6, lr, r2, r6",
    "smlad r7, lr, r3, r7",
    "ldrd r12, lr, [r1], #8",
    "smlad r8, r12, r2, r8",
    "smlad r9, r12, r3, r9",
    "smlad r10, lr, r2, r10",
    "smlad r11, lr, r3, r11"
);
accumulate!(
    four_rows_i16,
    56,
    4,
    5,
    "{{r4-r11}}",
    "ldr r12, [r0], #4",
    "ldr lr, [r0], #4",
    "pkhbt r2, r12, lr, lsl #16",
    "pkhtb r3, lr, r12, asr #16",
    "ldrd r12, lr, [r1], #8",
    "smlad r4, r12, r2, r4",
    "smlad r5, r12, r3, r5",
    "smlad r6, lr, r2, r6",
    "smlad r7, lr, r3, r7",
    "ldrd r12, lr, [r1], #8",
    "smlad r8, r12, r2, r8",
    "smlad r9, r12, r3, r9",
    "smlad r10, lr, r2, r10",
    "smlad r11, lr, r3, r11"
);
accumulate!(
    one_row_i8,
    24,
    2,
    3,
    "{{r4, r5}}",
    "ldr r3, [r0], #4",
    "sxtb16 r2, r3",
    "sxtb16 r3, r3, ror #8",
    "ldr r12, [r1], #4",
    "smlad r4, r12, r2, r4",
    "smlad r5, r12, r3, r5"
);
accumulate!(
    one_row_i16,
    28,
    2,
    3,
    "{{r4, r5}}",
    "ldr r12, [r0], #4",
    "ldr lr, [r0], #4",
    "pkhbt r2, r12, lr, lsl #16",
    "pkhtb r3, lr, r12, asr #16",
    "ldr.w r12, [r1], #4",
    "smlad r4, r12, r2, r4",
    "smlad r5, r12, r3, r5"
);
