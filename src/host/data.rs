//! Recordings for calibration and tests, from files as people have them.
//!
//! - **`.npz`**: arrays of one or more splits; [`KEYS`] has their names and shapes.
//! - **`.npy`**: one array `x`; the split does not matter.
//! - **`.csv`, `.tsv`, `.txt`**: one recording a line, step by step, all lines equally long; the split does not
//!   matter. Separators, a decimal comma, a header and the index of a spreadsheet are found, or asked for where they
//!   could be either. Files `NAME_TRAIN.tsv` and `NAME_TEST.tsv` are those of the UCR archive: the label comes first,
//!   and NaN at the end of a line is padding.
//! - **`.ts`**: a file of the time series classification archive; channels one after the other.
//! - **`.wav`**: one recording, its samples as 16-bit raw values.
//! - **a folder**: each file one recording, in a folder for each class; folders named after the splits come first.
//!
//! Integers are raw values and must fit in 16 bits. Real values (float arrays, numbers with a decimal point, and every
//! text file for which [`Options::scale`] is given) become raw ones by rounding x / scale to the nearest integer, ties
//! up; a value that would saturate is refused.

use std::borrow::ToOwned;
use std::format;
use std::path::{Path, PathBuf};
use std::string::{String, ToString};
use std::vec::Vec;

mod csv;
mod error;
mod folder;
mod keys;
mod labels;
mod npy;
mod npz;
mod number;
mod reals;
mod text;
mod ts;
mod wav;

pub use error::DataError;
pub use keys::{KEYS, Key, reference};
pub use reals::Reals;

use number::{Number, check_scale, raw};

use crate::host::scale::SampleScale;

/// Raw recordings of one split.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Recordings {
    /// Values per step.
    pub channels: usize,
    /// Each recording, `[steps, channels]`; padding is already cut off.
    pub rows: Vec<Vec<i16>>,
    /// Steps of each recording with its padding, where all are stored equally long.
    pub padded: Option<usize>,
    /// The class of each recording, if the file says.
    pub labels: Option<Vec<usize>>,
    /// What each recording should give, one number or several, where [numbers](Labels::Values) are asked for and the file says.
    pub values: Option<Vec<Vec<f64>>>,
    /// What the classes are called, if the labels are words or were listed in [`Options::classes`].
    pub classes: Option<Vec<String>>,
    /// Real value of one raw unit, if the file or the caller says.
    pub scale: Option<SampleScale>,
    /// The file of each recording, where each has its own.
    pub files: Option<Vec<String>>,
}

impl Recordings {
    /// Keeps the first `rows`.
    pub fn truncate(&mut self, rows: usize) {
        self.rows.truncate(rows);
        self.labels.iter_mut().for_each(|labels| labels.truncate(rows));
        self.values.iter_mut().for_each(|values| values.truncate(rows));
        self.files.iter_mut().for_each(|files| files.truncate(rows));
    }

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
pub struct Options<'a> {
    /// Real value of one raw unit; needed for real values, overrides the file's for integers.
    pub scale: Option<&'a SampleScale>,
    /// Values per step, for lines and arrays without an axis of channels; 1 when absent.
    pub channels: Option<usize>,
    /// Which column of a text file is the label; when absent that called `label`, `labels`, `class` or `target`.
    pub label: Option<Label<'a>>,
    /// The labels in the order of the model's scores; when absent they are numbers from 0, or words by the alphabet.
    pub classes: Option<&'a [String]>,
    /// What the classes are called, in order, where labels are words and [`Options::classes`] says nothing.
    pub names: Option<&'a [String]>,
    /// What becomes of labels.
    pub labels: Labels,
    /// Columns of a text file to leave out, by name.
    pub ignore: &'a [String],
    /// Whether the first line of a text file names the columns; found out when absent.
    pub header: Option<bool>,
    /// What separates the values of a text file; found out when absent.
    pub delimiter: Option<u8>,
    /// Samples a second that sound must have.
    pub rate: Option<u32>,
    /// Only the first so many recordings; of arrays and folders no others are kept in memory meanwhile.
    pub rows: Option<usize>,
    /// Where to note the real values that are read. Without a scale they are no error then, and their raw values are 0.
    pub reals: Option<&'a Reals>,
}

impl Options<'_> {
    /// The raw value of `number`, the `index`-th of a step or of a recording of so many channels, found at `place`.
    fn raw(
        &self,
        path: &Path,
        number: Number,
        [index, channels]: [usize; 2],
        place: impl Fn() -> String,
    ) -> Result<i16, DataError> {
        let channel = index % channels.max(1);
        let scale = self.scale.map(|scale| scale.of(channel));
        match (self.reals, number) {
            (Some(reals), Number::Real(value)) if value.is_finite() => {
                reals.note(channel, value);
                if scale.is_none() { Ok(0) } else { raw(path, number, scale, place) }
            }
            _ => raw(path, number, scale, place),
        }
    }
}

/// What becomes of the labels of a file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Labels {
    /// They are classes, one for each recording.
    #[default]
    Classes,
    /// They are numbers, one or several for each recording.
    Values,
    /// They are left aside, whatever they are.
    Aside,
}

/// A column of a text file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Label<'a> {
    /// None is the label, whatever it is called.
    None,
    /// The first.
    First,
    /// The last.
    Last,
    /// The one of that name.
    Named(&'a str),
}

/// Loads one split of a data file or of a folder; the extension says the format.
pub fn load(path: &Path, split: Split, options: Options<'_>) -> Result<Recordings, DataError> {
    // A number that no value can be divided by, before any is.
    if let Some(scale) = options.scale {
        check_scale(path, scale, scale.count())?;
    }
    options.reals.iter().for_each(|reals| reals.forget());
    let mut recordings = if path.is_dir() {
        folder::load(path, split, options)?
    } else {
        match extension(path).as_str() {
            "npz" => npz::load(path, split, options)?,
            "npy" => npz::load_array(path, options)?,
            "csv" | "tsv" | "txt" => csv::load(path, options)?,
            "ts" => ts::load(path, options)?,
            "wav" => wav::load(path, options)?,
            _ => {
                let expected = "a file that ends in .npz, .npy, .csv, .tsv, .txt, .ts or .wav, or a folder with a folder of \
                                recordings for each class";
                return Err(DataError::Format { path: path.to_owned(), expected });
            }
        }
    };
    if let Some(rows) = options.rows {
        recordings.truncate(rows);
        options.reals.iter().for_each(|reals| reals.truncate(&recordings));
    }
    if let Some(scale) = &recordings.scale {
        check_scale(path, scale, recordings.channels)?;
    }
    Ok(recordings)
}

/// The files that a data file or a folder consists of, of all splits.
pub fn files(path: &Path) -> Vec<PathBuf> {
    if path.is_dir() { folder::files(path) } else { Vec::from([path.to_owned()]) }
}

/// In small letters.
fn extension(path: &Path) -> String {
    path.extension().unwrap_or_default().to_string_lossy().to_ascii_lowercase()
}

/// One array of an `.npz` as it is, for example reference scores: its shape and its values in
/// row-major order.
pub fn array(path: &Path, key: &str) -> Result<(Vec<usize>, Vec<f64>), DataError> {
    npz::real_array(path, &[key])
}

/// Scores of recordings, `[rows, outputs]`, or `[rows]` where there is one output, or `[rows, tokens, outputs]` where each token
/// has scores of its own: the array of an `.npy`; of an `.npz` the array `member`, or `scores_S` of the split `S`, or `scores`.
///
/// # Errors
/// [`DataError`]: no such array, or one of another shape, or with values that are not finite.
pub fn scores(
    path: &Path,
    member: Option<&str>,
    split: Split,
    outputs: usize,
    per_token: bool,
) -> Result<Vec<Vec<f64>>, DataError> {
    let (of_split, any) = (format!("scores_{}", split.name()), "scores");
    let key = member.unwrap_or(any).to_string();
    let (shape, values) = match path.extension().and_then(|extension| extension.to_str()) {
        Some("npz") => match member {
            Some(member) => npz::real_array(path, &[member])?,
            None => npz::real_array(path, &[&of_split, any])?,
        },
        Some("npy") => npz::lone_array(path)?,
        _ => {
            let expected = "scores as an array: .npy, written with `numpy.save`, or .npz";
            return Err(DataError::Format { path: path.to_owned(), expected });
        }
    };
    let of_row = match shape[..] {
        [rows, tokens, found] if per_token && rows > 0 && found == outputs => tokens * outputs,
        [rows, tokens] if per_token && rows > 0 && outputs == 1 => tokens,
        [rows, found] if !per_token && rows > 0 && found == outputs => outputs,
        [rows] if !per_token && rows > 0 && outputs == 1 => 1,
        _ => 0,
    };
    if of_row == 0 {
        let expected = match per_token {
            true => format!(
                "[rows, tokens, {outputs}]: the scores of each token for the {outputs} outputs of the model"
            ),
            false => format!(
                "[rows, {outputs}]: the scores of each recording for the {outputs} outputs of the model"
            ),
        };
        return Err(DataError::Shape { path: path.to_owned(), key, found: shape, expected });
    }
    if let Some(index) = values.iter().position(|value| !value.is_finite()) {
        let place = format!("`{key}`[{}, {}]", index / of_row, index % of_row);
        return Err(DataError::NotFinite { path: path.to_owned(), place, value: values[index].to_string() });
    }
    Ok(values.chunks_exact(of_row).map(<[f64]>::to_vec).collect())
}
