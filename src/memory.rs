//! Static memory: handed out once, carved into typed slices.
#![allow(unsafe_code)] // Exclusive access to a static, and words viewed as halves.

use core::cell::UnsafeCell;
use core::mem::MaybeUninit;
use core::sync::atomic::AtomicBool;

/// A value in a `static` that can be taken once, in memory that start-up code fills. It begins at a word, as the kernels
/// like their rows.
#[repr(C, align(4))]
pub struct Once<T> {
    value: UnsafeCell<T>,
    taken: Taken,
}

// SAFETY: the value is reached only through `take`, which succeeds once.
unsafe impl<T: Send> Sync for Once<T> {}

impl<T> Once<T> {
    /// Holds `value` until it is taken.
    pub const fn new(value: T) -> Self {
        Self { value: UnsafeCell::new(value), taken: Taken::new() }
    }

    /// The value the first time, `None` ever after.
    #[expect(clippy::mut_from_ref, reason = "`first` makes the reference exclusive")]
    pub fn take(&'static self) -> Option<&'static mut T> {
        // SAFETY: `first` answers true once, so this is the only reference there will ever be.
        self.taken.first().then(|| unsafe { &mut *self.value.get() })
    }
}

/// Memory for the one owner `O`, which may lie where nothing is cleared at start-up: it holds no flag and expects no
/// value, for after a warm reset it has what the last run left.
#[repr(transparent)]
pub(crate) struct Uncleared<O: Owner<W>, W>(UnsafeCell<MaybeUninit<O::Memory>>);

// SAFETY: the memory is reached only through `take`, which succeeds once.
unsafe impl<O: Owner<W, Memory: Send>, W> Sync for Uncleared<O, W> {}

impl<O: Owner<W>, W> Uncleared<O, W> {
    pub(crate) const fn new() -> Self {
        Self(UnsafeCell::new(MaybeUninit::uninit()))
    }

    /// All zero the first time that `O` takes memory, `None` ever after.
    #[expect(clippy::mut_from_ref, reason = "`first` makes the reference exclusive")]
    pub(crate) fn take(&'static self) -> Option<&'static mut O::Memory> {
        O::TAKEN.first().then(|| {
            let memory = self.0.get().cast::<O::Memory>();
            // SAFETY: the flag of an owner is one place, and answers true once: this is the only reference to any
            // memory of `O`. `Words` are arrays of integers, for which zeros are a value.
            unsafe {
                memory.write_bytes(0, 1);
                &mut *memory
            }
        })
    }
}

/// Whose memory it is, for each way `W` of working in it.
pub trait Owner<W> {
    /// What it asks for.
    type Memory: Words;
    /// Whether it has taken it; in memory that is cleared at start-up.
    const TAKEN: &'static Taken;
}

/// An array of words.
pub trait Words: sealed::Sealed {
    /// Number of words.
    const LENGTH: usize;
    /// The array as a slice.
    fn words(&mut self) -> &mut [u32];
}

mod sealed {
    pub trait Sealed {}
    impl<const N: usize> Sealed for [u32; N] {}
}

impl<const N: usize> Words for [u32; N] {
    const LENGTH: usize = N;

    fn words(&mut self) -> &mut [u32] {
        self
    }
}

/// Whether something was taken.
pub struct Taken(AtomicBool);

impl Taken {
    /// Not yet.
    #[expect(clippy::new_without_default, reason = "made in a `static`")]
    pub const fn new() -> Self {
        Self(AtomicBool::new(false))
    }

    /// True the first time.
    #[cfg(target_has_atomic = "8")]
    fn first(&self) -> bool {
        !self.0.swap(true, core::sync::atomic::Ordering::AcqRel)
    }

    /// Cores without compare-and-swap: the board's critical section makes the exchange indivisible.
    #[cfg(not(target_has_atomic = "8"))]
    fn first(&self) -> bool {
        use core::sync::atomic::Ordering::Relaxed;
        critical_section::with(|_| {
            let free = !self.0.load(Relaxed);
            self.0.store(true, Relaxed);
            free
        })
    }
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
        i32s_mut(self.words(count))
    }

    pub(crate) fn i16s(&mut self, count: usize) -> &'m mut [i16] {
        i16s_mut(self.words(halves(count)), count)
    }

    pub(crate) fn u16s(&mut self, count: usize) -> &'m mut [u16] {
        let halves = self.i16s(count);
        // SAFETY: same size and alignment, any bits are valid, the borrow is passed on.
        unsafe { core::slice::from_raw_parts_mut(halves.as_mut_ptr().cast(), halves.len()) }
    }
}

/// Words that hold `count` 16-bit elements.
pub(crate) const fn halves(count: usize) -> usize {
    count.div_ceil(2)
}

/// The words as signed integers.
pub(crate) fn i32s_mut(words: &mut [u32]) -> &mut [i32] {
    // SAFETY: same size and alignment, any bits are valid, the borrow is passed on.
    unsafe { core::slice::from_raw_parts_mut(words.as_mut_ptr().cast(), words.len()) }
}

/// The first `count` halves of the words, fewer where there are fewer.
pub(crate) fn i16s_mut(words: &mut [u32], count: usize) -> &mut [i16] {
    let count = count.min(words.len() * 2);
    // SAFETY: the words hold at least `count` halves, i16 is less aligned, any bits are valid.
    unsafe { core::slice::from_raw_parts_mut(words.as_mut_ptr().cast(), count) }
}

/// The halves of the words in a range, none where there are fewer.
// One function for all: inlined, it would be a large part of the program.
#[inline(never)]
pub(crate) fn i16s_in(words: &mut [u32], range: core::ops::Range<usize>) -> &mut [i16] {
    i16s_mut(words, range.end).get_mut(range).unwrap_or_default()
}

/// The halves of the words.
pub(crate) fn i16s(words: &[i32]) -> &[i16] {
    // SAFETY: a word has two halves, i16 is less aligned, any bits are valid.
    unsafe { core::slice::from_raw_parts(words.as_ptr().cast(), words.len() * 2) }
}

/// The words as signed integers.
pub(crate) fn i32s(words: &[u32]) -> &[i32] {
    // SAFETY: same size and alignment, any bits are valid, the borrow is passed on.
    unsafe { core::slice::from_raw_parts(words.as_ptr().cast(), words.len()) }
}

/// The rows of `x`, `[n, width]`.
// The iterators of `core` over chunks divide by the width, which small cores do slowly.
pub(crate) fn rows<T>(mut x: &[T], width: usize) -> impl Iterator<Item = &[T]> {
    core::iter::from_fn(move || {
        let (row, rest) = x.split_at_checked(width.max(1))?;
        x = rest;
        Some(row)
    })
}

/// The rows of `x`, `[n, width]`.
pub(crate) fn rows_mut<T>(mut x: &mut [T], width: usize) -> impl Iterator<Item = &mut [T]> {
    core::iter::from_fn(move || {
        let (row, rest) = core::mem::take(&mut x).split_at_mut_checked(width.max(1))?;
        x = rest;
        Some(row)
    })
}

/// Copies `count` elements from `from` to `to`, which is not after it; nothing where they are not there.
pub(crate) fn move_down<T: Copy>(elements: &mut [T], from: usize, to: usize, count: usize) {
    for index in 0..count {
        if let Some(&element) = elements.get(from + index)
            && let Some(slot) = elements.get_mut(to + index)
        {
            *slot = element;
        }
    }
}
