//! A device's log against this machine: the first layer, row and value where they differ.
//!
//! Lines `input R VALUES...` and `trace SITE row R column C digest H`, with ` values VALUES...` or without, as
//! [`Row`] shows itself; other lines do not matter, nor what stands before these.

use std::borrow::ToOwned;
use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

use thiserror::Error;

use super::engine::Engine;
use crate::trace::{Row, Rows};
use crate::{InputError, Model, Session};

/// Why a log cannot be compared.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LogError {
    /// Nothing to compare.
    #[error("no line `input ...`; the program `replay` prints a log with `digests` or `values`")]
    Empty,
    /// A line that is cut or damaged.
    #[error("line {line}: {reason}")]
    Line {
        /// From 1.
        line: usize,
        /// What is wrong.
        reason: String,
    },
    /// The model cannot take the input that the log has.
    #[error(transparent)]
    Input(#[from] InputError),
}

/// A log that agrees.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Agreement {
    /// Recordings in the log.
    pub recordings: usize,
    /// Rows of tensors, of all recordings.
    pub rows: usize,
}

/// Where the device and this machine part ways.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("recording {recording}: {place}")]
pub struct Difference {
    /// As the log numbers it.
    pub recording: usize,
    /// Layer, row and value.
    pub place: String,
}

/// Runs `model` on every input of the log and compares each row with the device's.
///
/// # Errors
/// [`LogError`] if the log is none of this model.
pub fn first_difference(model: Model<'_>, log: &str) -> Result<Result<Agreement, Difference>, LogError> {
    let recordings = recordings(log)?;
    if recordings.is_empty() {
        return Err(LogError::Empty);
    }
    let mut engine = Engine::new(model);
    let mut net = engine.session();
    let mut agreement = Agreement::default();
    for recording in &recordings {
        match compare_recording(&mut net, recording)? {
            Ok(rows) => agreement.rows += rows,
            Err(place) => return Ok(Err(Difference { recording: recording.row, place })),
        }
        agreement.recordings += 1;
    }
    Ok(Ok(agreement))
}

/// What a log says of one recording.
struct Recording<'a> {
    row: usize,
    input: Vec<i16>,
    trace: Vec<Line<'a>>,
}

/// A row of a tensor: its place, digest and, if the log has them, values.
struct Line<'a> {
    text: &'a str,
    values: Option<Vec<i16>>,
}

fn recordings(log: &str) -> Result<Vec<Recording<'_>>, LogError> {
    let mut found: Vec<Recording<'_>> = Vec::new();
    for (number, line) in log.lines().enumerate() {
        let at = |reason: String| LogError::Line { line: number + 1, reason };
        // A logger may put a time before each line.
        if let Some((_, rest)) = line.split_once("input ") {
            let (row, values) = rest.split_once(' ').unwrap_or((rest, ""));
            let row = row.parse().map_err(|_| at("no number after `input`".into()))?;
            let input = numbers(values).map_err(at)?;
            found.push(Recording { row, input, trace: Vec::new() });
        } else if let Some(start) = line.find("trace ") {
            let (text, values) = match line[start..].split_once(" values") {
                Some((text, values)) => (text, Some(numbers(values).map_err(at)?)),
                None => (line[start..].trim_end(), None),
            };
            let recording = found.last_mut().ok_or_else(|| at("a row before any `input`".into()))?;
            recording.trace.push(Line { text, values });
        }
    }
    Ok(found)
}

fn numbers(text: &str) -> Result<Vec<i16>, String> {
    let number = |word: &str| word.parse().map_err(|_| format!("`{word}` is not a number of 16 bits"));
    text.split_whitespace().map(number).collect()
}

/// The rows that agree, or where they do not.
fn compare_recording(
    net: &mut Session<'_>,
    recording: &Recording<'_>,
) -> Result<Result<usize, String>, LogError> {
    let mut lines = recording.trace.iter();
    let (mut rows, mut difference) = (0, None);
    let mut compare = Rows(|row: Row<'_>| {
        if difference.is_none() {
            difference = compare_row(&row, lines.next());
            rows += usize::from(difference.is_none());
        }
    });
    net.run_traced(&recording.input, None, &mut compare)?;
    let left = lines.len();
    if difference.is_none() && left > 0 {
        difference = Some(format!("the log has {left} rows more than the model makes"));
    }
    Ok(difference.map_or(Ok(rows), Err))
}

/// What is wrong with the device's line for `row`.
fn compare_row(row: &Row<'_>, line: Option<&Line<'_>>) -> Option<String> {
    let Row { site, row: token, column, values } = row;
    let Some(line) = line else {
        return Some(format!("the log ends before {site}, row {token}, column {column}"));
    };
    let expected = row.to_string();
    if let Some(device) = &line.values {
        let pairs = device.iter().zip(*values).enumerate();
        if let Some((index, (device, host))) = pairs.into_iter().find(|(_, (device, host))| device != host) {
            let column = column + index;
            return Some(format!("{site}, row {token}, column {column}: device {device}, host {host}"));
        }
        if device.len() != values.len() {
            let (found, expected) = (device.len(), values.len());
            return Some(format!("{site}, row {token}: {found} values in the log, {expected} on the host"));
        }
    }
    if line.text == expected {
        return None;
    }
    let place = |text: &str| text.split(" digest ").next().unwrap_or_default().to_owned();
    if place(line.text) != place(&expected) {
        return Some(format!("the log has `{}` where `{expected}` is expected", line.text));
    }
    let last = column + values.len();
    Some(format!(
        "{site}, row {token}, columns {column} .. {last}: device `{}`, host `{expected}`; a log with `values` names the value",
        line.text
    ))
}
