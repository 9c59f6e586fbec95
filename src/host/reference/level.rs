//! What each channel of a recording is freed of before anything else.

use std::vec;
use std::vec::Vec;

use super::Window;

/// What each channel of a recording is freed of before anything else.
///
/// The running forms know no later sample. A sample x of weight a makes (1 - a) (v + a (x - m)²) of the variance v and
/// m + a (x - m) of the mean m (West 1979); the n-th of a channel, from 1, weighs 2^-j with j = floor(log2 n), but at most the
/// forgetting. A window is freed of the statistics after its last step. Each step enters them once, with the first of its
/// windows that is not masked.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Level {
    /// Nothing.
    Raw,
    /// Its mean over the recording.
    Centred,
    /// Its mean, and its standard deviation over the recording is made 1, unless it is 0.
    Standardized,
    /// Its running mean.
    RunningCentred {
        /// Samples weigh 2^-forgetting in the end.
        forgetting: u32,
    },
    /// Its running mean, and its running standard deviation is made 1.
    RunningStandardized {
        /// Samples weigh 2^-forgetting in the end.
        forgetting: u32,
        /// Smallest standard deviation, in units of the samples.
        floor: f64,
    },
}

impl Level {
    /// Whether it knows no later sample.
    pub fn is_running(self) -> bool {
        matches!(self, Level::RunningCentred { .. } | Level::RunningStandardized { .. })
    }

    /// The same for samples in another unit, which is `unit` of those before.
    pub fn in_units_of(self, unit: f64) -> Level {
        match self {
            Level::RunningStandardized { forgetting, floor } => {
                Level::RunningStandardized { forgetting, floor: floor / unit }
            }
            other => other,
        }
    }

    /// The windows of `x`, `[steps, channels]`, freed of what it says: `[tokens, width * channels]`. Tokens with a `mask` of
    /// false change no running statistics.
    pub fn windows(
        self,
        mut x: Vec<f64>,
        channels: usize,
        window: Window,
        mask: Option<&[bool]>,
    ) -> Vec<f64> {
        let (forgetting, floor) = match self {
            Level::RunningCentred { forgetting } => (forgetting, None),
            Level::RunningStandardized { forgetting, floor } => (forgetting, Some(floor)),
            Level::Raw | Level::Centred | Level::Standardized => {
                self.over_the_recording(&mut x, channels);
                return window.gather(&x, channels);
            }
        };
        let mut out = window.gather(&x, channels);
        let mut moments = vec![Moments::default(); channels];
        let mut counted = 0;
        for (token, values) in out.chunks_exact_mut(window.width * channels).enumerate() {
            let start = token * window.stride;
            if mask.is_none_or(|mask| mask[token]) {
                let fresh = start.max(counted)..start + window.width;
                counted = fresh.end;
                for step in x[fresh.start * channels..fresh.end * channels].chunks_exact(channels) {
                    moments.iter_mut().zip(step).for_each(|(moments, &x)| moments.add(x, forgetting));
                }
            }
            for step in values.chunks_exact_mut(channels) {
                for (x, moments) in step.iter_mut().zip(&moments) {
                    *x = (*x - moments.mean) / floor.map_or(1.0, |floor| moments.variance.sqrt().max(floor));
                }
            }
        }
        out
    }

    /// Frees the channels of `x`, `[steps, channels]`, of what they are over the recording.
    fn over_the_recording(self, x: &mut [f64], channels: usize) {
        if self == Level::Raw {
            return;
        }
        let steps = (x.len() / channels) as f64;
        for channel in 0..channels {
            let mean = x.iter().skip(channel).step_by(channels).sum::<f64>() / steps;
            x.iter_mut().skip(channel).step_by(channels).for_each(|x| *x -= mean);
            let squares: f64 = x.iter().skip(channel).step_by(channels).map(|x| x * x).sum();
            let deviation = (squares / steps).sqrt();
            // What the mean of equal values leaves is no signal; that of 16-bit integers is larger.
            if self == Level::Standardized && deviation > 1e-9 * mean.abs() {
                x.iter_mut().skip(channel).step_by(channels).for_each(|x| *x /= deviation);
            }
        }
    }
}

/// Running mean and variance of a channel.
#[derive(Debug, Clone, Copy, Default)]
struct Moments {
    samples: u64,
    mean: f64,
    variance: f64,
}

impl Moments {
    fn add(&mut self, x: f64, forgetting: u32) {
        self.samples += 1;
        let weight = f64::powi(0.5, self.samples.ilog2().min(forgetting) as i32);
        let difference = x - self.mean;
        self.mean += weight * difference;
        self.variance = (1.0 - weight) * (self.variance + weight * difference * difference);
    }
}

impl Window {
    /// Overlapping windows of `x`, `[steps, channels]`, each flattened: `[tokens, width * channels]`.
    pub fn gather(self, x: &[f64], channels: usize) -> Vec<f64> {
        x.windows(self.width * channels)
            .step_by(self.stride.saturating_mul(channels))
            .flatten()
            .copied()
            .collect()
    }
}
