//! From scores as real numbers to answers, as [`crate::Scores`] makes them on a device.

use std::vec;
use std::vec::Vec;

use super::metrics::classes;
use crate::model::{Answers, Model, Task};

/// How scores become answers: what is asked, and from where on it is yes.
#[derive(Clone, Debug, PartialEq)]
pub struct Judge {
    /// What is asked.
    pub task: Task,
    /// From where on the score of an output says yes, one for each; of two classes how much the second scores above the first,
    /// or nothing.
    pub thresholds: Vec<f64>,
}

/// What scores say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// A class; of a single output that is yes or no, 0 or 1.
    Class(usize),
    /// Of each output whether it is yes.
    Labels(Vec<bool>),
    /// Numbers, of which no two need be the same.
    Numbers,
}

impl Judge {
    /// With the thresholds of the model file.
    pub fn of(model: &Model<'_>) -> Self {
        let Answers { task, outputs, .. } = model.answers;
        let unit = f64::powi(0.5, model.head.frac);
        let outputs = if task == Task::Multiclass { 1 } else { outputs };
        let thresholds = (0..outputs).filter_map(|output| model.answers.threshold(output));
        Self { task, thresholds: thresholds.map(|raw| f64::from(raw) * unit).collect() }
    }

    /// What the scores of a recording or of a token say.
    pub fn answer(&self, scores: &[f64]) -> Answer {
        match (self.task, scores) {
            (Task::Multiclass, _) => Answer::Class(classes::answer(scores, self.thresholds.first().copied())),
            (Task::Multilabel, [score]) => Answer::Class(usize::from(*score > self.thresholds[0])),
            (Task::Multilabel, _) => {
                let yes = scores.iter().zip(&self.thresholds).map(|(score, threshold)| score > threshold);
                Answer::Labels(yes.collect())
            }
            (Task::Regression, _) => Answer::Numbers,
        }
    }

    /// The thresholds as integers of a model file.
    pub fn raw(&self, model: &Model<'_>) -> Vec<i32> {
        let unit = f64::powi(0.5, model.head.frac);
        // A score is a whole number: it is above the threshold where it is above the next lower whole number.
        let (low, high) = (f64::from(i32::MIN), f64::from(i32::MAX));
        let below = |threshold: &f64| {
            let whole = (threshold / unit).floor();
            // The quotient of a tiny number may have become zero.
            if whole * unit > *threshold { whole - 1.0 } else { whole }
        };
        self.thresholds.iter().map(|threshold| below(threshold).clamp(low, high) as i32).collect()
    }
}

/// The scores as those of classes: a single logit is that of yes, where no scores zero.
pub fn of_classes(scores: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let pair = |scores: &Vec<f64>| match scores[..] {
        [logit] => vec![0.0, logit],
        _ => scores.clone(),
    };
    scores.iter().map(pair).collect()
}
