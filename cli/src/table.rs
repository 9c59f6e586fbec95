//! Columns of text.

use std::io::{self, Write};

use fixformer::host::printable::printable;

/// Rows of equally many cells.
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
    left: usize,
}

impl Table {
    /// A table with these headings; the first `left` columns begin at the left, the others end at the right.
    pub(crate) fn new(left: usize, headings: &[&str]) -> Self {
        let headings = headings.iter().map(|heading| printable(heading).into_owned());
        Self { rows: vec![headings.collect()], left }
    }

    /// Adds a row; cells beyond the headings are not measured and stand at the end of the line.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().map(|cell| printable(&cell).into_owned()).collect());
    }

    /// Writes the table, indented by two.
    pub(crate) fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let columns = self.rows[0].len();
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        for row in &self.rows {
            let mut line = String::new();
            for (column, cell) in row.iter().enumerate() {
                line += "  ";
                match widths.get(column) {
                    Some(&width) if column < self.left => line += &format!("{cell:<width$}"),
                    Some(&width) => line += &format!("{cell:>width$}"),
                    None => line += cell,
                }
            }
            writeln!(out, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

/// `0.0123` as `1.23 %`.
pub(crate) fn percent(share: f64) -> String {
    format!("{:.2} %", 100.0 * share)
}
