//! One of several classes, the one of the largest score; or of two classes the second above a threshold.

use std::vec;
use std::vec::Vec;

use super::binary::{Counts, roc_auc};
use super::calibration::class_error;
use super::{mean, share};
use crate::host::report::best;

/// All that is said of the answers.
#[derive(Clone, Debug, PartialEq)]
pub struct Classes {
    /// `[target][answer]`.
    pub confusion: Vec<Vec<usize>>,
    /// Of each class, which is yes where all others are no.
    pub counts: Vec<Counts>,
    /// Share of right answers.
    pub accuracy: Option<f64>,
    /// Mean F1 of the classes that are targets or answers.
    pub macro_f1: Option<f64>,
    /// Mean recall of the classes that are targets.
    pub balanced_accuracy: Option<f64>,
    /// Correlation of answers and targets (Matthews; of several classes Gorodkin).
    pub mcc: f64,
    /// Of two classes, by the difference of their scores.
    pub roc_auc: Option<f64>,
    /// Calibration error of the likeliest class.
    pub ece: Option<f64>,
}

/// The class that scores speak for: of the largest, the first of equals; or with a threshold, of two classes the second
/// where its score is more than so much above the first.
pub fn answer(scores: &[f64], threshold: Option<f64>) -> usize {
    match (scores, threshold) {
        (&[first, second], Some(threshold)) => usize::from(second - first > threshold),
        _ => best(scores),
    }
}

/// How much the second of two classes scores above the first; none of more classes.
pub fn margins(scores: &[Vec<f64>]) -> Option<Vec<f64>> {
    let margin = |scores: &Vec<f64>| match scores[..] {
        [first, second] => Some(second - first),
        _ => None,
    };
    scores.iter().map(margin).collect()
}

/// Everything; `targets` below the number of scores.
pub fn evaluate(scores: &[Vec<f64>], targets: &[usize], threshold: Option<f64>) -> Classes {
    let answers: Vec<usize> = scores.iter().map(|scores| answer(scores, threshold)).collect();
    let classes = scores.first().map_or(0, Vec::len);
    let confusion = confusion(&answers, targets, classes);
    let counts: Vec<Counts> = (0..classes).map(|class| counts(&confusion, class)).collect();
    let right = (0..classes).map(|class| confusion[class][class]).sum();
    let second: Vec<bool> = targets.iter().map(|&target| target == 1).collect();
    Classes {
        accuracy: share(right, targets.len()),
        macro_f1: mean(counts.iter().filter_map(Counts::f1)),
        balanced_accuracy: mean(counts.iter().filter_map(Counts::recall)),
        mcc: mcc(&confusion),
        roc_auc: margins(scores).and_then(|margins| roc_auc(&margins, &second)),
        ece: class_error(scores, targets),
        confusion,
        counts,
    }
}

/// `[target][answer]`.
pub fn confusion(answers: &[usize], targets: &[usize], classes: usize) -> Vec<Vec<usize>> {
    let mut counts = vec![vec![0; classes]; classes];
    answers.iter().zip(targets).for_each(|(&answer, &target)| counts[target][answer] += 1);
    counts
}

/// Of one class against all others.
fn counts(confusion: &[Vec<usize>], class: usize) -> Counts {
    let targets: usize = confusion[class].iter().sum();
    let answers: usize = confusion.iter().map(|row| row[class]).sum();
    let total: usize = confusion.iter().flatten().sum();
    let true_positives = confusion[class][class];
    Counts {
        true_positives,
        false_positives: answers - true_positives,
        false_negatives: targets - true_positives,
        true_negatives: total + true_positives - targets - answers,
    }
}

/// 0 where all answers or all targets are the same.
fn mcc(confusion: &[Vec<usize>]) -> f64 {
    let classes = 0..confusion.len();
    let targets: Vec<f64> = confusion.iter().map(|row| row.iter().sum::<usize>() as f64).collect();
    let answers: Vec<f64> =
        classes.clone().map(|class| confusion.iter().map(|row| row[class]).sum::<usize>() as f64).collect();
    let total: f64 = targets.iter().sum();
    let right: f64 = classes.map(|class| confusion[class][class] as f64).sum();
    let product = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let spread = |counts: &[f64]| total * total - product(counts, counts);
    let size = (spread(&targets) * spread(&answers)).sqrt();
    if size > 0.0 { (total * right - product(&targets, &answers)) / size } else { 0.0 }
}
