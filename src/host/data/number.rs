//! From a number in a file to a raw value.

use std::borrow::ToOwned;
use std::format;
use std::path::Path;
use std::string::{String, ToString};

use super::DataError;
use crate::host::scale::SampleScale;

/// Integers stay raw; reals need a scale.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Number {
    Integer(i64),
    Real(f64),
}

impl Number {
    /// The number that `text` is. A decimal point or an exponent makes it real, however whole its value is. A comma is
    /// a decimal one where `comma` says so.
    pub(super) fn parse(text: &str, comma: bool) -> Option<Self> {
        let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
        if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) {
            // Whatever does not fit here fits in no 16 bits either.
            let largest = if text.starts_with('-') { i64::MIN } else { i64::MAX };
            return Some(Number::Integer(text.parse().unwrap_or(largest)));
        }
        let parsed = match comma && text.matches(',').count() == 1 && !text.contains('.') {
            true => text.replace(',', ".").parse(),
            false => text.parse(),
        };
        parsed.ok().map(Number::Real)
    }

    pub(super) fn real(self) -> f64 {
        match self {
            Number::Integer(value) => value as f64,
            Number::Real(value) => value,
        }
    }
}

impl std::fmt::Display for Number {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Number::Integer(value) => write!(f, "{value}"),
            Number::Real(value) => write!(f, "{value}"),
        }
    }
}

/// The raw value of `number`, found at `place`.
pub(super) fn raw(
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
            // With its point, which is what makes it real.
            let value = format!("{value:?}");
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

pub(super) fn check_scale(path: &Path, scale: &SampleScale, channels: usize) -> Result<(), DataError> {
    match scale.problem(channels) {
        None => Ok(()),
        Some(problem) => Err(DataError::Scale { path: path.to_owned(), problem }),
    }
}
