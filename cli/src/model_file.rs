//! The model file on disk.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow, bail};
use fixformer::Model;

/// The words of a `.fxm`, for a [`Model`] to borrow.
pub(crate) struct ModelFile {
    path: PathBuf,
    words: Vec<u32>,
}

impl ModelFile {
    /// Reads a file; [`ModelFile::model`] says whether it is a model.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let name = path.display();
        let bytes = fs::read(path).map_err(|error| {
            anyhow!("{name}: cannot be read: {error}; check the path, or make it with `fixformer quantize`")
        })?;
        // Another kind of file is better named than called truncated.
        if !bytes.len().is_multiple_of(4) && bytes.starts_with(b"FXM1") {
            let length = bytes.len();
            bail!(
                "{name}: truncated: {length} bytes are not a whole number of 32-bit words; copy the file again"
            );
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
