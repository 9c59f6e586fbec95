//! Recordings for calibration and tests, from `.npz`, `.npy` and `.csv` files.
//!
//! - **`.npz`**: for a split `S` of `train`, `val`, `test`: either `x_S`, or `x` for all of them, `[rows, steps]` or
//!   `[rows, steps, channels]`, with optional lengths `len_S` in steps; or recordings of any length
//!   laid end to end in `tok_S` with `off_S`, `[rows + 1]`, where each starts. Labels in `y_S`
//!   (optional), the real value of one raw unit in `scale` (optional).
//! - **`.npy`**: `x` alone; the split does not matter.
//! - **`.csv`**: one recording a line, values separated by commas, step by step, all lines equally
//!   long; the split does not matter. With [`Options::labelled`] the last column is the label. The
//!   first line is a header if one of its fields starts with a letter (but is no `nan` or `inf`).
//!
//! Integer arrays of any type are raw values and must fit in 16 bits. Real values (float arrays, and
//! every `.csv` for which [`Options::scale`] is given) become raw ones by rounding x / scale to the
//! nearest integer, ties up; a value that would saturate is refused.

use std::borrow::ToOwned;
use std::format;
use std::path::{Path, PathBuf};
use std::string::{String, ToString};
use std::vec::Vec;

mod csv;
mod npy;
mod npz;

/// Raw recordings of one split.
#[derive(Debug, Clone, PartialEq)]
pub struct Recordings {
    /// Values per step.
    pub channels: usize,
    /// Each recording, `[steps, channels]`; padding is already cut off.
    pub rows: Vec<Vec<i16>>,
    /// The class of each recording, if the file says.
    pub labels: Option<Vec<usize>>,
    /// Real value of one raw unit, if the file or the caller says.
    pub scale: Option<f64>,
}

impl Recordings {
    /// Number of recordings; at least one.
    #[expect(clippy::len_without_is_empty, reason = "an empty file is an error")]
    pub fn len(&self) -> usize {
        self.rows.len()
    }
}

/// Which part of a data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Split {
    /// Keys that end in `_train`.
    Train,
    /// Keys that end in `_val`.
    Validation,
    /// Keys that end in `_test`.
    Test,
}

impl Split {
    /// The word in the keys of a `.npz`.
    pub fn name(self) -> &'static str {
        match self {
            Split::Train => "train",
            Split::Validation => "val",
            Split::Test => "test",
        }
    }
}

/// What the file does not say itself.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Options {
    /// Real value of one raw unit; needed for real values, overrides the file's for integers.
    pub scale: Option<f64>,
    /// Values per step, for lines and arrays without an axis of channels; 1 when absent.
    pub channels: Option<usize>,
    /// Whether the last column of a `.csv` is the label.
    pub labelled: bool,
}

/// Loads one split of a data file; its extension says the format.
pub fn load(path: &Path, split: Split, options: Options) -> Result<Recordings, DataError> {
    if let Some(scale) = options.scale {
        check_scale(path, scale)?;
    }
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("npz") => npz::load(path, split, options),
        Some("npy") => npz::load_array(path, options),
        Some("csv") => csv::load(path, options),
        _ => Err(DataError::Format { path: path.to_owned() }),
    }
}

/// One array of an `.npz` as it is, for example reference scores: its shape and its values in
/// row-major order.
pub fn array(path: &Path, key: &str) -> Result<(Vec<usize>, Vec<f64>), DataError> {
    npz::real_array(path, &[key])
}

/// Scores of recordings, `[rows, classes]` or `[rows]` where there is one class: the array of an `.npy`; of an `.npz` the
/// array `member`, or `scores_S` of the split `S`, or `scores`.
///
/// # Errors
/// [`DataError`]: no such array, or one of another shape, or with values that are not finite.
pub fn scores(
    path: &Path,
    member: Option<&str>,
    split: Split,
    classes: usize,
) -> Result<Vec<Vec<f64>>, DataError> {
    let (of_split, any) = (format!("scores_{}", split.name()), "scores");
    let key = member.unwrap_or(any).to_string();
    let (shape, values) = match path.extension().and_then(|extension| extension.to_str()) {
        Some("npz") => match member {
            Some(member) => npz::real_array(path, &[member])?,
            None => npz::real_array(path, &[&of_split, any])?,
        },
        Some("npy") => npz::lone_array(path)?,
        _ => return Err(DataError::Format { path: path.to_owned() }),
    };
    let fits = match shape[..] {
        [rows, found] => rows > 0 && found == classes,
        [rows] => rows > 0 && classes == 1,
        _ => false,
    };
    if !fits {
        let expected =
            format!("[rows, {classes}]: the scores of each recording for the {classes} classes of the model");
        return Err(DataError::Shape { path: path.to_owned(), key, found: shape, expected });
    }
    if let Some(index) = values.iter().position(|value| !value.is_finite()) {
        let place = format!("`{key}`[{}, {}]", index / classes, index % classes);
        return Err(DataError::NotFinite { path: path.to_owned(), place, value: values[index].to_string() });
    }
    Ok(values.chunks_exact(classes).map(<[f64]>::to_vec).collect())
}

/// Why a data file cannot be loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the messages say what the fields mean")]
pub enum DataError {
    /// The file cannot be read.
    #[error("{}: cannot be read: {source}; check the path and the permissions", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    /// An unknown extension.
    #[error("{}: unknown format; give a file that ends in .npz, .npy or .csv", path.display())]
    Format { path: PathBuf },
    /// Not a zip archive.
    #[error("{}: not an npz file ({message}); write one with `numpy.savez`", path.display())]
    Archive { path: PathBuf, message: String },
    /// One array is damaged or of a type that cannot be used.
    #[error("{}: array `{key}`: {problem}", path.display())]
    Array { path: PathBuf, key: String, problem: String },
    /// The archive does not have the split.
    #[error(
        "{}: no array `{key}`; the file has {}. Choose another split or rename the array",
        path.display(), present.join(", ")
    )]
    MissingKey { path: PathBuf, key: String, present: Vec<String> },
    /// Wrong dimensions.
    #[error("{}: array `{key}` has shape {found:?}, expected {expected}", path.display())]
    Shape { path: PathBuf, key: String, found: Vec<usize>, expected: String },
    /// A row whose length is no multiple of the channels.
    #[error(
        "{}: {place} has {values} values, not a multiple of {channels} channels; correct the \
         number of channels", path.display()
    )]
    Channels { path: PathBuf, place: String, values: usize, channels: usize },
    /// A length or an offset outside the data.
    #[error("{}: `{key}`[{row}] is {value}, expected {expected}", path.display())]
    Length { path: PathBuf, key: String, row: usize, value: String, expected: String },
    /// A label that is no class index.
    #[error(
        "{}: {place}: label {value} is not a whole number from 0; number the classes 0, 1, 2, …",
        path.display()
    )]
    Label { path: PathBuf, place: String, value: String },
    /// A raw value that does not fit.
    #[error(
        "{}: {place}: {value} is outside -32768..=32767; divide the data by a power of two (and \
         multiply the scale by it), or save real values and give a larger scale", path.display()
    )]
    OutsideRange { path: PathBuf, place: String, value: String },
    /// NaN or infinity.
    #[error("{}: {place}: {value} is not finite; remove or repair that recording", path.display())]
    NotFinite { path: PathBuf, place: String, value: String },
    /// Real values without a scale.
    #[error(
        "{}: {place}: {value} is a real number; give the scale, the real value of one raw unit \
         (for example the largest magnitude / 32767), or save integers", path.display()
    )]
    NeedsScale { path: PathBuf, place: String, value: String },
    /// A scale that is not above 0.
    #[error("{}: the scale is {value}; give a finite number above 0", path.display())]
    Scale { path: PathBuf, value: f64 },
    /// A line of another length.
    #[error(
        "{}: line {line} has {found} fields, the first has {expected}; make all equally long, or \
         use an .npz with `len_test`", path.display()
    )]
    Ragged { path: PathBuf, line: u64, found: usize, expected: usize },
    /// Not a number.
    #[error("{}: {place}: `{text}` is not a number", path.display())]
    Number { path: PathBuf, place: String, text: String },
    /// No recordings.
    #[error("{}: {place} has no recordings; give at least one", path.display())]
    Empty { path: PathBuf, place: String },
}

/// Integers stay raw; reals need a scale.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Number {
    Integer(i64),
    Real(f64),
}

/// The raw value of `number`, found at `place`.
fn raw(
    path: &Path,
    number: Number,
    scale: Option<f64>,
    place: impl Fn() -> String,
) -> Result<i16, DataError> {
    let outside = |value: String| DataError::OutsideRange { path: path.to_owned(), place: place(), value };
    match (number, scale) {
        (Number::Integer(value), _) => i16::try_from(value).map_err(|_| outside(value.to_string())),
        (Number::Real(value), _) if !value.is_finite() => {
            let value = value.to_string();
            Err(DataError::NotFinite { path: path.to_owned(), place: place(), value })
        }
        (Number::Real(value), None) => {
            let value = value.to_string();
            Err(DataError::NeedsScale { path: path.to_owned(), place: place(), value })
        }
        (Number::Real(value), Some(scale)) => {
            let quotient = value / scale;
            let floor = quotient.floor();
            let rounded = if quotient - floor >= 0.5 { floor + 1.0 } else { floor };
            if !(-32768.0..=32767.0).contains(&rounded) {
                return Err(outside(format!("{value} / {scale}")));
            }
            Ok(rounded as i16)
        }
    }
}

/// The class index that `number` is, found at `place`.
fn label(path: &Path, number: Number, place: impl Fn() -> String) -> Result<usize, DataError> {
    let (index, text) = match number {
        Number::Integer(value) => (usize::try_from(value).ok(), value.to_string()),
        Number::Real(value) => {
            let whole = value.fract() == 0.0 && (0.0..=u32::MAX.into()).contains(&value);
            (whole.then_some(value as usize), value.to_string())
        }
    };
    index.ok_or_else(|| DataError::Label { path: path.to_owned(), place: place(), value: text })
}

fn check_scale(path: &Path, value: f64) -> Result<(), DataError> {
    if value.is_finite() && value > 0.0 {
        return Ok(());
    }
    Err(DataError::Scale { path: path.to_owned(), value })
}
