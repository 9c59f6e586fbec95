//! What can be wrong with a checkpoint, in words for the person who has to mend it.

use std::boxed::Box;
use std::format;
use std::path::PathBuf;
use std::string::String;
use std::vec::Vec;

use crate::host::file::advice;

/// Why a checkpoint cannot be imported.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// A file cannot be read.
    #[error("{}: cannot be read: {source}{}", path.display(), advice(source))]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// An index of shards or a folder is not one of weights.
    #[error("{}: {problem}", path.display())]
    Index {
        /// The index or the folder.
        path: PathBuf,
        /// What is wrong and what to do.
        problem: String,
    },
    /// The description is not TOML, misses a key or has an unknown one.
    #[error("{}: not a model description: {message}", path.display())]
    Description {
        /// The description.
        path: PathBuf,
        /// What is wrong, with the line.
        message: String,
    },
    /// Nothing says what the weights mean.
    #[error(
        "{}: no `config` in its metadata; give a description (TOML) or the model's config.json with `--model` (`fixformer \
         describe` writes one from the names and shapes of the tensors)",
        path.display()
    )]
    NoDescription {
        /// The weights.
        path: PathBuf,
    },
    /// A value of the description makes no sense.
    #[error("{}: `{field}` {problem}", path.display())]
    Field {
        /// The description.
        path: PathBuf,
        /// The key, with its tables.
        field: String,
        /// What is wrong and what to do.
        problem: String,
    },
    /// The weights are no safetensors file.
    #[error(
        "{}: not a safetensors file ({message}); write one with `safetensors.numpy.save_file` or \
         `safetensors.torch.save_file`", path.display()
    )]
    NotSafetensors {
        /// The weights.
        path: PathBuf,
        /// What the parser said.
        message: String,
    },
    /// A tensor that the description asks for is not there.
    #[error(
        "{}: no tensor `{tensor}` (description key `{key}`); {suggestion}", path.display()
    )]
    MissingTensor {
        /// The weights.
        path: PathBuf,
        /// Its name.
        tensor: String,
        /// Which key of the description names it.
        key: Box<str>,
        /// A name that is close to it, if the file has one.
        near: Option<String>,
        /// What to do.
        suggestion: String,
    },
    /// A tensor has another shape than the description implies.
    #[error(
        "{}: tensor `{tensor}` (description key `{key}`) has shape {found:?}, expected \
         {expected}; {remedy}", path.display()
    )]
    Shape {
        /// The weights.
        path: PathBuf,
        /// Its name.
        tensor: String,
        /// Which key of the description names it.
        key: Box<str>,
        /// The shape that the description implies.
        expected: Box<str>,
        /// The shape in the file.
        found: Vec<usize>,
        /// What to do.
        remedy: Box<str>,
    },
    /// A tensor is not of a floating-point type.
    #[error(
        "{}: tensor `{tensor}` is {found}, expected F64, F32, F16 or BF16; convert it before saving",
        path.display()
    )]
    ElementType {
        /// The weights.
        path: PathBuf,
        /// Its name.
        tensor: String,
        /// The type in the file.
        found: String,
    },
    /// A weight is NaN or infinite.
    #[error(
        "{}: tensor `{tensor}` is {value} at flat index {index}, expected a finite number; the \
         training diverged or the file is damaged: export an earlier checkpoint", path.display()
    )]
    NotFinite {
        /// The weights.
        path: PathBuf,
        /// Its name.
        tensor: String,
        /// Row-major index of the first such value.
        index: usize,
        /// The value.
        value: f64,
    },
    /// A standard deviation is zero or negative.
    #[error(
        "{}: tensor `{tensor}` is {value} at index {index}, expected a standard deviation above 0; \
         drop the constant channel or write 1", path.display()
    )]
    Deviation {
        /// The weights.
        path: PathBuf,
        /// Its name.
        tensor: String,
        /// The channel.
        index: usize,
        /// The value.
        value: f64,
    },
    /// The file has tensors that the description does not use.
    #[error(
        "{}: the description uses every tensor but {}; describe them, or list them under \
         `tensors.ignore` if the model does not need them", path.display(), quoted(tensors)
    )]
    Unused {
        /// The weights.
        path: PathBuf,
        /// Their names, sorted.
        tensors: Vec<String>,
    },
}

/// At most six names in backticks.
pub(super) fn quoted(names: &[String]) -> String {
    let shown: Vec<String> = names.iter().take(6).map(|name| format!("`{name}`")).collect();
    let rest = names.len() - shown.len();
    let more = if rest > 0 { format!(" and {rest} more") } else { String::new() };
    shown.join(", ") + &more
}
