//! Text files of numbers, one recording a line.

use std::borrow::ToOwned;
use std::format;
use std::path::Path;
use std::string::ToString;
use std::vec::Vec;

use csv::{ErrorKind, ReaderBuilder, StringRecord, Trim};

use super::{DataError, Number, Options, Recordings, label, raw};

pub(super) fn load(path: &Path, options: Options) -> Result<Recordings, DataError> {
    let reader = ReaderBuilder::new().has_headers(false).flexible(true).trim(Trim::All).from_path(path);
    let failed = |error: csv::Error| {
        let message = error.to_string();
        let source = match error.into_kind() {
            ErrorKind::Io(source) => source,
            _ => std::io::Error::new(std::io::ErrorKind::InvalidData, message),
        };
        DataError::Read { path: path.to_owned(), source }
    };
    let mut reader = reader.map_err(failed)?;
    let channels = options.channels.unwrap_or(1);
    let mut rows = Vec::new();
    let mut labels = Vec::new();
    let mut fields = None;
    for (index, record) in reader.records().enumerate() {
        let record = record.map_err(failed)?;
        let line = record.position().map_or(0, csv::Position::line);
        let found = record.len();
        let expected = *fields.get_or_insert(found);
        if found != expected {
            return Err(DataError::Ragged { path: path.to_owned(), line, found, expected });
        }
        if index == 0 && is_header(&record) {
            continue;
        }

        let place = |column: usize| format!("line {line}, column {}", column + 1);
        let values = found - usize::from(options.labelled);
        if values == 0 || channels == 0 || !values.is_multiple_of(channels) {
            let (path, place) = (path.to_owned(), format!("line {line}"));
            return Err(DataError::Channels { path, place, values, channels });
        }
        let mut row = Vec::with_capacity(values);
        for (column, text) in record.iter().enumerate() {
            let Ok(value) = text.parse::<f64>() else {
                let (path, text) = (path.to_owned(), text.to_string());
                return Err(DataError::Number { path, place: place(column), text });
            };
            if column == values {
                labels.push(label(path, Number::Real(value), || place(column))?);
                continue;
            }
            // Without a scale a whole number is a raw value, however it is written.
            let number = match options.scale {
                None if value.fract() == 0.0 => Number::Integer(value as i64),
                _ => Number::Real(value),
            };
            row.push(raw(path, number, options.scale, || place(column))?);
        }
        rows.push(row);
    }
    if rows.is_empty() {
        return Err(DataError::Empty { path: path.to_owned(), place: "the file".to_string() });
    }
    let labels = options.labelled.then_some(labels);
    Ok(Recordings { channels, rows, labels, scale: options.scale })
}

/// Whether a field starts with a letter, and is not one of the words that mean a number.
fn is_header(record: &StringRecord) -> bool {
    record.iter().any(|text| {
        text.starts_with(|first: char| first.is_alphabetic() || first == '_') && text.parse::<f64>().is_err()
    })
}
