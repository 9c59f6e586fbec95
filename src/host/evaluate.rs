//! The engine and the float reference over a test set: accuracy, agreement, digest.

use std::string::{String, ToString};
use std::vec;
use std::vec::Vec;

use super::parallel;
use super::reference::Network;
use super::report::{best, relative_l2};
use crate::digest::Digest;
use crate::model::Model;
use crate::session::{InputError, Plan, Session};

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
    /// Index of the first such recording.
    pub row: usize,
    /// What is wrong with it.
    pub problem: Problem,
}

/// Why a recording cannot be evaluated.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// The engine cannot take it.
    #[error(transparent)]
    Input(#[from] InputError),
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

/// Runs `model`, and `network` beside it, over all recordings on every core of the host. The result does not
/// depend on the number of cores. `progress` is called once a recording, from several threads.
///
/// # Errors
/// The first recording that cannot be evaluated.
pub fn evaluate(
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
    let shares = parallel::shares(recordings, |first, rows| {
        run(model, network, rows, progress)
            .map_err(|(row, problem)| EvaluateError { row: first + row, problem })
    });
    // In row order, so that the first error is the first row's.
    let mut rows = Vec::with_capacity(recordings.len());
    for share in shares {
        rows.extend(share?);
    }
    Ok(summarise(&rows, model.classes, network.is_some(), labels))
}

/// What is kept of a recording.
struct Row {
    scores: Vec<i16>,
    fixed: usize,
    float: Option<Float>,
}

struct Float {
    best: usize,
    error: f64,
}

fn run(
    model: Model<'_>,
    network: Option<&Network>,
    recordings: &[Vec<i16>],
    progress: &(impl Fn() + Sync),
) -> Result<Vec<Row>, (usize, Problem)> {
    let mut memory = vec![0; Plan::of(&model).words()];
    let Ok(mut session) = Session::new(model, &mut memory) else {
        unreachable!("the memory is as large as the plan");
    };
    let mut one = |recording: &[i16]| -> Result<Row, Problem> {
        let scores = session.run(recording)?;
        let float = match network {
            None => None,
            Some(network) => {
                let expected = network
                    .forward(recording, None, &mut |_, _| {})
                    .map_err(|error| Problem::Reference(error.to_string()))?;
                let found: Vec<f64> = scores.to_f64().collect();
                Some(Float { best: best(&expected), error: relative_l2(&found, &expected) })
            }
        };
        progress();
        Ok(Row { scores: scores.raw().to_vec(), fixed: scores.best(), float })
    };
    let rows = recordings.iter().enumerate();
    rows.map(|(row, recording)| one(recording).map_err(|problem| (row, problem))).collect()
}

fn summarise(rows: &[Row], classes: usize, with_float: bool, labels: Option<&[usize]>) -> Evaluation {
    let mut digest = Digest::new();
    for row in rows {
        digest.scores(&row.scores);
    }
    let floats = || rows.iter().filter_map(|row| row.float.as_ref().map(|float| (row, float)));
    let right = |predictions: &mut dyn Iterator<Item = usize>| {
        labels.map(|labels| predictions.zip(labels).filter(|(found, label)| found == *label).count())
    };
    let confusion = labels.map(|labels| {
        let mut counts = vec![vec![0; classes]; classes];
        for (row, &label) in rows.iter().zip(labels) {
            counts[label][row.fixed] += 1;
        }
        counts
    });
    let error: f64 = floats().map(|(_, float)| float.error).sum();
    Evaluation {
        rows: rows.len(),
        fixed_right: right(&mut rows.iter().map(|row| row.fixed)),
        float_right: right(&mut floats().map(|(_, float)| float.best)).filter(|_| with_float),
        agree: with_float.then(|| floats().filter(|(row, float)| row.fixed == float.best).count()),
        score_error: with_float.then(|| error / rows.len().max(1) as f64),
        digest,
        confusion,
    }
}
