//! Why data cannot be loaded, and what to do.

use std::path::PathBuf;
use std::string::String;
use std::vec::Vec;

use crate::host::file::advice;

/// Why a data file cannot be loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the messages say what the fields mean")]
pub enum DataError {
    /// The file cannot be read.
    #[error("{}: cannot be read: {source}{}", path.display(), advice(source))]
    Read { path: PathBuf, source: std::io::Error },
    /// An unknown extension.
    #[error("{}: unknown format; give {expected}", path.display())]
    Format { path: PathBuf, expected: &'static str },
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
        "{}: {place}: label {value} is not a whole number from 0; number the classes 0, 1, 2, …, or list them in the \
         order of the model's scores: `--classes {listed}`", path.display()
    )]
    Label { path: PathBuf, place: String, value: String, listed: String },
    /// A label that is none of the classes.
    #[error(
        "{}: {place}: label `{value}` is none of the classes {}; correct it, or list it with the others after \
         `--classes`", path.display(), classes.join(", ")
    )]
    UnknownClass { path: PathBuf, place: String, value: String, classes: Vec<String> },
    /// A word among numbers, or a number among words.
    #[error(
        "{}: {place}: label `{value}`, but {other}; correct it, or list all classes: `--classes {listed}`",
        path.display()
    )]
    MixedLabels { path: PathBuf, place: String, value: String, other: String, listed: String },
    /// No label where the others are.
    #[error("{}: {place}: the label is blank; fill it in, or remove the recording", path.display())]
    BlankLabel { path: PathBuf, place: String },
    /// A class listed twice.
    #[error("{}: the class `{class}` is listed twice; list each once", path.display())]
    ClassTwice { path: PathBuf, class: String },
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
    /// A scale that is not above 0, or not one for each channel.
    #[error("{}: the scale {problem}", path.display())]
    Scale { path: PathBuf, problem: String },
    /// Bytes that are no text.
    #[error(
        "{}: not a text file: byte {at} is 0; give numbers as text, in UTF-8 if they are in UTF-16 now, or name the file after \
         its format", path.display()
    )]
    NotText { path: PathBuf, at: usize },
    /// A line that is no recording.
    #[error("{}: line {line} has {bytes} bytes; give lines of at most {most}, one recording each, or an .npz", path.display())]
    LongLine { path: PathBuf, line: usize, bytes: usize, most: usize },
    /// A first line that is a header as well as a recording.
    #[error(
        "{}: line {line} ({text}) could be the names of the columns or a recording; say which: `--header yes` or \
         `--header no`", path.display()
    )]
    HeaderOrData { path: PathBuf, line: u64, text: String },
    /// A column that nobody named.
    #[error(
        "{}: no column is named `{name}`; {}", path.display(),
        if present.is_empty() {
            "the file has no header: say `--label first` or `--label last`, or `--header yes` if its first line is one"
                .into()
        } else {
            std::format!("there are {}", present.join(", "))
        }
    )]
    NoColumn { path: PathBuf, name: String, present: Vec<String> },
    /// Columns that could be the label.
    #[error("{}: {}", path.display(), which_label(columns))]
    WhichLabel { path: PathBuf, columns: Vec<String> },
    /// A column without a name that is more than an index.
    #[error(
        "{}: line {line}: column {column} has no name, but its values are no index; name the column to keep it, or \
         remove it", path.display()
    )]
    Unnamed { path: PathBuf, line: u64, column: usize },
    /// A line of another length.
    #[error(
        "{}: line {line} has {found} fields, the first has {expected}; make all equally long, or \
         use an .npz with `len_test`", path.display()
    )]
    Ragged { path: PathBuf, line: u64, found: usize, expected: usize },
    /// Not a number.
    #[error("{}: {place}: `{text}` is not a number; {remedy}", path.display())]
    Number { path: PathBuf, place: String, text: String, remedy: String },
    /// No recordings.
    #[error("{}: {place} has no recordings; give at least one", path.display())]
    Empty { path: PathBuf, place: String },
    /// A `.ts` file that is not as its format says.
    #[error("{}: line {line}: {problem}", path.display())]
    Ts { path: PathBuf, line: u64, problem: String },
    /// A `.wav` file that cannot be taken.
    #[error("{}: {problem}", path.display())]
    Wav { path: PathBuf, problem: String },
    /// Another number of samples a second than expected.
    #[error(
        "{}: {found} samples a second, {expected} expected as {from}; nothing is resampled here: convert the file, for \
         example with `sox IN.wav -r {expected} OUT.wav`", path.display()
    )]
    Rate { path: PathBuf, found: u32, expected: u32, from: String },
    /// Files of a folder that do not go together.
    #[error("{}: {problem}", path.display())]
    Folder { path: PathBuf, problem: String },
}

/// What to say about columns that could be the label.
fn which_label(columns: &[String]) -> String {
    if let [column] = columns {
        return std::format!(
            "column `{column}` could be the label or a value of the recordings; say which: `--label {column}` or \
             `--label none`, or `--ignore {column}` if it is neither"
        );
    }
    let [labels, ignored] = ["--label", "--ignore"].map(|option| {
        columns.iter().map(|column| std::format!("`{option} {column}`")).collect::<Vec<_>>().join(", ")
    });
    std::format!(
        "more than one column could be the label; say which: {labels}, or `--label none`; and leave out what is neither \
         label nor value: {ignored}"
    )
}
