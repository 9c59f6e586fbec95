//! Static memory: handed out once, carved into typed slices.
#![allow(unsafe_code)] // Exclusive access to a static, and words viewed as halves.

use core::cell::UnsafeCell;
use core::sync::atomic::AtomicBool;

/// A value in a `static` that can be taken once. It begins at a word, as the kernels like their rows.
#[repr(C, align(4))]
pub struct Once<T> {
    value: UnsafeCell<T>,
    taken: AtomicBool,
}

// SAFETY: the value is reached only through `take`, which succeeds once.
unsafe impl<T: Send> Sync for Once<T> {}

impl<T> Once<T> {
    /// Holds `value` until it is taken.
    pub const fn new(value: T) -> Self {
        Self { value: UnsafeCell::new(value), taken: AtomicBool::new(false) }
    }

    /// The value the first time, `None` ever after.
    #[expect(clippy::mut_from_ref, reason = "`claim` makes the reference exclusive")]
    pub fn take(&'static self) -> Option<&'static mut T> {
        // SAFETY: `claim` answers true once, so this is the only reference there will ever be.
        claim(&self.taken).then(|| unsafe { &mut *self.value.get() })
    }
}

#[cfg(target_has_atomic = "8")]
fn claim(taken: &AtomicBool) -> bool {
    !taken.swap(true, core::sync::atomic::Ordering::AcqRel)
}

/// Cores without compare-and-swap: the board's critical section makes the exchange indivisible.
#[cfg(not(target_has_atomic = "8"))]
fn claim(taken: &AtomicBool) -> bool {
    use core::sync::atomic::Ordering::Relaxed;
    critical_section::with(|_| {
        let free = !taken.load(Relaxed);
        taken.store(true, Relaxed);
        free
    })
}

/// Takes typed slices off the front of a memory block. Where the block is too small the slice is empty.
pub(crate) struct Carver<'m> {
    rest: &'m mut [u32],
}

impl<'m> Carver<'m> {
    pub(crate) fn new(memory: &'m mut [u32]) -> Self {
        Self { rest: memory }
    }

    pub(crate) fn words(&mut self, count: usize) -> &'m mut [u32] {
        let rest = core::mem::take(&mut self.rest);
        match rest.split_at_mut_checked(count) {
            Some((taken, rest)) => {
                self.rest = rest;
                taken
            }
            None => &mut [],
        }
    }

    pub(crate) fn i32s(&mut self, count: usize) -> &'m mut [i32] {
        let words = self.words(count);
        // SAFETY: same size and alignment, any bits are valid, the borrow is passed on.
        unsafe { core::slice::from_raw_parts_mut(words.as_mut_ptr().cast(), words.len()) }
    }

    pub(crate) fn i16s(&mut self, count: usize) -> &'m mut [i16] {
        let words = self.words(count.div_ceil(2));
        let count = count.min(words.len() * 2);
        // SAFETY: the words hold at least `count` halves, i16 is less aligned, any bits are valid.
        unsafe { core::slice::from_raw_parts_mut(words.as_mut_ptr().cast(), count) }
    }

    pub(crate) fn u16s(&mut self, count: usize) -> &'m mut [u16] {
        let halves = self.i16s(count);
        // SAFETY: same size and alignment, any bits are valid, the borrow is passed on.
        unsafe { core::slice::from_raw_parts_mut(halves.as_mut_ptr().cast(), halves.len()) }
    }
}
