//! RISC-V: `minstret` counts instructions by itself.
#![allow(unsafe_code)]

use core::arch::asm;
use riscv::register::{mcause, mepc, minstret, mtval};
use riscv_rt::TrapFrame;

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

pub(crate) fn stack_pointer() -> usize {
    let sp: usize;
    // SAFETY: reads a register.
    unsafe { asm!("mv {sp}, sp", sp = out(reg) sp, options(nomem, nostack, preserves_flags)) };
    sp
}

// SAFETY: the runtime's name and signature for this handler; it never returns.
#[unsafe(export_name = "ExceptionHandler")]
extern "C" fn exception(_frame: &TrapFrame) -> ! {
    let (cause, address) = (mcause::read().code(), mtval::read());
    super::fault(format_args!("exception {cause} (address {address:#010x})"), mepc::read())
}

// SAFETY: the runtime's name and signature for this handler; it never returns.
#[unsafe(export_name = "DefaultHandler")]
extern "C" fn interrupt() -> ! {
    let cause = mcause::read().code();
    super::fault(format_args!("interrupt {cause} without a handler"), mepc::read())
}
