//! The maps that treat each token alone, and the activations.

use std::vec;
use std::vec::Vec;

use super::{Activation, Linear, Norm};

impl Linear {
    /// Applies the map to every row of `x`, `[rows, inputs]`; the result is `[rows, outputs]`.
    pub fn apply(&self, x: &[f64]) -> Vec<f64> {
        let rows = x.len() / self.inputs;
        let mut y = vec![0.0; rows * self.outputs];
        for (x, y) in x.chunks_exact(self.inputs).zip(y.chunks_exact_mut(self.outputs)) {
            y.copy_from_slice(&self.bias);
            for (&x, weights) in x.iter().zip(self.weights.chunks_exact(self.outputs)) {
                for (y, &w) in y.iter_mut().zip(weights) {
                    *y += x * w;
                }
            }
        }
        y
    }
}

impl Norm {
    /// Normalises every row of `x`, `[rows, width]`, by its own mean and (biased) variance.
    pub fn apply(&self, x: &[f64]) -> Vec<f64> {
        let width = self.gain.len();
        let mut y = x.to_vec();
        for row in y.chunks_exact_mut(width) {
            let mean = row.iter().sum::<f64>() / width as f64;
            for x in row.iter_mut() {
                *x -= mean;
            }
            let variance = row.iter().map(|x| x * x).sum::<f64>() / width as f64;
            let factor = 1.0 / (variance + self.epsilon).sqrt();
            for ((x, gain), bias) in row.iter_mut().zip(&self.gain).zip(&self.bias) {
                *x = *x * factor * gain + bias;
            }
        }
        y
    }
}

impl Activation {
    /// The function's value at `x`.
    pub fn apply(self, x: f64) -> f64 {
        match self {
            Activation::Relu => x.max(0.0),
            Activation::GeluErf => gelu_erf(x),
            Activation::GeluTanh => gelu_tanh(x),
            Activation::Tanh => x.tanh(),
        }
    }
}

/// x Φ(x) = x/2 · erfc(-x/√2). By erfc, because 1 + erf cancels for negative x.
pub fn gelu_erf(x: f64) -> f64 {
    0.5 * x * libm::erfc(-x * core::f64::consts::FRAC_1_SQRT_2)
}

/// x/2 · (1 + tanh u) with u = √(2/π) (x + 0.044715 x³). By the logistic function, which is the same,
/// because 1 + tanh cancels for negative x.
pub fn gelu_tanh(x: f64) -> f64 {
    let u = (2.0 / core::f64::consts::PI).sqrt() * (x + 0.044715 * x * x * x);
    x / (1.0 + (-2.0 * u).exp())
}

/// Row `position` of the sinusoidal position table, `[width]`.
pub fn sinusoid(position: usize, width: usize) -> Vec<f64> {
    (0..width)
        .map(|column| {
            let exponent = (column - column % 2) as f64 / width as f64;
            let angle = position as f64 / 10000f64.powf(exponent);
            if column % 2 == 0 { angle.sin() } else { angle.cos() }
        })
        .collect()
}
