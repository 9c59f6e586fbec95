//! The host's side of a run: the command line and its files. The calls are made here: those of the crate `semihosting`
//! could panic where a host answers nonsense, and no firmware of ours may.

use crate::source::{ReadFailed, Rewind, Source};
use core::ffi::CStr;
use core::fmt;
use semihosting::fd::RawFd;
use semihosting::sys::arm_compat::syscall::{
    OperationNumber, ParamRegR, ParamRegW, syscall, syscall_readonly,
};

/// Longest command line, the program's own name and the final zero included.
const LINE: usize = 512;

/// Calls `with` with what follows the program's name on the command line, as a path.
/// Not inlined: the line would stay on the stack for as long as the caller runs.
#[inline(never)]
pub fn argument<T>(with: impl FnOnce(&CStr) -> T) -> Result<T, HostError> {
    let mut line = [0; LINE];
    command_line(&mut line)?;
    let line = CStr::from_bytes_until_nul(&line).map_err(|_| HostError::CommandLine)?.to_bytes_with_nul();
    let mut halves = line.splitn(2, |&byte| byte == b' ');
    let argument = halves.nth(1).ok_or(HostError::NoArgument)?;
    CStr::from_bytes_with_nul(argument).map(with).map_err(|_| HostError::CommandLine)
}

/// The command line into `line`, with a zero after it.
#[allow(unsafe_code)]
fn command_line(line: &mut [u8; LINE]) -> Result<(), HostError> {
    let mut block = [ParamRegW::buf(&mut line[..]), ParamRegW::usize(LINE)];
    // SAFETY: this call takes a buffer and its length, and writes no more than that.
    let failed = unsafe { syscall(OperationNumber::SYS_GET_CMDLINE, ParamRegW::block(&mut block)) };
    if failed.usize() == 0 { Ok(()) } else { Err(HostError::CommandLine) }
}

/// A file of the host, open for reading until the program ends.
pub struct File(RawFd);

impl File {
    /// Opens the file at `path`, seen from the folder the emulator was started in.
    #[allow(unsafe_code)]
    pub fn open(path: &CStr) -> Result<Self, HostError> {
        const READ_BINARY: usize = 1;
        let length = path.count_bytes();
        let block = [ParamRegR::c_str(path), ParamRegR::usize(READ_BINARY), ParamRegR::usize(length)];
        // SAFETY: this call takes a text that ends in a zero, a mode and the text's length.
        let file = unsafe { syscall_readonly(OperationNumber::SYS_OPEN, ParamRegR::block(&block)) };
        file.raw_fd().map(Self).ok_or(HostError::Open)
    }
}

impl Source for File {
    #[allow(unsafe_code)]
    fn read(&mut self, bytes: &mut [u8]) -> Result<usize, ReadFailed> {
        let length = bytes.len();
        let mut block = [ParamRegW::raw_fd(self.0), ParamRegW::buf(bytes), ParamRegW::usize(length)];
        // SAFETY: this call takes an open file, a buffer and its length, and writes no more than that.
        let unread = unsafe { syscall(OperationNumber::SYS_READ, ParamRegW::block(&mut block)) };
        length.checked_sub(unread.usize()).ok_or(ReadFailed)
    }
}

impl Rewind for File {
    #[allow(unsafe_code)]
    fn go_to(&mut self, byte: u32) -> Result<(), ReadFailed> {
        let block = [ParamRegR::raw_fd(self.0), ParamRegR::usize(byte as usize)];
        // SAFETY: this call takes an open file and a place in it, and touches no memory.
        let failed = unsafe { syscall_readonly(OperationNumber::SYS_SEEK, ParamRegR::block(&block)) };
        if failed.usize() == 0 { Ok(()) } else { Err(ReadFailed) }
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
