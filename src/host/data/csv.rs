//! Text files of numbers, one recording a line.

use std::borrow::ToOwned;
use std::format;
use std::path::Path;
use std::string::ToString;
use std::vec::Vec;

use super::labels;
use super::{DataError, Label, Number, Options, Recordings};

mod dialect;
mod header;
mod table;

pub(super) use table::{Line, Table};

/// Headings of a column that is the label where nobody says which is.
const LABEL_NAMES: [&str; 4] = ["label", "labels", "class", "target"];

pub(super) fn load(path: &Path, mut options: Options<'_>) -> Result<Recordings, DataError> {
    let archive = is_of_ucr(path);
    if archive {
        options.label = options.label.or(Some(Label::First));
    }
    let table = Table::read(path, options)?;
    let label = label_column(path, &table, options)?;
    let columns: Vec<usize> = table.columns.iter().copied().filter(|&column| Some(column) != label).collect();
    let channels = options.channels.unwrap_or(1);
    let mut rows = Vec::with_capacity(table.lines.len());
    let mut texts = Vec::new();
    for line in &table.lines {
        let end = if archive { unpadded(line, &columns) } else { columns.len() };
        let columns = &columns[..end];
        if columns.is_empty() || channels == 0 || !columns.len().is_multiple_of(channels) {
            let (path, place) = (path.to_owned(), format!("line {}", line.number));
            return Err(DataError::Channels { path, place, values: columns.len(), channels });
        }
        let value = |(index, &column): (usize, &usize)| {
            let number = table.number(path, line, column, label.is_none())?;
            // With a scale every number is a real one, also where a spreadsheet left out the point.
            let number = match (number, options.scale) {
                (Number::Integer(value), Some(_)) => Number::Real(value as f64),
                (number, _) => number,
            };
            options.raw(path, number, [index, channels], || line.place(column))
        };
        rows.push(columns.iter().enumerate().map(value).collect::<Result<Vec<i16>, _>>()?);
        texts.extend(label.map(|label| table.label(line, label)));
    }
    if rows.is_empty() {
        return Err(DataError::Empty { path: path.to_owned(), place: "the file".to_string() });
    }
    let mut recordings =
        Recordings { channels, rows, scale: options.scale.cloned(), ..Recordings::default() };
    if let Some(column) = label {
        labels::note(path, &texts, options, |row| table.lines[row].place(column), &mut recordings)?;
    }
    Ok(recordings)
}

/// The column of the label, if there is one.
fn label_column(path: &Path, table: &Table, options: Options<'_>) -> Result<Option<usize>, DataError> {
    match options.label {
        Some(Label::None) => Ok(None),
        Some(Label::First) => Ok(table.columns.first().copied()),
        Some(Label::Last) => Ok(table.columns.last().copied()),
        Some(Label::Named(name)) => table.named(path, name).map(Some),
        None => {
            let is_label = |&&column: &&usize| {
                let name = table.names.as_ref().map(|names| names[column].to_lowercase());
                name.is_some_and(|name| LABEL_NAMES.contains(&name.as_str()))
            };
            // Two of them are more than a guess can tell.
            let mut found: Vec<usize> = table.columns.iter().filter(is_label).copied().collect();
            if found.is_empty() {
                found = table.beside_numbered();
            } else if let [column] = found[..] {
                return Ok(Some(column));
            }
            if found.is_empty() {
                return Ok(None);
            }
            Err(DataError::WhichLabel { path: path.to_owned(), columns: table.titles(&found) })
        }
    }
}

/// Whether the name is one of the UCR archive, `NAME_TRAIN.tsv` or `NAME_TEST.tsv`.
fn is_of_ucr(path: &Path) -> bool {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy().to_ascii_uppercase();
    let text = ["tsv", "txt"].contains(&super::extension(path).as_str());
    text && (stem.ends_with("_TRAIN") || stem.ends_with("_TEST"))
}

/// How many of `columns` come before the NaN that the archive pads with.
fn unpadded(line: &Line, columns: &[usize]) -> usize {
    let is_padding = |&column: &usize| line.field(column).eq_ignore_ascii_case("nan");
    columns.iter().rposition(|column| !is_padding(column)).map_or(0, |last| last + 1)
}
