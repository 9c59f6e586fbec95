//! The members of an `.npz`.

use std::borrow::ToOwned;
use std::format;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::string::{String, ToString};
use std::vec::Vec;

use zip::ZipArchive;

use super::super::npy::Array;
use super::super::{DataError, Key, Number, Split, check_scale};
use super::open;
use crate::host::scale::SampleScale;

/// The most that deflating can make smaller.
const MOST_DEFLATED: u64 = 1032;

/// An open `.npz`.
pub(super) struct Archive<'a> {
    path: &'a Path,
    zip: ZipArchive<BufReader<File>>,
}

impl<'a> Archive<'a> {
    pub(super) fn open(path: &'a Path) -> Result<Self, DataError> {
        let zip = ZipArchive::new(open(path)?)
            .map_err(|error| DataError::Archive { path: path.to_owned(), message: error.to_string() })?;
        Ok(Archive { path, zip })
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.zip.index_for_name(&format!("{key}.npy")).is_some()
    }

    /// The array of that name, if there is one, or its first rows.
    pub(super) fn array(&mut self, key: &str, most: Option<usize>) -> Result<Option<Array>, DataError> {
        let problem =
            |problem: String| DataError::Array { path: self.path.to_owned(), key: key.to_string(), problem };
        match self.zip.by_name(&format!("{key}.npy")) {
            Ok(entry) => {
                // The archive's directory can claim whatever it likes too.
                let available = entry.size().min(entry.compressed_size().saturating_mul(MOST_DEFLATED));
                Array::read(entry, available, most).map(Some).map_err(problem)
            }
            Err(zip::result::ZipError::FileNotFound) => Ok(None),
            Err(error) => Err(problem(error.to_string())),
        }
    }

    /// The split to read: none, where the file has one set of recordings and says no split.
    pub(super) fn split(&self, split: Split) -> Option<Split> {
        let has = |split: Option<Split>| {
            [Key::Recordings, Key::Steps].into_iter().any(|key| self.has(&key.name(split)))
        };
        let splits = [Split::Train, Split::Validation, Split::Test];
        let whole = has(None) && !splits.into_iter().any(|split| has(Some(split)));
        (!whole).then_some(split)
    }

    pub(super) fn required(&mut self, key: &str, most: Option<usize>) -> Result<Array, DataError> {
        if let Some(array) = self.array(key, most)? {
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

    /// The real value of one raw unit, if the file says: a number, or `[channels]`.
    pub(super) fn scale(&mut self) -> Result<Option<SampleScale>, DataError> {
        let Some(array) = self.array(&Key::Scale.name(None), None)? else {
            return Ok(None);
        };
        if array.shape.len() > 1 || array.len() == 0 {
            return Err(DataError::Shape {
                path: self.path.to_owned(),
                key: "scale".to_string(),
                found: array.shape.clone(),
                expected: "a single number, or one for each channel".to_string(),
            });
        }
        let scale = SampleScale::of_channels(array.numbers().map(Number::real).collect());
        check_scale(self.path, &scale, scale.count())?;
        Ok(Some(scale))
    }
}
