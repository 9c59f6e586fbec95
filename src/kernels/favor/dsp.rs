//! FAVOR+ on Arm cores with the DSP extension: products that keep their upper word.
#![allow(unsafe_code)] // Assembly, and slices handed to it as pointers.

use core::arch::naked_asm;

use crate::kernels::attention::dsp::SATURATED;
use crate::kernels::attention::weights_of;
use crate::kernels::{EXPONENT_FRAC, SCORE_SHIFT, at_word, domain, portable, processor};
use crate::num::{LogScore, OCTAVE, Requant};

/// Largest shift of a scale whose product with the multiplier is one instruction, rounded.
const MOST_SHIFT: u32 = 16;

/// See [`portable::key_exponents`].
pub fn key_exponents(products: &mut [i32], scale: Requant, n: i32, tops: &[i16]) -> bool {
    debug_assert!(domain::key_exponents(scale, n));
    let Some((multiplier, fours)) = fours(products, scale, tops) else {
        return portable::key_exponents(products, scale, n, tops);
    };
    // SAFETY: both slices have `4 * fours` elements, not zero, and the second lies at a word.
    let status = unsafe { exponents_of_key(products.as_mut_ptr(), tops.as_ptr(), fours, multiplier, -n) };
    let (rest, tops) = (products.get_mut(4 * fours..), tops.get(4 * fours..));
    let above = portable::key_exponents(rest.unwrap_or_default(), scale, n, tops.unwrap_or_default());
    above || status & SATURATED != 0
}

/// See [`portable::query_exponents`].
pub fn query_exponents(products: &mut [i32], scale: Requant, tops: &[i16]) -> i32 {
    debug_assert!(domain::is_scale(scale));
    let Some((multiplier, fours)) = fours(products, scale, tops) else {
        return portable::query_exponents(products, scale, tops);
    };
    // SAFETY: both slices have `4 * fours` elements, not zero, and the second lies at a word.
    let largest = unsafe { exponents_of_query(products.as_mut_ptr(), tops.as_ptr(), fours, multiplier) };
    let (rest, tops) = (products.get_mut(4 * fours..), tops.get(4 * fours..));
    largest.max(portable::query_exponents(rest.unwrap_or_default(), scale, tops.unwrap_or_default()))
}

/// See [`portable::offset_exponents`].
pub fn offset_exponents(products: &mut [i32], scale: Requant, offsets: &[i32], base: i32) -> i32 {
    let fours = products.len().min(offsets.len()) / 4;
    let Some(shift) = MOST_SHIFT.checked_sub(scale.shift).filter(|_| fours > 0) else {
        return portable::offset_exponents(products, scale, offsets, base);
    };
    let multiplier = i32::from(scale.multiplier) << shift;
    // SAFETY: both slices have `4 * fours` elements, not zero.
    let largest =
        unsafe { exponents_of_offsets(products.as_mut_ptr(), offsets.as_ptr(), fours, multiplier, base) };
    let (rest, offsets) = (products.get_mut(4 * fours..), offsets.get(4 * fours..));
    let of_rest =
        portable::offset_exponents(rest.unwrap_or_default(), scale, offsets.unwrap_or_default(), base);
    largest.max(of_rest)
}

/// The multiplier of whose product the upper word is the scaled one, and the number of fours; `None` where the portable way is
/// the way.
fn fours(products: &[i32], scale: Requant, tops: &[i16]) -> Option<(i32, usize)> {
    let fours = products.len().min(tops.len()) / 4;
    let shift = MOST_SHIFT.checked_sub(scale.shift)?;
    (fours > 0 && at_word(tops)).then_some((i32::from(scale.multiplier) << shift, fours))
}

/// See [`portable::exp2_weights`].
pub fn exp2_weights(exponents: &[i32], scale: Requant, top: i32, weights: &mut [i16]) -> u32 {
    debug_assert!(domain::softmax_weights(scale, top));
    let whole = exponents.len().min(weights.len()) / 4 * 4;
    if whole == 0 || scale.shift > SCORE_SHIFT || !at_word(weights) {
        return portable::exp2_weights(exponents, scale, top, weights);
    }
    let multiplier = i32::from(scale.multiplier) << (SCORE_SHIFT - scale.shift);
    let from_top = top << LogScore::FRAC_NBITS;
    let (from, to) = (exponents.as_ptr(), weights.as_mut_ptr());
    // SAFETY: both slices have `whole` elements, a multiple of four and not zero, and the weights lie at a word; the table has
    // the 1,024 entries that ten bits can name.
    let found = unsafe { weights_of(from, to, whole, multiplier, from_top, OCTAVE.as_ptr()) };
    let (rest, weights) = (exponents.get(whole..), weights.get_mut(whole..));
    found as u32 + portable::exp2_weights(rest.unwrap_or_default(), scale, top, weights.unwrap_or_default())
}

/// See [`portable::dots_of_sums`].
pub fn dots_of_sums(q: &[i16], sums: &[i32], out: &mut [i32]) {
    debug_assert!(domain::dots_of_sums(q));
    let width = q.len();
    let pairs = out.len().min(sums.len().checked_div(width).unwrap_or_default()) / 2;
    let (mut by_row, mut rest) = (sums, &mut *out);
    if pairs > 0 && width.is_multiple_of(8) && at_word(q) {
        // SAFETY: `sums` has `2 * pairs` rows of the length of `q`, `out` as many elements; neither is zero, the length is a
        // multiple of 8, and `q` lies at a word.
        unsafe { dots_of_two_rows(q.as_ptr(), sums.as_ptr(), rest.as_mut_ptr(), width, pairs) };
        by_row = sums.get(2 * pairs * width..).unwrap_or_default();
        rest = rest.get_mut(2 * pairs..).unwrap_or_default();
    }
    portable::dots_of_sums(q, by_row, rest);
}

/// Four exponents a round. Limits and exponents above zero saturate, which the program status that is returned notes.
#[unsafe(naked)]
unsafe extern "C" fn exponents_of_key(
    products: *mut i32,
    tops: *const i16,
    fours: usize,
    multiplier: i32,
    minus_n: i32,
) -> u64 {
    naked_asm!(
        processor!(),
        "push {{r4-r10, lr}}",
        "ldr r10, [sp, #32]",
        "add r2, r0, r2, lsl #4",
        "mvn r12, #0x80000000",
        "mov r8, #0",
        "msr apsr_nzcvq, r8",
        "2:",
        "ldm r0, {{r4-r7}}",
        "ldm r1!, {{r8, r9}}",
        "sxth lr, r8",
        "smmlar r4, r4, r3, r10",
        "ssat r4, #29, r4",
        "sub r4, r4, lr, lsl #{frac}",
        "qadd lr, r4, r12",
        "asr lr, r8, #16",
        "smmlar r5, r5, r3, r10",
        "ssat r5, #29, r5",
        "sub r5, r5, lr, lsl #{frac}",
        "qadd lr, r5, r12",
        "sxth lr, r9",
        "smmlar r6, r6, r3, r10",
        "ssat r6, #29, r6",
        "sub r6, r6, lr, lsl #{frac}",
        "qadd lr, r6, r12",
        "asr lr, r9, #16",
        "smmlar r7, r7, r3, r10",
        "ssat r7, #29, r7",
        "sub r7, r7, lr, lsl #{frac}",
        "qadd lr, r7, r12",
        "stm r0!, {{r4-r7}}",
        "cmp r0, r2",
        "bne 2b",
        "mrs r0, apsr",
        "mov r1, #0",
        "pop {{r4-r10, pc}}",
        frac = const EXPONENT_FRAC,
    )
}

/// Four exponents a round; returns the largest.
#[unsafe(naked)]
unsafe extern "C" fn exponents_of_query(
    products: *mut i32,
    tops: *const i16,
    fours: usize,
    multiplier: i32,
) -> i32 {
    naked_asm!(
        processor!(),
        "push {{r4-r9, lr}}",
        "add r2, r0, r2, lsl #4",
        "mov r12, #0x80000000",
        "2:",
        "ldm r0, {{r4-r7}}",
        "ldm r1!, {{r8, r9}}",
        "sxth lr, r8",
        "smmulr r4, r4, r3",
        "add r4, r4, lr, lsl #{frac}",
        "cmp r4, r12",
        "it gt",
        "movgt r12, r4",
        "asr lr, r8, #16",
        "smmulr r5, r5, r3",
        "add r5, r5, lr, lsl #{frac}",
        "cmp r5, r12",
        "it gt",
        "movgt r12, r5",
        "sxth lr, r9",
        "smmulr r6, r6, r3",
        "add r6, r6, lr, lsl #{frac}",
        "cmp r6, r12",
        "it gt",
        "movgt r12, r6",
        "asr lr, r9, #16",
        "smmulr r7, r7, r3",
        "add r7, r7, lr, lsl #{frac}",
        "cmp r7, r12",
        "it gt",
        "movgt r12, r7",
        "stm r0!, {{r4-r7}}",
        "cmp r0, r2",
        "bne 2b",
        "mov r0, r12",
        "pop {{r4-r9, pc}}",
        frac = const EXPONENT_FRAC,
    )
}

/// Four exponents a round; returns the largest.
#[cfg(not(fixformer_mve))]
#[unsafe(naked)]
unsafe extern "C" fn exponents_of_offsets(
    products: *mut i32,
    offsets: *const i32,
    fours: usize,
    multiplier: i32,
    base: i32,
) -> i32 {
    naked_asm!(
        processor!(),
        "push {{r4-r11, lr}}",
        "ldr r12, [sp, #36]",
        "add r2, r0, r2, lsl #4",
        "mvn lr, #0x80000000",
        "rsb lr, lr, #0",
        "2:",
        "ldm r0, {{r4-r7}}",
        "ldm r1!, {{r8-r11}}",
        "smmlar r4, r4, r3, r8",
        "smmlar r5, r5, r3, r9",
        "smmlar r6, r6, r3, r10",
        "smmlar r7, r7, r3, r11",
        ".irp exponent, r4, r5, r6, r7",
        "sub \\exponent, \\exponent, r12",
        "cmp \\exponent, lr",
        "it gt",
        "movgt lr, \\exponent",
        ".endr",
        "stm r0!, {{r4-r7}}",
        "cmp r0, r2",
        "bne 2b",
        "mov r0, lr",
        "pop {{r4-r11, pc}}",
    )
}

/// Four exponents a round; returns the largest.
#[cfg(fixformer_mve)]
#[unsafe(naked)]
unsafe extern "C" fn exponents_of_offsets(
    products: *mut i32,
    offsets: *const i32,
    fours: usize,
    multiplier: i32,
    base: i32,
) -> i32 {
    naked_asm!(
        processor!(),
        "push {{r7, lr}}",
        "ldr r12, [sp, #8]",
        "rsb r12, r12, #0",
        "vdup.32 q2, r3",
        "mvn r3, #0x80000000",
        "rsb r3, r3, #0",
        "dls lr, r2",
        "2:",
        "vldrw.u32 q0, [r0]",
        "vrmulh.s32 q0, q0, q2",
        "vldrw.u32 q1, [r1], #16",
        "vadd.i32 q0, q0, q1",
        "vadd.i32 q0, q0, r12",
        "vmaxv.s32 r3, q0",
        "vstrw.32 q0, [r0], #16",
        "le lr, 2b",
        "mov r0, r3",
        "pop {{r7, pc}}",
    )
}

/// `out[j] += q . sums[j] / 2^16` for `pairs` pairs of rows, each product rounded down; `width` is a multiple of 8.
#[unsafe(naked)]
unsafe extern "C" fn dots_of_two_rows(
    q: *const i16,
    sums: *const i32,
    out: *mut i32,
    width: usize,
    pairs: usize,
) {
    naked_asm!(
        processor!(),
        "push {{r4-r11, lr}}",
        "ldr r4, [sp, #36]",
        "add r5, r2, r4, lsl #3",
        // sp: query, out, its end, bytes of a row.
        "lsl r6, r3, #2",
        "push {{r0, r2, r5, r6}}",
        "add r3, r0, r3, lsl #1",
        "3:",
        "add r2, r1, r6",
        "ldr r4, [sp, #4]",
        "ldrd r12, lr, [r4]",
        "2:",
        "ldm r0!, {{r8-r11}}",
        "ldm.w r1!, {{r4-r7}}",
        "smlawb r12, r4, r8, r12",
        "smlawt r12, r5, r8, r12",
        "smlawb r12, r6, r9, r12",
        "smlawt r12, r7, r9, r12",
        "ldm.w r1!, {{r4-r7}}",
        "smlawb r12, r4, r10, r12",
        "smlawt r12, r5, r10, r12",
        "smlawb r12, r6, r11, r12",
        "smlawt r12, r7, r11, r12",
        "ldm.w r2!, {{r4-r7}}",
        "smlawb lr, r4, r8, lr",
        "smlawt lr, r5, r8, lr",
        "smlawb lr, r6, r9, lr",
        "smlawt lr, r7, r9, lr",
        "ldm.w r2!, {{r4-r7}}",
        "smlawb lr, r4, r10, lr",
        "smlawt lr, r5, r10, lr",
        "smlawb lr, r6, r11, lr",
        "smlawt lr, r7, r11, lr",
        "cmp r0, r3",
        "bne 2b",
        "ldrd r4, r5, [sp, #4]",
        "strd r12, lr, [r4], #8",
        "str r4, [sp, #4]",
        "mov r1, r2",
        "ldr r0, [sp]",
        "ldr r6, [sp, #12]",
        "cmp r4, r5",
        "bne 3b",
        "add sp, sp, #16",
        "pop {{r4-r11, pc}}",
    )
}
