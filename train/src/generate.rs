//! Tasks whose recordings need no download.

use std::path::Path;

use anyhow::Result;
use fixformer::host::file::Files;

use crate::data::Set;

mod digits;
pub mod listops;
pub mod marks;
pub mod needle;
mod npz;

/// A task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Task {
    /// Handwritten digits of 8 by 8 pixels, in 1,297 and 500 recordings
    Digits,
    /// Nested list operations of 17 to 511 tokens, 10 classes
    Listops,
    /// Noise with marks, 16 to 256 tokens, which mark is the last: 2 classes
    Marks,
    /// Two marks 50 to 1,500 tokens apart, which and in which order: 4 classes
    Needle,
}

/// The splits of a data file.
#[derive(Debug, Clone, Default)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Splits {
    pub train: Set,
    pub validation: Set,
    pub test: Set,
}

/// Writes the recordings of `task`, the same ones for the same seed, to an `.npz`.
///
/// # Errors
/// The file cannot be written.
pub fn write(task: Task, path: &Path, seed: u64) -> Result<()> {
    let output = &Files::default().write(path)?;
    match task {
        Task::Digits => npz::write(output, &digits::splits(), Some(digits::SCALE)),
        Task::Listops => npz::write(output, &listops::splits(seed, listops::COUNTS), None),
        Task::Marks => npz::write(output, &marks::splits(seed, marks::COUNTS), None),
        Task::Needle => npz::write(output, &needle::splits(seed, needle::COUNTS), None),
    }
}
