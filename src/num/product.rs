//! Products of words, whole or their upper half: one instruction, or two, but on cores whose products have one word.

/// `a * b`.
#[cfg(not(fixformer_thumb1))]
#[inline(always)]
pub(super) const fn product(a: u32, b: u32) -> u64 {
    a as u64 * b as u64
}

/// The same, its upper word from that of the signed product: the compiler makes unsigned halves into a call again.
#[cfg(fixformer_thumb1)]
#[inline(never)]
pub(super) const fn product(a: u32, b: u32) -> u64 {
    let signed = high(a as i32, b as i32) as u32;
    // A word whose top bit counts 2^31 and not -2^31 lacks 2^32 times the other.
    let [of_a, of_b] = [a as i32 >> 31, b as i32 >> 31];
    let upper = signed.wrapping_add(of_a as u32 & b).wrapping_add(of_b as u32 & a);
    (upper as u64) << 32 | a.wrapping_mul(b) as u64
}

/// `a * b / 2^32`, rounded down.
#[cfg(not(fixformer_thumb1))]
#[inline(always)]
pub(crate) const fn high(a: i32, b: i32) -> i32 {
    ((a as i64 * b as i64) >> 32) as i32
}

/// The same of the halves of both.
#[cfg(fixformer_thumb1)]
#[inline(always)]
pub(crate) const fn high(a: i32, b: i32) -> i32 {
    let [a_low, b_low] = [a & 0xffff, b & 0xffff];
    let [a_high, b_high] = [a >> 16, b >> 16];
    let middle = a_high * b_low + ((a_low as u32 * b_low as u32) >> 16) as i32;
    let other = a_low * b_high + (middle & 0xffff);
    a_high * b_high + (middle >> 16) + (other >> 16)
}
