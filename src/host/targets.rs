//! What recordings should give, by what the model is asked.

use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

use super::data::Recordings;
use crate::model::{Model, Task};

/// What recordings should give.
#[derive(Clone, Debug, PartialEq)]
pub enum Targets {
    /// The class of each recording or, where each token has scores of its own, of each token, one recording after the other;
    /// none where it does not count. Of a single output that is yes or no, 0 or 1.
    Classes(Vec<Option<usize>>),
    /// Of each recording, for each output whether it is yes.
    Labels(Vec<Vec<bool>>),
    /// Of each recording, the number of each output.
    Numbers(Vec<Vec<f64>>),
}

/// Targets that are not those of the model.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("row {row}: {problem}")]
pub struct TargetError {
    /// The first recording of which they are wrong.
    pub row: usize,
    /// What is wrong, and what to do.
    pub problem: String,
}

impl Targets {
    /// A class for each recording.
    pub fn classes(labels: &[usize]) -> Self {
        Self::Classes(labels.iter().copied().map(Some).collect())
    }

    /// How many say something.
    pub fn count(&self) -> usize {
        match self {
            Self::Classes(classes) => classes.iter().flatten().count(),
            Self::Labels(labels) => labels.len(),
            Self::Numbers(numbers) => numbers.len(),
        }
    }

    /// Whether they are rows of [values](super::data::Options::values) rather than a class for each recording.
    pub fn are_values(model: &Model<'_>) -> bool {
        match model.answers.task {
            Task::Multiclass => model.is_per_token(),
            Task::Multilabel => model.is_per_token() || model.outputs() > 1,
            Task::Regression => true,
        }
    }

    /// Those of `recordings`, if they have any. Where each token has a class, those that are `ignored` do not count.
    ///
    /// # Errors
    /// [`TargetError`]: other numbers, or other numbers of them, than the model has.
    pub fn of(model: &Model<'_>, recordings: &Recordings, ignored: f64) -> Result<Option<Self>, TargetError> {
        if !Self::are_values(model) {
            let labels = recordings.labels.as_deref();
            let last = model.classes().saturating_sub(1);
            if let Some((row, label)) =
                labels.unwrap_or_default().iter().enumerate().find(|(_, label)| **label > last)
            {
                return Err(TargetError { row, problem: outside(*label, last) });
            }
            return Ok(labels.map(Self::classes));
        }
        let Some(values) = &recordings.values else { return Ok(None) };
        let rows = || values.iter().enumerate();
        let at = |row: usize| move |problem: String| TargetError { row, problem };
        let targets = if model.is_per_token() {
            let of_row = |(row, values): (usize, &Vec<f64>)| {
                let all = recordings.padded.map(|steps| model.input.window().tokens(steps));
                let tokens = model.input.tokens(recordings.rows[row].len());
                of_tokens(model, values, [tokens, all.unwrap_or(values.len())], ignored).map_err(at(row))
            };
            Self::Classes(rows().map(of_row).collect::<Result<Vec<_>, _>>()?.concat())
        } else if model.answers.task == Task::Multilabel {
            Self::Labels(
                rows()
                    .map(|(row, values)| yes_or_no(model, values).map_err(at(row)))
                    .collect::<Result<_, _>>()?,
            )
        } else {
            Self::Numbers(
                rows()
                    .map(|(row, values)| numbers(model, values).map_err(at(row)))
                    .collect::<Result<_, _>>()?,
            )
        };
        match &targets {
            Self::Classes(classes) if classes.iter().all(Option::is_none) => {
                let problem =
                    format!("no token of any recording has a label other than {ignored}; label some");
                Err(TargetError { row: 0, problem })
            }
            _ => Ok(Some(targets)),
        }
    }
}

fn outside(label: usize, last: usize) -> String {
    // A data set that counts its classes from 1 has one too many for the numbers from 0.
    let counted: Vec<String> = (1..=label).map(|class| class.to_string()).collect();
    let counts_from_one =
        format!("if the classes count from 1, add `--classes {}`; else ", counted.join(","));
    format!(
        "label {label} is outside the model's classes 0 ..= {last}; {}correct or remove the label, or give the data of this \
         model",
        if label == last + 1 { &counts_from_one } else { "" }
    )
}

/// The classes of the tokens of a recording, which has so many, and with its padding so many.
fn of_tokens(
    model: &Model<'_>,
    values: &[f64],
    [tokens, all]: [usize; 2],
    ignored: f64,
) -> Result<Vec<Option<usize>>, String> {
    let last = model.classes().saturating_sub(1);
    if values.len() < tokens || values.len() != all {
        let (found, tokens) = (values.len(), tokens.max(all));
        return Err(format!(
            "{found} labels, but the recording has {tokens} tokens; give one for each token"
        ));
    }
    let class = |(token, &value): (usize, &f64)| match value {
        _ if value == ignored || value.is_nan() => Ok(None),
        _ if value.fract() == 0.0 && (0.0..=last as f64).contains(&value) => Ok(Some(value as usize)),
        _ => Err(format!(
            "token {token} has the label {value}, which is neither a class 0 ..= {last} nor {ignored}, that of tokens \
             without one; correct it, or say `--ignore-label {value}`"
        )),
    };
    values[..tokens].iter().enumerate().map(class).collect()
}

fn yes_or_no(model: &Model<'_>, values: &[f64]) -> Result<Vec<bool>, String> {
    check_count(model, values)?;
    match values.iter().find(|value| ![0.0, 1.0].contains(*value)) {
        Some(value) => {
            Err(format!("a label is {value}; give 1 for each output that is yes, and 0 for the others"))
        }
        None => Ok(values.iter().map(|&value| value == 1.0).collect()),
    }
}

fn numbers(model: &Model<'_>, values: &[f64]) -> Result<Vec<f64>, String> {
    check_count(model, values)?;
    match values.iter().find(|value| !value.is_finite()) {
        Some(_) => Err("a number is not finite; repair or remove that recording".to_string()),
        None => Ok(values.to_vec()),
    }
}

fn check_count(model: &Model<'_>, values: &[f64]) -> Result<(), String> {
    let (found, outputs) = (values.len(), model.outputs());
    if found == outputs {
        return Ok(());
    }
    Err(format!("{found} values, but the model has {outputs} outputs; give `y` of shape [rows, {outputs}]"))
}
