//! The JSON text of a golden file's `meta`: one object, of which the plain values matter.

use std::format;
use std::path::Path;
use std::string::String;

use serde_json::{Map, Value};

use super::GoldenError;

/// The parameters of a case.
#[derive(Debug)]
pub(super) struct Meta<'a> {
    path: &'a Path,
    values: Map<String, Value>,
}

impl<'a> Meta<'a> {
    pub(super) fn parse(path: &'a Path, text: &str) -> Result<Meta<'a>, GoldenError> {
        let values = serde_json::from_str(text)
            .map_err(|error| GoldenError::field(path, "meta", format!("is not a JSON object: {error}")))?;
        Ok(Meta { path, values })
    }

    /// A text; null counts as absent.
    pub(super) fn text(&self, field: &str) -> Result<Option<&str>, GoldenError> {
        self.value(field, Value::as_str, "is not a text")
    }

    /// A number; null counts as absent.
    pub(super) fn number(&self, field: &str) -> Result<Option<f64>, GoldenError> {
        self.value(field, Value::as_f64, "is not a number")
    }

    /// A whole number that has to be there.
    pub(super) fn count(&self, field: &str) -> Result<usize, GoldenError> {
        match self.number(field)? {
            Some(x) if x >= 1.0 && x.fract() == 0.0 && x < 1e9 => Ok(x as usize),
            Some(x) => Err(self.problem(field, &format!("is {x}, not a whole number above 0"))),
            None => Err(self.problem(field, "is missing")),
        }
    }

    /// A flag; null counts as absent.
    pub(super) fn flag(&self, field: &str) -> Result<Option<bool>, GoldenError> {
        self.value(field, Value::as_bool, "is neither true nor false")
    }

    pub(super) fn problem(&self, field: &str, problem: &str) -> GoldenError {
        GoldenError::field(self.path, &format!("meta.{field}"), problem)
    }

    fn value<'v, T>(
        &'v self,
        field: &str,
        read: impl Fn(&'v Value) -> Option<T>,
        problem: &str,
    ) -> Result<Option<T>, GoldenError> {
        let found = self.values.get(field).filter(|value| !value.is_null());
        found.map(|value| read(value).ok_or_else(|| self.problem(field, problem))).transpose()
    }
}
