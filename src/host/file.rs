//! Files that are written whole or not at all.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::{format, process};

/// A file that cannot be written. What was there before is as it was, and nothing is left beside it.
#[derive(Debug, thiserror::Error)]
#[error(
    "{}: cannot be written, and is as it was: {problem}; check the folder, its permissions and its free space",
    path.display()
)]
pub struct WriteError {
    /// The file.
    pub path: PathBuf,
    /// What the operating system said.
    pub problem: io::Error,
}

/// Makes `bytes` the contents of the file at `path`, new or not. Until all of them are on the disk the file is what it
/// was: they are written to another one beside it, which then takes its name.
///
/// # Errors
/// [`WriteError`] if that fails, or if what is at `path` is no regular file, for example a folder or a device.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<(), WriteError> {
    try_replace(path, bytes).map_err(|problem| WriteError { path: path.into(), problem })
}

/// Files beside it that may be left of processes that were killed.
const MOST_LEFT: u32 = 100;

fn try_replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let name = path.file_name().ok_or_else(|| io::Error::other("not the name of a file"))?;
    // Renaming would remove a device, not write to it.
    if fs::metadata(path).is_ok_and(|there| !there.is_file()) {
        return Err(io::Error::other("it is there and no regular file"));
    }
    let (part, file) = beside(path, name)?;
    let written = whole(file, bytes).and_then(|()| fs::rename(&part, path));
    if written.is_err() {
        // What is there of it is of no use; the error that counts is the first.
        let _ = fs::remove_file(&part);
    }
    written
}

/// A new file in the same folder, so that the renaming does not copy.
fn beside(path: &Path, name: &OsStr) -> io::Result<(PathBuf, File)> {
    for attempt in 0..MOST_LEFT {
        let mut name = OsString::from(name);
        name.push(format!(".{}-{attempt}.part", process::id()));
        let part = path.with_file_name(name);
        match File::create_new(&part) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            file => return Ok((part, file?)),
        }
    }
    Err(ErrorKind::AlreadyExists.into())
}

fn whole(mut file: File, bytes: &[u8]) -> io::Result<()> {
    file.write_all(bytes)?;
    file.sync_all()
}
