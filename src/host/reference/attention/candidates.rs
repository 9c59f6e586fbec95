//! One softmax over a list of candidate keys, each as often as it is listed.

use std::vec::Vec;

/// Keys that one query attends to, with their scores.
///
/// A key may be listed more than once: it then takes part more than once, as in implementations that
/// concatenate blocks of keys before the softmax.
#[derive(Debug, Default)]
pub(super) struct Candidates {
    /// Key and score.
    listed: Vec<(usize, f64)>,
}

impl Candidates {
    /// Lists key `j` with its score.
    pub(super) fn push(&mut self, j: usize, score: f64) {
        self.listed.push((j, score));
    }

    /// Number of listed keys, repetitions included.
    pub(super) fn len(&self) -> usize {
        self.listed.len()
    }

    /// Writes Σ softmax(scores) v into `out`, `[d]`, and empties the list. An empty list gives zeros.
    pub(super) fn attend(&mut self, v: &[f64], out: &mut [f64]) {
        let d = out.len();
        out.fill(0.0);
        let maximum = self.listed.iter().map(|&(_, s)| s).fold(f64::NEG_INFINITY, f64::max);
        let mut sum = 0.0;
        for (j, s) in self.listed.drain(..) {
            let weight = (s - maximum).exp();
            sum += weight;
            for (o, &x) in out.iter_mut().zip(&v[j * d..][..d]) {
                *o += weight * x;
            }
        }
        if sum > 0.0 {
            out.iter_mut().for_each(|o| *o /= sum);
        }
    }
}

/// Row `i` of `x`, `[rows, d]`.
pub(super) fn row(x: &[f64], i: usize, d: usize) -> &[f64] {
    &x[i * d..][..d]
}

/// a · b.
pub(super) fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}
