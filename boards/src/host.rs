//! The host's side of a run: the command line and its files.

use crate::recordings::{ReadFailed, Source};
use core::ffi::CStr;
use core::fmt;
use semihosting::{experimental::env, fs, io::Read as _};

/// Longest command line, the program's own name included.
const LINE: usize = 512;

/// Calls `with` with the first argument after the program's name, as a path.
pub fn first_argument<T>(with: impl FnOnce(&CStr) -> T) -> Result<T, HostError> {
    let arguments = env::args::<LINE>().map_err(|_| HostError::CommandLine)?;
    let argument = (&arguments).nth(1).ok_or(HostError::NoArgument)?;
    let argument = argument.map_err(|_| HostError::CommandLine)?;
    // The calls to the host want a final zero.
    let mut path = [0; LINE];
    let length = argument.len().min(LINE - 1);
    path[..length].copy_from_slice(&argument.as_bytes()[..length]);
    CStr::from_bytes_until_nul(&path).map(with).map_err(|_| HostError::CommandLine)
}

/// A file of the host, open for reading.
pub struct File(fs::File);

impl File {
    /// Opens the file at `path`, seen from the folder the emulator was started in.
    pub fn open(path: &CStr) -> Result<Self, HostError> {
        fs::File::open(path).map(Self).map_err(|_| HostError::Open)
    }
}

impl Source for File {
    fn read(&mut self, bytes: &mut [u8]) -> Result<usize, ReadFailed> {
        self.0.read(bytes).map_err(|_| ReadFailed)
    }
}

/// Why the host did not give what was asked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum HostError {
    /// The program was started without an argument.
    NoArgument,
    /// The command line is longer than 511 bytes or not text.
    CommandLine,
    /// There is no such file, or it may not be read.
    Open,
}

impl fmt::Display for HostError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoArgument => "no argument: start the emulator with `-append ARGUMENT`",
            Self::CommandLine => "the command line is not text of at most 511 bytes",
            Self::Open => "cannot open the file named on the command line",
        })
    }
}

impl core::error::Error for HostError {}
