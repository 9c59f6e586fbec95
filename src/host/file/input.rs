//! Reading.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::path::Path;
use std::string::String;
use std::vec::Vec;
use std::{format, str};

use super::kind;

/// Most bytes of a file that is read at once: no weights and no recordings for a microcontroller are larger.
pub const MOST_BYTES: u64 = 1 << 32;
/// Most bytes of a text, which takes several times as much memory when it is read.
pub const MOST_TEXT: u64 = 1 << 30;

/// Opens a regular file, or one that a link leads to.
///
/// # Errors
/// What the operating system says; and [`ErrorKind::InvalidInput`] for what is no regular file: a pipe or a device may have no
/// end.
pub fn open(path: &Path) -> io::Result<File> {
    let found = fs::metadata(path)?.file_type();
    if !found.is_file() {
        let problem = format!("it is {}, no regular file; save what it gives in a file", kind(found));
        return Err(io::Error::new(ErrorKind::InvalidInput, problem));
    }
    File::open(path)
}

/// The bytes of a regular file, `most` of them; no more than it has when it is opened, however fast it grows.
///
/// # Errors
/// As [`open`]; and [`ErrorKind::FileTooLarge`], before any memory is taken.
pub fn read(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let file = open(path)?;
    let length = file.metadata()?.len();
    if length > most {
        let problem = format!("it has {length} bytes, of which at most {most} are read; give a smaller file");
        return Err(io::Error::new(ErrorKind::FileTooLarge, problem));
    }
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(length as usize)?;
    file.take(length).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The text of a regular file; see [`decode`].
///
/// # Errors
/// As [`read`], for [`MOST_TEXT`].
pub fn text(path: &Path) -> io::Result<String> {
    Ok(decode(read(path, MOST_TEXT)?))
}

/// Text in the encodings that editors, shells and spreadsheets write, freed of its byte order mark: UTF-8, and UTF-16 with such
/// a mark. Any other encoding is read as Latin-1, which has the digits where they are and changes at most the letters of a
/// name.
pub fn decode(bytes: Vec<u8>) -> String {
    let wide = |one: fn([u8; 2]) -> u16| {
        let units = bytes[2..].chunks_exact(2).map(|pair| one([pair[0], pair[1]]));
        char::decode_utf16(units).map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
    };
    match bytes.as_slice() {
        [0xff, 0xfe, ..] => wide(u16::from_le_bytes),
        [0xfe, 0xff, ..] => wide(u16::from_be_bytes),
        [0xef, 0xbb, 0xbf, rest @ ..] if str::from_utf8(rest).is_ok() => {
            String::from_utf8_lossy(rest).into_owned()
        }
        _ => String::from_utf8(bytes)
            .unwrap_or_else(|error| error.as_bytes().iter().map(|&byte| char::from(byte)).collect()),
    }
}

/// What to do about an error of reading, as the end of a message: nothing where the error says so itself.
pub fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory => "; check the path",
        ErrorKind::PermissionDenied => "; check the permissions",
        ErrorKind::InvalidInput | ErrorKind::FileTooLarge => "",
        ErrorKind::OutOfMemory => "; give a smaller file, or free memory",
        _ => "; check the path and the permissions",
    }
}
