//! RISC-V: `minstret` counts instructions by itself.
#![allow(unsafe_code)]

use core::arch::{asm, naked_asm};
use riscv::register::{mcause, mepc, minstret, mtval};
use riscv_rt as _;

pub(crate) fn start_counter() {}

pub(crate) fn instructions() -> u64 {
    minstret::read64()
}

/// Executes `2 * rounds` instructions.
pub(crate) fn count_loop(rounds: u32) {
    // SAFETY: counts its own register down; `rounds` is not 0.
    unsafe {
        asm!("2: addi {n}, {n}, -1", "bnez {n}, 2b", n = inout(reg) rounds.max(1) => _, options(nomem, nostack));
    }
}

pub(crate) fn crash() -> ! {
    // SAFETY: the handler below ends the program.
    unsafe { asm!("unimp", options(noreturn)) }
}

pub(crate) fn overflow() -> ! {
    // SAFETY: below the stack there is no memory, and a fault does not come back.
    unsafe { asm!("2: addi sp, sp, -16", "sw zero, 0(sp)", "j 2b", options(noreturn)) }
}

pub(crate) fn stack_pointer() -> usize {
    let sp: usize;
    // SAFETY: reads a register.
    unsafe { asm!("mv {sp}, sp", sp = out(reg) sp, options(nomem, nostack, preserves_flags)) };
    sp
}

/// Every trap ends the program, so it may have the whole stack, which may be what overflowed.
// SAFETY: the runtime's name for the entry of all traps; it never returns.
#[unsafe(export_name = "_start_trap")]
#[unsafe(link_section = ".trap.start")]
#[unsafe(naked)]
extern "C" fn trap() -> ! {
    naked_asm!(".balign 4", "la sp, _stack_start", "j {ended}", ended = sym ended)
}

extern "C" fn ended() -> ! {
    let (cause, address) = (mcause::read(), mtval::read());
    let kind = if cause.is_interrupt() { "interrupt" } else { "exception" };
    super::fault(format_args!("{kind} {} (address {address:#010x})", cause.code()), mepc::read())
}
