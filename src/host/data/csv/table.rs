//! The lines and columns of a text file.

use std::borrow::ToOwned;
use std::format;
use std::path::Path;
use std::string::{String, ToString};
use std::vec::Vec;

use csv::{ReaderBuilder, StringRecord, Trim};

use super::super::{DataError, Number, Options, text};
use super::dialect;
use super::header::{First, first_line, is_index, is_nameless, shown};

/// What is in a text file.
pub(in super::super) struct Table {
    /// Of all columns, blank ones included; none without a header.
    pub(super) names: Option<Vec<String>>,
    /// Columns that are neither an index nor left out on demand.
    pub(in super::super) columns: Vec<usize>,
    /// Lines with values.
    pub(in super::super) lines: Vec<Line>,
    /// Whether a comma may be a decimal one.
    comma: bool,
    /// Whether the header was asked about.
    asked: bool,
}

/// A line with values.
pub(in super::super) struct Line {
    /// From 1, of the file.
    pub(in super::super) number: u64,
    fields: StringRecord,
}

impl Line {
    /// The text of a column.
    pub(in super::super) fn field(&self, column: usize) -> &str {
        self.fields.get(column).unwrap_or_default()
    }

    /// Where that is, for messages.
    pub(in super::super) fn place(&self, column: usize) -> String {
        format!("line {}, column {}", self.number, column + 1)
    }

    fn ends_blank(&self) -> bool {
        self.fields.len() > 1 && self.field(self.fields.len() - 1).is_empty()
    }

    /// Without its last field.
    fn cut(&mut self) {
        self.fields.truncate(self.fields.len() - 1);
    }
}

impl Table {
    pub(in super::super) fn read(path: &Path, options: Options<'_>) -> Result<Self, DataError> {
        let text = text::read(path)?;
        let declared = dialect::declared(&text);
        // Blanks instead of the line that says so, so that places in the file stay what they are.
        let text = match declared {
            Some((_, end)) => " ".repeat(end) + &text[end..],
            None => text,
        };
        let declared = declared.map(|(delimiter, _)| delimiter);
        let delimiter = options.delimiter.or(declared).unwrap_or_else(|| dialect::delimiter(&text));
        let mut lines = lines(path, &text, delimiter)?;
        trim_ends(&mut lines);
        let names = names(path, &mut lines, options)?;

        let expected = names.as_ref().map(Vec::len).or(lines.first().map(|line| line.fields.len()));
        if let Some(line) = lines.iter().find(|line| Some(line.fields.len()) != expected) {
            let (found, expected) = (line.fields.len(), expected.unwrap_or_default());
            return Err(DataError::Ragged { path: path.to_owned(), line: line.number, found, expected });
        }
        let points =
            |line: &Line| line.fields.iter().any(|text| text.contains('.') && text.parse::<f64>().is_ok());
        let comma = delimiter != b',' && !lines.iter().any(points);
        let columns = (0..expected.unwrap_or(0)).collect();
        let asked = options.header.is_some();
        let mut table = Table { names, columns, lines, comma, asked };
        table.drop_indices(path)?;
        for name in options.ignore {
            let column = table.named(path, name)?;
            table.columns.retain(|&kept| kept != column);
        }
        Ok(table)
    }

    /// The number in a column of a line. With `label` the message thinks of a label too.
    pub(in super::super) fn number(
        &self,
        path: &Path,
        line: &Line,
        column: usize,
        label: bool,
    ) -> Result<Number, DataError> {
        let text = line.field(column);
        Number::parse(text, self.comma).ok_or_else(|| DataError::Number {
            path: path.to_owned(),
            place: line.place(column),
            text: text.to_owned(),
            remedy: self.remedy(text, line, column, label),
        })
    }

    /// The label in a column of a line; a number of it has no decimal comma.
    pub(super) fn label(&self, line: &Line, column: usize) -> String {
        let text = line.field(column);
        let number = Number::parse(text, self.comma).filter(|_| self.comma && text.contains(','));
        number.map_or(text.to_owned(), |number| number.to_string())
    }

    /// The column of that name.
    pub(super) fn named(&self, path: &Path, name: &str) -> Result<usize, DataError> {
        let is_it = |&&column: &&usize| self.names.as_ref().is_some_and(|names| names[column] == name);
        self.columns.iter().find(is_it).copied().ok_or_else(|| DataError::NoColumn {
            path: path.to_owned(),
            name: name.to_owned(),
            present: self.titles(&self.columns),
        })
    }

    /// What these columns are called.
    pub(super) fn titles(&self, columns: &[usize]) -> Vec<String> {
        let names = |names: &Vec<String>| columns.iter().map(|&column| names[column].clone()).collect();
        self.names.as_ref().map(names).unwrap_or_default()
    }

    /// The first and the last column, where they have names without a number and all others are numbered: `x0, x1, x2,
    /// diagnosis`. Nothing says that they are values of the recording as those are.
    pub(super) fn beside_numbered(&self) -> Vec<usize> {
        let (Some(names), [first, inner @ .., last]) = (&self.names, &self.columns[..]) else {
            return Vec::new();
        };
        let is_numbered = |column: &usize| names[*column].ends_with(|c: char| c.is_ascii_digit());
        let odd: Vec<usize> = [*first, *last].into_iter().filter(|column| !is_numbered(column)).collect();
        let numbered = self.columns.len() - odd.len();
        if numbered < 2 || !inner.iter().all(is_numbered) { Vec::new() } else { odd }
    }

    /// A column without a name is an index. What would be lost with one that is none may not be dropped.
    fn drop_indices(&mut self, path: &Path) -> Result<(), DataError> {
        let Some(names) = &self.names else { return Ok(()) };
        let nameless = (0..names.len()).filter(|&column| is_nameless(&names[column]));
        for column in nameless {
            let fields = self.lines.iter().map(|line| line.field(column));
            if column > 0 && !is_index(fields) {
                let line = self.lines.first().map_or(0, |line| line.number);
                return Err(DataError::Unnamed { path: path.to_owned(), line, column: column + 1 });
            }
            self.columns.retain(|&kept| kept != column);
        }
        Ok(())
    }

    fn remedy(&self, text: &str, line: &Line, column: usize, label: bool) -> String {
        let name = self.names.as_ref().map(|names| &names[column]);
        let is_word = |line: &Line| Number::parse(line.field(column), self.comma).is_none();
        let words = name.filter(|_| !text.is_empty() && self.lines.iter().all(is_word));
        let mut remedies = Vec::new();
        remedies.push(match text {
            "" => "fill the value in, or remove the recording".to_string(),
            _ if let Some(name) = words => format!("no value of the column `{name}` is one"),
            _ if text.contains(',') && !self.comma => {
                "write numbers with a decimal point, or with decimal commas throughout and `;` between them"
                    .to_string()
            }
            _ => "correct it".to_string(),
        });
        let first = self.names.is_none()
            && !self.asked
            && self.lines.first().is_some_and(|l| l.number == line.number);
        if first {
            remedies.push("add `--header yes` if that line names the columns".to_string());
        }
        let end = match [self.columns.first(), self.columns.last()] {
            [_, Some(last)] if *last == column => Some("last"),
            [Some(first), _] if *first == column => Some("first"),
            _ => None,
        };
        let as_label = name.filter(|_| end.is_some() || words.is_some()).map(String::as_str);
        if let Some(name) = as_label.or(end).filter(|_| label && !text.is_empty()) {
            remedies.push(format!("add `--label {name}` if that column is the label"));
        }
        if let Some(name) = name {
            remedies.push(format!("add `--ignore {name}` if that column is no part of the recordings"));
        }
        remedies.join("; ")
    }
}

/// The lines that are not blank.
fn lines(path: &Path, text: &str, delimiter: u8) -> Result<Vec<Line>, DataError> {
    let mut builder = ReaderBuilder::new();
    builder.has_headers(false).flexible(true).trim(Trim::All).delimiter(delimiter);
    let mut reader = builder.from_reader(text.as_bytes());
    let mut counter = Counter { bytes: text.as_bytes(), at: 0, line: 1 };
    let mut lines = Vec::new();
    for record in reader.records() {
        let fields = record.map_err(|error| {
            let source = std::io::Error::new(std::io::ErrorKind::InvalidData, error.to_string());
            DataError::Read { path: path.to_owned(), source }
        })?;
        let start = fields.position().map_or(0, csv::Position::byte);
        let number = counter.line_at(start as usize);
        if fields.iter().any(|field| !field.is_empty()) {
            lines.push(Line { number, fields });
        }
    }
    Ok(lines)
}

/// Counts lines, however they end. The positions of the reader are before the ends of the lines that it skips.
struct Counter<'a> {
    bytes: &'a [u8],
    at: usize,
    line: u64,
}

impl Counter<'_> {
    /// The line of the first text at or after `start`.
    fn line_at(&mut self, start: usize) -> u64 {
        while let Some(&byte) = self.bytes.get(self.at) {
            let ends = byte == b'\n' || byte == b'\r';
            if self.at >= start && !ends {
                break;
            }
            let half = byte == b'\r' && self.bytes.get(self.at + 1) == Some(&b'\n');
            self.line += u64::from(ends && !half);
            self.at += 1;
        }
        self.line
    }
}

/// Takes away what a separator at the end of every line leaves, of the header too or not of it.
fn trim_ends(lines: &mut [Line]) {
    let Some((first, body)) = lines.split_first_mut() else { return };
    let Some(fields) = body.first().map(|line| line.fields.len()) else {
        if first.ends_blank() {
            first.cut();
        }
        return;
    };
    let all = body.iter().all(Line::ends_blank);
    match (all, first.ends_blank(), first.fields.len()) {
        (true, true, _) => lines.iter_mut().for_each(Line::cut),
        (true, false, found) if found + 1 == fields => body.iter_mut().for_each(Line::cut),
        (false, true, found) if found == fields + 1 => first.cut(),
        _ => {}
    }
}

/// Takes the names of the columns from the lines, if the first has them.
fn names(path: &Path, lines: &mut Vec<Line>, options: Options<'_>) -> Result<Option<Vec<String>>, DataError> {
    let [line, body @ ..] = lines.as_slice() else { return Ok(None) };
    let first: Vec<&str> = line.fields.iter().collect();
    let fields = body.first().map_or(first.len(), |line| line.fields.len());
    // R writes no heading above the names of the rows.
    let shift = usize::from(first.len() + 1 == fields && first.len() > 1);
    let below = |column: usize| body.iter().map(move |line| line.field(column + shift));
    let is_header = match (options.header, first_line(&first, below)) {
        (Some(header), _) => header,
        (None, First::Names) => true,
        (None, First::Data) => false,
        (None, First::Either) => {
            let text = shown(&first);
            return Err(DataError::HeaderOrData { path: path.to_owned(), line: line.number, text });
        }
    };
    if !is_header {
        return Ok(None);
    }
    let indexed = shift == 1 && is_index(body.iter().map(|line| line.field(0)));
    let blank = indexed.then(String::new);
    let names = blank.into_iter().chain(first.into_iter().map(str::to_owned)).collect();
    lines.remove(0);
    Ok(Some(names))
}
