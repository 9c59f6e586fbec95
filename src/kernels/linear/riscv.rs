//! The innermost loop of RISC-V with multiplication: 22 instructions for 8 products, four columns a turn. And what makes outputs
//! of sums: the compiler does not always find the upper word of a product in [`crate::num::Requant`].
//!
//! An odd number of rounds begins in the middle of a turn.
#![allow(unsafe_code)] // Assembly.

use core::arch::naked_asm;

/// Columns of a round.
pub(super) const COLUMNS: usize = 2;

/// Block, weights, sums, pairs of channels, rounds of a pair, and bytes from the end of a pair to the next.
pub(super) type Kernel = unsafe extern "C" fn(*const u8, *const u8, *mut i32, usize, usize, usize);

/// A function over pairs of channels: bytes of a weight, rows, how sums are read and written, and a column, at `\\c`
/// of the turn.
macro_rules! accumulate {
    ($name:ident, $bytes:literal, $rows:literal,
     [$($read:literal),+], [$($write:literal),+], [$($column:expr),+]) => {
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
                // Link-time optimisation assembles anew, without the extensions of the target.
                ".option push",
                ".option arch, +m",
                "addi sp, sp, -32",
                "sw s0, 0(sp)",
                "sw s1, 4(sp)",
                "sw s2, 8(sp)",
                "sw s3, 12(sp)",
                "sw s4, 16(sp)",
                concat!("slli t0, a4, 3 + 2 * (", $rows, " / 4)"),
                "add t0, t0, a0",
                "andi a4, a4, 1",
                "2:",
                "mv a6, a0",
                $($read,)+
                "beqz a4, 3f",
                concat!("addi a1, a1, -4 * ", $bytes),
                concat!("addi a6, a6, -8 * ", $rows),
                "j 4f",
                "3:",
                ".irp c, 0, 1",
                $($column,)+
                ".endr",
                "4:",
                ".irp c, 2, 3",
                $($column,)+
                ".endr",
                concat!("addi a1, a1, 8 * ", $bytes),
                concat!("addi a6, a6, 16 * ", $rows),
                "bne a6, t0, 3b",
                $($write,)+
                "add a1, a1, a5",
                concat!("addi a2, a2, 8 * ", $rows),
                "addi a3, a3, -1",
                "bnez a3, 2b",
                "lw s0, 0(sp)",
                "lw s1, 4(sp)",
                "lw s2, 8(sp)",
                "lw s3, 12(sp)",
                "lw s4, 16(sp)",
                "addi sp, sp, 32",
                "ret",
                ".option pop",
            )
        }
    };
}

macro_rules! four_rows {
    ($name:ident, $bytes:literal, $load:literal) => {
        accumulate!(
            $name,
            $bytes,
            4,
            [
                "lw t1, 0(a2)",
                "lw t2, 4(a2)",
                "lw t3, 8(a2)",
                "lw t4, 12(a2)",
                "lw t5, 16(a2)",
                "lw t6, 20(a2)",
                "lw s0, 24(a2)",
                "lw s1, 28(a2)"
            ],
            [
                "sw t1, 0(a2)",
                "sw t2, 4(a2)",
                "sw t3, 8(a2)",
                "sw t4, 12(a2)",
                "sw t5, 16(a2)",
                "sw t6, 20(a2)",
                "sw s0, 24(a2)",
                "sw s1, 28(a2)"
            ],
            [
                concat!($load, " a7, \\c * 2 * ", $bytes, "(a1)"),
                concat!($load, " s2, \\c * 2 * ", $bytes, " + ", $bytes, "(a1)"),
                "lw s3, \\c * 16(a6)",
                "mul s4, s3, a7",
                "add t1, t1, s4",
                "mul s3, s3, s2",
                "add t2, t2, s3",
                "lw s3, \\c * 16 + 4(a6)",
                "mul s4, s3, a7",
                "add t3, t3, s4",
                "mul s3, s3, s2",
                "add t4, t4, s3",
                "lw s3, \\c * 16 + 8(a6)",
                "mul s4, s3, a7",
                "add t5, t5, s4",
                "mul s3, s3, s2",
                "add t6, t6, s3",
                "lw s3, \\c * 16 + 12(a6)",
                "mul s4, s3, a7",
                "add s0, s0, s4",
                "mul s3, s3, s2",
                "add s1, s1, s3"
            ]
        );
    };
}
macro_rules! one_row {
    ($name:ident, $bytes:literal, $load:literal) => {
        accumulate!(
            $name,
            $bytes,
            1,
            ["lw t1, 0(a2)", "lw t2, 4(a2)"],
            ["sw t1, 0(a2)", "sw t2, 4(a2)"],
            [
                concat!($load, " a7, \\c * 2 * ", $bytes, "(a1)"),
                concat!($load, " s2, \\c * 2 * ", $bytes, " + ", $bytes, "(a1)"),
                "lw s3, \\c * 4(a6)",
                "mul s4, s3, a7",
                "add t1, t1, s4",
                "mul s3, s3, s2",
                "add t2, t2, s3"
            ]
        );
    };
}

four_rows!(four_rows_i8, 1, "lb");
four_rows!(four_rows_i16, 2, "lh");
one_row!(one_row_i8, 1, "lb");
one_row!(one_row_i16, 2, "lh");

/// Sums, multipliers, output, pairs of channels, shift, and bytes from row to row of the output.
pub(super) type Store = unsafe extern "C" fn(*const [i32; 2], *const [i16; 2], *mut i16, usize, u32, usize);

/// A function that scales and stores pairs of channels of as many rows as it has registers from x28 on.
macro_rules! store {
    ($name:ident, $registers:literal, $rows:literal) => {
        #[unsafe(naked)]
        pub(super) unsafe extern "C" fn $name(
            sums: *const [i32; 2],
            multipliers: *const [i16; 2],
            out: *mut i16,
            pairs: usize,
            shift: u32,
            stride: usize,
        ) {
            naked_asm!(
                ".option push",
                ".option arch, +m",
                "slli a3, a3, 2",
                "add a3, a3, a1",
                "mv x28, a2",
                "add x29, x28, a5",
                "add x30, x29, a5",
                "add x31, x30, a5",
                // Half of the last place that is kept.
                "addi t0, a4, -1",
                "li t1, 1",
                "sll t0, t1, t0",
                "lui t1, 8",
                "addi t1, t1, -1",
                "lui t2, 0xffff8",
                "2:",
                "lh a2, 0(a1)",
                "lh a5, 2(a1)",
                "slli a2, a2, 16",
                "slli a5, a5, 16",
                concat!(".irp row, ", $registers),
                "lw a6, 8 * \\row - 224(a0)",
                "lw a7, 8 * \\row - 220(a0)",
                "mulh a6, a6, a2",
                "mulh a7, a7, a5",
                "add a6, a6, t0",
                "add a7, a7, t0",
                "sra a6, a6, a4",
                "sra a7, a7, a4",
                "bge t1, a6, 3f",
                "mv a6, t1",
                "3:",
                "bge a6, t2, 3f",
                "mv a6, t2",
                "3:",
                "bge t1, a7, 3f",
                "mv a7, t1",
                "3:",
                "bge a7, t2, 3f",
                "mv a7, t2",
                "3:",
                "sh a6, 0(x\\row)",
                "sh a7, 2(x\\row)",
                "addi x\\row, x\\row, 4",
                ".endr",
                concat!("addi a0, a0, 8 * ", $rows),
                "addi a1, a1, 4",
                "bne a1, a3, 2b",
                "ret",
                ".option pop",
            )
        }
    };
}

store!(store_four_rows, "28, 29, 30, 31", 4);
store!(store_one_row, "28", 1);
