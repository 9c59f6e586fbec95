//! The files of a command: what it reads has an end and fits in memory, what it writes is written whole or not at all, and
//! never over what it reads.

use std::fs::FileType;

mod input;
mod output;

pub use input::{MOST_BYTES, MOST_TEXT, advice, decode, open, read, text};
pub use output::{Files, Output, WriteError, replace};

/// What is at a path, in words.
fn kind(kind: FileType) -> &'static str {
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt;
        if kind.is_fifo() {
            return "a pipe";
        }
        if kind.is_socket() {
            return "a socket";
        }
        if kind.is_char_device() || kind.is_block_device() {
            return "a device";
        }
    }
    if kind.is_dir() { "a folder" } else { "something else" }
}
