//! What lies around the blocks: how recordings become tokens, and tokens one row.

use std::vec::Vec;

use super::{Builder, QuantizeError, exp2, fractional_bits};
use crate::host::reference as float;
use crate::model::write;
use crate::model::{Level, Pooling, PoolingWindow, Task, Window};

/// Raw samples vary more between recordings than what comes after a norm.
const INPUT_HEADROOM: f64 = 2.0;
/// Of the floor of a deviation in a model file, to a raw unit.
const RAW_FLOOR: f64 = 256.0;

impl Builder<'_> {
    pub(super) fn input(&self, frac: i32) -> Result<write::Input, QuantizeError> {
        let windows = |window: &float::Window| Window { width: window.width, stride: window.stride };
        Ok(match &self.network.input {
            float::Input::Samples { channels, window, scale, level, mean, deviation, stem } => {
                let shift = fractional_bits(self.ranges.input * INPUT_HEADROOM, i16::MAX).clamp(0, 15);
                // A running deviation has one floor: the description of one has one scale.
                let ones = std::vec![1.0; *channels];
                let (level, unit) = match level {
                    float::Level::Raw => (Level::Raw, scale),
                    float::Level::Centred => (Level::Centred, scale),
                    // Their unit is the deviation.
                    float::Level::Standardized => (Level::Standardized, &ones),
                    float::Level::RunningCentred { forgetting } => {
                        (Level::RunningCentred { forgetting: *forgetting }, scale)
                    }
                    float::Level::RunningStandardized { forgetting, floor } => {
                        let floor =
                            (floor / scale[0] * RAW_FLOOR).round().clamp(1.0, f64::from(Level::MAX_FLOOR));
                        (Level::RunningStandardized { forgetting: *forgetting, floor: floor as u32 }, &ones)
                    }
                };
                let folded = fold_normalisation(stem, unit, mean, deviation);
                write::Input::Samples {
                    channels: *channels,
                    window: windows(window),
                    shift: shift as u32,
                    level,
                    stem: self.linear("stem", &folded, shift, frac, &self.ranges.means_of_windows())?,
                }
            }
            float::Input::OneHot { symbols, window, stem } => {
                const ONE: i32 = 14;
                let stem = self.linear("stem", stem, ONE, frac, &self.ranges.means_of_windows())?;
                write::Input::OneHot { symbols: *symbols, window: windows(window), shift: ONE as u32, stem }
            }
            float::Input::Tokens { table, .. } => {
                write::Input::Tokens { table: self.table("table", table, self.network.width(), frac)? }
            }
        })
    }
}

/// The class token in the format of an embedded token. Calibration has seen it: it is in range.
pub(super) fn class_token(token: &[f64], frac: i32) -> Vec<i16> {
    let limits = (f64::from(i16::MIN), f64::from(i16::MAX));
    token.iter().map(|x| (x * exp2(frac)).round().clamp(limits.0, limits.1) as i16).collect()
}

/// What the scores say; without thresholds, and without offsets and steps of numbers.
pub(super) fn answers(answers: &float::Answers) -> write::Answers {
    let task = match answers.task {
        float::Task::Multiclass => Task::Multiclass,
        float::Task::Multilabel => Task::Multilabel,
        float::Task::Regression => Task::Regression,
    };
    let (names, units) = (answers.names.clone(), answers.units.clone());
    write::Answers { task, thresholds: Vec::new(), numbers: Vec::new(), names, units }
}

/// How tokens become one row.
pub(super) fn pooling(pooling: float::Pooling) -> Pooling {
    let window = |float::PoolingWindow { block, blocks }| PoolingWindow { block, blocks };
    match pooling {
        float::Pooling::None => Pooling::None,
        float::Pooling::Mean => Pooling::Mean,
        float::Pooling::Max => Pooling::Max,
        float::Pooling::First => Pooling::First,
        float::Pooling::Last => Pooling::Last,
        float::Pooling::WindowMean(of) => Pooling::WindowMean(window(of)),
        float::Pooling::WindowMax(of) => Pooling::WindowMax(window(of)),
    }
}

/// `y = ((raw * scale - mean) / deviation) W + b` as one linear layer on raw values.
fn fold_normalisation(stem: &float::Linear, scale: &[f64], mean: &[f64], deviation: &[f64]) -> float::Linear {
    let mut folded = stem.clone();
    for (input, row) in folded.weights.chunks_exact_mut(stem.outputs).enumerate() {
        let channel = input % mean.len();
        for (weight, bias) in row.iter_mut().zip(&mut folded.bias) {
            let per_unit = *weight / deviation[channel];
            *bias -= per_unit * mean[channel];
            *weight = per_unit * scale[channel];
        }
    }
    folded
}
