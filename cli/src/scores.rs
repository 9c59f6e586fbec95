//! The scores of every recording as a table for other programs.

use std::path::Path;

use anyhow::Result;
use fixformer::host::evaluate::Evaluation;
use fixformer::host::file;
use fixformer::host::judge::{Answer, Judge};
use fixformer::host::targets::Targets;

/// What a table says of each recording, or of each token where it has scores of its own.
pub(crate) struct Scored<'a> {
    pub(crate) evaluation: &'a Evaluation,
    pub(crate) targets: Option<&'a Targets>,
    pub(crate) judge: &'a Judge,
}

impl Scored<'_> {
    /// Writes `row,label,class,saturated,score_0,…`; what is not known is blank. Several labels or numbers have spaces between
    /// them.
    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        let Evaluation { scores, saturated, rows, .. } = self.evaluation;
        let mut writer = csv::Writer::from_writer(Vec::new());
        let outputs = scores.first().map_or(0, Vec::len);
        let fixed = ["row", "label", "class", "saturated"].map(str::to_owned);
        writer.write_record(fixed.into_iter().chain((0..outputs).map(|output| format!("score_{output}"))))?;
        for (row, scores) in scores.iter().enumerate() {
            let class = match self.judge.answer(scores) {
                Answer::Class(class) => class.to_string(),
                Answer::Labels(labels) => spaced(labels.iter().map(|&yes| u8::from(yes))),
                Answer::Numbers => String::new(),
            };
            // Where a row is a token, they are not those of the row.
            let saturated = saturated.get(row).filter(|_| self.evaluation.scores.len() == *rows);
            let saturated = saturated.map_or(String::new(), u32::to_string);
            let fixed = [row.to_string(), self.label(row), class, saturated];
            writer.write_record(fixed.into_iter().chain(scores.iter().map(f64::to_string)))?;
        }
        file::replace(path, &writer.into_inner()?)?;
        Ok(())
    }

    fn label(&self, row: usize) -> String {
        match self.targets {
            None => String::new(),
            Some(Targets::Classes(classes)) => classes[row].map_or(String::new(), |class| class.to_string()),
            Some(Targets::Labels(labels)) => spaced(labels[row].iter().map(|&yes| u8::from(yes))),
            Some(Targets::Numbers(numbers)) => spaced(numbers[row].iter()),
        }
    }
}

fn spaced(values: impl Iterator<Item = impl ToString>) -> String {
    values.map(|value| value.to_string()).collect::<Vec<_>>().join(" ")
}
