//! The innermost loop of Cortex-M0: one channel at a time, whose sums lie in high registers. Four columns of rows are
//! one load, and a product costs its operand: 11 instructions for 4 products.
#![allow(unsafe_code)] // Assembly.

use core::arch::naked_asm;

/// Columns of a round.
pub(super) const COLUMNS: usize = 2;

/// Block, weights, sums, pairs of channels, rounds of a pair, and bytes from the end of a pair to the next.
pub(super) type Kernel = unsafe extern "C" fn(*const u8, *const u8, *mut i32, usize, usize, usize);

/// A function over pairs of channels: bytes of a weight and of a round's code, shifts from rounds to bytes of the
/// block and from pairs to bytes of the sums; then how sums are read and written, and a column of a channel.
macro_rules! accumulate {
    ($name:ident, $bytes:literal, $code:literal, $block_shift:literal, $sums_shift:literal,
     [$($read:literal),+], [$($write:literal),+], [$($column:literal),+]) => {
        #[unsafe(naked)]
        pub(super) unsafe extern "C" fn $name(
            block: *const u8,
            weights: *const u8,
            sums: *mut i32,
            pairs: usize,
            rounds: usize,
            skip: usize,
        ) {
            naked_asm!(
                "push {{r4-r7, lr}}",
                "mov r4, r8",
                "mov r5, r9",
                "mov r6, r10",
                "mov r7, r11",
                "push {{r4-r7}}",
                // Block, sums, their end, where the loop begins, weights.
                "sub sp, sp, #20",
                "str r0, [sp]",
                "str r2, [sp, #4]",
                concat!("lsls r3, r3, #", $sums_shift),
                "adds r3, r3, r2",
                "str r3, [sp, #8]",
                "str r1, [sp, #16]",
                "ldr r4, [sp, #56]",
                concat!("lsls r5, r4, #", $block_shift),
                "adds r5, r5, r0",
                "mov r12, r5",
                "rsbs r4, r4, #0",
                "movs r5, #3",
                "ands r4, r4, r5",
                concat!("movs r5, #", $code),
                "muls r4, r5, r4",
                "adr r5, 2f",
                "adds r4, r4, r5",
                "str r4, [sp, #12]",
                "movs r0, #0",
                "mov lr, r0",
                "1:",
                "ldr r6, [sp, #16]",
                "add r6, r6, lr",
                "ldr r7, [sp, #4]",
                $($read,)+
                "ldr r5, [sp]",
                "ldr r4, [sp, #12]",
                "movs r7, #0",
                "mov pc, r4",
                ".p2align 2",
                "2:",
                ".rept 8",
                $($column,)+
                ".endr",
                "cmp r5, r12",
                "bne 2b",
                "ldr r7, [sp, #4]",
                $($write,)+
                "mov r0, lr",
                "cmp r0, #0",
                "bne 3f",
                concat!("movs r0, #", $bytes),
                "mov lr, r0",
                "adds r7, r7, #4",
                "str r7, [sp, #4]",
                "b 1b",
                "3:",
                "movs r0, #0",
                "mov lr, r0",
                concat!("subs r6, r6, #", $bytes),
                "ldr r0, [sp, #60]",
                "adds r6, r6, r0",
                "str r6, [sp, #16]",
                concat!("adds r7, #(1 << ", $sums_shift, ") - 4"),
                "str r7, [sp, #4]",
                "ldr r0, [sp, #8]",
                "cmp r7, r0",
                "beq 4f",
                "b 1b",
                "4:",
                "add sp, sp, #20",
                "pop {{r4-r7}}",
                "mov r8, r4",
                "mov r9, r5",
                "mov r10, r6",
                "mov r11, r7",
                "pop {{r4-r7, pc}}",
            )
        }
    };
}

macro_rules! four_rows {
    ($name:ident, $bytes:literal, $load:literal, $next:literal) => {
        accumulate!(
            $name,
            $bytes,
            44,
            5,
            5,
            [
                "ldr r0, [r7]",
                "mov r8, r0",
                "ldr r0, [r7, #8]",
                "mov r9, r0",
                "ldr r0, [r7, #16]",
                "mov r10, r0",
                "ldr r0, [r7, #24]",
                "mov r11, r0"
            ],
            [
                "mov r0, r8",
                "str r0, [r7]",
                "mov r0, r9",
                "str r0, [r7, #8]",
                "mov r0, r10",
                "str r0, [r7, #16]",
                "mov r0, r11",
                "str r0, [r7, #24]"
            ],
            [
                $load,
                $next,
                "ldm r5!, {{r0-r3}}",
                "muls r0, r4, r0",
                "add r8, r8, r0",
                "muls r1, r4, r1",
                "add r9, r9, r1",
                "muls r2, r4, r2",
                "add r10, r10, r2",
                "muls r3, r4, r3",
                "add r11, r11, r3"
            ]
        );
    };
}
macro_rules! one_row {
    ($name:ident, $bytes:literal, $load:literal, $next:literal) => {
        accumulate!(
            $name,
            $bytes,
            20,
            3,
            3,
            ["ldr r0, [r7]", "mov r8, r0"],
            ["mov r0, r8", "str r0, [r7]"],
            [$load, $next, "ldm r5!, {{r0}}", "muls r0, r4, r0", "add r8, r8, r0"]
        );
    };
}

four_rows!(four_rows_i8, 1, "ldrsb r4, [r6, r7]", "adds r6, r6, #2");
four_rows!(four_rows_i16, 2, "ldrsh r4, [r6, r7]", "adds r6, r6, #4");
one_row!(one_row_i8, 1, "ldrsb r4, [r6, r7]", "adds r6, r6, #2");
one_row!(one_row_i16, 2, "ldrsh r4, [r6, r7]", "adds r6, r6, #4");
