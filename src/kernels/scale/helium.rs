//! A row times one factor with Helium: four columns a round. What is not a four goes the portable way.
#![allow(unsafe_code)] // Assembly, and slices handed to it as pointers.

use core::arch::naked_asm;

use crate::kernels::{portable, processor};
use crate::num::Factor;

/// See [`portable::scale`].
pub(crate) fn scale(sum: &[i32], factor: Factor, out: &mut [i16]) {
    let fours = sum.len().min(out.len()) / 4;
    let (mantissa, up, down) = factor.parts();
    if fours > 0 {
        // SAFETY: both slices have `4 * fours` elements, not zero.
        unsafe { scale_fours(sum.as_ptr(), out.as_mut_ptr(), fours, mantissa, up, down) };
    }
    if let (Some(sum @ [_, ..]), Some(out)) = (sum.get(4 * fours..), out.get_mut(4 * fours..)) {
        portable::scale(sum, factor, out);
    }
}

/// Four columns a round, shifted up, times the mantissa, of which the upper word is shifted down, and saturated.
#[unsafe(naked)]
unsafe extern "C" fn scale_fours(
    sum: *const i32,
    out: *mut i16,
    fours: usize,
    mantissa: i32,
    up: u32,
    down: u32,
) {
    naked_asm!(
        processor!(),
        "push {{r7, lr}}",
        "ldrd r12, r7, [sp, #8]",
        "rsb r7, r7, #0",
        "vdup.32 q1, r3",
        "dls lr, r2",
        "2:",
        "vldrw.u32 q0, [r0], #16",
        "vshl.s32 q0, r12",
        "vmulh.s32 q0, q0, q1",
        "vrshl.s32 q0, r7",
        "vqmovnb.s32 q0, q0",
        "vstrh.32 q0, [r1], #8",
        "le lr, 2b",
        "pop {{r7, pc}}",
    )
}
