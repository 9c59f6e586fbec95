//! The columns of a matrix as integers, each with its own scale.

use std::vec::Vec;

use super::exp2;
use crate::model::write;
use crate::num::Requant;

/// A matrix `[inputs, outputs]`, row-major, and the formats around it.
#[derive(Clone, Copy)]
pub(super) struct Columns<'a> {
    pub(super) weights: &'a [f64],
    /// `[outputs]`.
    pub(super) bias: &'a [f64],
    /// `[inputs]`, the mean of what is multiplied; empty where it is not known.
    pub(super) means: &'a [f64],
    /// 8 or 16.
    pub(super) bits: u32,
    pub(super) input_frac: i32,
    pub(super) output_frac: i32,
}

/// Integers for every column, or `None` where no scale fits. The output may get fewer fractional bits than
/// asked for, where the accumulator does not resolve them.
///
/// A column's step is `multiplier * unit`, with `unit = 2^(input_frac - output_frac - 16 - shift)`: then
/// [`Requant`] undoes it exactly.
pub(super) fn quantize_columns(columns: Columns<'_>) -> Option<write::Linear> {
    let outputs = columns.bias.len();
    let inputs = columns.weights.len() / outputs;
    let matrix: Vec<Vec<f64>> = (0..outputs)
        .map(|output| columns.weights.iter().skip(output).step_by(outputs).copied().collect())
        .collect();
    let steps: Vec<f64> =
        matrix.iter().zip(columns.bias).map(|(column, &bias)| best_step(column, bias, columns)).collect();
    let coarsest = steps.iter().fold(0.0, |most: f64, &step| most.max(step));

    let (output_frac, shift) = (0..24).find_map(|coarser| {
        let frac = columns.output_frac - coarser;
        Requant::SHIFTS
            .rev()
            .find(|&shift| coarsest / unit(columns.input_frac, frac, shift) <= f64::from(i16::MAX))
            .map(|shift| (frac, shift))
    })?;
    let unit = unit(columns.input_frac, output_frac, shift);

    let mut weights = Vec::with_capacity(inputs * outputs);
    let mut multipliers = Vec::with_capacity(outputs);
    let mut bias = Vec::with_capacity(outputs);
    for ((column, step), &offset) in matrix.iter().zip(steps).zip(columns.bias) {
        let multiplier = (step / unit).ceil().max(1.0);
        let step = multiplier * unit;
        let most = largest_integer(columns.bits);
        let rounded = column.iter().map(|weight| (weight / step).round().clamp(-most, most));
        weights.extend(rounded.clone().map(|weight| weight as i16));
        // What rounding takes from the weights of a constant, the bias gives back.
        let lost = column.iter().zip(rounded).map(|(weight, rounded)| weight - rounded * step);
        let offset = offset + lost.zip(columns.means).map(|(lost, mean)| lost * mean).sum::<f64>();
        multipliers.push(multiplier as i16);
        bias.push((offset * exp2(columns.input_frac) / step).round() as i32);
    }
    Some(write::Linear {
        inputs,
        weights: write::Matrix { values: weights, bits: columns.bits },
        multipliers,
        shift,
        bias,
        frac: output_frac,
    })
}

fn unit(input_frac: i32, output_frac: i32, shift: u32) -> f64 {
    exp2(input_frac - output_frac - 16 - shift as i32)
}

fn largest_integer(bits: u32) -> f64 {
    if bits == 8 { 127.0 } else { 32_767.0 }
}

/// The step with the smallest squared error: clipping the largest weights a little can pay.
fn best_step(column: &[f64], bias: f64, columns: Columns<'_>) -> f64 {
    let most = largest_integer(columns.bits);
    let peak = super::largest(column);
    let error = |step: f64| -> f64 {
        column.iter().map(|w| ((w / step).round().clamp(-most, most) * step - w).powi(2)).sum()
    };
    let full = peak / most;
    let best = if peak == 0.0 || columns.bits == 16 {
        full
    } else {
        let candidates = (0..=30).map(|i| full * (1.0 - 0.01 * f64::from(i)));
        candidates.min_by(|&a, &b| error(a).total_cmp(&error(b))).unwrap_or(full)
    };
    best.max(accumulator_step(column, bias, columns.input_frac))
}

/// The smallest step with which `sum |w| * 2^15 + |bias| < 2^31` holds, whatever rounding does to the weights and, for a
/// constant, to the bias.
fn accumulator_step(column: &[f64], bias: f64, input_frac: i32) -> f64 {
    let weights: f64 = column.iter().map(|w| w.abs()).sum();
    let offset = bias.abs() * exp2(input_frac - 15);
    let room = 65_535.0 - column.len() as f64 - 1.0;
    (weights + offset) / room
}
