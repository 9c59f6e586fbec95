//! Executed instructions, as the emulator counts them: the same number on every run.

use crate::arch;

/// Runs `work` and returns what it returns with the instructions it executed, and 10 to 20 more for
/// the two readings (on Arm also some 15 in every 10 million, for the exception that counts wraps).
/// The resolution is a tick of the counter: an instruction or less on every board.
pub fn measure<T>(work: impl FnOnce() -> T) -> (T, u64) {
    let before = arch::instructions();
    let value = work();
    (value, arch::instructions() - before)
}

/// Does nothing, at a place that a trace of a run knows: before and after what is of interest there.
#[inline(never)]
pub fn mark() {
    core::hint::black_box(());
}

/// Instructions since the start.
pub fn now() -> u64 {
    arch::instructions()
}

/// Executes `2 * rounds` instructions: a known amount, to check [`measure`] with.
#[inline(never)]
pub fn known(rounds: u32) {
    arch::count_loop(rounds);
}

pub(crate) fn start() {
    arch::start_counter();
}
