//! The text of a description, with marks.

use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

/// What stands before the reason why a value is a guess.
pub(super) const MARK: &str = "# not in the weights:";

/// Tables with their lines, in the order of the documentation.
#[derive(Debug, Default)]
pub(super) struct Text {
    tables: Vec<(&'static str, Vec<String>)>,
    marked: usize,
}

impl Text {
    /// A key with its value, as TOML.
    pub(super) fn set(&mut self, table: &'static str, key: &str, value: impl ToString) {
        self.line(table, format!("{key} = {}", value.to_string()));
    }

    /// The same with a string.
    pub(super) fn quoted(&mut self, table: &'static str, key: &str, value: &str) {
        self.set(table, key, format!("\"{value}\""));
    }

    /// A value that the weights do not have: what it is, or how to find it.
    pub(super) fn guess(&mut self, table: &'static str, key: &str, value: impl ToString, what: &str) {
        self.marked += 1;
        self.line(table, format!("{key} = {}   {MARK} {what}", value.to_string()));
    }

    /// Values of a step, which the weights have or not.
    pub(super) fn channels(&mut self, channels: usize, known: bool) {
        match known {
            true => self.set("input", "channels", channels),
            false => {
                let what = "values of a step; `window.width` times this is what the stem takes";
                self.guess("input", "channels", channels, what);
            }
        }
    }

    /// A whole line.
    pub(super) fn line(&mut self, table: &'static str, line: String) {
        match self.tables.iter_mut().find(|(name, _)| *name == table) {
            Some((_, lines)) => lines.push(line),
            None => self.tables.push((table, Vec::from([line]))),
        }
    }

    /// The TOML, and how many values are marked.
    pub(super) fn finish(self, family: &str) -> (String, usize) {
        let order = ["", "input", "positions", "encoder", "pooling", "head", "tensors", "tensors.rename"];
        let mut text = format!(
            "# {family}, by the names and shapes of its tensors.\n# What is marked \"{}\" is a usual value: look it up in the code \
             of the model,\n# and let `fixformer quantize --expect SCORES.npy` check it.\n",
            MARK.trim_start_matches("# ").trim_end_matches(':')
        );
        for table in order {
            let Some((_, lines)) = self.tables.iter().find(|(name, _)| *name == table) else { continue };
            text += &if table.is_empty() { String::new() } else { format!("\n[{table}]\n") };
            text += &lines.join("\n");
            text += "\n";
        }
        (text, self.marked)
    }
}
