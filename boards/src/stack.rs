//! How deep the stack has been: paint what is free, look later for the first word that changed.
#![allow(unsafe_code)]

use crate::arch;
use core::ptr;

/// Unlikely as a value, and as two bytes of one.
const PAINT: u32 = 0xC5A3_96E1;
/// Left alone below the stack pointer: the painter's own frame.
const MARGIN: usize = 128;

/// Paints the free part of the stack, and so starts [`high_water`] anew.
#[inline(never)]
pub fn paint() {
    let (bottom, _) = bounds();
    let end = arch::stack_pointer().saturating_sub(MARGIN);
    let mut word = bottom;
    while word < end {
        // SAFETY: aligned, inside the region that `memory.x` gives to the stack, and below every
        // frame in use.
        unsafe { ptr::write_volatile(word as *mut u32, PAINT) };
        word += size_of::<u32>();
    }
}

/// Bytes between the top of the stack and the deepest word written since [`paint`]; all of
/// [`size`] means that it may have overflowed.
#[inline(never)]
pub fn high_water() -> usize {
    let (bottom, top) = bounds();
    let mut word = bottom;
    // SAFETY: aligned and inside the region that `memory.x` gives to the stack.
    while word < top && unsafe { ptr::read_volatile(word as *const u32) } == PAINT {
        word += size_of::<u32>();
    }
    top - word
}

/// Grows the stack until it leaves its memory: so `selftest` shows that this faults and overwrites nothing.
pub fn overflow() -> ! {
    arch::overflow()
}

/// Bytes that `memory.x` gives to the stack.
pub fn size() -> usize {
    let (bottom, top) = bounds();
    top - bottom
}

/// Lowest address and first address above.
fn bounds() -> (usize, usize) {
    unsafe extern "C" {
        static _stack_end: u32;
        static _stack_start: u32;
    }
    // Only the addresses of these symbols mean something.
    ((&raw const _stack_end).addr(), (&raw const _stack_start).addr())
}
