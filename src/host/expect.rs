//! A float network against the scores that the user's own framework gives: what an import is checked by.
//!
//! A description may fit every shape and still be of another model: the norm before or after pooling, another number of
//! heads, another activation. Scores of a few recordings tell. Where they differ, each single change of the kinds that
//! shapes do not show is tried, and the one that makes them agree is named.

use std::string::String;
use std::vec::Vec;

use super::import::Precision;
use super::parallel;
use super::reference::Network;
use variants::{Variant, variants};

mod variants;

/// Recordings on which changes are tried; one that makes them agree is held against all.
const TRIED_ON: usize = 8;
/// Of two changes that both make them agree, the later one has to be so much closer.
const CLOSER: f64 = 0.5;

/// Most that the scores of a float network may differ from those of its framework, as a share: rounding of its arithmetic.
/// 1e-5 of f32 weights; 5e-3 of f16 and 4e-2 of bf16 ones, with which frameworks compute in that format too.
pub fn limit(precision: Precision) -> f64 {
    match precision {
        Precision::F32 => 1e-5,
        Precision::F16 => 5e-3,
        Precision::BF16 => 4e-2,
    }
}

/// Scores that are within the limit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Agreement {
    /// Recordings compared.
    pub rows: usize,
    /// Largest [difference] of a recording.
    ///
    /// [difference]: compare
    pub error: f64,
}

/// Scores that are not.
#[derive(Debug, Clone, PartialEq)]
pub struct Disagreement {
    /// The recording that differs most.
    pub row: usize,
    /// Its difference; none where the network takes no such recording.
    pub error: Option<f64>,
    /// What to change so that they agree, in the words of a description, and the difference that is left.
    pub remedy: Option<(String, f64)>,
    /// How many changes were tried.
    pub tried: usize,
}

/// Recordings, and where they are known their values before they were rounded.
#[derive(Debug, Clone, Copy)]
pub struct Given<'a> {
    /// Raw values, `[steps, channels]`.
    pub rows: &'a [Vec<i16>],
    /// The same in real units; of a network of samples.
    pub reals: Option<&'a [Vec<f64>]>,
}

/// Compares the scores of `network` with `expected`, `[rows, outputs]`, or `[rows, tokens, outputs]` where each token has scores
/// of its own, one row for each of `recordings`; of padded ones there may be more. Differences are
/// `|found - expected|` over the length of the expected row, or over the mean length of all rows where that is larger.
///
/// # Errors
/// [`Disagreement`] if any differs by more than `limit`, with the single change that makes them agree, if there is one.
pub fn compare(
    network: &Network,
    recordings: Given<'_>,
    expected: &[Vec<f64>],
    limit: f64,
) -> Result<Agreement, Disagreement> {
    let compared = Compared::new(recordings, expected);
    let (row, error) = compared.worst(network, recordings.rows.len());
    if let Some(error) = error.filter(|error| *error <= limit) {
        return Ok(Agreement { rows: recordings.rows.len(), error });
    }
    let variants = variants(network);
    let tried = variants.len();
    let shares = parallel::shares(&variants, |_, variants| {
        let error = |variant: &Variant| compared.worst(&variant.network, TRIED_ON).1;
        variants.iter().map(error).collect::<Vec<_>>()
    });
    let errors = shares.concat();
    let mut best: Option<(&Variant, f64)> = None;
    for (variant, error) in variants.iter().zip(errors) {
        let Some(error) = error.filter(|error| *error <= limit) else { continue };
        if best.is_none_or(|(_, least)| error < CLOSER * least) {
            best = Some((variant, error));
        }
    }
    let remedy = best.and_then(|(variant, _)| {
        let (_, error) = compared.worst(&variant.network, recordings.rows.len());
        error.filter(|error| *error <= limit).map(|error| (variant.change.clone(), error))
    });
    Err(Disagreement { row, error, remedy, tried })
}

/// Recordings and what their scores should be.
struct Compared<'a> {
    recordings: Given<'a>,
    expected: &'a [Vec<f64>],
    /// Mean length of the expected rows.
    size: f64,
}

impl<'a> Compared<'a> {
    fn new(recordings: Given<'a>, expected: &'a [Vec<f64>]) -> Self {
        let squares: f64 = expected.iter().flatten().map(|x| x * x).sum();
        Self { recordings, expected, size: (squares / expected.len().max(1) as f64).sqrt() }
    }

    /// The row that differs most among the first `rows`, and by how much; no number where the network cannot run it.
    fn worst(&self, network: &Network, rows: usize) -> (usize, Option<f64>) {
        let mut worst = (0, Some(0.0));
        for (row, (recording, expected)) in
            self.recordings.rows.iter().zip(self.expected).take(rows).enumerate()
        {
            let found = match self.recordings.reals {
                Some(reals) => network.forward_reals(recording, &reals[row]),
                None => network.forward(recording, None, &mut |_, _| {}),
            };
            let Ok(found) = found else { return (row, None) };
            let Some(expected) = expected.get(..found.len()) else { return (row, None) };
            let error = self.difference(&found, expected);
            // What is no number is the worst there is.
            if error.is_nan() {
                return (row, Some(error));
            }
            if worst.1.is_none_or(|most| error > most) {
                worst = (row, Some(error));
            }
        }
        worst
    }

    fn difference(&self, found: &[f64], expected: &[f64]) -> f64 {
        let length = |values: &mut dyn Iterator<Item = f64>| values.map(|x| x * x).sum::<f64>().sqrt();
        let size = length(&mut expected.iter().copied()).max(self.size).max(f64::MIN_POSITIVE);
        length(&mut found.iter().zip(expected).map(|(a, b)| a - b)) / size
    }
}

/// Whether `expected` are probabilities: from 0 to 1, and those of each recording 1 together.
pub fn are_probabilities(expected: &[Vec<f64>]) -> bool {
    let is_one = |row: &Vec<f64>| {
        row.len() > 1
            && row.iter().all(|x| (0.0..=1.0).contains(x))
            && (row.iter().sum::<f64>() - 1.0).abs() < 1e-3
    };
    !expected.is_empty() && expected.iter().all(is_one)
}
