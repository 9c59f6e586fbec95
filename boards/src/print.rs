//! Text to the host. A call to the host stops the core, so a line goes out in one piece.

use core::fmt::{self, Write as _};
use semihosting::fd::AsFd as _;
use semihosting::io;
use semihosting::sys::arm_compat::sys_write_orig;

/// Prints to the host's standard output.
#[macro_export]
macro_rules! print {
    ($($text:tt)*) => { $crate::print::write(format_args!($($text)*)) };
}

/// Prints a line to the host's standard output.
#[macro_export]
macro_rules! println {
    ($($text:tt)*) => { $crate::print::write(format_args!("{}\n", format_args!($($text)*))) };
}

/// What [`print!`](crate::print!) and [`println!`](crate::println!) call. A host that does not
/// listen is no error: the program's exit code is what counts.
pub fn write(text: fmt::Arguments<'_>) {
    let mut piece = Piece { bytes: [0; 128], used: 0 };
    let _ = piece.write_fmt(text);
    piece.send();
}

struct Piece {
    bytes: [u8; 128],
    used: usize,
}

impl Piece {
    fn send(&mut self) {
        let bytes = self.bytes.get(..self.used).unwrap_or_default();
        if let Ok(out) = io::stdout() {
            // The whole piece or, where the host cannot write, nothing. `write_all` could panic.
            let _ = sys_write_orig(out.as_fd(), bytes);
        }
        self.used = 0;
    }
}

impl fmt::Write for Piece {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for &byte in text.as_bytes() {
            if self.used == self.bytes.len() {
                self.send();
            }
            if let Some(free) = self.bytes.get_mut(self.used) {
                *free = byte;
            }
            self.used += 1;
        }
        Ok(())
    }
}
