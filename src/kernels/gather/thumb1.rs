//! The loops of Cortex-M0.
#![allow(unsafe_code)] // Assembly.

use core::arch::naked_asm;

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
        "push {{r4-r7, lr}}",
        "mov r4, r8",
        "push {{r4}}",
        "mov r12, r0",
        "lsls r3, r3, #1",
        "adds r3, r3, r1",
        "mov r8, r3",
        "ldr r3, [sp, #24]",
        "2:",
        "ldrh r0, [r1]",
        "adds r1, r1, #2",
        "muls r0, r3, r0",
        "add r0, r0, r12",
        "adds r4, r2, r3",
        "mov lr, r4",
        "3:",
        "ldm r0!, {{r4-r7}}",
        "stm r2!, {{r4-r7}}",
        "cmp r2, lr",
        "bne 3b",
        "cmp r1, r8",
        "bne 2b",
        "pop {{r4}}",
        "mov r8, r4",
        "pop {{r4-r7, pc}}",
    )
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
        "push {{r4-r7, lr}}",
        "mov r4, r8",
        "mov r5, r9",
        "mov r6, r10",
        "push {{r4-r6}}",
        "mov r12, r0",
        "mov r8, r1",
        "lsls r3, r3, #2",
        "adds r3, r3, r1",
        "mov r9, r3",
        "ldr r3, [sp, #32]",
        "mov r10, r3",
        "2:",
        "mov r3, r8",
        "ldrh r0, [r3]",
        "ldrh r1, [r3, #2]",
        "adds r3, r3, #4",
        "mov r8, r3",
        "mov r3, r10",
        "muls r0, r3, r0",
        "muls r1, r3, r1",
        "add r0, r0, r12",
        "add r1, r1, r12",
        "adds r3, r3, r0",
        "mov lr, r3",
        "3:",
        "mov r3, r2",
        // Words of both rows in turn; then the two columns in the middle of each two words change places.
        ".irp at, 0, 16",
        "ldm r0!, {{r4, r6}}",
        "ldm r1!, {{r5, r7}}",
        "stm r2!, {{r4-r7}}",
        "strh r5, [r3, #\\at + 2]",
        "lsrs r4, r4, #16",
        "strh r4, [r3, #\\at + 4]",
        "strh r7, [r3, #\\at + 10]",
        "lsrs r6, r6, #16",
        "strh r6, [r3, #\\at + 12]",
        ".endr",
        "cmp r0, lr",
        "bne 3b",
        "cmp r8, r9",
        "bne 2b",
        "pop {{r4-r6}}",
        "mov r8, r4",
        "mov r9, r5",
        "mov r10, r6",
        "pop {{r4-r7, pc}}",
    )
}
