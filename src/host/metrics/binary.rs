//! Yes or no by one score: yes above a threshold.

use std::vec::Vec;

use super::calibration::{binary_error, sigmoid};
use super::share;

/// What a score says at a threshold, and whatever the threshold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Binary {
    /// Yes is said of a score above it.
    pub threshold: f64,
    /// Right and wrong answers.
    pub counts: Counts,
    /// Area under the receiver operating characteristic: how often a yes scores above a no, ties counting half.
    pub roc_auc: Option<f64>,
    /// Calibration error of the probability `1 / (1 + exp(-score))`.
    pub ece: Option<f64>,
}

/// Recordings by target and answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Yes, and it is.
    pub true_positives: usize,
    /// Yes, but it is not.
    pub false_positives: usize,
    /// No, but it is.
    pub false_negatives: usize,
    /// No, and it is not.
    pub true_negatives: usize,
}

/// All of one logit.
pub fn evaluate(logits: &[f64], targets: &[bool], threshold: f64) -> Binary {
    let probabilities: Vec<f64> = logits.iter().copied().map(sigmoid).collect();
    Binary {
        threshold,
        counts: Counts::of(logits, targets, threshold),
        roc_auc: roc_auc(logits, targets),
        ece: binary_error(&probabilities, targets),
    }
}

impl Counts {
    /// Of `scores` against `targets`.
    pub fn of(scores: &[f64], targets: &[bool], threshold: f64) -> Self {
        let mut counts = Self::default();
        for (&score, &target) in scores.iter().zip(targets) {
            *match (score > threshold, target) {
                (true, true) => &mut counts.true_positives,
                (true, false) => &mut counts.false_positives,
                (false, true) => &mut counts.false_negatives,
                (false, false) => &mut counts.true_negatives,
            } += 1;
        }
        counts
    }

    /// Recordings.
    pub fn total(&self) -> usize {
        self.true_positives + self.false_positives + self.false_negatives + self.true_negatives
    }

    /// Share of right answers.
    pub fn accuracy(&self) -> Option<f64> {
        share(self.true_positives + self.true_negatives, self.total())
    }

    /// Share of the answers yes that are right.
    pub fn precision(&self) -> Option<f64> {
        share(self.true_positives, self.true_positives + self.false_positives)
    }

    /// Share of what is yes that is found.
    pub fn recall(&self) -> Option<f64> {
        share(self.true_positives, self.true_positives + self.false_negatives)
    }

    /// Share of what is no that is left alone.
    pub fn specificity(&self) -> Option<f64> {
        share(self.true_negatives, self.true_negatives + self.false_positives)
    }

    /// Harmonic mean of precision and recall.
    pub fn f1(&self) -> Option<f64> {
        let either = 2 * self.true_positives + self.false_positives + self.false_negatives;
        share(2 * self.true_positives, either)
    }

    /// Mean of recall and specificity.
    pub fn balanced_accuracy(&self) -> Option<f64> {
        Some((self.recall()? + self.specificity()?) / 2.0)
    }

    /// Matthews correlation coefficient; 0 where all answers or all targets are the same.
    pub fn mcc(&self) -> f64 {
        let [tp, fp, fn_, tn] =
            [self.true_positives, self.false_positives, self.false_negatives, self.true_negatives]
                .map(|count| count as f64);
        let size = ((tp + fp) * (tp + fn_) * (tn + fp) * (tn + fn_)).sqrt();
        if size > 0.0 { (tp * tn - fp * fn_) / size } else { 0.0 }
    }
}

/// How often a yes scores above a no, ties counting half; none without both.
pub fn roc_auc(scores: &[f64], targets: &[bool]) -> Option<f64> {
    let groups = groups(scores, targets);
    let (mut positives, mut negatives, mut pairs) = (0.0, 0.0, 0.0);
    for group in &groups {
        let (yes, no) = (group.positives as f64, group.negatives as f64);
        // From the top: a no of this group is below every yes before it, and beside those of its own.
        pairs += no * (positives + yes / 2.0);
        positives += yes;
        negatives += no;
    }
    (positives > 0.0 && negatives > 0.0).then(|| pairs / (positives * negatives))
}

/// The threshold of the largest F1, the highest of several; none without a yes.
pub fn threshold_of_f1(scores: &[f64], targets: &[bool]) -> Option<f64> {
    let groups = groups(scores, targets);
    let all: usize = groups.iter().map(|group| group.positives).sum();
    let (mut found, mut said, mut best) = (0, 0, None);
    for (index, group) in groups.iter().enumerate() {
        found += group.positives;
        said += group.positives + group.negatives;
        let f1 = share(2 * found, said + all)?;
        if found > 0 && best.is_none_or(|(other, _)| f1 > other) {
            best = Some((f1, index));
        }
    }
    best.map(|(_, index)| below(&groups, index))
}

/// The highest threshold at which at least the share `recall` of what is yes is found; none without a yes.
pub fn threshold_of_recall(scores: &[f64], targets: &[bool], recall: f64) -> Option<f64> {
    let groups = groups(scores, targets);
    let all: usize = groups.iter().map(|group| group.positives).sum();
    let mut found = 0;
    for (index, group) in groups.iter().enumerate() {
        found += group.positives;
        if found > 0 && share(found, all)? >= recall {
            return Some(below(&groups, index));
        }
    }
    None
}

/// The lowest threshold at which at least the share `precision` of what is said to be yes is; none where there is no such.
pub fn threshold_of_precision(scores: &[f64], targets: &[bool], precision: f64) -> Option<f64> {
    let groups = groups(scores, targets);
    let (mut found, mut said, mut lowest) = (0, 0, None);
    for (index, group) in groups.iter().enumerate() {
        found += group.positives;
        said += group.positives + group.negatives;
        if found > 0 && share(found, said)? >= precision {
            lowest = Some(index);
        }
    }
    lowest.map(|index| below(&groups, index))
}

/// Recordings of the same score.
struct Group {
    score: f64,
    positives: usize,
    negatives: usize,
}

/// By score, the highest first.
fn groups(scores: &[f64], targets: &[bool]) -> Vec<Group> {
    let mut sorted: Vec<(f64, bool)> = scores.iter().copied().zip(targets.iter().copied()).collect();
    sorted.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    let mut groups: Vec<Group> = Vec::new();
    for (score, target) in sorted {
        if groups.last().is_none_or(|last| last.score != score) {
            groups.push(Group { score, positives: 0, negatives: 0 });
        }
        if let Some(last) = groups.last_mut() {
            *(if target { &mut last.positives } else { &mut last.negatives }) += 1;
        }
    }
    groups
}

/// A threshold below this group and above the next: half-way, as far as possible from both.
fn below(groups: &[Group], index: usize) -> f64 {
    let score = groups[index].score;
    match groups.get(index + 1) {
        None => score.next_down(),
        Some(next) => {
            let middle = next.score + (score - next.score) / 2.0;
            if middle < score { middle } else { next.score }
        }
    }
}
