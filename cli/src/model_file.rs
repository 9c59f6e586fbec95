//! The model file on disk.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
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

/// Writes `bytes` to `path`, whole or not at all: a file that was there stays until the new one is complete.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let file = path.file_name().with_context(|| format!("{}: not the name of a file", path.display()))?;
    // In the same folder, so that the renaming does not copy.
    let mut name = file.to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    let temporary = path.with_file_name(name);
    let written = write_whole(&temporary, bytes).and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        // What is left of a failed attempt; the error of the attempt is the one to report.
        let _ = fs::remove_file(&temporary);
    }
    written.map_err(|error| {
        anyhow!("{}: cannot be written: {error}; check the folder and its permissions", path.display())
    })
}

fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create_new(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}
