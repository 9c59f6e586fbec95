//! The range of every tensor, seen by the float reference over training recordings.

use std::collections::HashMap;
use std::string::String;
use std::vec::Vec;

use super::parallel;
use super::reference::{Input, Network, ReferenceError, Site, Window};

/// Smallest and largest value of each tensor.
#[derive(Clone, Debug, Default)]
pub struct Ranges {
    tensors: HashMap<Site, Range>,
    /// Largest magnitude of a raw input value, after the removal of the mean where the model asks for it.
    pub input: f64,
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
        self.tensors.get(&site).copied().unwrap_or_default()
    }

    /// With what was seen over other recordings.
    fn with(mut self, other: Ranges) -> Ranges {
        self.input = self.input.max(other.input);
        self.recordings += other.recordings;
        for (site, range) in other.tensors {
            self.tensors.entry(site).or_default().widen(range);
        }
        self
    }
}

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
            ranges.input = input_peak(&network.input, recording).max(ranges.input);
            let mut note = |site, values: &[f64]| {
                let range = ranges.tensors.entry(site).or_default();
                values.iter().for_each(|&value| range.widen(Range { low: value, high: value }));
            };
            network
                .forward(recording, None, &mut note)
                .map_err(|source| CalibrationError { row: first + row, source })?;
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
    let samples = level.in_units_of(*scale).windows(samples, *channels, window, None);
    samples.iter().fold(0.0, |peak, x| x.abs().max(peak))
}

/// `block 1 hidden`, for reports.
pub fn site_name(block: Option<usize>, tensor: &str) -> String {
    match block {
        Some(block) => std::format!("block {block} {tensor}"),
        None => String::from(tensor),
    }
}
