//! What one raw unit of a recording is worth.

use core::fmt;
use core::str::FromStr;
use std::format;
use std::string::{String, ToString};
use std::vec;
use std::vec::Vec;

use serde::Deserialize;

/// The real value of one raw unit: one for all channels, or one for each, as channels may have units of their own.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(from = "Written")]
pub struct SampleScale(Vec<f64>);

/// As it stands in a description.
#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    One(f64),
    Each(Vec<f64>),
}

impl From<Written> for SampleScale {
    fn from(written: Written) -> Self {
        match written {
            Written::One(scale) => Self::from(scale),
            Written::Each(scales) => Self(scales),
        }
    }
}

impl From<f64> for SampleScale {
    fn from(scale: f64) -> Self {
        Self(vec![scale])
    }
}

impl SampleScale {
    /// One for each channel; a single one is for all.
    pub fn of_channels(scales: Vec<f64>) -> Self {
        Self(scales)
    }

    /// That of a channel.
    pub fn of(&self, channel: usize) -> f64 {
        match self.0[..] {
            [one] => one,
            _ => self.0.get(channel).copied().unwrap_or(f64::NAN),
        }
    }

    /// Whether all channels have the same.
    pub fn is_common(&self) -> bool {
        self.0.windows(2).all(|pair| pair[0] == pair[1])
    }

    /// How many numbers it has.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// `[channels]`.
    pub fn each(&self, channels: usize) -> Vec<f64> {
        (0..channels).map(|channel| self.of(channel)).collect()
    }

    /// What is wrong with it for so many channels, and what to do.
    pub fn problem(&self, channels: usize) -> Option<String> {
        if let Some(value) = self.0.iter().find(|value| !(value.is_finite() && **value > 0.0)) {
            return Some(format!("is {value}; give a finite number above 0"));
        }
        // A model file has them as f32.
        if let Some(value) = self.0.iter().find(|value| !(**value as f32).is_normal()) {
            return Some(format!("is {value:e}; give a number from 1.2e-38 to 3.4e38"));
        }
        match self.0.len() {
            1 => None,
            found if found == channels => None,
            found => Some(format!(
                "has {found} numbers; give one for all channels, or one for each of the {channels}"
            )),
        }
    }

    /// Whether a model that has `other` counts in the same units: it keeps them as f32.
    pub fn is(&self, other: &Self) -> bool {
        let channels = self.0.len().max(other.0.len());
        (0..channels).all(|channel| self.of(channel) as f32 == other.of(channel) as f32)
    }
}

/// As the command line takes it.
impl fmt::Display for SampleScale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let numbers: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&numbers.join(","))
    }
}

impl FromStr for SampleScale {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |part: &str| {
            part.trim()
                .parse()
                .map_err(|_| format!("`{part}` is no number; write `0.01`, or `0.01,0.5` for two channels"))
        };
        text.split(',').map(number).collect::<Result<_, _>>().map(Self)
    }
}
