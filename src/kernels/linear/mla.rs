//! The innermost loop with MLA (Cortex-M3): a round is a column, 12 instructions for 8 products.
#![allow(unsafe_code)] // Assembly.

use core::arch::naked_asm;

use super::super::processor;
pub(super) use super::thumb2::Kernel;
use super::thumb2::accumulate;

/// Columns of a round.
pub(super) const COLUMNS: usize = 1;

accumulate!(
    four_rows_i8,
    48,
    4,
    5,
    "{{r4-r11}}",
    "ldrsb r2, [r0], #1",
    "ldrsb r3, [r0], #1",
    "ldrd r12, lr, [r1], #8",
    "mla r4, r12, r2, r4",
    "mla r5, r12, r3, r5",
    "mla r6, lr, r2, r6",
    "mla r7, lr, r3, r7",
    "ldrd r12, lr, [r1], #8",
    "mla r8, r12, r2, r8",
    "mla r9, r12, r3, r9",
    "mla r10, lr, r2, r10",
    "mla r11, lr, r3, r11"
);
accumulate!(
    four_rows_i16,
    48,
    4,
    5,
    "{{r4-r11}}",
    "ldrsh r2, [r0], #2",
    "ldrsh r3, [r0], #2",
    "ldrd r12, lr, [r1], #8",
    "mla r4, r12, r2, r4",
    "mla r5, r12, r3, r5",
    "mla r6, lr, r2, r6",
    "mla r7, lr, r3, r7",
    "ldrd r12, lr, [r1], #8",
    "mla r8, r12, r2, r8",
    "mla r9, r12, r3, r9",
    "mla r10, lr, r2, r10",
    "mla r11, lr, r3, r11"
);
accumulate!(
    one_row_i8,
    20,
    2,
    3,
    "{{r4, r5}}",
    "ldrsb r2, [r0], #1",
    "ldrsb r3, [r0], #1",
    "ldr r12, [r1], #4",
    "mla r4, r12, r2, r4",
    "mla r5, r12, r3, r5"
);
accumulate!(
    one_row_i16,
    20,
    2,
    3,
    "{{r4, r5}}",
    "ldrsh r2, [r0], #2",
    "ldrsh r3, [r0], #2",
    "ldr r12, [r1], #4",
    "mla r4, r12, r2, r4",
    "mla r5, r12, r3, r5"
);
