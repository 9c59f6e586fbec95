//! Text files in the encodings that spreadsheets write.

use std::borrow::ToOwned;
use std::fs;
use std::path::Path;
use std::string::String;
use std::vec::Vec;

use super::DataError;

/// The text of a file, freed of its byte order mark. UTF-8 and UTF-16; any other encoding is read as Latin-1, which
/// has the digits where they are and changes at most the letters of a name.
pub(super) fn read(path: &Path) -> Result<String, DataError> {
    let bytes = fs::read(path).map_err(|source| DataError::Read { path: path.to_owned(), source })?;
    let wide = |one: fn([u8; 2]) -> u16| {
        let units: Vec<u16> = bytes[2..].chunks_exact(2).map(|pair| one([pair[0], pair[1]])).collect();
        String::from_utf16_lossy(&units)
    };
    let text = match bytes.as_slice() {
        [0xff, 0xfe, ..] => wide(u16::from_le_bytes),
        [0xfe, 0xff, ..] => wide(u16::from_be_bytes),
        [0xef, 0xbb, 0xbf, rest @ ..] => narrow(rest),
        bytes => narrow(bytes),
    };
    match text.bytes().position(|byte| byte == 0) {
        Some(at) => Err(DataError::NotText { path: path.to_owned(), at }),
        None => Ok(text),
    }
}

fn narrow(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => bytes.iter().map(|&byte| char::from(byte)).collect(),
    }
}
