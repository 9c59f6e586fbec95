//! The engine and the float reference over a test set: accuracy, agreement, digest.

use std::string::{String, ToString};
use std::vec::Vec;

use super::engine::{Cores, RowError, Runner};
use super::judge::{Answer, Judge, of_classes};
use super::metrics::classes::confusion;
use super::parallel;
use super::reference::Network;
use super::report::score_error;
use super::targets::Targets;
use crate::digest::Digest;
use crate::model::{Model, Task};
use crate::session::InputError;

/// What a test set says of a model. Shares are of all answers, from 0 to 1: an answer is that of a recording, or of a token
/// where each has scores of its own.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluation {
    /// Recordings.
    pub rows: usize,
    /// Answers that a target says something about.
    pub labelled: usize,
    /// Right answers of the engine; absent without targets, and where the answers are numbers.
    pub fixed_right: Option<usize>,
    /// Right answers of the reference; absent without targets or reference, and where the answers are numbers.
    pub float_right: Option<usize>,
    /// Answers that engine and reference have in common; absent without reference, and where the answers are numbers.
    pub agree: Option<usize>,
    /// How far the engine's scores are from those of the reference, see [`score_error`]; absent without reference.
    pub score_error: Option<f64>,
    /// Of all scores of the engine, in row order.
    pub digest: Digest,
    /// `[label][prediction]` of the engine; absent without labels, and where the answers are no classes.
    pub confusion: Option<Vec<Vec<usize>>>,
    /// The engine's scores of each answer.
    pub scores: Vec<Vec<f64>>,
    /// Those of the reference; absent without one.
    pub float_scores: Option<Vec<Vec<f64>>>,
    /// Values of each recording beyond the range that calibration has seen; empty where the runner does not count them.
    pub saturated: Vec<u32>,
}

impl Evaluation {
    /// Share of the engine's answers that are right.
    pub fn accuracy_fixed(&self) -> Option<f64> {
        self.fixed_right.map(|right| share(right, self.labelled))
    }

    /// Share of the reference's answers that are right.
    pub fn accuracy_float(&self) -> Option<f64> {
        self.float_right.map(|right| share(right, self.labelled))
    }

    /// Share of the answers that both have in common.
    pub fn agreement(&self) -> Option<f64> {
        self.agree.map(|agree| share(agree, self.scores.len()))
    }

    /// The same scores, judged anew.
    #[must_use]
    pub fn judged(self, targets: Option<&Targets>, judge: &Judge) -> Self {
        let answers = |scores: &[Vec<f64>]| -> Vec<Answer> {
            scores.iter().map(|scores| judge.answer(scores)).collect()
        };
        let (fixed, float) = (answers(&self.scores), self.float_scores.as_deref().map(answers));
        let right = |answers: &[Answer]| targets.and_then(|targets| right(answers, targets));
        let agree = |float: &Vec<Answer>| fixed.iter().zip(float).filter(|(a, b)| a == b).count();
        let are_numbers = judge.task == Task::Regression;
        let classes = of_classes(self.scores.get(..1).unwrap_or_default()).first().map_or(0, Vec::len);
        Self {
            labelled: targets.map_or(0, Targets::count),
            fixed_right: right(&fixed),
            float_right: float.as_deref().and_then(right),
            agree: float.as_ref().filter(|_| !are_numbers).map(agree),
            confusion: match targets {
                Some(Targets::Classes(targets)) => {
                    let pairs = fixed.iter().zip(targets).filter_map(|(answer, target)| match answer {
                        Answer::Class(class) => Some((*class, (*target)?)),
                        Answer::Labels(_) | Answer::Numbers => None,
                    });
                    let (answers, targets): (Vec<_>, Vec<_>) = pairs.unzip();
                    Some(confusion(&answers, &targets, classes))
                }
                _ => None,
            },
            ..self
        }
    }
}

fn share(part: usize, whole: usize) -> f64 {
    part as f64 / whole.max(1) as f64
}

/// How many answers are right; none where there is no right or wrong.
fn right(answers: &[Answer], targets: &Targets) -> Option<usize> {
    match targets {
        Targets::Classes(classes) => {
            let is_right = |(answer, class): &(&Answer, &Option<usize>)| {
                class.is_some_and(|class| **answer == Answer::Class(class))
            };
            Some(answers.iter().zip(classes).filter(is_right).count())
        }
        Targets::Labels(labels) => {
            let is_right = |(answer, labels): &(&Answer, &Vec<bool>)| matches!(answer, Answer::Labels(of) if of == *labels);
            Some(answers.iter().zip(labels).filter(is_right).count())
        }
        Targets::Numbers(_) => None,
    }
}

/// A recording that cannot be evaluated.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("row {row}: {problem}")]
pub struct EvaluateError {
    /// Index of the first such recording of the engine, or if there is none of the reference.
    pub row: usize,
    /// What is wrong with it.
    pub problem: Problem,
}

impl From<RowError> for EvaluateError {
    fn from(RowError { row, problem }: RowError) -> Self {
        Self { row, problem: Problem::Input(problem) }
    }
}

/// Why a recording cannot be evaluated.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// The engine cannot take it.
    #[error(transparent)]
    Input(InputError),
    /// The reference cannot take it, though the engine can: they are not the same model.
    #[error("the float reference cannot take it: {0}")]
    Reference(String),
}

/// Runs `model`, and then `network`, over all recordings on every core of the host. The result does not depend on the
/// number of cores. `progress` is called once a recording, by the slower of the two, from several threads.
///
/// # Errors
/// A recording that cannot be evaluated.
pub fn evaluate(
    model: Model<'_>,
    network: Option<&Network>,
    recordings: &[Vec<i16>],
    targets: Option<&Targets>,
    progress: &(impl Fn() + Sync),
) -> Result<Evaluation, EvaluateError> {
    let ran: &(dyn Fn() + Sync) = if network.is_some() { &|| {} } else { progress };
    let float = network.map(|network| Float { network, reals: None });
    evaluate_by(&mut Cores::new(model, ran), model, float, recordings, targets, progress)
}

/// What the engine is held against.
#[derive(Clone, Copy, Debug)]
pub struct Float<'a> {
    /// The reference.
    pub network: &'a Network,
    /// The values of each recording of samples before they were rounded, `[steps, channels]` in real units, where they are known.
    pub reals: Option<&'a [Vec<f64>]>,
}

/// [`evaluate`] where something else runs the model.
///
/// # Errors
/// As [`evaluate`].
pub fn evaluate_by(
    runner: &mut dyn Runner,
    model: Model<'_>,
    float: Option<Float<'_>>,
    recordings: &[Vec<i16>],
    targets: Option<&Targets>,
    progress: &(impl Fn() + Sync),
) -> Result<Evaluation, EvaluateError> {
    let recordings: Vec<&[i16]> = recordings.iter().map(Vec::as_slice).collect();
    let mut raw = Vec::new();
    runner.run(&recordings, &mut raw)?;

    let row = |raw: &[i16]| model.answers.to_f64(raw, model.head.frac).collect();
    let scores: Vec<Vec<f64>> = raw.chunks(model.outputs()).map(row).collect();
    let floats = float.map(|float| floats(float, &recordings, progress)).transpose()?;

    let mut digest = Digest::new();
    digest.scores(&raw);
    let evaluation = Evaluation {
        rows: recordings.len(),
        labelled: 0,
        fixed_right: None,
        float_right: None,
        agree: None,
        score_error: floats.as_ref().map(|floats| score_error(model.answers.task, &scores, floats)),
        digest,
        confusion: None,
        scores,
        float_scores: floats,
        saturated: runner.saturated().to_vec(),
    };
    Ok(evaluation.judged(targets, &Judge::of(&model)))
}

/// The reference's scores of every answer.
fn floats(
    Float { network, reals }: Float<'_>,
    recordings: &[&[i16]],
    progress: &(impl Fn() + Sync),
) -> Result<Vec<Vec<f64>>, EvaluateError> {
    let shares = parallel::shares(recordings, |first, rows| {
        let one = |(index, recording): (usize, &&[i16])| {
            let expected = match reals {
                Some(reals) => network.forward_reals(recording, &reals[first + index]),
                None => network.forward(recording, None, &mut |_, _| {}),
            };
            let expected = expected.map_err(|error| EvaluateError {
                row: first + index,
                problem: Problem::Reference(error.to_string()),
            })?;
            progress();
            Ok(expected.chunks(network.head.outputs).map(<[f64]>::to_vec).collect::<Vec<_>>())
        };
        rows.iter().enumerate().map(one).collect::<Result<Vec<_>, EvaluateError>>()
    });
    // In row order, so that the first error is the first row's.
    let shares = shares.into_iter().collect::<Result<Vec<_>, _>>()?;
    Ok(shares.into_iter().flatten().flatten().collect())
}
