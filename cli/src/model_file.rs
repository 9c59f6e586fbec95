//! The model file on disk.

use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow, bail};
use fixformer::Model;
use fixformer::host::file;
use fixformer::model::{ModelError, VERSION};

/// Bytes that say what a file is, and how long.
const PREAMBLE: u64 = 16;
/// Most bytes of a model.
const MOST_BYTES: u64 = 1 << 30;

/// The words of a `.fxm`, for a [`Model`] to borrow.
pub(crate) struct ModelFile {
    path: PathBuf,
    words: Vec<u32>,
}

impl ModelFile {
    /// Reads a file; [`ModelFile::model`] says whether it is a model.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let name = path.display();
        let failed = |error: io::Error| match error.kind() {
            ErrorKind::NotFound => {
                anyhow!(
                    "{name}: cannot be read: {error}; check the path, or make it with `fixformer quantize`"
                )
            }
            _ => anyhow!("{name}: cannot be read: {error}{}", file::advice(&error)),
        };
        let mut file = file::open(path).map_err(failed)?;
        let length = file.metadata().map_err(failed)?.len();
        let mut bytes = Vec::new();
        file.by_ref().take(PREAMBLE).read_to_end(&mut bytes).map_err(failed)?;
        // Another kind of file is better named than called truncated.
        if bytes.starts_with(b"FXM1") && !length.is_multiple_of(4) {
            bail!(
                "{name}: truncated: {length} bytes are not a whole number of 32-bit words; copy the file again"
            );
        }
        // What is no model of this version is not read further: parsing says what it is.
        if let [magic, version, words, _] = bytes.as_chunks::<4>().0
            && (magic, u32::from_le_bytes(*version)) == (b"FXM1", VERSION)
        {
            let expected = u32::from_le_bytes(*words);
            if u64::from(expected) != length / 4 {
                let found = u32::try_from(length / 4).unwrap_or(u32::MAX);
                bail!("{name}: {}", ModelError::Length { expected, found });
            }
            if length > MOST_BYTES {
                bail!(
                    "{name}: {length} bytes are more than any flash has, {MOST_BYTES} at most; give a smaller model"
                );
            }
            file.take(length - PREAMBLE).read_to_end(&mut bytes).map_err(failed)?;
        }
        let word = |bytes: &[u8]| {
            let mut word = [0; 4];
            word[..bytes.len()].copy_from_slice(bytes);
            u32::from_le_bytes(word)
        };
        Ok(Self { path: path.to_owned(), words: bytes.chunks(4).map(word).collect() })
    }

    /// The model in the file.
    pub(crate) fn model(&self) -> Result<Model<'_>> {
        Model::parse(&self.words).map_err(|error| anyhow!("{}: {error}", self.path.display()))
    }

    /// The words of the file.
    pub(crate) fn words(&self) -> &[u32] {
        &self.words
    }

    /// CRC-32 as stored; the model was checked against it.
    pub(crate) fn checksum(&self) -> u32 {
        self.words.get(3).copied().unwrap_or_default()
    }

    /// The name in the model, or that of the file.
    pub(crate) fn name(&self, model: &Model<'_>) -> String {
        match model.name() {
            "" => self.path.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
            name => name.to_owned(),
        }
    }
}
