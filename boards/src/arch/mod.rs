//! What differs between the two families of cores. Both files offer the same functions.

#[cfg(target_arch = "arm")]
mod arm;
#[cfg(target_arch = "riscv32")]
mod riscv;

#[cfg(target_arch = "arm")]
pub(crate) use arm::{count_loop, crash, instructions, overflow, stack_pointer, start_counter};
#[cfg(target_arch = "riscv32")]
pub(crate) use riscv::{count_loop, crash, instructions, overflow, stack_pointer, start_counter};

/// Ends the program after a fault: without this the core would loop for ever.
fn fault(kind: core::fmt::Arguments<'_>, pc: usize) -> ! {
    crate::println!("fault: {kind} at pc {pc:#010x} on {}", crate::BOARD);
    semihosting::process::exit(102)
}
