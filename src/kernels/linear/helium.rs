//! The innermost loops with Helium (Cortex-M55): 15 instructions for 64 products, eight columns of four rows and two
//! channels. Sums take every even register, everything else an odd one.
#![allow(unsafe_code)] // Assembly.

use core::arch::naked_asm;

use super::super::processor;
use super::{COLUMNS, ROWS};

/// Columns in which the loops count.
pub(super) const STEP: usize = 1;

/// Block, weights, sums, pairs of channels, columns, and bytes from the end of a pair to the next.
pub(super) type Kernel = unsafe extern "C" fn(*const u8, *const u8, *mut i32, usize, usize, usize);

// What the offsets below say: a row of the block has 128 bytes.
const _: () = assert!(ROWS == 4 && COLUMNS == 64);

/// Rows, `stride` bytes apart, one after the other.
pub(super) unsafe fn load_four_rows(block: *mut i16, x: *const i16, stride: usize, columns: usize) {
    for row in 0..ROWS {
        // SAFETY: the caller has four such rows, and room for them.
        unsafe { load_row(block.add(row * COLUMNS), x.byte_add(row * stride), columns) };
    }
}

/// A row as it is.
#[unsafe(naked)]
pub(super) unsafe extern "C" fn load_row(block: *mut i16, x: *const i16, columns: usize) {
    naked_asm!(
        processor!(),
        "push {{r7, lr}}",
        "dlstp.16 lr, r2",
        "2:",
        "vldrh.u16 q0, [r1], #16",
        "vstrh.16 q0, [r0], #16",
        "letp lr, 2b",
        "pop {{r7, pc}}",
    )
}

/// Pairs of channels of four rows, `stride` bytes apart: scaled, rounded, saturated and stored.
#[unsafe(naked)]
pub(super) unsafe extern "C" fn store_four_rows(
    sums: *const i32,
    multipliers: *const i16,
    out: *mut i16,
    pairs: usize,
    shift: u32,
    stride: usize,
) {
    naked_asm!(
        processor!(),
        "push {{r4-r7, lr}}",
        "ldr r4, [sp, #20]",
        "ldr r5, [sp, #24]",
        "rsb r4, r4, #0",
        // Offsets of both channels of each row.
        "mov r6, #0",
        "vidup.u32 q3, r6, #1",
        "vmul.i32 q3, q3, r5",
        "movw r5, #1",
        "movt r5, #1",
        "vmul.i32 q3, q3, r5",
        "mov r5, #0x20000",
        "vadd.i32 q3, q3, r5",
        "mov lr, r3",
        "2:",
        "vld20.32 {{q0, q1}}, [r0]",
        "vld21.32 {{q0, q1}}, [r0]!",
        "ldrsh r5, [r1], #2",
        "ldrsh r6, [r1], #2",
        "lsls r5, r5, #15",
        "lsls r6, r6, #15",
        "vqdmulh.s32 q0, q0, r5",
        "vqdmulh.s32 q1, q1, r6",
        "vrshl.s32 q0, r4",
        "vrshl.s32 q1, r4",
        "vqmovnb.s32 q0, q0",
        "vqmovnt.s32 q0, q1",
        "vstrh.16 q0, [r2, q3]",
        "adds r2, r2, #4",
        "le lr, 2b",
        "pop {{r4-r7, pc}}",
    )
}

/// A function over pairs of channels: a shift from columns to bytes of a pair's weights; how weights of eight columns
/// are read into `q1` and `q2`, and those of the last `r5`.
macro_rules! four_rows {
    ($name:ident, $shift:literal, [$($weights:literal),+], [$($last:literal),+]) => {
        #[unsafe(naked)]
        pub(super) unsafe extern "C" fn $name(
            block: *const u8,
            weights: *const u8,
            sums: *mut i32,
            pairs: usize,
            columns: usize,
            skip: usize,
        ) {
            naked_asm!(
                processor!(),
                "push {{r4-r11, lr}}",
                "ldr r4, [sp, #36]",
                "ldr r5, [sp, #40]",
                "add r3, r2, r3, lsl #5",
                // Block, sums, their end, columns, skipped bytes.
                "push {{r0, r2, r3, r4, r5}}",
                "mov r3, r1",
                // Where every other weight lies.
                "mov r0, #0",
                "vidup.u16 q0, r0, #4",
                ".macro products",
                "vldrw.u32 q3, [r1], #16",
                "vmladava.s16 r0, q3, q1",
                "vmladava.s16 r2, q3, q2",
                "vldrw.u32 q3, [r1, #112]",
                "vmladava.s16 r4, q3, q1",
                "vmladava.s16 r6, q3, q2",
                "vldrw.u32 q3, [r1, #240]",
                "vmladava.s16 r8, q3, q1",
                "vmladava.s16 r10, q3, q2",
                "vldrw.u32 q3, [r1, #368]",
                "vmladava.s16 r12, q3, q1",
                "vmladava.s16 lr, q3, q2",
                ".endm",
                "2:",
                "ldr r1, [sp, #4]",
                "ldr r5, [sp, #12]",
                "ldm r1, {{r0, r2, r4, r6, r8, r10, r12, lr}}",
                "ldr r1, [sp]",
                "subs r5, r5, #16",
                "blo 4f",
                "3:",
                $($weights,)+
                "products",
                $($weights,)+
                "products",
                "subs r5, r5, #16",
                "bhs 3b",
                "4:",
                "adds r5, r5, #16",
                "cmp r5, #8",
                "blo 5f",
                $($weights,)+
                "products",
                "subs r5, r5, #8",
                "5:",
                "cbz r5, 6f",
                $($last,)+
                concat!("add r3, r3, r5, lsl #", $shift),
                "products",
                "6:",
                ".purgem products",
                "ldr r1, [sp, #4]",
                "ldr r7, [sp, #16]",
                "ldr r9, [sp, #8]",
                "stm r1!, {{r0, r2, r4, r6, r8, r10, r12, lr}}",
                "str r1, [sp, #4]",
                "add r3, r3, r7",
                "cmp r1, r9",
                "bne 2b",
                "add sp, sp, #20",
                "pop {{r4-r11, pc}}",
            )
        }
    };
}

/// The same of one row.
macro_rules! one_row {
    ($name:ident, $shift:literal, [$($weights:literal),+], [$($last:literal),+]) => {
        #[unsafe(naked)]
        pub(super) unsafe extern "C" fn $name(
            block: *const u8,
            weights: *const u8,
            sums: *mut i32,
            pairs: usize,
            columns: usize,
            skip: usize,
        ) {
            naked_asm!(
                processor!(),
                "push {{r4-r11, lr}}",
                "ldr r8, [sp, #36]",
                "ldr r10, [sp, #40]",
                "mov r9, r3",
                "mov r12, r2",
                "mov r3, r1",
                "mov r6, r0",
                "mov r0, #0",
                "vidup.u16 q0, r0, #4",
                "2:",
                "ldrd r0, r2, [r12]",
                "mov r1, r6",
                "mov r5, r8",
                "subs r5, r5, #8",
                "blo 4f",
                "3:",
                $($weights,)+
                "vldrw.u32 q3, [r1], #16",
                "vmladava.s16 r0, q3, q1",
                "vmladava.s16 r2, q3, q2",
                "subs r5, r5, #8",
                "bhs 3b",
                "4:",
                "adds r5, r5, #8",
                "beq 6f",
                $($last,)+
                concat!("add r3, r3, r5, lsl #", $shift),
                "vldrw.u32 q3, [r1]",
                "vmladava.s16 r0, q3, q1",
                "vmladava.s16 r2, q3, q2",
                "6:",
                "strd r0, r2, [r12], #8",
                "add r3, r3, r10",
                "subs r9, r9, #1",
                "bne 2b",
                "pop {{r4-r11, pc}}",
            )
        }
    };
}

four_rows!(
    four_rows_i8,
    1,
    ["vldrb.u8 q0, [r3], #16", "vmovlb.s8 q1, q0", "vmovlt.s8 q2, q0"],
    ["lsl r7, r5, #1", "vctp.8 r7", "vpst", "vldrbt.u8 q0, [r3]", "vmovlb.s8 q1, q0", "vmovlt.s8 q2, q0"]
);
four_rows!(
    four_rows_i16,
    2,
    ["vldrh.u16 q1, [r3, q0]", "adds r7, r3, #2", "vldrh.u16 q2, [r7, q0]", "adds r3, r3, #32"],
    ["vctp.16 r5", "adds r7, r3, #2", "vpstt", "vldrht.u16 q1, [r3, q0]", "vldrht.u16 q2, [r7, q0]"]
);
one_row!(
    one_row_i8,
    1,
    ["vldrb.u8 q0, [r3], #16", "vmovlb.s8 q1, q0", "vmovlt.s8 q2, q0"],
    ["lsl r7, r5, #1", "vctp.8 r7", "vpst", "vldrbt.u8 q0, [r3]", "vmovlb.s8 q1, q0", "vmovlt.s8 q2, q0"]
);
one_row!(
    one_row_i16,
    2,
    ["vldrh.u16 q1, [r3, q0]", "adds r7, r3, #2", "vldrh.u16 q2, [r7, q0]", "adds r3, r3, #32"],
    ["vctp.16 r5", "adds r7, r3, #2", "vpstt", "vldrht.u16 q1, [r3, q0]", "vldrht.u16 q2, [r7, q0]"]
);
