//! Archives of numpy arrays, and single ones.

use std::borrow::ToOwned;
use std::format;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::string::{String, ToString};
use std::vec::Vec;

use super::labels::{self, Labels};
use super::npy::Array;
use super::{DataError, Key, Labels as Wanted, Number, Options, Recordings, Split};
use crate::host::file;
use archive::Archive;

mod archive;

/// One split of an `.npz`.
pub(super) fn load(path: &Path, split: Split, options: Options<'_>) -> Result<Recordings, DataError> {
    let mut archive = Archive::open(path)?;
    let split = archive.split(split);
    let [x, lengths, steps, offsets, labels] =
        [Key::Recordings, Key::Lengths, Key::Steps, Key::Offsets, Key::Labels].map(|key| key.name(split));
    let file_scale = archive.scale()?;

    let are_padded = !archive.has(&steps);
    let (channels, mut rows, count) = if are_padded {
        let array = archive.required(&x, options.rows)?;
        let (channels, rows) = Source { path, key: &x, options }.padded(&array)?;
        (channels, rows, array.rows)
    } else {
        let starts = archive.required(&offsets, None)?;
        // Where the last of the rows ends; what is no place in the array is found later.
        let end = options.rows.and_then(|rows| starts.numbers().nth(rows));
        let values = |end: Number| (end.real() as usize).saturating_mul(options.channels.unwrap_or(1));
        let array = archive.required(&steps, end.map(values))?;
        let (channels, rows) = Source { path, key: &steps, options }.end_to_end(&array, &offsets, &starts)?;
        (channels, rows, starts.len().saturating_sub(1))
    };
    let padded = rows.first().filter(|_| are_padded).map(|row| row.len() / channels.max(1));
    if let Some(array) = archive.array(&lengths, None)? {
        expect_shape(path, &lengths, &array, count)?;
        cut(path, &lengths, &array, channels, &mut rows)?;
    }
    let found = if options.labels == Wanted::Aside { None } else { archive.array(&labels, None)? };
    let mut values = None;
    let (labels, classes) = match found {
        Some(array) if options.labels == Wanted::Values => {
            values = Some(self::values(path, &labels, &array, count)?);
            (None, None)
        }
        Some(array) => {
            let Labels { indices, classes } = self::labels(path, &labels, &array, count, options)?;
            (Some(indices), classes)
        }
        None => (None, None),
    };
    Ok(Recordings {
        channels,
        rows,
        padded,
        labels,
        values,
        classes,
        scale: options.scale.cloned().or(file_scale),
        files: None,
    })
}

/// The numbers of as many recordings.
fn values(path: &Path, key: &str, array: &Array, rows: usize) -> Result<Vec<Vec<f64>>, DataError> {
    if !array.is_numeric() {
        let problem = "its elements are text; save numbers".to_string();
        return Err(DataError::Array { path: path.to_owned(), key: key.to_string(), problem });
    }
    let of_row = match array.shape[..] {
        [found] if found == rows => 1,
        [found, values] if found == rows => values,
        // An axis of one behind: what a single output gives for each token.
        [found, values, 1] if found == rows => values,
        _ => {
            return Err(DataError::Shape {
                path: path.to_owned(),
                key: key.to_string(),
                found: array.shape.clone(),
                expected: format!("[{rows}] or [{rows}, values]; give one row for each recording"),
            });
        }
    };
    let all: Vec<f64> = array.numbers().map(Number::real).collect();
    Ok((0..rows).map(|row| all[row * of_row..][..of_row].to_vec()).collect())
}

/// The classes of as many recordings.
fn labels(
    path: &Path,
    key: &str,
    array: &Array,
    rows: usize,
    options: Options<'_>,
) -> Result<Labels, DataError> {
    // Keras keeps an axis of one; a column of ones and zeros for each class has another meaning.
    if array.shape != [rows, 1] && array.shape != [rows] {
        let advice = match array.shape[..] {
            [found, _] if found == rows => "; of one column a class, save `y.argmax(axis=1)`",
            _ => "; give one for each recording",
        };
        return Err(DataError::Shape {
            path: path.to_owned(),
            key: key.to_string(),
            found: array.shape.clone(),
            expected: format!("[{rows}]{advice}"),
        });
    }
    let numbers = || array.numbers().map(|number| number.to_string()).collect();
    let texts: Vec<String> = array.texts().unwrap_or_else(numbers);
    labels::resolve(path, &texts, options, |row| format!("`{key}`[{row}]"))
}

/// A single `.npy`, without labels.
pub(super) fn load_array(path: &Path, options: Options<'_>) -> Result<Recordings, DataError> {
    let array = read_array(path, "x", options.rows)?;
    let (channels, rows) = Source { path, key: "x", options }.padded(&array)?;
    Ok(Recordings { channels, rows, scale: options.scale.cloned(), ..Recordings::default() })
}

/// A single `.npy` that is one recording, `[steps]` or `[steps, channels]`: its channels and values.
pub(super) fn load_one(path: &Path, options: Options<'_>) -> Result<(usize, Vec<i16>), DataError> {
    let array = read_array(path, "x", None)?;
    let source = Source { path, key: "x", options };
    let channels = match array.shape[..] {
        [_] => options.channels.unwrap_or(1),
        [_, channels] if options.channels.is_none_or(|given| given == channels) => channels,
        _ => {
            return Err(source.shape(
                &array,
                match array.shape[..] {
                    [channels, steps] if options.channels == Some(channels) && channels != steps => {
                        "[steps, channels]; transpose it: `x.T`"
                    }
                    _ => "[steps] or [steps, channels], one recording a file",
                },
            ));
        }
    };
    if array.len() == 0 {
        return Err(source.empty());
    }
    let values = taken(&mut source.raw_values(&array, channels)?, array.len())?;
    if channels == 0 || !values.len().is_multiple_of(channels) {
        let (path, values) = (path.to_owned(), values.len());
        return Err(DataError::Channels { path, place: "the recording".to_string(), values, channels });
    }
    Ok((channels, values))
}

/// Of at most `most` rows.
fn read_array(path: &Path, key: &str, most: Option<usize>) -> Result<Array, DataError> {
    let file = open(path)?;
    let read = |source| DataError::Read { path: path.to_owned(), source };
    let available = file.get_ref().metadata().map_err(read)?.len();
    let problem = |problem| DataError::Array { path: path.to_owned(), key: key.to_string(), problem };
    Array::read(file, available, most).map_err(problem)
}

/// One array of an `.npz`, the first of `keys` that there is: its shape and its values in row-major order.
pub(super) fn real_array(path: &Path, keys: &[&str]) -> Result<(Vec<usize>, Vec<f64>), DataError> {
    let mut archive = Archive::open(path)?;
    for key in keys {
        if let Some(array) = archive.array(key, None)? {
            return Ok(reals(&array));
        }
    }
    Ok(reals(&archive.required(keys.first().copied().unwrap_or_default(), None)?))
}

/// The array of an `.npy`.
pub(super) fn lone_array(path: &Path) -> Result<(Vec<usize>, Vec<f64>), DataError> {
    Ok(reals(&read_array(path, "scores", None)?))
}

fn reals(array: &Array) -> (Vec<usize>, Vec<f64>) {
    (array.shape.clone(), array.numbers().map(Number::real).collect())
}

/// The array that recordings come from.
struct Source<'a> {
    path: &'a Path,
    key: &'a str,
    options: Options<'a>,
}

impl Source<'_> {
    /// Rows of equal length, and the number of channels.
    fn padded(&self, array: &Array) -> Result<(usize, Vec<Vec<i16>>), DataError> {
        if array.len() == 0 {
            return Err(self.empty());
        }
        let given = self.options.channels;
        let (values, channels) = match array.shape[..] {
            [_, values] => (values, given.unwrap_or(1)),
            [_, steps, channels] if given.is_none_or(|given| given == channels) => {
                (steps * channels, channels)
            }
            _ => return Err(self.shape(array, &axes(&array.shape, given))),
        };
        if channels == 0 || !values.is_multiple_of(channels) {
            let (path, place) = (self.path.to_owned(), format!("a row of `{}`", self.key));
            return Err(DataError::Channels { path, place, values, channels });
        }
        let mut all = self.raw_values(array, channels)?;
        let rows = (0..array.shape[0]).map(|_| taken(&mut all, values));
        Ok((channels, rows.collect::<Result<_, _>>()?))
    }

    /// Rows laid end to end, each from its offset to the next, and the number of channels.
    fn end_to_end(
        &self,
        array: &Array,
        key: &str,
        offsets: &Array,
    ) -> Result<(usize, Vec<Vec<i16>>), DataError> {
        let given = self.options.channels;
        let channels = match array.shape[..] {
            [_] => given.unwrap_or(1),
            [_, channels] if given.is_none_or(|given| given == channels) => channels,
            [channels, _] if Some(channels) == given => {
                return Err(self.shape(array, "[steps, channels]; transpose it: `tok.T`"));
            }
            _ => {
                let expected = "[steps] or [steps, channels]; lay the recordings end to end";
                return Err(self.shape(array, expected));
            }
        };
        let values = array.rows * array.shape[1..].iter().product::<usize>();
        if channels == 0 || !values.is_multiple_of(channels) {
            let (path, place) = (self.path.to_owned(), format!("`{}`", self.key));
            return Err(DataError::Channels { path, place, values, channels });
        }
        let steps = values / channels;
        let mut all = self.raw_values(array, channels)?;
        let mut offsets = offsets
            .numbers()
            .enumerate()
            .take(self.options.rows.map_or(usize::MAX, |rows| rows.saturating_add(1)));
        let mut rows = Vec::new();
        let mut start = 0;
        if let Some((_, first)) = offsets.next() {
            start = whole(self.path, key, 0, first, 0, steps)?;
            taken(&mut all, start * channels)?;
        }
        for (row, end) in offsets {
            let end = whole(self.path, key, row, end, start + 1, steps)?;
            rows.push(taken(&mut all, (end - start) * channels)?);
            start = end;
        }
        if rows.is_empty() { Err(self.empty()) } else { Ok((channels, rows)) }
    }

    /// The raw values of an array whose steps have so many channels.
    fn raw_values<'s>(&'s self, array: &'s Array, channels: usize) -> Result<impl RawValues + 's, DataError> {
        if !array.is_numeric() {
            let problem = "its elements are text; convert it with `.astype('float32')`".to_string();
            return Err(DataError::Array { path: self.path.to_owned(), key: self.key.to_string(), problem });
        }
        let place = move |flat: usize| {
            let mut rest = flat;
            let mut index: Vec<usize> = Vec::new();
            for &extent in array.shape.iter().rev() {
                index.insert(0, rest % extent);
                rest /= extent;
            }
            format!("`{}`{index:?}", self.key)
        };
        let numbers = array.numbers().enumerate();
        Ok(numbers
            .map(move |(flat, number)| self.options.raw(self.path, number, [flat, channels], || place(flat))))
    }

    fn shape(&self, array: &Array, expected: &str) -> DataError {
        let mut found = array.shape.clone();
        found.iter_mut().take(1).for_each(|rows| *rows = array.rows);
        DataError::Shape {
            path: self.path.to_owned(),
            key: self.key.to_string(),
            found,
            expected: expected.to_string(),
        }
    }

    fn empty(&self) -> DataError {
        DataError::Empty { path: self.path.to_owned(), place: format!("array `{}`", self.key) }
    }
}

/// Raw values one after the other.
trait RawValues: Iterator<Item = Result<i16, DataError>> {}

impl<I: Iterator<Item = Result<i16, DataError>>> RawValues for I {}

/// The next `count` values: with room for no more, as there may be many such rows.
fn taken(all: &mut impl RawValues, count: usize) -> Result<Vec<i16>, DataError> {
    let mut values = Vec::with_capacity(count);
    for value in all.take(count) {
        values.push(value?);
    }
    Ok(values)
}

/// The axes that recordings have, and what to do with those of this `shape`.
fn axes(shape: &[usize], given: Option<usize>) -> String {
    let channels = given.map_or("channels".to_string(), |given| given.to_string());
    let axes = format!("[rows, steps] or [rows, steps, {channels}]");
    match shape {
        [] | [_] => format!("{axes}; of one recording save `x[None]`"),
        // Another order in memory: a reshape would mix the channels.
        [_, first, last] if given == Some(*first) && first != last => {
            format!("{axes}; the channels come before the steps, save `x.transpose(0, 2, 1)`")
        }
        [_, _, last] => format!("{axes}; the last axis has {last} channels, correct the number of channels"),
        _ => format!(
            "{axes}; if the channels are the last axis, join those of the steps: \
             `x.reshape(len(x), -1, x.shape[-1])`"
        ),
    }
}

/// Cuts each row to its length in steps.
fn cut(
    path: &Path,
    key: &str,
    lengths: &Array,
    channels: usize,
    rows: &mut [Vec<i16>],
) -> Result<(), DataError> {
    for (index, (row, length)) in rows.iter_mut().zip(lengths.numbers()).enumerate() {
        let steps = whole(path, key, index, length, 1, row.len() / channels)?;
        row.truncate(steps * channels);
    }
    Ok(())
}

/// A whole number in `low..=high`.
fn whole(
    path: &Path,
    key: &str,
    row: usize,
    number: Number,
    low: usize,
    high: usize,
) -> Result<usize, DataError> {
    let (value, text) = match number {
        Number::Integer(value) => (usize::try_from(value).ok(), value.to_string()),
        Number::Real(value) if value.fract() == 0.0 && value >= 0.0 => {
            (Some(value as usize), value.to_string())
        }
        Number::Real(value) => (None, value.to_string()),
    };
    value.filter(|value| (low..=high).contains(value)).ok_or_else(|| DataError::Length {
        path: path.to_owned(),
        key: key.to_string(),
        row,
        value: text,
        expected: format!("a whole number from {low} to {high}"),
    })
}

fn expect_shape(path: &Path, key: &str, array: &Array, rows: usize) -> Result<(), DataError> {
    if array.shape == [rows] {
        return Ok(());
    }
    Err(DataError::Shape {
        path: path.to_owned(),
        key: key.to_string(),
        found: array.shape.clone(),
        expected: format!("[{rows}]; give one for each recording"),
    })
}

fn open(path: &Path) -> Result<BufReader<File>, DataError> {
    let file = file::open(path);
    file.map(BufReader::new).map_err(|source| DataError::Read { path: path.to_owned(), source })
}
