//! What a fixformer program needs to run on a bare board: an entry point, output, faults that
//! end the program, an instruction counter, a stack gauge, and recordings read from the host.
//!
//! A board is two files: `config.toml` (target, core, emulator, constants) and `memory.x`. The
//! programs in `src/bin` are the same on all of them. On the host only [`recordings`], [`source`] and
//! [`trials`] exist, for the tools that write such files and for the tests.
//!
//! Exit codes: 0 done, 1 the program reported an error, 101 panic, 102 fault.

#![no_std]

#[cfg(not(target_os = "none"))]
extern crate std;

#[cfg(target_os = "none")]
mod arch;
#[cfg(target_os = "none")]
pub mod classifier;
#[cfg(target_os = "none")]
pub mod counter;
#[cfg(target_os = "none")]
pub mod host;
#[cfg(target_os = "none")]
pub mod print;
#[cfg(target_os = "none")]
pub mod profile;
#[cfg(target_os = "none")]
pub mod program;
pub mod recordings;
#[cfg(target_os = "none")]
pub mod rereader;
pub mod source;
#[cfg(target_os = "none")]
pub mod stack;
#[cfg(target_os = "none")]
pub mod steps;
#[cfg(target_os = "none")]
pub mod streamer;
#[cfg(target_os = "none")]
pub mod tally;
pub mod trials;

/// The board this program was built for.
pub const BOARD: &str = env!("FIXFORMER_BOARD");

/// The kernel backend that the board's `config.toml` says this program must have.
pub const BACKEND: &str = env!("FIXFORMER_BACKEND");

/// Makes `fn() -> Result<(), impl Display>` the program. On the host it becomes a `main` that
/// says where the program runs.
#[macro_export]
macro_rules! entry {
    ($main:path) => {
        #[cfg(target_os = "none")]
        #[allow(unsafe_code)]
        // SAFETY: the runtime calls the one symbol of this name, once, with this signature.
        #[unsafe(export_name = "main")]
        extern "C" fn entry() -> ! {
            $crate::start($main)
        }

        #[cfg(not(target_os = "none"))]
        fn main() {
            std::eprintln!("this program runs on a board: see `cargo xtask --help`");
            std::process::exit(1);
        }
    };
}

/// Runs `main` with the stack painted and the counter counting, then ends the program.
#[cfg(target_os = "none")]
pub fn start<E: core::fmt::Display>(main: fn() -> Result<(), E>) -> ! {
    stack::paint();
    counter::start();
    match main() {
        Ok(()) => semihosting::process::exit(0),
        Err(error) => {
            println!("error: {error}");
            semihosting::process::exit(1)
        }
    }
}

/// Executes an illegal instruction: so `selftest` shows that a fault ends the program.
#[cfg(target_os = "none")]
pub fn crash() -> ! {
    arch::crash()
}
