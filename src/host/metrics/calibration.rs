//! Probabilities, and how far they are from what happens.

use std::vec::Vec;

use super::mean;

/// Bins of equal width between 0 and 1.
const BINS: usize = 15;

/// Softmax.
pub fn softmax(scores: &[f64]) -> Vec<f64> {
    let top = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let weights: Vec<f64> = scores.iter().map(|score| (score - top).exp()).collect();
    let sum: f64 = weights.iter().sum();
    weights.iter().map(|weight| weight / sum).collect()
}

/// `1 / (1 + exp(-logit))`.
pub fn sigmoid(logit: f64) -> f64 {
    1.0 / (1.0 + (-logit).exp())
}

/// The logit of a probability.
pub fn logit(probability: f64) -> f64 {
    (probability / (1.0 - probability)).ln()
}

/// Expected calibration error: over 15 bins of the confidence, open below, the mean distance between confidence and
/// share of right answers, weighted by the answers in each (Guo et al. 2017).
pub fn expected_error(confidences: &[f64], right: &[bool]) -> Option<f64> {
    let mut bins = [(0.0, 0.0, 0_usize); BINS];
    for (&confidence, &right) in confidences.iter().zip(right) {
        let bin = ((confidence * BINS as f64).ceil() as usize).clamp(1, BINS) - 1;
        bins[bin].0 += confidence;
        bins[bin].1 += f64::from(u8::from(right));
        bins[bin].2 += 1;
    }
    let count = confidences.len().min(right.len());
    (count > 0).then(|| {
        bins.iter().map(|(confidence, right, _)| f64::abs(confidence - right)).sum::<f64>() / count as f64
    })
}

/// The same of the probability of a yes.
pub fn binary_error(probabilities: &[f64], targets: &[bool]) -> Option<f64> {
    expected_error(probabilities, targets)
}

/// The same of the likeliest class.
pub fn class_error(scores: &[Vec<f64>], targets: &[usize]) -> Option<f64> {
    let top = |scores: &Vec<f64>| softmax(scores).into_iter().fold(0.0, f64::max);
    let confidences: Vec<f64> = scores.iter().map(top).collect();
    let right: Vec<bool> = scores
        .iter()
        .zip(targets)
        .map(|(scores, &target)| crate::host::report::best(scores) == target)
        .collect();
    expected_error(&confidences, &right)
}

/// Brier score of the probability of a yes: its mean squared distance from 0 or 1.
pub fn brier(probabilities: &[f64], targets: &[bool]) -> Option<f64> {
    let distance = |(p, &target): (&f64, &bool)| (p - f64::from(u8::from(target))).powi(2);
    mean(probabilities.iter().zip(targets).map(distance))
}
