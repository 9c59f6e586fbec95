//! Means of rows on Cortex-M0: a column at a time, from rows that are named by their ends, so that the last column is the one
//! at zero.
#![allow(unsafe_code)] // Assembly, and slices handed to it as pointers.

use core::arch::naked_asm;

use crate::kernels::domain;
use crate::kernels::portable::{self, Means};

/// Whether there are rows that do not overlap.
const fn regular(Means { width, count, half, .. }: Means) -> bool {
    width > 0 && width <= half && count > 0
}

/// See [`portable::lift`].
pub fn lift(rows: &mut [i16], means: Means) {
    debug_assert!(domain::lift(rows, means));
    if !(regular(means) && rows.len() >= means.reach()) {
        return portable::lift(rows, means);
    }
    let Means { width, first, count, half } = means;
    // SAFETY: `rows` reach to the end of the last of `count` rows, which is not zero, nor are their columns.
    unsafe { lift_rows(rows.as_mut_ptr(), 2 * half, 2 * width, count, first % 2) }
}

/// See [`portable::lift_twice`].
pub fn lift_twice(rows: &mut [i16], means: Means, halved: bool) -> u32 {
    debug_assert!(domain::lift(rows, means));
    if !(regular(means) && rows.len() >= means.reach()) {
        return portable::lift_twice(rows, means, halved);
    }
    let Means { width, count, half, .. } = means;
    // SAFETY: `rows` reach to the end of the last of `count` rows, which is not zero, nor are their columns.
    unsafe { lift_twice_rows(rows.as_mut_ptr(), 2 * half, 2 * width, count, halved.into()) }
}

/// See [`portable::expand`].
pub fn expand(means_of: &[i16], differences: &[i16], out: &mut [i16], means: Means) {
    let Means { width, first, count, half } = means;
    let all = count.saturating_mul(width);
    let there = means_of.len() >= all && differences.len() >= means.reach().saturating_sub(half);
    if !(regular(means) && there && out.len() >= all.saturating_mul(2)) {
        return portable::expand(means_of, differences, out, means);
    }
    let (means_of, differences, out) = (means_of.as_ptr(), differences.as_ptr(), out.as_mut_ptr());
    // SAFETY: there are `count` rows, not zero, of `width` columns, not zero, in `out` twice as many, and one of the differences
    // every `2 half`.
    unsafe { expand_rows(means_of, differences, out, 2 * width, 4 * half, count, first % 2) }
}

/// A column of two rows a round. `half` and `width` in bytes.
#[unsafe(naked)]
unsafe extern "C" fn lift_rows(rows: *mut i16, half: usize, width: usize, count: usize, odd: usize) {
    naked_asm!(
        "push {{r4-r7, lr}}",
        "ldr r6, [sp, #20]",
        "mov r12, r1",
        "mov lr, r3",
        "mov r7, r2",
        "adds r0, r0, r2",
        "2:",
        "mov r1, r12",
        "adds r1, r1, r0",
        "rsbs r2, r7, #0",
        "3:",
        "ldrsh r3, [r0, r2]",
        "ldrsh r4, [r1, r2]",
        "subs r5, r3, r4",
        "strh r5, [r1, r2]",
        "adds r3, r3, r4",
        "adds r3, r3, r6",
        "asrs r3, r3, #1",
        "strh r3, [r0, r2]",
        "adds r2, r2, #2",
        "bne 3b",
        "mov r0, r1",
        "add r0, r0, r12",
        "movs r3, #1",
        "eors r6, r3",
        "mov r4, lr",
        "subs r4, r4, #1",
        "mov lr, r4",
        "bne 2b",
        "pop {{r4-r7, pc}}",
    )
}

/// A column of two rows a round. `half` and `width` in bytes; `halved` is how far rows are shifted, and what rounds the second.
#[unsafe(naked)]
unsafe extern "C" fn lift_twice_rows(
    rows: *mut i16,
    half: usize,
    width: usize,
    count: usize,
    halved: usize,
) -> u32 {
    naked_asm!(
        "push {{r4-r7, lr}}",
        "mov r4, r8",
        "push {{r4}}",
        "ldr r6, [sp, #24]",
        "mov r12, r1",
        "mov lr, r3",
        "mov r8, r2",
        "adds r0, r0, r2",
        "movs r7, #0",
        "2:",
        "mov r1, r12",
        "adds r1, r1, r0",
        "mov r2, r8",
        "rsbs r2, r2, #0",
        "3:",
        "ldrsh r3, [r0, r2]",
        "ldrsh r4, [r1, r2]",
        "asrs r3, r3, r6",
        "adds r4, r4, r6",
        "asrs r4, r4, r6",
        "subs r5, r3, r4",
        "strh r5, [r1, r2]",
        "adds r3, r3, r4",
        "strh r3, [r0, r2]",
        "asrs r5, r3, #31",
        "eors r3, r5",
        "subs r3, r3, r5",
        "orrs r7, r3",
        "adds r2, r2, #2",
        "bne 3b",
        "mov r0, r1",
        "add r0, r0, r12",
        "mov r4, lr",
        "subs r4, r4, #1",
        "mov lr, r4",
        "bne 2b",
        "mov r0, r7",
        "pop {{r4}}",
        "mov r8, r4",
        "pop {{r4-r7, pc}}",
    )
}

/// A column of a row a round, which becomes one of two. `width` and `stride` in bytes.
#[unsafe(naked)]
unsafe extern "C" fn expand_rows(
    means: *const i16,
    differences: *const i16,
    out: *mut i16,
    width: usize,
    stride: usize,
    count: usize,
    odd: usize,
) {
    naked_asm!(
        "push {{r4-r7, lr}}",
        "mov r4, r8",
        "push {{r4}}",
        // sp: from 24 on the arguments.
        "ldr r4, [sp, #24]",
        "mov r12, r4",
        "ldr r4, [sp, #28]",
        "mov lr, r4",
        "ldr r4, [sp, #32]",
        "mov r8, r4",
        "push {{r3}}",
        "adds r0, r0, r3",
        "adds r1, r1, r3",
        "adds r3, r3, r2",
        "2:",
        "ldr r2, [sp]",
        "adds r4, r3, r2",
        "rsbs r2, r2, #0",
        "3:",
        "ldrsh r5, [r0, r2]",
        "ldrsh r6, [r1, r2]",
        "mov r7, r8",
        "adds r7, r7, r6",
        "asrs r7, r7, #1",
        "subs r5, r5, r7",
        "strh r5, [r4, r2]",
        "adds r5, r5, r6",
        "strh r5, [r3, r2]",
        "adds r2, r2, #2",
        "bne 3b",
        "ldr r2, [sp]",
        "adds r0, r0, r2",
        "adds r3, r4, r2",
        "add r1, r1, r12",
        "mov r5, r8",
        "movs r6, #1",
        "eors r5, r6",
        "mov r8, r5",
        "mov r4, lr",
        "subs r4, r4, #1",
        "mov lr, r4",
        "bne 2b",
        "add sp, sp, #4",
        "pop {{r4}}",
        "mov r8, r4",
        "pop {{r4-r7, pc}}",
    )
}
