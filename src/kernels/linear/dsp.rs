//! The tile of cores with the DSP extension, with or without Helium.
#![allow(unsafe_code)] // Assembly, and slices handed to it as pointers.

use core::arch::naked_asm;
use core::mem::MaybeUninit;
use core::slice;

use super::super::{Weight, processor};
use super::loops::{self, Kernel, STEP};
use super::{COLUMNS, PAIRS, Part, ROWS, store_last};
use crate::num::Requant;

/// The columns of some rows and the sums of some channels.
#[repr(align(8))]
pub(super) struct Tile {
    /// A step of each row, then the next.
    block: MaybeUninit<[i16; ROWS * COLUMNS]>,
    /// `[pairs, rows, 2]`.
    sums: MaybeUninit<[i32; 2 * ROWS * PAIRS]>,
}

impl Tile {
    pub(super) const fn new() -> Self {
        Self { block: MaybeUninit::uninit(), sums: MaybeUninit::uninit() }
    }

    /// Copies `columns` columns of the rows, `inputs` apart, into the block; a zero completes the last step.
    pub(super) fn load(&mut self, rows: usize, x: &[i16], inputs: usize, columns: usize) {
        let columns = columns.min(COLUMNS);
        if x.len() < (rows - 1) * inputs + columns || columns == 0 {
            return;
        }
        let (block, x, stride) = (self.block.as_mut_ptr().cast(), x.as_ptr(), 2 * inputs);
        // SAFETY: each of the rows, 4 or 1, has the columns, not zero of them, and the block has room for them.
        unsafe {
            match rows {
                ROWS => loops::load_four_rows(block, x, stride, columns),
                _ => loops::load_row(block, x, columns),
            }
        }
    }

    /// The sums before the first column; no more than [`PAIRS`] pairs of channels.
    pub(super) fn begin(&mut self, rows: usize, bias: &[i32]) {
        let (pairs, last) = bias.as_chunks::<2>();
        if pairs.len() + last.len() > PAIRS {
            return;
        }
        let sums = self.sums.as_mut_ptr().cast::<[i32; 2]>();
        if !pairs.is_empty() {
            // SAFETY: there are so many pairs, not zero, and the sums have room for them.
            unsafe { begin(sums.cast(), pairs.as_ptr().cast(), pairs.len(), rows - 1) };
        }
        if let [last] = last {
            for row in 0..rows.min(ROWS) {
                // SAFETY: there is room for one more pair, as checked above.
                unsafe { sums.add(rows * pairs.len() + row).write([*last, 0]) };
            }
        }
    }

    /// Adds what the columns of the block give; `stride` weights from one pair of channels to the next.
    pub(super) fn accumulate<W: Weight>(&mut self, part: Part, weights: &[W], stride: usize) {
        let rounds = part.columns.div_ceil(STEP);
        let read = 2 * STEP * rounds;
        let enough = weights.len() >= (part.pairs - 1) * stride + read;
        if rounds == 0 || rounds > COLUMNS / STEP || part.pairs > PAIRS || !enough {
            return;
        }
        let kernel: Kernel = match (part.rows, size_of::<W>()) {
            (ROWS, 1) => loops::four_rows_i8,
            (ROWS, _) => loops::four_rows_i16,
            (_, 1) => loops::one_row_i8,
            _ => loops::one_row_i16,
        };
        let skip = (stride - read) * size_of::<W>();
        let (block, weights) = (self.block.as_ptr().cast(), weights.as_ptr().cast());
        // SAFETY: `load` and `begin` have filled the block and the sums of so many rows and pairs, neither number is
        // zero, and there are as many pairs of weights with `read` elements, `stride` apart.
        unsafe { kernel(block, weights, self.sums.as_mut_ptr().cast(), part.pairs, rounds, skip) };
    }

    /// The channels from their sums; `out` begins at the first of them and has `outputs` columns a row.
    pub(super) fn store(
        &self,
        rows: usize,
        multipliers: &[i16],
        shift: u32,
        out: &mut [i16],
        outputs: usize,
    ) {
        let (pairs, last) = multipliers.as_chunks::<2>();
        if pairs.len() + last.len() > PAIRS || out.len() < (rows - 1) * outputs + multipliers.len() {
            return;
        }
        if !pairs.is_empty() {
            let (sums, multipliers, out) =
                (self.sums.as_ptr().cast(), pairs.as_ptr().cast(), out.as_mut_ptr());
            // SAFETY: `begin` has filled the sums of so many pairs, not zero, there are as many pairs of multipliers,
            // and each of the rows, 4 or 1, has as many words.
            unsafe {
                match rows {
                    ROWS => loops::store_four_rows(sums, multipliers, out, pairs.len(), shift, 2 * outputs),
                    _ => store_one_row(sums, multipliers, out, pairs.len(), shift),
                }
            }
        }
        if let &[multiplier] = last {
            // SAFETY: `begin` has filled the sums of the rows of this channel too.
            let sums = unsafe {
                let sums = self.sums.as_ptr().cast::<[i32; 2]>();
                slice::from_raw_parts(sums.add(rows * pairs.len()), rows.min(ROWS))
            };
            let out = out.get_mut(2 * pairs.len()..).unwrap_or_default();
            store_last(sums, Requant { multiplier, shift }, out, outputs);
        }
    }
}

/// Pairs of biases, each written once, or four times if `again` is not zero.
#[unsafe(naked)]
unsafe extern "C" fn begin(sums: *mut i32, bias: *const i32, pairs: usize, again: usize) {
    naked_asm!(
        processor!(),
        "push {{r4-r7, lr}}",
        "add r2, r1, r2, lsl #3",
        "2:",
        "ldm r1!, {{r4, r5}}",
        "cbz r3, 3f",
        "mov r6, r4",
        "mov r7, r5",
        "stm r0!, {{r4-r7}}",
        "stm r0!, {{r4-r7}}",
        "cmp r1, r2",
        "bne 2b",
        "pop {{r4-r7, pc}}",
        "3:",
        "stm r0!, {{r4, r5}}",
        "cmp r1, r2",
        "bne 2b",
        "pop {{r4-r7, pc}}",
    )
}

/// Pairs of channels of a row; see [`store_four_rows`].
#[unsafe(naked)]
unsafe extern "C" fn store_one_row(
    sums: *const i32,
    multipliers: *const i16,
    out: *mut i16,
    pairs: usize,
    shift: u32,
) {
    naked_asm!(
        processor!(),
        "push {{r4-r7, lr}}",
        "add r3, r0, r3, lsl #3",
        "ldr lr, [sp, #20]",
        "sub r4, lr, #1",
        "mov r12, #1",
        "lsl r12, r12, r4",
        "2:",
        "ldm r0!, {{r4, r5}}",
        "ldr r6, [r1], #4",
        "smlawb r4, r4, r6, r12",
        "smlawt r5, r5, r6, r12",
        "asr r4, r4, lr",
        "asr r5, r5, lr",
        "ssat r4, #16, r4",
        "ssat r5, #16, r5",
        "pkhbt r4, r4, r5, lsl #16",
        "str r4, [r2], #4",
        "cmp r0, r3",
        "bne 2b",
        "pop {{r4-r7, pc}}",
    )
}
