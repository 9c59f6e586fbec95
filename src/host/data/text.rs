//! Text files in the encodings that spreadsheets write.

use std::borrow::ToOwned;
use std::path::Path;
use std::string::String;

use super::DataError;
use crate::host::file;

/// Most bytes of a line, whose numbers take several times as much memory.
const MOST_LINE: usize = 1 << 26;

/// The text of a file; see [`file::decode`].
pub(super) fn read(path: &Path) -> Result<String, DataError> {
    let text = file::text(path).map_err(|source| DataError::Read { path: path.to_owned(), source })?;
    if let Some(at) = text.bytes().position(|byte| byte == 0) {
        return Err(DataError::NotText { path: path.to_owned(), at });
    }
    match text.lines().enumerate().find(|(_, line)| line.len() > MOST_LINE) {
        Some((index, line)) => {
            let (path, line, bytes) = (path.to_owned(), index + 1, line.len());
            Err(DataError::LongLine { path, line, bytes, most: MOST_LINE })
        }
        None => Ok(text),
    }
}
