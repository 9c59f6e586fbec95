//! Archives of numpy arrays, and single ones.

use std::borrow::ToOwned;
use std::format;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::string::{String, ToString};
use std::vec::Vec;

use zip::ZipArchive;

use super::npy::Array;
use super::{DataError, Number, Options, Recordings, Split, check_scale, label, raw};

/// One split of an `.npz`.
pub(super) fn load(path: &Path, split: Split, options: Options) -> Result<Recordings, DataError> {
    let mut archive = Archive::open(path)?;
    let [x, lengths, tokens, offsets, labels] =
        ["x", "len", "tok", "off", "y"].map(|key| format!("{key}_{}", split.name()));
    let file_scale = archive.scale()?;

    let (channels, mut rows) = if let Some(array) = archive.array(&tokens)? {
        let starts = archive.required(&offsets)?;
        (1, Source { path, key: &tokens, options }.end_to_end(&array, &offsets, &starts)?)
    } else {
        // An array for all splits, where this one has none of its own.
        let (key, array) = match (archive.array(&x)?, archive.array("x")?) {
            (None, Some(array)) => ("x", array),
            (Some(array), _) => (&*x, array),
            (None, None) => (&*x, archive.required(&x)?),
        };
        Source { path, key, options }.padded(&array)?
    };
    if let Some(array) = archive.array(&lengths)? {
        cut(path, &lengths, &array, channels, &mut rows)?;
    }
    let labels = match archive.array(&labels)? {
        None => None,
        Some(array) => {
            expect_shape(path, &labels, &array, rows.len())?;
            let numbers = array.numbers().enumerate();
            let one = |(row, number)| label(path, number, || format!("`{labels}`[{row}]"));
            Some(numbers.map(one).collect::<Result<_, _>>()?)
        }
    };
    Ok(Recordings { channels, rows, labels, scale: options.scale.or(file_scale) })
}

/// A single `.npy`, without labels.
pub(super) fn load_array(path: &Path, options: Options) -> Result<Recordings, DataError> {
    let array = Array::read(open(path)?).map_err(|problem| DataError::Array {
        path: path.to_owned(),
        key: "x".to_string(),
        problem,
    })?;
    let (channels, rows) = Source { path, key: "x", options }.padded(&array)?;
    Ok(Recordings { channels, rows, labels: None, scale: options.scale })
}

/// One array of an `.npz`, the first of `keys` that there is: its shape and its values in row-major order.
pub(super) fn real_array(path: &Path, keys: &[&str]) -> Result<(Vec<usize>, Vec<f64>), DataError> {
    let mut archive = Archive::open(path)?;
    for key in keys {
        if let Some(array) = archive.array(key)? {
            return Ok(reals(&array));
        }
    }
    Ok(reals(&archive.required(keys.first().copied().unwrap_or_default())?))
}

/// The array of an `.npy`.
pub(super) fn lone_array(path: &Path) -> Result<(Vec<usize>, Vec<f64>), DataError> {
    let array = Array::read(open(path)?).map_err(|problem| DataError::Array {
        path: path.to_owned(),
        key: "scores".to_string(),
        problem,
    })?;
    Ok(reals(&array))
}

fn reals(array: &Array) -> (Vec<usize>, Vec<f64>) {
    let values = array.numbers().map(|number| match number {
        Number::Integer(value) => value as f64,
        Number::Real(value) => value,
    });
    (array.shape.clone(), values.collect())
}

/// The array that recordings come from.
struct Source<'a> {
    path: &'a Path,
    key: &'a str,
    options: Options,
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
            _ => {
                let channels = given.map_or("channels".to_string(), |given| given.to_string());
                return Err(DataError::Shape {
                    path: self.path.to_owned(),
                    key: self.key.to_string(),
                    found: array.shape.clone(),
                    expected: format!("[rows, steps] or [rows, steps, {channels}]; reshape it"),
                });
            }
        };
        if channels == 0 || !values.is_multiple_of(channels) {
            let (path, place) = (self.path.to_owned(), format!("a row of `{}`", self.key));
            return Err(DataError::Channels { path, place, values, channels });
        }
        let all = self.raw_values(array)?;
        Ok((channels, all.chunks_exact(values).map(<[i16]>::to_vec).collect()))
    }

    /// Rows laid end to end, each from its offset to the next.
    fn end_to_end(&self, array: &Array, key: &str, offsets: &Array) -> Result<Vec<Vec<i16>>, DataError> {
        if array.shape.len() != 1 {
            return Err(DataError::Shape {
                path: self.path.to_owned(),
                key: self.key.to_string(),
                found: array.shape.clone(),
                expected: "[tokens]; lay the recordings end to end".to_string(),
            });
        }
        let all = self.raw_values(array)?;
        let mut offsets = offsets.numbers().enumerate();
        let mut rows = Vec::new();
        let mut start = 0;
        if let Some((_, first)) = offsets.next() {
            start = whole(self.path, key, 0, first, 0, all.len())?;
        }
        for (row, end) in offsets {
            let end = whole(self.path, key, row, end, start + 1, all.len())?;
            rows.push(all[start..end].to_vec());
            start = end;
        }
        if rows.is_empty() { Err(self.empty()) } else { Ok(rows) }
    }

    fn raw_values(&self, array: &Array) -> Result<Vec<i16>, DataError> {
        let place = |flat: usize| {
            let mut rest = flat;
            let mut index: Vec<usize> = Vec::new();
            for &extent in array.shape.iter().rev() {
                index.insert(0, rest % extent);
                rest /= extent;
            }
            format!("`{}`{index:?}", self.key)
        };
        let numbers = array.numbers().enumerate();
        numbers.map(|(flat, number)| raw(self.path, number, self.options.scale, || place(flat))).collect()
    }

    fn empty(&self) -> DataError {
        DataError::Empty { path: self.path.to_owned(), place: format!("array `{}`", self.key) }
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
    expect_shape(path, key, lengths, rows.len())?;
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
    let file = File::open(path);
    file.map(BufReader::new).map_err(|source| DataError::Read { path: path.to_owned(), source })
}

/// An open `.npz`.
struct Archive<'a> {
    path: &'a Path,
    zip: ZipArchive<BufReader<File>>,
}

impl<'a> Archive<'a> {
    fn open(path: &'a Path) -> Result<Self, DataError> {
        let zip = ZipArchive::new(open(path)?)
            .map_err(|error| DataError::Archive { path: path.to_owned(), message: error.to_string() })?;
        Ok(Archive { path, zip })
    }

    /// The array of that name, if there is one.
    fn array(&mut self, key: &str) -> Result<Option<Array>, DataError> {
        let problem =
            |problem: String| DataError::Array { path: self.path.to_owned(), key: key.to_string(), problem };
        match self.zip.by_name(&format!("{key}.npy")) {
            Ok(entry) => Array::read(entry).map(Some).map_err(problem),
            Err(zip::result::ZipError::FileNotFound) => Ok(None),
            Err(error) => Err(problem(error.to_string())),
        }
    }

    fn required(&mut self, key: &str) -> Result<Array, DataError> {
        if let Some(array) = self.array(key)? {
            return Ok(array);
        }
        let names = self.zip.file_names().flatten();
        let mut present: Vec<String> =
            names.filter_map(|name| name.strip_suffix(".npy").map(String::from)).collect();
        present.sort();
        if present.is_empty() {
            present.push("none at all".to_string());
        }
        Err(DataError::MissingKey { path: self.path.to_owned(), key: key.to_string(), present })
    }

    /// The real value of one raw unit, if the file says.
    fn scale(&mut self) -> Result<Option<f64>, DataError> {
        let Some(array) = self.array("scale")? else {
            return Ok(None);
        };
        let mut numbers = array.numbers();
        let (Some(number), None) = (numbers.next(), numbers.next()) else {
            return Err(DataError::Shape {
                path: self.path.to_owned(),
                key: "scale".to_string(),
                found: array.shape.clone(),
                expected: "a single number".to_string(),
            });
        };
        let scale = match number {
            Number::Integer(value) => value as f64,
            Number::Real(value) => value,
        };
        check_scale(self.path, scale)?;
        Ok(Some(scale))
    }
}
