//! What scores are worth, by the kind of head: pure functions of scores and targets.
//!
//! | head | scores of a recording | module |
//! |---|---|---|
//! | one of several classes | one each, of which the largest counts | [`classes`] |
//! | one logit | the score of yes, against a threshold | [`binary`] |
//! | several independent logits | one each, against thresholds of their own | [`multilabel`] |
//! | numbers | the numbers | [`numbers`] |
//!
//! What has no value, as the recall of a class that never occurs, is [`None`].

pub mod binary;
pub mod calibration;
pub mod classes;
pub mod multilabel;
pub mod numbers;

/// A share of a number that may be 0.
fn share(part: usize, whole: usize) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = values.fold((0.0, 0_usize), |(sum, count), value| (sum + value, count + 1));
    (count > 0).then(|| sum / count as f64)
}
