//! From which probability on the answer is the second of two classes.

use anyhow::{Result, bail};
use fixformer::host::metrics::binary::{threshold_of_f1, threshold_of_recall};
use fixformer::host::metrics::calibration::{logit, sigmoid};
use fixformer::host::metrics::classes::margins;
use serde::Serialize;

/// What the command line asks for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Threshold {
    /// This probability.
    Probability(f64),
    /// That of the largest F1 over the recordings.
    F1,
    /// The highest that finds at least this share of them.
    Recall(f64),
}

/// A threshold that was given or chosen.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Found {
    /// The answer is class 1 above this probability.
    pub(crate) probability: f64,
    /// The same as the difference between its score and that of class 0.
    pub(crate) margin: f64,
}

/// For the command line.
pub(crate) fn parse(text: &str) -> Result<Threshold, String> {
    let share = |text: &str| text.parse().ok().filter(|share: &f64| (0.0..=1.0).contains(share));
    let found = match (text, text.strip_prefix("recall=")) {
        ("f1", _) => Some(Threshold::F1),
        (_, Some(recall)) => share(recall).map(Threshold::Recall),
        _ => share(text).map(Threshold::Probability),
    };
    found.ok_or_else(|| "expected a probability from 0 to 1, `f1`, or `recall=0.95`".to_owned())
}

impl Threshold {
    /// The threshold for these scores.
    pub(crate) fn of(self, classes: usize, scores: &[Vec<f64>], labels: Option<&[usize]>) -> Result<Found> {
        let Some(margins) = margins(scores).filter(|_| classes == 2) else {
            bail!("--threshold is for two classes, and this model has {classes}; leave it out");
        };
        if let Threshold::Probability(probability) = self {
            return Ok(Found { probability, margin: logit(probability) });
        }
        let Some(labels) = labels else {
            bail!("the recordings have no labels to choose a threshold by; give labels or a probability");
        };
        let targets: Vec<bool> = labels.iter().map(|&label| label == 1).collect();
        let margin = match self {
            Threshold::Recall(recall) => threshold_of_recall(&margins, &targets, recall),
            _ => threshold_of_f1(&margins, &targets),
        };
        let Some(margin) = margin else {
            bail!(
                "no recording is of class 1, which a threshold is to find; give other recordings or a probability"
            );
        };
        Ok(Found { probability: sigmoid(margin), margin })
    }

    /// Whether the recordings themselves choose it.
    pub(crate) fn is_chosen(self) -> bool {
        !matches!(self, Threshold::Probability(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words() {
        assert_eq!(parse("0.25"), Ok(Threshold::Probability(0.25)));
        assert_eq!(parse("f1"), Ok(Threshold::F1));
        assert_eq!(parse("recall=0.9"), Ok(Threshold::Recall(0.9)));
        for bad in ["1.5", "-0.1", "nan", "recall=", "recall=2", "best"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_chosen_threshold_can_be_given_again() {
        let scores: Vec<Vec<f64>> = (0..40).map(|n| vec![0.0, f64::from(n) / 4.0 - 6.0]).collect();
        let labels: Vec<usize> = (0..40).map(|n| usize::from(n > 31)).collect();
        for threshold in [Threshold::F1, Threshold::Recall(0.5)] {
            let chosen = threshold.of(2, &scores, Some(&labels)).unwrap();
            let text = chosen.probability.to_string();
            let given = parse(&text).unwrap().of(2, &scores, None).unwrap();
            assert!((given.margin - chosen.margin).abs() < 1e-9, "{chosen:?} {given:?}");
        }
        assert!(Threshold::F1.of(2, &scores, None).is_err());
        assert!(Threshold::F1.of(2, &scores, Some(&[0; 40])).is_err());
        assert!(Threshold::F1.of(3, &[vec![0.0; 3]], Some(&[1])).is_err());
    }
}
