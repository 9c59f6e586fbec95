//! The scores of every recording as a table for other programs.

use anyhow::Result;
use fixformer::host::evaluate::Evaluation;
use fixformer::host::file::Output;
use fixformer::host::judge::{Answer, Judge};
use fixformer::host::targets::Targets;

/// What a table says of each recording, or of each token where it has scores of its own.
pub(crate) struct Scored<'a> {
    pub(crate) evaluation: &'a Evaluation,
    pub(crate) targets: Option<&'a Targets>,
    pub(crate) judge: &'a Judge,
    /// Tokens of each recording, where each has scores of its own.
    pub(crate) tokens: Option<Vec<usize>>,
}

impl Scored<'_> {
    /// Writes `row,label,class,saturated,score_0,…`, with a column `token` after the first where each has scores of its own;
    /// what is not known is blank. Several labels or numbers have spaces between them.
    pub(crate) fn write(&self, output: &Output) -> Result<()> {
        let Evaluation { scores, saturated, .. } = self.evaluation;
        let mut writer = csv::Writer::from_writer(Vec::new());
        let outputs = scores.first().map_or(0, Vec::len);
        let mut headings = ["row", "label", "class", "saturated"].map(str::to_owned).to_vec();
        if self.tokens.is_some() {
            headings.insert(1, "token".to_owned());
        }
        writer
            .write_record(headings.into_iter().chain((0..outputs).map(|output| format!("score_{output}"))))?;
        let places: Vec<(usize, Option<usize>)> = match &self.tokens {
            Some(tokens) => tokens
                .iter()
                .enumerate()
                .flat_map(|(row, &tokens)| (0..tokens).map(move |token| (row, Some(token))))
                .collect(),
            None => (0..scores.len()).map(|row| (row, None)).collect(),
        };
        for (index, (scores, (row, token))) in scores.iter().zip(places).enumerate() {
            let class = match self.judge.answer(scores) {
                Answer::Class(class) => class.to_string(),
                Answer::Labels(labels) => spaced(labels.iter().map(|&yes| u8::from(yes))),
                Answer::Numbers => String::new(),
            };
            let saturated = saturated.get(row).map_or(String::new(), u32::to_string);
            let token = token.map(|token| token.to_string());
            let place = [row.to_string()].into_iter().chain(token);
            let said = place.chain([self.label(index), class, saturated]);
            writer.write_record(said.chain(scores.iter().map(f64::to_string)))?;
        }
        output.write(&writer.into_inner()?)?;
        Ok(())
    }

    fn label(&self, index: usize) -> String {
        match self.targets {
            None => String::new(),
            Some(Targets::Classes(classes)) => {
                classes[index].map_or(String::new(), |class| class.to_string())
            }
            Some(Targets::Labels(labels)) => spaced(labels[index].iter().map(|&yes| u8::from(yes))),
            Some(Targets::Numbers(numbers)) => spaced(numbers[index].iter()),
        }
    }
}

fn spaced(values: impl Iterator<Item = impl ToString>) -> String {
    values.map(|value| value.to_string()).collect::<Vec<_>>().join(" ")
}
