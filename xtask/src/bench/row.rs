//! A line of the firmware, as it is shown.

use anyhow::{Result, bail, ensure};
use comfy_table::{CellAlignment, Table, presets};
use serde_json::{Map, Value, json};

/// From here on twice the tokens of a linear mechanism cost at most [`GROWTH`] times the instructions.
const LINEAR_FROM: u64 = 1024;
const GROWTH: f64 = 2.1;
/// LSH reads its rows in the order of the buckets.
const GROWTH_LSH: f64 = 2.2;

/// What was measured, its name, and pairs of a name and a value.
pub(crate) struct Row {
    kind: String,
    pub(crate) name: String,
    fields: Map<String, Value>,
    /// As the firmware printed it.
    pub(crate) line: String,
}

impl Row {
    pub(crate) fn read(line: &str) -> Result<Self> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [kind, name, pairs @ ..] = &words[..] else { bail!("unexpected line from the firmware: {line}") };
        ensure!(pairs.len().is_multiple_of(2), "unexpected line from the firmware: {line}");
        let value = |word: &str| word.parse::<u64>().map_or_else(|_| json!(word), |number| json!(number));
        let fields = pairs.chunks(2).map(|pair| (pair[0].to_owned(), value(pair[1]))).collect();
        Ok(Self { kind: (*kind).to_owned(), name: (*name).to_owned(), fields, line: line.to_owned() })
    }

    pub(crate) fn is_attention(&self) -> bool {
        self.kind == "attention"
    }

    pub(crate) fn number(&self, field: &str) -> Option<u64> {
        self.fields.get(field)?.as_u64()
    }

    pub(crate) fn text(&self, field: &str) -> &str {
        self.fields.get(field).and_then(|value| value.as_str()).unwrap_or_default()
    }

    pub(crate) fn json(&self, core: &str) -> Value {
        let key = match self.kind.as_str() {
            "kernel" => "kernel",
            "attention" | "step" | "ticks" => "mechanism",
            _ => "model",
        };
        let mut object = self.fields.clone();
        object.insert("core".to_owned(), json!(core));
        object.insert(key.to_owned(), json!(self.name));
        Value::Object(object)
    }

    /// What it costs: instructions a multiplication, or a token.
    fn rate(&self) -> Option<String> {
        let instructions = self.number("instructions")? as f64;
        if let Some(cycles) = self.number("cycles") {
            return Some(format!("{cycles} cycles, {:.2} an instruction", cycles as f64 / instructions));
        }
        match (self.number("macs"), self.number("n")) {
            (Some(macs), _) if macs > 0 => Some(format!("{:.2} a MAC", instructions / macs as f64)),
            (_, Some(tokens)) => Some(format!("{:.0} a token", instructions / tokens as f64)),
            _ => self.number("worst").map(|worst| format!("a token, at most {worst}")),
        }
    }

    fn shape(&self) -> String {
        let number = |field| self.number(field).unwrap_or_default();
        match self.kind.as_str() {
            "kernel" => format!("[{}]", self.text("shape")),
            "attention" => {
                let tokens = self.number("n").map_or(String::new(), |n| format!("n {n} "));
                format!("{tokens}d {} {}", number("d"), self.text("direction"))
            }
            "step" => format!("largest step of {}", self.text("stage")),
            "ticks" => format!("longest wait of {} ticks", number("count")),
            _ => self.text("layer").to_owned(),
        }
    }
}

/// Linear mechanisms that grow faster than they may.
pub(crate) fn grown(rows: &[Row]) -> Vec<String> {
    let mut found = Vec::new();
    for pair in rows.windows(2).filter(|pair| pair[0].is_attention() && pair[0].name != "exact") {
        let [Some(n), Some(twice)] = [&pair[0], &pair[1]].map(|row| row.number("n")) else { continue };
        let [Some(a), Some(b)] = [&pair[0], &pair[1]].map(|row| row.number("instructions")) else { continue };
        let growth = b as f64 / a as f64;
        let limit = if pair[0].name == "lsh" { GROWTH_LSH } else { GROWTH };
        if n >= LINEAR_FROM && twice == 2 * n && growth > limit {
            found.push(format!("{} {}: {growth:.3} times the instructions", pair[1].name, pair[1].shape()));
        }
    }
    found
}

pub(crate) fn table(rows: &[Row]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_BORDERS_ONLY);
    table.set_header(["", "shape", "instructions", "rate", "bytes of arena"]);
    for column in [2, 3, 4] {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    for row in rows {
        let number = |field| row.number(field).map_or(String::new(), |number| number.to_string());
        table.add_row([
            row.name.clone(),
            row.shape(),
            ["instructions", "largest_step", "longest_wait"].map(number).concat(),
            row.rate().unwrap_or_default(),
            number("arena_bytes"),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_is_noticed() {
        let line = |n, instructions| {
            Row::read(&format!(
                "attention hierarchical n {n} d 16 direction causal instructions {instructions}"
            ))
        };
        let rows = |last| [line(1024, 100).unwrap(), line(2048, last).unwrap()];
        assert!(grown(&rows(205)).is_empty());
        assert_eq!(grown(&rows(300)).len(), 1);
    }

    #[test]
    fn every_kind_of_line_has_its_fields() {
        let json = |line| Row::read(line).unwrap().json("m4").to_string();
        let kernel = json("kernel linear shape 64,32,32 instructions 9 macs 65536");
        assert_eq!(
            kernel,
            r#"{"core":"m4","instructions":9,"kernel":"linear","macs":65536,"shape":"64,32,32"}"#
        );
        let layer = json("layer digits layer head instructions 7");
        assert_eq!(layer, r#"{"core":"m4","instructions":7,"layer":"head","model":"digits"}"#);
        assert!(Row::read("kernel linear shape").is_err());
    }
}
