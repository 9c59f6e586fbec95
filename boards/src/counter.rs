//! Executed instructions, as the emulator counts them: the same number on every run.

use crate::arch;

/// Runs `work` and returns what it returns with the instructions it executed, and 10 to 20 more for
/// the two readings. The resolution is a tick of the counter: 5 instructions on `m4`, 1 on `riscv32`.
pub fn measure<T>(work: impl FnOnce() -> T) -> (T, u64) {
    let before = arch::instructions();
    let value = work();
    (value, arch::instructions() - before)
}

/// Executes `2 * rounds` instructions: a known amount, to check [`measure`] with.
#[inline(never)]
pub fn known(rounds: u32) {
    arch::count_loop(rounds);
}

pub(crate) fn start() {
    arch::start_counter();
}
