//! The engine beside the reference: scores, classes and every tensor between.

use std::collections::HashMap;
use std::string::String;
use std::vec::Vec;

use super::calibrate::site_name;
use super::engine::Engine;
use super::judge::Judge;
use super::reference::Network;
use crate::model::{Model, Task};
use crate::trace::{Site, Tensor, Tile, Trace};

/// How close the fixed-point scores are to the float ones.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Fidelity {
    /// See [`score_error`].
    pub score_error: f64,
    /// Share of the same answers; none where the answers are numbers.
    pub agreement: Option<f64>,
}

/// Compares the engine's scores with `expected`, row by row.
pub fn fidelity(model: Model<'_>, recordings: &[&[i16]], expected: &[Vec<f64>]) -> Fidelity {
    let mut engine = Engine::new(model);
    let mut session = engine.session();
    let mut pairs = (Vec::new(), Vec::new());
    for (recording, expected) in recordings.iter().zip(expected) {
        let Ok(scores) = session.run(recording) else { continue };
        let found: Vec<f64> = scores.to_f64().collect();
        pairs.0.extend(found.chunks(model.outputs()).map(<[f64]>::to_vec));
        pairs.1.extend(expected.chunks(model.outputs()).map(<[f64]>::to_vec));
    }
    let (found, expected) = pairs;
    let judge = Judge::of(&model);
    let agree = found.iter().zip(&expected).filter(|(a, b)| judge.answer(a) == judge.answer(b)).count();
    let agreement = (judge.task != Task::Regression).then(|| agree as f64 / found.len().max(1) as f64);
    Fidelity { score_error: score_error(judge.task, &found, &expected), agreement }
}

/// Mean over the answers of `|fixed - float| / |float|` (L2 over the outputs). A single output passes zero where it changes
/// its mind: it is held against its root mean square over all answers where that is larger. The error of a number is held
/// against the standard deviation of its output over all answers, of which this is the root mean square over the outputs.
pub fn score_error(task: Task, fixed: &[Vec<f64>], float: &[Vec<f64>]) -> f64 {
    if task == Task::Regression {
        return error_of_numbers(fixed, float);
    }
    let squares: f64 = float.iter().flatten().map(|x| x * x).sum();
    let typical = (squares / float.len().max(1) as f64).sqrt();
    let one = |(fixed, float): (&Vec<f64>, &Vec<f64>)| match (&fixed[..], &float[..]) {
        (&[fixed], &[float]) if typical > 0.0 => (fixed - float).abs() / float.abs().max(typical),
        _ => relative_l2(fixed, float),
    };
    fixed.iter().zip(float).map(one).sum::<f64>() / fixed.len().max(1) as f64
}

fn error_of_numbers(fixed: &[Vec<f64>], float: &[Vec<f64>]) -> f64 {
    let outputs = float.first().map_or(0, Vec::len);
    let count = float.len().max(1) as f64;
    let of_output = |output: usize| {
        let mean = float.iter().map(|row| row[output]).sum::<f64>() / count;
        let spread = float.iter().map(|row| (row[output] - mean).powi(2)).sum::<f64>() / count;
        let error =
            fixed.iter().zip(float).map(|(a, b)| (a[output] - b[output]).powi(2)).sum::<f64>() / count;
        if spread > 0.0 { error / spread } else { error }
    };
    ((0..outputs).map(of_output).sum::<f64>() / outputs.max(1) as f64).sqrt()
}

/// Index of the largest score; the first of equals.
pub fn best<T: PartialOrd + Copy>(scores: &[T]) -> usize {
    let mut best = 0;
    for (index, &score) in scores.iter().enumerate() {
        if score > scores[best] {
            best = index;
        }
    }
    best
}

/// `|found - expected| / |expected|`.
pub fn relative_l2(found: &[f64], expected: &[f64]) -> f64 {
    let difference: f64 = found.iter().zip(expected).map(|(a, b)| (a - b).powi(2)).sum();
    let size: f64 = expected.iter().map(|b| b.powi(2)).sum();
    if size > 0.0 { (difference / size).sqrt() } else { difference.sqrt() }
}

/// One tensor of the engine against the reference.
#[derive(Clone, Debug, PartialEq)]
pub struct TensorReport {
    /// `block 0 query`.
    pub name: String,
    /// Signal to noise, in decibels.
    pub snr_db: f64,
    /// Fractional bits.
    pub frac: i32,
    /// Largest magnitude in the reference.
    pub peak: f64,
    /// Largest magnitude the format holds.
    pub range: f64,
    /// Values that the format cut.
    pub clipped: usize,
    /// Values compared.
    pub values: usize,
}

/// Every tensor of the forward pass, in order, over all recordings.
pub fn tensors(network: &Network, model: Model<'_>, recordings: &[&[i16]]) -> Vec<TensorReport> {
    let mut engine = Engine::new(model);
    let mut session = engine.session();
    let mut sums: Vec<Sum> = Vec::new();
    for recording in recordings {
        let mut found = Collector::new(&model);
        if session.run_traced(recording, None, &mut found).is_err() {
            continue;
        }
        // A recording that the engine took is valid for the reference too.
        let _ = network.forward(recording, None, &mut |site, expected| {
            // Numbers have offsets and steps of their own, which no tensor shows.
            if site.tensor == "scores" && model.answers.task == Task::Regression {
                return;
            }
            let key = (site.block, site.tensor);
            if let Some(tensor) = found.tensors.get(&key) {
                sum_at(&mut sums, key).add(tensor, expected);
            }
        });
    }
    sums.into_iter().map(Sum::report).collect()
}

type Key = (Option<usize>, &'static str);

fn sum_at(sums: &mut Vec<Sum>, key: Key) -> &mut Sum {
    let index = sums.iter().position(|sum| sum.key == key).unwrap_or_else(|| {
        sums.push(Sum { key, ..Sum::default() });
        sums.len() - 1
    });
    &mut sums[index]
}

#[derive(Default)]
struct Sum {
    key: Key,
    signal: f64,
    noise: f64,
    peak: f64,
    frac: i32,
    limit: i16,
    clipped: usize,
    values: usize,
}

impl Sum {
    fn add(&mut self, found: &Collected, expected: &[f64]) {
        let unit = f64::powi(0.5, found.frac);
        let (low, high) = (-f64::from(found.limit) * unit, f64::from(found.limit) * unit);
        for (row, expected) in expected.chunks(found.width).enumerate() {
            for (column, &exact) in expected.iter().enumerate() {
                let value = f64::from(found.values[row * found.width + column]) * unit;
                self.signal += exact * exact;
                self.noise += (value - exact).powi(2);
                self.peak = self.peak.max(exact.abs());
                self.clipped += usize::from(exact > high || exact < low);
                self.values += 1;
            }
        }
        self.frac = found.frac;
        self.limit = found.limit;
    }

    fn report(self) -> TensorReport {
        TensorReport {
            name: site_name(self.key.0, self.key.1),
            snr_db: 10.0 * (self.signal / self.noise.max(f64::MIN_POSITIVE)).log10(),
            frac: self.frac,
            peak: self.peak,
            range: f64::from(self.limit) * f64::powi(0.5, self.frac),
            clipped: self.clipped,
            values: self.values,
        }
    }
}

/// Largest integers of the tensors that use less than 16 bits.
#[derive(Clone, Copy)]
struct Limits {
    dot: i16,
}

impl Limits {
    fn of(model: &Model<'_>) -> Self {
        Self { dot: crate::kernels::dot_limit(model.head_width) }
    }

    fn tensor(self, tensor: Tensor) -> i16 {
        match tensor {
            Tensor::Query | Tensor::Key => self.dot,
            Tensor::Value => crate::kernels::VALUE_LIMIT,
            _ => i16::MAX,
        }
    }
}

/// The engine's tensors of one recording.
pub(super) struct Collector {
    limits: Limits,
    tensors: HashMap<Key, Collected>,
}

impl Collector {
    pub(super) fn new(model: &Model<'_>) -> Self {
        Self { limits: Limits::of(model), tensors: HashMap::new() }
    }

    /// A tensor of a block, `[tokens, width]`.
    pub(super) fn values(&self, block: usize, tensor: Tensor) -> Option<Vec<f64>> {
        let found = self.tensors.get(&(Some(block), tensor.name()))?;
        let unit = f64::powi(0.5, found.frac);
        Some(found.values.iter().map(|&x| f64::from(x) * unit).collect())
    }
}

struct Collected {
    width: usize,
    frac: i32,
    limit: i16,
    values: Vec<i16>,
}

impl Trace for Collector {
    fn tile(&mut self, site: Site, tile: Tile<'_>) {
        let limit = self.limits.tensor(site.tensor);
        let tensor = self.tensors.entry((site.block, site.tensor.name())).or_insert_with(|| Collected {
            width: tile.tensor_width,
            frac: tile.frac,
            limit,
            values: Vec::new(),
        });
        for (row, values) in tile.values.chunks(tile.width).enumerate() {
            let start = (tile.row + row) * tensor.width + tile.column;
            if tensor.values.len() < start + tile.width {
                tensor.values.resize((tile.row + row + 1) * tensor.width, 0);
            }
            tensor.values[start..start + tile.width].copy_from_slice(values);
        }
    }
}
