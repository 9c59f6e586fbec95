//! The frame of the innermost loops of cores with Thumb-2: over pairs of channels, and over rounds.
//!
//! The inner loop is entered at the place that leaves a whole number of turns, so that its body is eight rounds
//! without a tail.

/// Block, weights, sums, pairs of channels, rounds of a pair, and bytes from the end of a pair to the next.
pub(super) type Kernel = unsafe extern "C" fn(*const u8, *const u8, *mut i32, usize, usize, usize);

/// A function over pairs of channels: bytes of a round, shifts from rounds to bytes of the block and from pairs to
/// bytes of the sums, the sums' registers, and a round: weights from `r0`, columns from `r1`.
macro_rules! accumulate {
    ($name:ident, $bytes:literal, $block_shift:literal, $sums_shift:literal, $sums:literal, $($round:literal),+) => {
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
                processor!(),
                "push {{r4-r11, lr}}",
                "ldr r12, [sp, #36]",
                concat!("add r4, r0, r12, lsl #", $block_shift),
                concat!("add r5, r2, r3, lsl #", $sums_shift),
                "rsb r12, r12, #0",
                "and r12, r12, #7",
                concat!("mov r6, #", $bytes),
                "mul r12, r12, r6",
                "adr.w r6, 3f",
                "add r12, r12, r6",
                "add r12, r12, #1",
                // Block, sums, their ends and where the loop begins.
                "push {{r0, r2, r4, r5, r12}}",
                "mov r0, r1",
                "2:",
                "ldr r12, [sp, #4]",
                concat!("ldm r12, ", $sums),
                "ldr r1, [sp]",
                "ldr lr, [sp, #16]",
                "bx lr",
                ".p2align 2",
                "3:",
                ".rept 8",
                $($round,)+
                ".endr",
                "ldr r2, [sp, #8]",
                "cmp r1, r2",
                "bne 3b",
                "ldr r12, [sp, #4]",
                "ldr r2, [sp, #60]",
                "ldr r3, [sp, #12]",
                concat!("stm r12!, ", $sums),
                "str r12, [sp, #4]",
                "add r0, r0, r2",
                "cmp r12, r3",
                "bne 2b",
                "add sp, sp, #20",
                "pop {{r4-r11, pc}}",
            )
        }
    };
}
pub(super) use accumulate;
