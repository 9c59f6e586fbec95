//! Cortex-M: SysTick counts, its exception counts the wraps.
#![allow(unsafe_code)]

use core::arch::asm;
use core::sync::atomic::{AtomicU32, Ordering};
use cortex_m::peripheral::{SCB, SYST, syst::SystClkSource};
use cortex_m_rt::{ExceptionFrame, exception};

/// SysTick counts down over this many ticks.
const PERIOD: u32 = 1 << 24;
/// Instructions of a tick, as a fraction in lowest terms: `10^9 / (frequency * nanoseconds)`.
const PER_TICK: [u64; 2] = {
    let rate = decimal(env!("FIXFORMER_SYSTICK_HZ")) * decimal(env!("FIXFORMER_INSTRUCTION_NS"));
    let common = greatest_common_divisor(1_000_000_000, rate);
    [1_000_000_000 / common, rate / common]
};
/// ICSR.PENDSTSET: the counter has wrapped and its exception is still to come.
const PENDING: u32 = 1 << 26;

static WRAPS: AtomicU32 = AtomicU32::new(0);

pub(crate) fn start_counter() {
    // SAFETY: the only user of SysTick, called once before the program.
    let mut timer = unsafe { cortex_m::Peripherals::steal() }.SYST;
    timer.set_clock_source(SystClkSource::Core);
    timer.set_reload(PERIOD - 1);
    timer.clear_current();
    timer.enable_interrupt();
    timer.enable_counter();
}

pub(crate) fn instructions() -> u64 {
    loop {
        let wraps = WRAPS.load(Ordering::SeqCst);
        let left = SYST::get_current();
        // SAFETY: reading ICSR has no effect.
        let pending = unsafe { (*SCB::PTR).icsr.read() } & PENDING != 0;
        // A wrap between the reads, or 0, where the counter stands for one tick while its exception
        // may have been served or not: read again.
        if left != 0 && !pending && wraps == WRAPS.load(Ordering::SeqCst) {
            let ticks = u64::from(wraps) * u64::from(PERIOD) + u64::from(PERIOD - left);
            return ticks * PER_TICK[0] / PER_TICK[1];
        }
    }
}

/// Executes `2 * rounds` instructions.
pub(crate) fn count_loop(rounds: u32) {
    // SAFETY: counts its own register down; `rounds` is not 0.
    unsafe {
        asm!("2: subs {n}, {n}, #1", "bne 2b", n = inout(reg) rounds.max(1) => _, options(nomem, nostack));
    }
}

pub(crate) fn crash() -> ! {
    // SAFETY: the handler below ends the program.
    unsafe { asm!("udf #0", options(noreturn)) }
}

pub(crate) fn overflow() -> ! {
    // SAFETY: below the stack there is no memory, and a fault does not come back.
    unsafe { asm!("2: push {{r0}}", "b 2b", options(noreturn)) }
}

pub(crate) fn stack_pointer() -> usize {
    let sp: usize;
    // SAFETY: reads a register.
    unsafe { asm!("mov {sp}, sp", sp = out(reg) sp, options(nomem, nostack, preserves_flags)) };
    sp
}

#[exception]
fn SysTick() {
    // Nobody else writes, and a Cortex-M0 has no `fetch_add`.
    WRAPS.store(WRAPS.load(Ordering::SeqCst) + 1, Ordering::SeqCst);
}

// SAFETY: reads the frame that the core has just pushed, and never returns.
#[exception]
unsafe fn HardFault(frame: &ExceptionFrame) -> ! {
    super::fault(format_args!("HardFault"), frame.pc() as usize)
}

// SAFETY: never returns.
#[exception]
unsafe fn DefaultHandler(number: i16) -> ! {
    super::fault(format_args!("exception {number} without a handler"), 0)
}

const fn decimal(text: &str) -> u64 {
    match u64::from_str_radix(text, 10) {
        Ok(value) => value,
        Err(_) => panic!("expected a whole number"),
    }
}

const fn greatest_common_divisor(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}
