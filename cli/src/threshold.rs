//! From where on the answer is yes: of two classes the second, of one output or several each.

use anyhow::{Result, bail};
use clap::Args;
use fixformer::Model;
use fixformer::host::judge::Judge;
use fixformer::host::metrics::binary::{threshold_of_f1, threshold_of_precision, threshold_of_recall};
use fixformer::host::metrics::calibration::{logit, sigmoid};
use fixformer::host::metrics::classes::margins;
use fixformer::host::targets::Targets;
use fixformer::model::Task;
use serde::Serialize;

/// What the command line gives.
#[derive(Args)]
pub(crate) struct Given {
    /// Probability above which the answer is yes: of two classes the second; of outputs that are yes or no each, one for all
    /// or one for each, separated by commas [default: those of the model file, or else 0.5]
    #[arg(long, value_name = "PROBABILITY,…", value_delimiter = ',', value_parser = probability)]
    threshold: Option<Vec<f64>>,
}

/// How recordings with labels choose a threshold.
#[derive(Args)]
pub(crate) struct Chosen {
    /// Let recordings with labels choose the threshold: `f1` for the largest F1, `recall=R` for the highest that finds at
    /// least the share R of what is yes, `precision=P` for the lowest of which at least the share P is right
    #[arg(long, value_name = "f1|recall=R|precision=P", value_parser = choice, conflicts_with = "threshold")]
    choose_threshold: Option<Choice>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Choice {
    F1,
    Recall(f64),
    Precision(f64),
}

/// A threshold in use.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Found {
    /// The answer is yes above this probability.
    pub(crate) probability: f64,
    /// The same as a score; of two classes as the difference of their scores.
    pub(crate) margin: f64,
}

impl Found {
    /// The probability, with as many digits as tell it from 0 and 1.
    pub(crate) fn shown(&self) -> String {
        let p = self.probability;
        if p > 0.0 && p < 0.001 { format!("{p:.2e}") } else { format!("{p:.4}") }
    }

    /// Those of a model in use.
    pub(crate) fn all(judge: &Judge) -> Vec<Self> {
        judge.thresholds.iter().map(|&margin| Self { probability: sigmoid(margin), margin }).collect()
    }
}

fn share(text: &str) -> Option<f64> {
    text.parse().ok().filter(|share: &f64| (0.0..=1.0).contains(share))
}

fn probability(text: &str) -> Result<f64, String> {
    share(text).ok_or_else(|| "expected a probability from 0 to 1; `--choose-threshold` finds one".to_owned())
}

fn choice(text: &str) -> Result<Choice, String> {
    let found = match text.split_once('=') {
        None if text == "f1" => Some(Choice::F1),
        Some(("recall", of)) => share(of).map(Choice::Recall),
        Some(("precision", of)) => share(of).map(Choice::Precision),
        _ => None,
    };
    found.ok_or_else(|| "expected `f1`, `recall=0.95` or `precision=0.9`".to_owned())
}

impl Given {
    pub(crate) fn is_given(&self) -> bool {
        self.threshold.is_some()
    }

    /// The judge of `model`, with the thresholds that are given.
    pub(crate) fn judge(&self, model: &Model<'_>) -> Result<Judge> {
        let judge = Judge::of(model);
        let Some(given) = &self.threshold else { return Ok(judge) };
        let count = count(model)?;
        let thresholds = match given[..] {
            [one] => vec![logit(one); count],
            _ if given.len() == count => given.iter().copied().map(logit).collect(),
            _ => bail!(
                "--threshold lists {}, but the model has {count} outputs; give one for each",
                given.len()
            ),
        };
        Ok(Judge { thresholds, ..judge })
    }
}

impl Chosen {
    pub(crate) fn is_given(&self) -> bool {
        self.choose_threshold.is_some()
    }

    /// The judge with the thresholds that `scores` and `targets` choose; `judge` as it is where nothing is asked for.
    pub(crate) fn judge(
        &self,
        model: &Model<'_>,
        judge: Judge,
        scores: &[Vec<f64>],
        targets: Option<&Targets>,
    ) -> Result<Judge> {
        let Some(choice) = self.choose_threshold else { return Ok(judge) };
        count(model)?;
        let Some(targets) = targets else {
            bail!(
                "the recordings have no labels to choose a threshold by; give labels, or a probability after `--threshold`"
            );
        };
        let thresholds = columns(judge.task, scores, targets).into_iter().enumerate();
        let choose = |(output, (scores, targets)): (usize, (Vec<f64>, Vec<bool>))| {
            let found = match choice {
                Choice::F1 => threshold_of_f1(&scores, &targets),
                Choice::Recall(recall) => threshold_of_recall(&scores, &targets, recall),
                Choice::Precision(precision) => threshold_of_precision(&scores, &targets, precision),
            };
            found.ok_or_else(|| {
                let what = if model.classes() == 2 { "is of class 1".to_owned() } else { format!("says yes to label {output}") };
                match choice {
                    Choice::Precision(_) if targets.contains(&true) => anyhow::anyhow!(
                        "no threshold has so many right of those recordings where the model says that it {what}; ask for less"
                    ),
                    _ => anyhow::anyhow!(
                        "no recording {what}, which a threshold is to find; give other recordings or a probability"
                    ),
                }
            })
        };
        Ok(Judge { thresholds: thresholds.map(choose).collect::<Result<_>>()?, ..judge })
    }
}

/// How many thresholds a model has.
fn count(model: &Model<'_>) -> Result<usize> {
    match (model.answers.task, model.outputs()) {
        (Task::Multiclass, 2) => Ok(1),
        (Task::Multilabel, outputs) => Ok(outputs),
        (Task::Multiclass, outputs) => {
            bail!(
                "a threshold is for two classes or for yes and no, and this model has {outputs} classes; leave it out"
            )
        }
        (Task::Regression, _) => {
            bail!("a threshold is for yes and no, and this model gives numbers; leave it out")
        }
    }
}

/// For each threshold the scores that are held against it, and whether they should be above.
fn columns(task: Task, scores: &[Vec<f64>], targets: &Targets) -> Vec<(Vec<f64>, Vec<bool>)> {
    match targets {
        Targets::Classes(classes) => {
            let of_one = || scores.iter().map(|scores| scores[0]).collect();
            let scores: Vec<f64> =
                if task == Task::Multiclass { margins(scores) } else { None }.unwrap_or_else(of_one);
            let known =
                scores.into_iter().zip(classes).filter_map(|(score, class)| Some((score, (*class)? == 1)));
            vec![known.unzip()]
        }
        Targets::Labels(labels) => {
            let outputs = scores.first().map_or(0, Vec::len);
            let column = |output: usize| {
                let scores = scores.iter().map(|scores| scores[output]).collect();
                (scores, labels.iter().map(|labels| labels[output]).collect())
            };
            (0..outputs).map(column).collect()
        }
        Targets::Numbers(_) => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words() {
        assert_eq!(probability("0.25"), Ok(0.25));
        assert_eq!(choice("f1"), Ok(Choice::F1));
        assert_eq!(choice("recall=0.9"), Ok(Choice::Recall(0.9)));
        assert_eq!(choice("precision=1"), Ok(Choice::Precision(1.0)));
        for bad in ["1.5", "-0.1", "nan", "f1", ""] {
            assert!(probability(bad).is_err(), "{bad}");
        }
        for bad in ["0.5", "recall=", "recall=2", "precision=-1", "best"] {
            assert!(choice(bad).is_err(), "{bad}");
        }
    }

    /// What two classes are held against is what one logit would be.
    #[test]
    fn two_classes_are_one_logit() {
        let logits = [-1.0, 0.5, 2.0];
        let targets = Targets::Classes(vec![Some(0), None, Some(1)]);
        let ones: Vec<Vec<f64>> = logits.iter().map(|&logit| vec![logit]).collect();
        let twos: Vec<Vec<f64>> = logits.iter().map(|&logit| vec![1.0, 1.0 + logit]).collect();
        let expected = vec![(vec![-1.0, 2.0], vec![false, true])];
        assert_eq!(columns(Task::Multilabel, &ones, &targets), expected);
        assert_eq!(columns(Task::Multiclass, &twos, &targets), expected);
        let labels = Targets::Labels(vec![vec![true, false]]);
        assert_eq!(
            columns(Task::Multilabel, &[vec![3.0, 4.0]], &labels),
            [(vec![3.0], vec![true]), (vec![4.0], vec![false])]
        );
    }
}
