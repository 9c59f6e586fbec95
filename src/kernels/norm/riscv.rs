//! The loops of RISC-V with multiplication: two columns a round for the sums, then four.
#![allow(unsafe_code)] // Assembly.

use core::arch::naked_asm;

use crate::kernels::portable::Centred;

/// Rows have a multiple of as many columns.
pub(super) const COLUMNS: usize = 4;
/// Bytes at a multiple of which 16-bit rows begin.
pub(super) const ALIGNMENT: usize = 2;
/// The least last shift: half of the place that is kept has one of its own.
pub(super) const LEAST_SHIFT: u32 = 1;

/// Whether a width times its power of two is one that [`columns`] takes.
pub(super) const fn takes(_width: i32) -> bool {
    true
}

/// Returns the sum of the squares; the sum of the row goes to `sum`.
#[unsafe(naked)]
pub(super) unsafe extern "C" fn sums(x: *const i16, width: usize, sum: *mut i32) -> u64 {
    naked_asm!(
        // Link-time optimisation assembles anew, without the extensions of the target.
        ".option push",
        ".option arch, +m",
        "slli a1, a1, 1",
        "add a1, a1, a0",
        "li t0, 0",
        "li t1, 0",
        "li t2, 0",
        "2:",
        // Two squares fit into a word.
        "lh t3, 0(a0)",
        "lh t4, 2(a0)",
        "add t0, t0, t3",
        "add t0, t0, t4",
        "mul t3, t3, t3",
        "mul t4, t4, t4",
        "add t3, t3, t4",
        "add t1, t1, t3",
        "sltu t3, t1, t3",
        "add t2, t2, t3",
        "addi a0, a0, 4",
        "bne a0, a1, 2b",
        "sw t0, 0(a2)",
        "mv a0, t1",
        "mv a1, t2",
        "ret",
        ".option pop",
    )
}

/// [`Centred::normalise`].
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
        ".option push",
        ".option arch, +m",
        "slli a4, a4, 1",
        "add a4, a4, a0",
        // Sum, mantissa, shift, width; half of the last place that is kept.
        "lw t0, 0(a5)",
        "lw t1, 4(a5)",
        "lw t2, 8(a5)",
        "lw a5, 12(a5)",
        "addi t4, t2, -1",
        "li t3, 1",
        "sll t3, t3, t4",
        "addi a6, a6, -1",
        "lui t6, 8",
        "addi t6, t6, -1",
        "lui a7, 0xffff8",
        "2:",
        ".irp column, 0, 1, 2, 3",
        "lh t4, 2 * \\column(a0)",
        "lh t5, 2 * \\column(a1)",
        "mul t4, t4, a5",
        "sub t4, t4, t0",
        "mulh t4, t4, t1",
        "add t4, t4, t3",
        "sra t4, t4, t2",
        "mul t4, t4, t5",
        "lw t5, 4 * \\column(a2)",
        "add t4, t4, t5",
        "sra t4, t4, a6",
        "addi t4, t4, 1",
        "srai t4, t4, 1",
        "bge t6, t4, 3f",
        "mv t4, t6",
        "3:",
        "bge t4, a7, 3f",
        "mv t4, a7",
        "3:",
        "sh t4, 2 * \\column(a3)",
        ".endr",
        "addi a0, a0, 8",
        "addi a1, a1, 8",
        "addi a2, a2, 16",
        "addi a3, a3, 8",
        "bne a0, a4, 2b",
        "ret",
        ".option pop",
    )
}
