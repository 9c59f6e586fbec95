//! Copies on RISC-V: the compiler's own take five instructions a word.
#![allow(unsafe_code)] // Assembly, and slices handed to it as pointers.

use core::arch::naked_asm;

use crate::kernels::portable;

/// Bytes that [`copies`] moves at a time.
const COPIED: usize = 32;

/// See [`portable::copy`].
pub fn copy<T: Copy + Into<i64>>(from: &[T], to: &mut [T]) {
    let (group, count) = (COPIED / size_of::<T>(), from.len().min(to.len()));
    let (groups, both) = (count / group, from.as_ptr().addr() | to.as_ptr().addr());
    let mut copied = 0;
    if groups > 0 && both.is_multiple_of(4) {
        copied = groups * group;
        // SAFETY: both lie at words and have `groups` groups of integers, not zero, of 32 bytes each.
        unsafe { copies(from.as_ptr().cast(), to.as_mut_ptr().cast(), groups) };
    }
    if copied < count {
        portable::copy(from.get(copied..).unwrap_or_default(), to.get_mut(copied..).unwrap_or_default());
    }
}

/// Moves `groups` groups of 32 bytes.
#[unsafe(naked)]
unsafe extern "C" fn copies(from: *const u32, to: *mut u32, groups: usize) {
    naked_asm!(
        "slli a2, a2, 5",
        "add a2, a2, a0",
        "2:",
        ".irp at, 0, 16",
        "lw a3, \\at(a0)",
        "lw a4, \\at + 4(a0)",
        "lw a5, \\at + 8(a0)",
        "lw a6, \\at + 12(a0)",
        "sw a3, \\at(a1)",
        "sw a4, \\at + 4(a1)",
        "sw a5, \\at + 8(a1)",
        "sw a6, \\at + 12(a1)",
        ".endr",
        "addi a0, a0, 32",
        "addi a1, a1, 32",
        "bne a0, a2, 2b",
        "ret",
    )
}
