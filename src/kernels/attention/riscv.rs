//! RISC-V with multiplication: 16 columns of a query, or of the sums, stay in the registers from x16 on.
//!
//! Rows need not lie at words. Widths that are no multiple of 8 go the portable way. Products of 8 columns take the second
//! half of the loops for 16.
#![allow(unsafe_code)] // Assembly, and slices handed to it as pointers.

use core::arch::naked_asm;

use crate::kernels::{domain, portable};
use crate::num::{LogScore, OCTAVE, Requant};

/// Columns that the registers from x16 on hold.
const COLUMNS: usize = 16;
/// Widths are a multiple of half as many.
const HALF: usize = COLUMNS / 2;

/// What [`dots_of_columns`] does.
#[derive(Clone, Copy)]
enum Part {
    /// Writes the products of 16 columns.
    First = 0,
    /// Adds those of 16 more.
    Next = 1,
    /// Adds those of 8 more.
    Half = -1,
}

/// See [`portable::dots`].
pub fn dots(q: &[i16], keys: &[i16], out: &mut [i32]) {
    debug_assert!(domain::dots(q, keys));
    let width = q.len();
    let count = out.len().min(keys.len().checked_div(width).unwrap_or_default());
    let Some(out) = out.get_mut(..count).filter(|_| count > 0 && width.is_multiple_of(HALF)) else {
        return portable::dots(q, keys, out);
    };
    if width < COLUMNS {
        out.fill(0);
    }
    let mut column = 0;
    while column < width {
        let (part, columns) = match (column, width - column) {
            (_, HALF) => (Part::Half, HALF),
            (0, _) => (Part::First, COLUMNS),
            _ => (Part::Next, COLUMNS),
        };
        let (q, keys) = (q.as_ptr().wrapping_add(column), keys.as_ptr().wrapping_add(column));
        // SAFETY: `keys` has `count` rows of `width` columns and `out` as many elements, not zero; `q` and each row have so
        // many columns as the part takes, from `column` on.
        unsafe { dots_of_columns(q, keys, out.as_mut_ptr(), count, 2 * width, part as i32) };
        column += columns;
    }
}

/// Largest shift of a scale whose product with the multiplier has a place below the last in its upper word.
const MOST_SHIFT: u32 = 17;
/// Tops below which twice the distance of any product fits into 32 bits.
const TOP: u32 = 1 << 19;

/// See [`portable::softmax_weights`].
pub fn softmax_weights(dots: &[i32], scale: Requant, top: i32, weights: &mut [i16]) -> Result<u32, i32> {
    debug_assert!(domain::softmax_weights(scale, top));
    let count = dots.len().min(weights.len());
    let pairs = count / 2;
    if pairs == 0 || scale.shift > MOST_SHIFT || top.unsigned_abs() >= TOP {
        return portable::softmax_weights(dots, scale, top, weights);
    }
    let multiplier = i32::from(scale.multiplier) << (MOST_SHIFT - scale.shift);
    // The place below the last rounds.
    let twice = (top << (LogScore::FRAC_NBITS + 1)) + 1;
    // SAFETY: both slices have `2 * pairs` elements, not zero; the table has the 1,024 entries that ten bits can name.
    let found = unsafe {
        weights_of_pairs(dots.as_ptr(), weights.as_mut_ptr(), pairs, -multiplier, twice, OCTAVE.as_ptr())
    };
    let mut sum = found as u32;
    let mut above = (found as i64) < 0;
    if !count.is_multiple_of(2)
        && let (Some(last), Some(weight)) = (dots.get(count - 1..count), weights.get_mut(count - 1..))
    {
        match portable::softmax_weights(last, scale, top, weight) {
            Ok(last) => sum += last,
            Err(_) => above = true,
        }
    }
    if above { Err(portable::largest(dots)) } else { Ok(sum) }
}

/// See [`portable::weighted_sum`].
pub fn weighted_sum(weights: &[i16], values: &[i16], run: usize, shift: u32, sum: &mut [i32]) {
    let width = sum.len();
    debug_assert!(domain::weighted_sum(weights, values, run, shift, width));
    let pairs = (weights.len() / 2).min(values.len().checked_div(2 * width).unwrap_or_default());
    // An unpaired last row belongs to the sum of its run: rare enough for the portable way.
    let whole = pairs > 0 && run > 1 && run.is_multiple_of(2) && values.len() == 2 * pairs * width;
    // With two bits to drop there is room for what rounds.
    if !whole || shift < 2 || !width.is_multiple_of(HALF) {
        return portable::weighted_sum(weights, values, run, shift, sum);
    }
    for (group, sum) in sum.chunks_mut(COLUMNS).enumerate() {
        let values = values.as_ptr().wrapping_add(2 * COLUMNS * group);
        let (weights, half) = (weights.as_ptr(), sum.len() < COLUMNS);
        // SAFETY: there are `pairs` pairs of weights and of zipped rows, `4 * width` bytes apart, which have 16 columns from
        // the first of the group on, or 8, as many as `sum`; neither `pairs` nor the pairs of a run are zero.
        unsafe { sums_of_columns(weights, values, sum.as_mut_ptr(), pairs, run / 2, shift, 4 * width, half) };
    }
}

/// `out[j] = q . keys[j]` for `count` rows, `stride` bytes apart, or what is added to it: see [`Part`].
#[unsafe(naked)]
unsafe extern "C" fn dots_of_columns(
    q: *const i16,
    keys: *const i16,
    out: *mut i32,
    count: usize,
    stride: usize,
    part: i32,
) {
    naked_asm!(
        // Link-time optimisation assembles anew, without the extensions of the target.
        ".option push",
        ".option arch, +m",
        "addi sp, sp, -48",
        ".irp r, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27",
        "sw x\\r, 4 * \\r - 72(sp)",
        ".endr",
        "slli t2, a3, 2",
        "add t2, t2, a2",
        "mv a3, t2",
        "bgez a5, 2f",
        // Half of the columns are the second half.
        "addi a0, a0, -16",
        "addi a1, a1, -16",
        "j 3f",
        "2:",
        ".irp r, 16, 17, 18, 19, 20, 21, 22, 23",
        "lh x\\r, 2 * \\r - 32(a0)",
        ".endr",
        "3:",
        ".irp r, 24, 25, 26, 27, 28, 29, 30, 31",
        "lh x\\r, 2 * \\r - 32(a0)",
        ".endr",
        "bnez a5, 7f",
        "4:",
        "lh t0, 0(a1)",
        "mul t0, t0, x16",
        "5:",
        ".irp r, 17, 18, 19, 20, 21, 22, 23",
        "lh t1, 2 * \\r - 32(a1)",
        "mul t1, t1, x\\r",
        "add t0, t0, t1",
        ".endr",
        "6:",
        ".irp r, 24, 25, 26, 27, 28, 29, 30, 31",
        "lh t1, 2 * \\r - 32(a1)",
        "mul t1, t1, x\\r",
        "add t0, t0, t1",
        ".endr",
        "sw t0, 0(a2)",
        "add a1, a1, a4",
        "addi a2, a2, 4",
        "bne a2, a3, 4b",
        "beq a2, t2, 8f",
        // One round at a time, which begins with the sum.
        "7:",
        "lw t0, 0(a2)",
        "addi a3, a2, 4",
        "bltz a5, 6b",
        "lh t1, 0(a1)",
        "mul t1, t1, x16",
        "add t0, t0, t1",
        "j 5b",
        "8:",
        ".irp r, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27",
        "lw x\\r, 4 * \\r - 72(sp)",
        ".endr",
        "addi sp, sp, 48",
        "ret",
        ".option pop",
    )
}

/// Two weights a round, from twice their distance below the top: then the upper word of the product still has the bit that
/// rounds, and the entry of the table is where its bytes are. The lower word of the result is the sum, the upper one is
/// below zero if some distance is.
#[unsafe(naked)]
unsafe extern "C" fn weights_of_pairs(
    dots: *const i32,
    weights: *mut i16,
    pairs: usize,
    multiplier: i32,
    top: i32,
    table: *const u16,
) -> u64 {
    naked_asm!(
        ".option push",
        ".option arch, +m",
        "slli a2, a2, 3",
        "add a2, a2, a0",
        "li t0, 0",
        "li t1, 0",
        "li t2, 32",
        "2:",
        ".irp at, 3, 4",
        "lw t3, 4 * \\at - 12(a0)",
        "mulh t3, t3, a3",
        "add t3, t3, a4",
        "andi t4, t3, 2046",
        "srai t3, t3, 11",
        "bgeu t3, t2, 1\\at\\()f",
        "add t4, t4, a5",
        "lhu t4, 0(t4)",
        "srl t4, t4, t3",
        "addi t4, t4, 1",
        "srli t4, t4, 1",
        "add t0, t0, t4",
        "\\at:",
        "sh t4, 2 * \\at - 6(a1)",
        ".endr",
        "addi a0, a0, 8",
        "addi a1, a1, 4",
        "bne a0, a2, 2b",
        "mv a0, t0",
        "mv a1, t1",
        "ret",
        // Further than any weight reaches, or above the top.
        ".irp at, 3, 4",
        "1\\at:",
        "or t1, t1, t3",
        "li t4, 0",
        "j \\at\\()b",
        ".endr",
        ".option pop",
    )
}

/// `sum[c] += (sum_j weights[j] values[j][c]) / 2^shift` for every `run` pairs of rows, zipped and `stride` bytes apart, of
/// 16 columns or of `half` as many. The shift is at least 2.
#[unsafe(naked)]
unsafe extern "C" fn sums_of_columns(
    weights: *const i16,
    values: *const i16,
    sum: *mut i32,
    pairs: usize,
    run: usize,
    shift: u32,
    stride: usize,
    half: bool,
) {
    naked_asm!(
        ".option push",
        ".option arch, +m",
        "addi sp, sp, -64",
        "sw ra, 0(sp)",
        "sw s0, 4(sp)",
        "sw s1, 8(sp)",
        ".irp r, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27",
        "sw x\\r, 4 * \\r - 60(sp)",
        ".endr",
        "mv t0, a6",
        "mv t1, a7",
        "beqz t1, 2f",
        // They are the second half.
        "addi a1, a1, -32",
        "addi a2, a2, -32",
        "2:",
        "slli a3, a3, 2",
        "add a3, a3, a0",
        "slli a4, a4, 2",
        "addi a5, a5, -1",
        // A run, up to the last pair.
        "3:",
        "add t2, a0, a4",
        "bgeu a3, t2, 4f",
        "mv t2, a3",
        "4:",
        ".irp r, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31",
        "li x\\r, 0",
        ".endr",
        "5:",
        "lh s0, 0(a0)",
        "lh s1, 2(a0)",
        "bnez t1, 6f",
        ".irp r, 16, 17, 18, 19, 20, 21, 22, 23",
        "lh ra, 4 * \\r - 64(a1)",
        "mul ra, ra, s0",
        "add x\\r, x\\r, ra",
        "lh ra, 4 * \\r - 62(a1)",
        "mul ra, ra, s1",
        "add x\\r, x\\r, ra",
        ".endr",
        "6:",
        ".irp r, 24, 25, 26, 27, 28, 29, 30, 31",
        "lh ra, 4 * \\r - 64(a1)",
        "mul ra, ra, s0",
        "add x\\r, x\\r, ra",
        "lh ra, 4 * \\r - 62(a1)",
        "mul ra, ra, s1",
        "add x\\r, x\\r, ra",
        ".endr",
        "add a1, a1, t0",
        "addi a0, a0, 4",
        "bne a0, t2, 5b",
        "bnez t1, 7f",
        ".irp r, 16, 17, 18, 19, 20, 21, 22, 23",
        "lw ra, 4 * \\r - 64(a2)",
        "sra x\\r, x\\r, a5",
        "addi x\\r, x\\r, 1",
        "srai x\\r, x\\r, 1",
        "add x\\r, x\\r, ra",
        "sw x\\r, 4 * \\r - 64(a2)",
        ".endr",
        "7:",
        ".irp r, 24, 25, 26, 27, 28, 29, 30, 31",
        "lw ra, 4 * \\r - 64(a2)",
        "sra x\\r, x\\r, a5",
        "addi x\\r, x\\r, 1",
        "srai x\\r, x\\r, 1",
        "add x\\r, x\\r, ra",
        "sw x\\r, 4 * \\r - 64(a2)",
        ".endr",
        "bne a0, a3, 3b",
        "lw ra, 0(sp)",
        "lw s0, 4(sp)",
        "lw s1, 8(sp)",
        ".irp r, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27",
        "lw x\\r, 4 * \\r - 60(sp)",
        ".endr",
        "addi sp, sp, 64",
        "ret",
        ".option pop",
    )
}
