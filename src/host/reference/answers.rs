//! What the scores say.

use std::string::String;
use std::vec::Vec;

/// What a network is asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Task {
    /// Which of several classes.
    #[default]
    Multiclass,
    /// Yes or no, once for each output.
    Multilabel,
    /// How much: each output is a number.
    Regression,
}

/// The first of some names that is blank, has control characters, or is there twice.
pub fn odd_name(names: &[String]) -> Option<&String> {
    let odd = |(index, name): &(usize, &String)| {
        name.trim().is_empty() || name.contains(char::is_control) || names[..*index].contains(name)
    };
    names.iter().enumerate().find(odd).map(|(_, name)| name)
}

/// What a network is asked, and what its outputs are called.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answers {
    /// What it is asked.
    pub task: Task,
    /// Names of the classes, or of the outputs where those are numbers; none, or all.
    pub names: Vec<String>,
    /// Units of outputs that are numbers; none, or all.
    pub units: Vec<String>,
    /// Units of the input; none, one for all channels, or one for each.
    pub input_units: Vec<String>,
}

impl Answers {
    /// What a head of so many outputs is asked where nobody says: a single output is yes or no.
    pub fn of(outputs: usize) -> Self {
        let task = if outputs == 1 { Task::Multilabel } else { Task::Multiclass };
        Self { task, ..Self::default() }
    }

    /// Number of names: of classes, or of outputs that are numbers.
    pub fn named(&self, outputs: usize) -> usize {
        if self.task == Task::Regression { outputs } else { self.classes(outputs) }
    }

    /// Number of classes, or of labels that are yes or no; none of numbers.
    pub fn classes(&self, outputs: usize) -> usize {
        match self.task {
            Task::Multilabel if outputs == 1 => 2,
            Task::Multiclass | Task::Multilabel => outputs,
            Task::Regression => 0,
        }
    }
}
