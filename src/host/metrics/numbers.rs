//! Numbers, against the right ones.

use std::vec::Vec;

use super::mean;

/// How far the numbers are off.
#[derive(Clone, Debug, PartialEq)]
pub struct Numbers {
    /// Of each output.
    pub outputs: Vec<Distance>,
    /// Mean magnitude of the error, over all outputs.
    pub mae: Option<f64>,
    /// Root of the mean squared error, over all outputs.
    pub rmse: Option<f64>,
}

/// How far one output is off.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Distance {
    /// Mean magnitude of the error.
    pub mae: Option<f64>,
    /// Root of the mean squared error.
    pub rmse: Option<f64>,
    /// Share of the targets' variance that is explained; none where they are all the same.
    pub r2: Option<f64>,
}

/// Everything; rows of equally many numbers.
pub fn evaluate(values: &[Vec<f64>], targets: &[Vec<f64>]) -> Numbers {
    let outputs = values.first().map_or(0, Vec::len);
    let pairs = |output: usize| values.iter().zip(targets).map(move |(v, t)| (v[output], t[output]));
    let all = || values.iter().flatten().copied().zip(targets.iter().flatten().copied());
    Numbers {
        outputs: (0..outputs)
            .map(|output| Distance {
                mae: mae(pairs(output)),
                rmse: rmse(pairs(output)),
                r2: r2(&pairs(output).collect::<Vec<_>>()),
            })
            .collect(),
        mae: mae(all()),
        rmse: rmse(all()),
    }
}

fn mae(pairs: impl Iterator<Item = (f64, f64)>) -> Option<f64> {
    mean(pairs.map(|(value, target)| (value - target).abs()))
}

fn rmse(pairs: impl Iterator<Item = (f64, f64)>) -> Option<f64> {
    mean(pairs.map(|(value, target)| (value - target).powi(2))).map(f64::sqrt)
}

fn r2(pairs: &[(f64, f64)]) -> Option<f64> {
    let middle = mean(pairs.iter().map(|(_, target)| *target))?;
    let spread: f64 = pairs.iter().map(|(_, target)| (target - middle).powi(2)).sum();
    let error: f64 = pairs.iter().map(|(value, target)| (value - target).powi(2)).sum();
    (spread > 0.0).then(|| 1.0 - error / spread)
}
