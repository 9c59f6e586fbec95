//! Rows that lie anywhere, on RISC-V with multiplication: 16 columns a round, without a loop.
#![allow(unsafe_code)] // Assembly, and slices handed to it as pointers.

use core::arch::naked_asm;

use crate::kernels::{at_word, portable};

/// Columns that the loops take of a row.
const COLUMNS: usize = 16;
/// Rows have a multiple of half as many.
const HALF: usize = COLUMNS / 2;
/// Widths below which a number times the bytes of a row fits into 32 bits.
const MOST: usize = 1 << 15;

/// See [`portable::gather`].
pub fn gather(
    keys: &[i16],
    values: &[i16],
    numbers: &[u16],
    width: usize,
    [keys_out, values_out]: [&mut [i16]; 2],
) {
    let (count, pairs) = (numbers.len(), numbers.len() / 2);
    let room = |rows: &[i16], count: usize| at_word(rows) && rows.len() >= count.saturating_mul(width);
    let whole = count > 0 && (HALF..MOST).contains(&width) && width.is_multiple_of(HALF);
    let out = room(keys_out, count) && room(values_out, count.next_multiple_of(2));
    if !(whole && out && room(keys, 1) && room(values, 1)) {
        return portable::gather(keys, values, numbers, width, [keys_out, values_out]);
    }
    let last = keys.len().min(values.len()) - width;
    for first in (0..width).step_by(COLUMNS) {
        let half = width - first < COLUMNS;
        let (from, to) = (keys.as_ptr().wrapping_add(first), keys_out.as_mut_ptr().wrapping_add(first));
        // SAFETY: all lie at words. There are `count` numbers and as many rows to write, not zero, and rows to read up to the
        // one that begins at `last`; from `first` on each has 16 columns, or 8.
        let within = unsafe { copy_columns(from, numbers.as_ptr(), to, count, 2 * width, 2 * last, half) };
        if !within {
            return portable::gather(keys, values, numbers, width, [keys_out, values_out]);
        }
        let (from, to) =
            (values.as_ptr().wrapping_add(first), values_out.as_mut_ptr().wrapping_add(2 * first));
        if pairs > 0 {
            // SAFETY: as above, with `pairs` pairs of numbers and of rows to write, not zero; no number is beyond `last`.
            unsafe { zip_columns(from, numbers.as_ptr(), to, pairs, 2 * width, half) };
        }
        if let Some(&[number]) = numbers.get(2 * pairs..) {
            let to = to.wrapping_add(2 * pairs * width);
            // SAFETY: the same of the number twice, and of the pair of rows that there is room for.
            unsafe { zip_columns(from, [number; 2].as_ptr(), to, 1, 2 * width, half) };
        }
    }
}

/// Copies 16 columns, or `half` as many, of `count` rows, `stride` bytes apart. Whether none of them begins beyond `last`, in
/// bytes: there it ends.
#[unsafe(naked)]
unsafe extern "C" fn copy_columns(
    rows: *const i16,
    numbers: *const u16,
    out: *mut i16,
    count: usize,
    stride: usize,
    last: usize,
    half: bool,
) -> bool {
    naked_asm!(
        // Link-time optimisation assembles anew, without the extensions of the target.
        ".option push",
        ".option arch, +m",
        "slli a3, a3, 1",
        "add a3, a3, a1",
        "beqz a6, 2f",
        // Half of the columns are the second half.
        "addi a0, a0, -16",
        "addi a2, a2, -16",
        "2:",
        "lhu t0, 0(a1)",
        "addi a1, a1, 2",
        "mul t0, t0, a4",
        "bltu a5, t0, 4f",
        "add t0, t0, a0",
        "bnez a6, 3f",
        "lw t1, 0(t0)",
        "lw t2, 4(t0)",
        "lw t3, 8(t0)",
        "lw t4, 12(t0)",
        "sw t1, 0(a2)",
        "sw t2, 4(a2)",
        "sw t3, 8(a2)",
        "sw t4, 12(a2)",
        "3:",
        "lw t1, 16(t0)",
        "lw t2, 20(t0)",
        "lw t3, 24(t0)",
        "lw t4, 28(t0)",
        "sw t1, 16(a2)",
        "sw t2, 20(a2)",
        "sw t3, 24(a2)",
        "sw t4, 28(a2)",
        "add a2, a2, a4",
        "bne a1, a3, 2b",
        "li a0, 1",
        "ret",
        "4:",
        "li a0, 0",
        "ret",
        ".option pop",
    )
}

/// Zips 16 columns, or `half` as many, of `pairs` pairs of rows, `stride` bytes apart. Two columns are seven instructions:
/// words go where their lower halves belong, or their upper ones, and the other halves over what is wrong.
#[unsafe(naked)]
unsafe extern "C" fn zip_columns(
    rows: *const i16,
    numbers: *const u16,
    out: *mut i16,
    pairs: usize,
    stride: usize,
    half: bool,
) {
    naked_asm!(
        ".option push",
        ".option arch, +m",
        "slli a3, a3, 2",
        "add a3, a3, a1",
        "slli a6, a4, 1",
        "beqz a5, 2f",
        "addi a0, a0, -16",
        "addi a2, a2, -32",
        "2:",
        "lhu t0, 0(a1)",
        "lhu t1, 2(a1)",
        "addi a1, a1, 4",
        "mul t0, t0, a4",
        "mul t1, t1, a4",
        "add t0, t0, a0",
        "add t1, t1, a0",
        "bnez a5, 3f",
        ".irp at, 0, 4, 8, 12",
        "lw t2, \\at(t0)",
        "lw t3, \\at(t1)",
        "sw t2, 2 * \\at(a2)",
        "srli t2, t2, 16",
        "sh t3, 2 * \\at + 2(a2)",
        "sw t3, 2 * \\at + 4(a2)",
        "sh t2, 2 * \\at + 4(a2)",
        ".endr",
        "3:",
        ".irp at, 16, 20, 24, 28",
        "lw t2, \\at(t0)",
        "lw t3, \\at(t1)",
        "sw t2, 2 * \\at(a2)",
        "srli t2, t2, 16",
        "sh t3, 2 * \\at + 2(a2)",
        "sw t3, 2 * \\at + 4(a2)",
        "sh t2, 2 * \\at + 4(a2)",
        ".endr",
        "add a2, a2, a6",
        "bne a1, a3, 2b",
        "ret",
        ".option pop",
    )
}
