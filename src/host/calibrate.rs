//! The range of every tensor, seen by the float reference over training recordings.

use std::collections::HashMap;
use std::string::String;
use std::vec::Vec;

use super::reference::{Input, Network, ReferenceError, Site};

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
#[derive(Clone, Copy, Debug, PartialEq)]
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
}

impl Ranges {
    /// The range of a tensor; nothing but zero if it was never seen.
    pub fn tensor(&self, block: Option<usize>, tensor: &'static str) -> Range {
        let site = Site { block, tensor };
        self.tensors.get(&site).copied().unwrap_or(Range { low: 0.0, high: 0.0 })
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

/// Runs `network` over `recordings` and notes the range of every tensor. `progress` is called after each.
///
/// # Errors
/// The first recording that the network cannot take.
pub fn calibrate(
    network: &Network,
    recordings: &[Vec<i16>],
    mut progress: impl FnMut(),
) -> Result<Ranges, CalibrationError> {
    let mut ranges = Ranges { recordings: recordings.len(), ..Ranges::default() };
    for (row, recording) in recordings.iter().enumerate() {
        ranges.input = ranges.input.max(input_peak(&network.input, recording));
        let mut note = |site, values: &[f64]| {
            let range = ranges.tensors.entry(site).or_insert(Range { low: 0.0, high: 0.0 });
            for &value in values {
                range.low = range.low.min(value);
                range.high = range.high.max(value);
            }
        };
        network.forward(recording, None, &mut note).map_err(|source| CalibrationError { row, source })?;
        progress();
    }
    Ok(ranges)
}

fn input_peak(input: &Input, recording: &[i16]) -> f64 {
    let Input::Samples { channels, level, .. } = input else { return 0.0 };
    let mut samples: Vec<f64> = recording.iter().map(|&raw| f64::from(raw)).collect();
    level.apply(&mut samples, *channels);
    samples.iter().fold(0.0, |peak, x| x.abs().max(peak))
}

/// `block 1 hidden`, for reports.
pub fn site_name(block: Option<usize>, tensor: &str) -> String {
    match block {
        Some(block) => std::format!("block {block} {tensor}"),
        None => String::from(tensor),
    }
}
