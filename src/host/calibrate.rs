//! The range and the mean of every tensor, seen by the float reference over training recordings.

use std::collections::HashMap;
use std::string::String;
use std::vec::Vec;

use super::parallel;
use super::reference::{Input, Network, Pooling, ReferenceError, Site, Window};

/// Smallest and largest value of each tensor, and the mean of its columns.
#[derive(Clone, Debug, Default)]
pub struct Ranges {
    tensors: HashMap<Site, (Range, Means)>,
    /// Of the windows that the stem takes, in raw units or, if the model standardizes, in deviations.
    windows: Means,
    /// Largest magnitude of a raw input value, after the removal of the mean where the model asks for it.
    pub input: f64,
    /// Smallest and largest score of each output.
    pub outputs: Vec<[f64; 2]>,
    /// Recordings seen.
    pub recordings: usize,
}

/// Smallest and largest value of a tensor.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Range {
    /// At most zero.
    pub low: f64,
    /// At least zero.
    pub high: f64,
}

/// Means of the columns of a matrix. The sums are integers: in whatever order they are added, they are the same.
#[derive(Clone, Debug, Default)]
struct Means {
    /// `[columns]`, [`Means::FRAC`] fractional bits.
    sums: Vec<i128>,
    rows: usize,
}

impl Means {
    const FRAC: i32 = 32;

    /// Adds `rows`, as many as are in `x`.
    fn add(&mut self, x: &[f64], rows: usize) {
        let columns = x.len() / rows.max(1);
        self.sums.resize(columns, 0);
        self.rows += rows;
        for row in x.chunks_exact(columns.max(1)) {
            for (sum, x) in self.sums.iter_mut().zip(row) {
                // What is that large has no integers, which is said later.
                *sum = sum.saturating_add((x * f64::from(Self::FRAC).exp2()) as i128);
            }
        }
    }

    fn join(&mut self, other: Means) {
        self.sums.resize(other.sums.len(), 0);
        self.sums.iter_mut().zip(other.sums).for_each(|(sum, other)| *sum = sum.saturating_add(other));
        self.rows += other.rows;
    }

    fn means(&self) -> Vec<f64> {
        let unit = f64::from(Self::FRAC).exp2() * self.rows as f64;
        self.sums.iter().map(|&sum| sum as f64 / unit).collect()
    }
}

impl Range {
    /// Largest magnitude.
    pub fn peak(self) -> f64 {
        self.high.max(-self.low)
    }

    fn widen(&mut self, other: Range) {
        self.low = self.low.min(other.low);
        self.high = self.high.max(other.high);
    }
}

impl Ranges {
    /// The range of a tensor; nothing but zero if it was never seen.
    pub fn tensor(&self, block: Option<usize>, tensor: &'static str) -> Range {
        let site = Site { block, tensor };
        self.tensors.get(&site).map_or(Range::default(), |&(range, _)| range)
    }

    /// Means of the columns of a tensor; none if it was never seen.
    pub fn means(&self, block: Option<usize>, tensor: &'static str) -> Vec<f64> {
        self.tensors.get(&Site { block, tensor }).map_or_else(Vec::new, |(_, means)| means.means())
    }

    /// Means of what the stem takes, in raw units or, if the model standardizes, in deviations.
    pub fn means_of_windows(&self) -> Vec<f64> {
        self.windows.means()
    }

    fn widen_outputs(&mut self, scores: Vec<[f64; 2]>) {
        if self.outputs.is_empty() {
            self.outputs = scores;
            return;
        }
        for (known, [low, high]) in self.outputs.iter_mut().zip(scores) {
            *known = [known[0].min(low), known[1].max(high)];
        }
    }

    /// With what was seen over other recordings.
    fn with(mut self, other: Ranges) -> Ranges {
        self.input = self.input.max(other.input);
        self.recordings += other.recordings;
        self.widen_outputs(other.outputs);
        self.windows.join(other.windows);
        for (site, (range, means)) in other.tensors {
            let (known, known_means) = self.tensors.entry(site).or_default();
            known.widen(range);
            known_means.join(means);
        }
        self
    }
}

/// Tensors that have one row, where tokens are pooled.
const POOLED: [&str; 4] = ["pooled", "pooled_norm", "hidden", "scores"];

/// A recording that the network cannot take.
#[derive(Debug, thiserror::Error)]
#[error("recording {row}: {source}")]
pub struct CalibrationError {
    /// Its index.
    pub row: usize,
    source: ReferenceError,
}

/// Runs `network` over `recordings` on every core of the host and notes the range of every tensor. `progress` is called
/// after each, from several threads.
///
/// # Errors
/// The first recording that the network cannot take.
pub fn calibrate(
    network: &Network,
    recordings: &[Vec<i16>],
    progress: impl Fn() + Sync,
) -> Result<Ranges, CalibrationError> {
    let shares = parallel::shares(recordings, |first, recordings| {
        let mut ranges = Ranges { recordings: recordings.len(), ..Ranges::default() };
        for (row, recording) in recordings.iter().enumerate() {
            let failed = |source| CalibrationError { row: first + row, source };
            let tokens = network.tokens(recording).map_err(failed)?;
            ranges.input = input_peak(&network.input, recording).max(ranges.input);
            ranges.windows.add(&windows(&network.input, recording), tokens);
            let mut note = |site: Site, values: &[f64]| {
                let (range, means) = ranges.tensors.entry(site).or_default();
                values.iter().for_each(|&value| range.widen(Range { low: value, high: value }));
                let pooled = site.block.is_none() && POOLED.contains(&site.tensor);
                means.add(values, if pooled && network.pooling != Pooling::None { 1 } else { tokens });
            };
            let scores = network.forward(recording, None, &mut note).map_err(failed)?;
            for scores in scores.chunks(network.head.outputs) {
                ranges.widen_outputs(scores.iter().map(|&score| [score, score]).collect());
            }
            progress();
        }
        Ok(ranges)
    });
    // In row order, so that the first error is the first row's.
    shares.into_iter().try_fold(Ranges::default(), |ranges, share| Ok(ranges.with(share?)))
}

fn input_peak(input: &Input, recording: &[i16]) -> f64 {
    let Input::Samples { channels, window, scale, level, .. } = input else { return 0.0 };
    let samples = recording.iter().map(|&raw| f64::from(raw)).collect();
    // What is running differs from window to window; all else is the same of every step, those after the last window too.
    let window = if level.is_running() { *window } else { Window { width: 1, stride: 1 } };
    let samples = level.in_units_of(scale[0]).windows(samples, *channels, window, None);
    samples.iter().fold(0.0, |peak, x| x.abs().max(peak))
}

/// The rows that the stem takes, `[tokens, width * channels]`, as the engine has them.
fn windows(input: &Input, recording: &[i16]) -> Vec<f64> {
    match input {
        Input::Samples { channels, window, scale, level, .. } => {
            let samples = recording.iter().map(|&raw| f64::from(raw)).collect();
            level.in_units_of(scale[0]).windows(samples, *channels, *window, None)
        }
        Input::OneHot { symbols, window, .. } => {
            let one = |&symbol: &i16| (0..*symbols).map(move |at| f64::from(u8::from(at as i16 == symbol)));
            window.gather(&recording.iter().flat_map(one).collect::<Vec<_>>(), *symbols)
        }
        Input::Tokens { .. } => Vec::new(),
    }
}

/// `block 1 hidden`, for reports.
pub fn site_name(block: Option<usize>, tensor: &str) -> String {
    match block {
        Some(block) => std::format!("block {block} {tensor}"),
        None => String::from(tensor),
    }
}
