//! From the pooled vector to the scores, and what they say: `[head]`.

use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

use serde::Deserialize;

use super::{Activation, Problem};
use crate::host::reference::{self, Answers, Linear};

/// `[head]`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// Activation of its hidden layer, if it has one.
    pub hidden: Option<Activation>,
    /// What the network is asked; if nothing is said, one of several classes, or of a single output yes or no.
    pub task: Option<Task>,
    /// What the classes are called or, of numbers, the outputs.
    #[serde(default)]
    pub classes: Vec<String>,
    /// The unit of numbers, of all outputs or of each.
    pub unit: Option<Words>,
    /// What numbers were divided by for training, of all outputs or of each.
    pub scale: Option<Reals>,
    /// What was subtracted from numbers before that, of all outputs or of each.
    pub offset: Option<Reals>,
}

/// What a network is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Task {
    /// Which of several classes.
    Multiclass,
    /// Yes or no, by one output.
    Binary,
    /// Yes or no, once for each output.
    Multilabel,
    /// How much: each output is a number.
    Regression,
}

/// One word, or a list of them.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Words {
    /// Of all.
    One(String),
    /// Of each.
    Each(Vec<String>),
}

/// One number, or a list of them.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum Reals {
    /// Of all.
    One(f64),
    /// Of each.
    Each(Vec<f64>),
}

impl Words {
    /// One for each of `count`, or one for all of them where `count` is not said.
    fn each(&self, field: &str, count: usize) -> Result<Vec<String>, Problem> {
        let words = match self {
            Self::One(word) => std::vec![word.clone(); count],
            Self::Each(words) => words.clone(),
        };
        check_count(field, words.len(), count)?;
        check_names(field, &words)?;
        Ok(words)
    }

    /// Those of a step of `channels` values: one, or one for each.
    pub(in crate::host::import) fn of_channels(&self, channels: usize) -> Result<Vec<String>, Problem> {
        let field = "input.unit";
        match self {
            Self::One(_) => self.each(field, 1),
            Self::Each(_) => self.each(field, channels),
        }
    }
}

impl Reals {
    fn each(&self, field: &str, count: usize) -> Result<Vec<f64>, Problem> {
        let values = match self {
            Self::One(value) => std::vec![*value; count],
            Self::Each(values) => values.clone(),
        };
        check_count(field, values.len(), count)?;
        match values.iter().find(|value| !value.is_finite()) {
            Some(value) => Err(problem(field, format!("has {value}; give finite numbers"))),
            None => Ok(values),
        }
    }
}

impl Head {
    /// What the network is asked, and the last layer, now in the units of the answers.
    pub(in crate::host::import) fn answers(&self, mut head: Linear) -> Result<(Answers, Linear), Problem> {
        let outputs = head.outputs;
        let task = match self.task {
            None => Answers::of(outputs).task,
            Some(Task::Multiclass) if outputs == 1 => {
                let found =
                    "is `multiclass`, but the head has a single output; give `binary` or `regression`";
                return Err(problem("head.task", found.to_string()));
            }
            Some(Task::Multiclass) => reference::Task::Multiclass,
            Some(Task::Binary) if outputs != 1 => {
                let found = format!(
                    "is `binary`, but the head has {outputs} outputs; give `multiclass` or `multilabel`"
                );
                return Err(problem("head.task", found));
            }
            Some(Task::Binary | Task::Multilabel) => reference::Task::Multilabel,
            Some(Task::Regression) => reference::Task::Regression,
        };
        let numbers = task == reference::Task::Regression;
        for (field, given) in [
            ("head.unit", self.unit.is_some()),
            ("head.scale", self.scale.is_some()),
            ("head.offset", self.offset.is_some()),
        ] {
            if given && !numbers {
                let found =
                    "is of outputs that are numbers; set `task = \"regression\"` beside it or remove it";
                return Err(problem(field, found.to_string()));
            }
        }
        let mut answers = Answers { task, ..Answers::default() };
        if !self.classes.is_empty() {
            check_count("head.classes", self.classes.len(), answers.named(outputs))?;
            check_names("head.classes", &self.classes)?;
            answers.names.clone_from(&self.classes);
        }
        if let Some(unit) = &self.unit {
            answers.units = unit.each("head.unit", outputs)?;
        }
        if let Some(scale) = &self.scale {
            let scale = scale.each("head.scale", outputs)?;
            if let Some(scale) = scale.iter().find(|scale| **scale <= 0.0) {
                return Err(problem("head.scale", format!("has {scale}; give numbers above 0")));
            }
            let rows = head.weights.chunks_exact_mut(outputs).chain([head.bias.as_mut_slice()]);
            rows.flat_map(|row| row.iter_mut().zip(&scale)).for_each(|(x, scale)| *x *= scale);
        }
        if let Some(offset) = &self.offset {
            let offset = offset.each("head.offset", outputs)?;
            head.bias.iter_mut().zip(offset).for_each(|(bias, offset)| *bias += offset);
        }
        Ok((answers, head))
    }
}

fn check_count(field: &str, found: usize, expected: usize) -> Result<(), Problem> {
    if found == expected {
        return Ok(());
    }
    Err(problem(field, format!("lists {found}, expected {expected}; give one for each")))
}

fn check_names(field: &str, names: &[String]) -> Result<(), Problem> {
    match reference::odd_name(names).filter(|_| field == "head.classes") {
        Some(name) => Err(problem(
            field,
            format!("has {name:?}; give each a text of its own, without control characters"),
        )),
        None => match names.iter().find(|name| name.is_empty() || name.contains(char::is_control)) {
            Some(name) => {
                Err(problem(field, format!("has {name:?}; give a text without control characters")))
            }
            None => Ok(()),
        },
    }
}

fn problem(field: &str, problem: String) -> Problem {
    Problem::Field { field: field.to_string(), problem }
}
