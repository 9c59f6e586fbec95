//! Causal FAVOR+ on RISC-V with multiplication: products that keep their upper word.
#![allow(unsafe_code)] // Assembly, and slices handed to it as pointers.

use core::arch::naked_asm;

use crate::kernels::{EXPONENT_FRAC, domain, portable};
use crate::num::Requant;

/// Columns that the registers from x16 on hold.
const COLUMNS: usize = 16;
/// Rows have a multiple of half as many.
const HALF: usize = COLUMNS / 2;
/// Largest shift of a scale whose product with the multiplier has a place below the last in its upper word.
const MOST_SHIFT: u32 = 17;

/// See [`portable::key_exponents`].
pub fn key_exponents(products: &mut [i32], scale: Requant, n: i32, tops: &[i16]) -> bool {
    debug_assert!(domain::key_exponents(scale, n));
    let count = products.len().min(tops.len());
    if count == 0 || scale.shift > MOST_SHIFT {
        return portable::key_exponents(products, scale, n, tops);
    }
    let multiplier = i32::from(scale.multiplier) << (MOST_SHIFT - scale.shift);
    // SAFETY: both slices have `count` elements, not zero.
    unsafe { exponents_of_key(products.as_mut_ptr(), tops.as_ptr(), count, multiplier, 1 - 2 * n) }
}

/// See [`portable::query_exponents`].
pub fn query_exponents(products: &mut [i32], scale: Requant, tops: &[i16]) -> i32 {
    debug_assert!(domain::is_scale(scale));
    let count = products.len().min(tops.len());
    if count == 0 || scale.shift > MOST_SHIFT {
        return portable::query_exponents(products, scale, tops);
    }
    let multiplier = i32::from(scale.multiplier) << (MOST_SHIFT - scale.shift);
    // SAFETY: both slices have `count` elements, not zero.
    unsafe { exponents_of_query(products.as_mut_ptr(), tops.as_ptr(), count, multiplier) }
}

/// See [`portable::dots_of_sums`].
pub fn dots_of_sums(q: &[i16], sums: &[i32], out: &mut [i32]) {
    debug_assert!(domain::dots_of_sums(q));
    let width = q.len();
    let count = out.len().min(sums.len().checked_div(width).unwrap_or_default());
    if count == 0 || !width.is_multiple_of(HALF) {
        return portable::dots_of_sums(q, sums, out);
    }
    for (group, q) in q.chunks(COLUMNS).enumerate() {
        let sums = sums.as_ptr().wrapping_add(COLUMNS * group);
        let half = q.len() < COLUMNS;
        // SAFETY: `sums` has `count` rows of `width` columns, and `out` as many elements, not zero; from the first column of the
        // group on `q` and each row have 16, or 8.
        unsafe { dots_of_columns(q.as_ptr(), sums, out.as_mut_ptr(), count, 4 * width, half) };
    }
}

/// Whether some exponent is above zero or was limited. `twice`: one less twice `n`, so that the bit below the last rounds.
#[unsafe(naked)]
unsafe extern "C" fn exponents_of_key(
    products: *mut i32,
    tops: *const i16,
    count: usize,
    multiplier: i32,
    twice: i32,
) -> bool {
    naked_asm!(
        // Link-time optimisation assembles anew, without the extensions of the target.
        ".option push",
        ".option arch, +m",
        "slli a2, a2, 2",
        "add a2, a2, a0",
        // The limit, and twice the limit.
        "lui t0, {limit} >> 12",
        "slli t1, t0, 1",
        "li t2, 0",
        "2:",
        "lw t3, 0(a0)",
        "lh t4, 0(a1)",
        "mulh t3, t3, a3",
        "add t3, t3, a4",
        "srai t3, t3, 1",
        "add t5, t3, t0",
        "bgeu t5, t1, 5f",
        "3:",
        "slli t4, t4, {frac}",
        "sub t3, t3, t4",
        "sw t3, 0(a0)",
        "bgtz t3, 6f",
        "4:",
        "addi a0, a0, 4",
        "addi a1, a1, 2",
        "bne a0, a2, 2b",
        "mv a0, t2",
        "ret",
        "5:",
        "li t2, 1",
        "neg t5, t0",
        "bltz t3, 7f",
        "addi t5, t0, -1",
        "7:",
        "mv t3, t5",
        "j 3b",
        "6:",
        "li t2, 1",
        "j 4b",
        ".option pop",
        limit = const 1 << (EXPONENT_FRAC + 14),
        frac = const EXPONENT_FRAC,
    )
}

/// Returns the largest exponent.
#[unsafe(naked)]
unsafe extern "C" fn exponents_of_query(
    products: *mut i32,
    tops: *const i16,
    count: usize,
    multiplier: i32,
) -> i32 {
    naked_asm!(
        ".option push",
        ".option arch, +m",
        "slli a2, a2, 2",
        "add a2, a2, a0",
        "lui t2, 0x80000",
        "2:",
        "lw t3, 0(a0)",
        "lh t4, 0(a1)",
        "mulh t3, t3, a3",
        "addi t3, t3, 1",
        "srai t3, t3, 1",
        "slli t4, t4, {frac}",
        "add t3, t3, t4",
        "sw t3, 0(a0)",
        "bge t2, t3, 3f",
        "mv t2, t3",
        "3:",
        "addi a0, a0, 4",
        "addi a1, a1, 2",
        "bne a0, a2, 2b",
        "mv a0, t2",
        "ret",
        ".option pop",
        frac = const EXPONENT_FRAC,
    )
}

/// `out[j] += q . sums[j] / 2^16` for `count` rows, `stride` bytes apart, each product rounded down; of 16 columns or of `half`
/// as many.
#[unsafe(naked)]
unsafe extern "C" fn dots_of_columns(
    q: *const i16,
    sums: *const i32,
    out: *mut i32,
    count: usize,
    stride: usize,
    half: bool,
) {
    naked_asm!(
        ".option push",
        ".option arch, +m",
        "addi sp, sp, -48",
        ".irp r, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27",
        "sw x\\r, 4 * \\r - 72(sp)",
        ".endr",
        "slli a3, a3, 2",
        "add a3, a3, a2",
        "beqz a5, 2f",
        // Half of the columns are the second half.
        "addi a0, a0, -16",
        "addi a1, a1, -32",
        "j 3f",
        "2:",
        ".irp r, 16, 17, 18, 19, 20, 21, 22, 23",
        "lh x\\r, 2 * \\r - 32(a0)",
        "slli x\\r, x\\r, 16",
        ".endr",
        "3:",
        ".irp r, 24, 25, 26, 27, 28, 29, 30, 31",
        "lh x\\r, 2 * \\r - 32(a0)",
        "slli x\\r, x\\r, 16",
        ".endr",
        "4:",
        "lw t0, 0(a2)",
        "bnez a5, 5f",
        ".irp r, 16, 17, 18, 19, 20, 21, 22, 23",
        "lw t1, 4 * \\r - 64(a1)",
        "mulh t1, t1, x\\r",
        "add t0, t0, t1",
        ".endr",
        "5:",
        ".irp r, 24, 25, 26, 27, 28, 29, 30, 31",
        "lw t1, 4 * \\r - 64(a1)",
        "mulh t1, t1, x\\r",
        "add t0, t0, t1",
        ".endr",
        "sw t0, 0(a2)",
        "add a1, a1, a4",
        "addi a2, a2, 4",
        "bne a2, a3, 4b",
        ".irp r, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27",
        "lw x\\r, 4 * \\r - 72(sp)",
        ".endr",
        "addi sp, sp, 48",
        "ret",
        ".option pop",
    )
}
