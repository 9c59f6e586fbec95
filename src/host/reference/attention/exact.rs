//! Exact attention.

use std::vec;
use std::vec::Vec;

use super::Visible;

/// Exact attention, softmax(q kᵀ / sqrt(d)) v, for one head.
///
/// `q`, `k`, `v` are `[tokens, d]`, q unscaled; so is the result. A query that sees no key gives zeros.
pub fn exact(q: &[f64], k: &[f64], v: &[f64], d: usize, visible: Visible<'_>) -> Vec<f64> {
    let keys = k.len() / d;
    let scale = 1.0 / (d as f64).sqrt();
    // Keys as [d, keys]: the inner loop then runs over keys, without a chain of dependent sums.
    let mut transposed = vec![0.0; k.len()];
    for (j, row) in k.chunks_exact(d).enumerate() {
        for (c, &x) in row.iter().enumerate() {
            transposed[c * keys + j] = x;
        }
    }

    let mut out = vec![0.0; q.len()];
    let mut weights = vec![0.0; keys];
    for (i, (query, row)) in q.chunks_exact(d).zip(out.chunks_exact_mut(d)).enumerate() {
        let seen = if visible.causal { (i + 1).min(keys) } else { keys };
        let weights = &mut weights[..seen];
        weights.fill(0.0);
        for (&x, column) in query.iter().zip(transposed.chunks_exact(keys)) {
            let x = x * scale;
            for (w, &y) in weights.iter_mut().zip(column) {
                *w += x * y;
            }
        }
        if let Some(flags) = visible.keys {
            for (w, &flag) in weights.iter_mut().zip(flags) {
                if !flag {
                    *w = f64::NEG_INFINITY;
                }
            }
        }
        let sum = exponentials(weights);
        if sum == 0.0 {
            continue;
        }
        for (&w, value) in weights.iter().zip(v.chunks_exact(d)) {
            for (o, &x) in row.iter_mut().zip(value) {
                *o += w * x;
            }
        }
        for o in row.iter_mut() {
            *o /= sum;
        }
    }
    out
}

/// Replaces scores by exp(score - maximum) and returns their sum: 0 when every score is hidden.
fn exponentials(scores: &mut [f64]) -> f64 {
    let maximum = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if maximum == f64::NEG_INFINITY {
        return 0.0;
    }
    let mut sum = 0.0;
    for s in scores.iter_mut() {
        *s = (*s - maximum).exp();
        sum += *s;
    }
    sum
}
