//! Several answers at once, each yes or no by a logit and a threshold of its own.

use std::vec::Vec;

use super::binary::{self, Binary, Counts};
use super::{mean, share};

/// All that is said of the answers.
#[derive(Clone, Debug, PartialEq)]
pub struct MultiLabel {
    /// Of each output.
    pub outputs: Vec<Binary>,
    /// Share of recordings of which every answer is right.
    pub exact_match: Option<f64>,
    /// Share of wrong answers of all.
    pub hamming_loss: Option<f64>,
    /// Mean F1 of the outputs that are a target or an answer somewhere.
    pub macro_f1: Option<f64>,
    /// F1 of all answers together.
    pub micro_f1: Option<f64>,
}

/// Everything; rows of as many logits as there are thresholds.
pub fn evaluate(logits: &[Vec<f64>], targets: &[Vec<bool>], thresholds: &[f64]) -> MultiLabel {
    let output = |(index, &threshold): (usize, &f64)| {
        let logits: Vec<f64> = logits.iter().map(|row| row[index]).collect();
        let targets: Vec<bool> = targets.iter().map(|row| row[index]).collect();
        binary::evaluate(&logits, &targets, threshold)
    };
    let outputs: Vec<Binary> = thresholds.iter().enumerate().map(output).collect();
    let exact = |(logits, targets): &(&Vec<f64>, &Vec<bool>)| {
        let mut answers = logits.iter().zip(thresholds).zip(targets.iter());
        answers.all(|((logit, threshold), &target)| (logit > threshold) == target)
    };
    let all = outputs.iter().fold(Counts::default(), |sum, Binary { counts, .. }| Counts {
        true_positives: sum.true_positives + counts.true_positives,
        false_positives: sum.false_positives + counts.false_positives,
        false_negatives: sum.false_negatives + counts.false_negatives,
        true_negatives: sum.true_negatives + counts.true_negatives,
    });
    MultiLabel {
        exact_match: share(logits.iter().zip(targets).filter(exact).count(), logits.len()),
        hamming_loss: share(all.false_positives + all.false_negatives, all.total()),
        macro_f1: mean(outputs.iter().filter_map(|output| output.counts.f1())),
        micro_f1: all.f1(),
        outputs,
    }
}
