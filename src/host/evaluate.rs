//! The engine and the float reference over a test set: accuracy, agreement, digest.

use std::string::{String, ToString};
use std::vec;
use std::vec::Vec;

use super::engine::{Cores, RowError, Runner};
use super::parallel;
use super::reference::Network;
use super::report::{best, relative_l2};
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
}

impl Evaluation {
    /// `count` as a share of the recordings.
    pub fn share(&self, count: usize) -> f64 {
        count as f64 / self.rows.max(1) as f64
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
    let floats = network.map(|network| floats(network, &recordings, &scores, progress)).transpose()?;

    let mut digest = Digest::new();
    digest.scores(&raw);
    let fixed: Vec<usize> = scores.iter().map(|scores| best(scores)).collect();
    Ok(summarise(&fixed, floats.as_deref(), labels, model.classes, digest))
}

/// What the reference makes of a recording.
struct Float {
    best: usize,
    /// How far the engine's scores are from its own.
    error: f64,
}

/// Of every recording; `fixed` are the engine's scores.
fn floats(
    network: &Network,
    recordings: &[&[i16]],
    fixed: &[Vec<f64>],
    progress: &(impl Fn() + Sync),
) -> Result<Vec<Float>, EvaluateError> {
    let rows: Vec<(&[i16], &Vec<f64>)> = recordings.iter().copied().zip(fixed).collect();
    let shares = parallel::shares(&rows, |first, rows| {
        let one = |(index, (recording, fixed)): (usize, &(&[i16], &Vec<f64>))| {
            let expected = network.forward(recording, None, &mut |_, _| {}).map_err(|error| {
                EvaluateError { row: first + index, problem: Problem::Reference(error.to_string()) }
            })?;
            progress();
            Ok(Float { best: best(&expected), error: relative_l2(fixed, &expected) })
        };
        rows.iter().enumerate().map(one).collect::<Result<Vec<_>, EvaluateError>>()
    });
    // In row order, so that the first error is the first row's.
    let shares = shares.into_iter().collect::<Result<Vec<_>, _>>()?;
    Ok(shares.into_iter().flatten().collect())
}

fn summarise(
    fixed: &[usize],
    floats: Option<&[Float]>,
    labels: Option<&[usize]>,
    classes: usize,
    digest: Digest,
) -> Evaluation {
    let right = |predictions: &mut dyn Iterator<Item = usize>| {
        labels.map(|labels| predictions.zip(labels).filter(|(found, label)| found == *label).count())
    };
    let confusion = labels.map(|labels| {
        let mut counts = vec![vec![0; classes]; classes];
        fixed.iter().zip(labels).for_each(|(&found, &label)| counts[label][found] += 1);
        counts
    });
    let agree =
        |floats: &[Float]| fixed.iter().zip(floats).filter(|(fixed, float)| **fixed == float.best).count();
    let error = |floats: &[Float]| floats.iter().map(|float| float.error).sum::<f64>();
    Evaluation {
        rows: fixed.len(),
        fixed_right: right(&mut fixed.iter().copied()),
        float_right: floats.and_then(|floats| right(&mut floats.iter().map(|float| float.best))),
        agree: floats.map(agree),
        score_error: floats.map(|floats| error(floats) / fixed.len().max(1) as f64),
        digest,
        confusion,
    }
}
