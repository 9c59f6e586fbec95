//! The engine and the float reference over a test set: accuracy, agreement, digest.

use std::string::{String, ToString};
use std::vec::Vec;

use super::engine::{Cores, RowError, Runner};
use super::metrics::classes::{answer, confusion};
use super::parallel;
use super::reference::Network;
use super::report::relative_l2;
use crate::digest::Digest;
use crate::model::Model;
use crate::session::InputError;

/// What a test set says of a model. Shares are of all recordings, from 0 to 1.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluation {
    /// Recordings.
    pub rows: usize,
    /// Right answers of the engine; absent without labels.
    pub fixed_right: Option<usize>,
    /// Right answers of the reference; absent without labels or reference.
    pub float_right: Option<usize>,
    /// Recordings for which engine and reference name the same class; absent without reference.
    pub agree: Option<usize>,
    /// Mean over the recordings of `|fixed - float| / |float|` of the scores; absent without reference.
    pub score_error: Option<f64>,
    /// Of all scores of the engine, in row order.
    pub digest: Digest,
    /// `[label][prediction]` of the engine; absent without labels.
    pub confusion: Option<Vec<Vec<usize>>>,
    /// The engine's scores of each recording.
    pub scores: Vec<Vec<f64>>,
    /// Those of the reference; absent without one.
    pub float_scores: Option<Vec<Vec<f64>>>,
}

impl Evaluation {
    /// `count` as a share of the recordings.
    pub fn share(&self, count: usize) -> f64 {
        count as f64 / self.rows.max(1) as f64
    }

    /// The same scores, judged anew: of two classes the second is the answer where it scores more than `threshold` above
    /// the first.
    #[must_use]
    pub fn judged(self, labels: Option<&[usize]>, threshold: Option<f64>) -> Self {
        let answers = |scores: &[Vec<f64>]| -> Vec<usize> {
            scores.iter().map(|scores| answer(scores, threshold)).collect()
        };
        let (fixed, float) = (answers(&self.scores), self.float_scores.as_deref().map(answers));
        let right = |answers: &[usize]| labels.map(|labels| equal(answers, labels));
        let classes = self.scores.first().map_or(0, Vec::len);
        Evaluation {
            fixed_right: right(&fixed),
            float_right: float.as_deref().and_then(right),
            agree: float.as_deref().map(|float| equal(&fixed, float)),
            confusion: labels.map(|labels| confusion(&fixed, labels, classes)),
            ..self
        }
    }
}

fn equal(answers: &[usize], others: &[usize]) -> usize {
    answers.iter().zip(others).filter(|(answer, other)| answer == other).count()
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
    /// A label that the model does not have.
    #[error("label {label} is outside the model's classes 0 ..= {last}")]
    Label {
        /// The label.
        label: usize,
        /// Last class of the model.
        last: usize,
    },
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
    labels: Option<&[usize]>,
    progress: &(impl Fn() + Sync),
) -> Result<Evaluation, EvaluateError> {
    let ran: &(dyn Fn() + Sync) = if network.is_some() { &|| {} } else { progress };
    evaluate_by(&mut Cores::new(model, ran), model, network, recordings, labels, progress)
}

/// [`evaluate`] where something else runs the model.
///
/// # Errors
/// As [`evaluate`].
pub fn evaluate_by(
    runner: &mut dyn Runner,
    model: Model<'_>,
    network: Option<&Network>,
    recordings: &[Vec<i16>],
    labels: Option<&[usize]>,
    progress: &(impl Fn() + Sync),
) -> Result<Evaluation, EvaluateError> {
    let last = model.classes - 1;
    if let Some((row, &label)) =
        labels.unwrap_or_default().iter().enumerate().find(|(_, label)| **label > last)
    {
        return Err(EvaluateError { row, problem: Problem::Label { label, last } });
    }
    let recordings: Vec<&[i16]> = recordings.iter().map(Vec::as_slice).collect();
    let mut raw = Vec::new();
    runner.run(&recordings, &mut raw)?;

    let unit = f64::powi(0.5, model.head.frac);
    let row = |raw: &[i16]| raw.iter().map(|&score| f64::from(score) * unit).collect();
    let scores: Vec<Vec<f64>> = raw.chunks(model.classes).map(row).collect();
    let floats = network.map(|network| floats(network, &recordings, progress)).transpose()?;

    let mut digest = Digest::new();
    digest.scores(&raw);
    let error = |floats: &Vec<Vec<f64>>| {
        scores.iter().zip(floats).map(|(fixed, float)| relative_l2(fixed, float)).sum::<f64>()
            / scores.len().max(1) as f64
    };
    let evaluation = Evaluation {
        rows: scores.len(),
        fixed_right: None,
        float_right: None,
        agree: None,
        score_error: floats.as_ref().map(error),
        digest,
        confusion: None,
        scores,
        float_scores: floats,
    };
    Ok(evaluation.judged(labels, None))
}

/// The reference's scores of every recording.
fn floats(
    network: &Network,
    recordings: &[&[i16]],
    progress: &(impl Fn() + Sync),
) -> Result<Vec<Vec<f64>>, EvaluateError> {
    let shares = parallel::shares(recordings, |first, rows| {
        let one = |(index, recording): (usize, &&[i16])| {
            let expected = network.forward(recording, None, &mut |_, _| {}).map_err(|error| {
                EvaluateError { row: first + index, problem: Problem::Reference(error.to_string()) }
            })?;
            progress();
            Ok(expected)
        };
        rows.iter().enumerate().map(one).collect::<Result<Vec<_>, EvaluateError>>()
    });
    // In row order, so that the first error is the first row's.
    let shares = shares.into_iter().collect::<Result<Vec<_>, _>>()?;
    Ok(shares.into_iter().flatten().collect())
}
