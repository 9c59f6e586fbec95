//! The loops of Arm cores that load several words an instruction from anywhere: Cortex-M3 and above.
#![allow(unsafe_code)] // Assembly.

use core::arch::naked_asm;

use crate::kernels::processor;

/// Copies `count` rows of `width` bytes.
#[unsafe(naked)]
pub(super) unsafe extern "C" fn copy_rows(
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
pub(super) unsafe extern "C" fn zip_rows(
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
        ".macro zip_columns a, b",
        zip_columns!(),
        ".endm",
        ".macro zip_eight",
        "ldm.w r0!, {{r3-r6}}",
        "ldm.w r1!, {{r7-r10}}",
        "zip_columns r3, r7",
        "zip_columns r4, r8",
        "zip_columns r5, r9",
        "zip_columns r6, r10",
        ".endm",
        "cmp r11, #32",
        "bne 2f",
        // Rows of 16 columns leave a register for the numbers.
        "mov lr, r1",
        "add r3, r1, r3, lsl #2",
        "str r3, [sp, #8]",
        "4:",
        "ldr r1, [sp]",
        "ldrh r3, [lr], #2",
        "ldrh r4, [lr], #2",
        "mla r0, r3, r11, r1",
        "mla r1, r4, r11, r1",
        "zip_eight",
        "zip_eight",
        "ldr r3, [sp, #8]",
        "cmp lr, r3",
        "bne 4b",
        "add sp, sp, #12",
        "pop {{r4-r11, pc}}",
        "2:",
        "ldrd r0, r1, [sp]",
        "ldrh r3, [r1], #2",
        "ldrh r4, [r1], #2",
        "str r1, [sp, #4]",
        "mla r1, r4, r11, r0",
        "mla r0, r3, r11, r0",
        "add lr, r0, r11",
        "3:",
        "zip_eight",
        ".purgem zip_eight",
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

/// The largest of the numbers of `count` eights, or zero.
#[cfg(fixformer_mve)]
#[unsafe(naked)]
pub(super) unsafe extern "C" fn largest_of_eights(numbers: *const u16, count: usize) -> u16 {
    naked_asm!(
        processor!(),
        "push {{r7, lr}}",
        "mov r2, #0",
        "wls lr, r1, 3f",
        "2:",
        "vldrh.u16 q0, [r0], #16",
        "vmaxv.u16 r2, q0",
        "le lr, 2b",
        "3:",
        "mov r0, r2",
        "pop {{r7, pc}}",
    )
}

/// The largest of the numbers of `count` eights, or zero.
#[cfg(all(fixformer_dsp, not(fixformer_mve)))]
#[unsafe(naked)]
pub(super) unsafe extern "C" fn largest_of_eights(numbers: *const u16, count: usize) -> u16 {
    naked_asm!(
        processor!(),
        "push {{r4, lr}}",
        "add r1, r0, r1, lsl #4",
        "mov r2, #0",
        "b 3f",
        "2:",
        ".rept 4",
        "ldr r3, [r0], #4",
        "usub16 r12, r2, r3",
        "sel r2, r2, r3",
        ".endr",
        "3:",
        "cmp r0, r1",
        "bne 2b",
        "lsr r0, r2, #16",
        "uxth r2, r2",
        "cmp r0, r2",
        "it lo",
        "movlo r0, r2",
        "pop {{r4, pc}}",
    )
}
