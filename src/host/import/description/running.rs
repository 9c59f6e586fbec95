//! The running form of `remove_mean` and `standardize`.

use std::format;
use std::string::{String, ToString};

use serde::Deserialize;

use super::{InputKind, Problem, above_zero};
use crate::host::reference::Level;
use crate::model;

/// `input.running`: mean and deviation are those of the samples so far, the older the less.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Running {
    /// About how many samples are remembered: one more weighs 1 / memory. A power of two.
    pub memory: usize,
    /// Smallest standard deviation by which samples are divided, in real units.
    pub floor: Option<f64>,
}

impl InputKind {
    /// What each channel of a recording is freed of.
    pub fn level(&self) -> Level {
        let InputKind::Samples { remove_mean, standardize, running, .. } = self else { return Level::Raw };
        match (standardize, remove_mean, running) {
            (true, _, None) => Level::Standardized,
            (false, true, None) => Level::Centred,
            (true, _, Some(Running { memory, floor })) => Level::RunningStandardized {
                forgetting: memory.trailing_zeros(),
                floor: floor.unwrap_or_default(),
            },
            (false, true, Some(Running { memory, .. })) => {
                Level::RunningCentred { forgetting: memory.trailing_zeros() }
            }
            (false, false, _) => Level::Raw,
        }
    }
}

/// Refuses a running form of nothing, and numbers that a model file does not take.
pub(super) fn check(input: &InputKind) -> Result<(), Problem> {
    let InputKind::Samples { scale, remove_mean, standardize, running: Some(running), .. } = input else {
        return Ok(());
    };
    let refuse = |field: &str, problem: String| Err(Problem::Field { field: field.to_string(), problem });
    if !standardize && !remove_mean {
        let problem = "is a form of `standardize` and of `remove_mean`; set one of them, or remove it";
        return refuse("input.running", problem.to_string());
    }
    let Running { memory, floor } = *running;
    let most = 1 << model::Level::MAX_FORGETTING;
    if !memory.is_power_of_two() || !(2..=most).contains(&memory) {
        let problem = format!("is {memory}; give a power of two from 2 to {most}");
        return refuse("input.running.memory", problem);
    }
    let field = "input.running.floor";
    match (standardize, floor) {
        (true, None) => {
            let problem = "is missing; give the deviation, in real units, below which a channel is noise";
            refuse(field, problem.to_string())
        }
        (false, Some(_)) => refuse(field, "is for `standardize` alone; remove it".to_string()),
        (false, None) => Ok(()),
        (true, Some(floor)) => {
            above_zero(field, floor)?;
            if !scale.is_common() {
                let problem =
                    "is one number, but the channels have units of their own; give one `input.scale`";
                return refuse(field, problem.to_string());
            }
            let scale = scale.of(0);
            // As it is stored.
            let units = (256.0 * floor / scale).round();
            if (1.0..=f64::from(model::Level::MAX_FLOOR)).contains(&units) {
                return Ok(());
            }
            let [low, high] = [scale / 256.0, scale * f64::from(model::Level::MAX_FLOOR) / 256.0];
            refuse(field, format!("is {floor}; with a `scale` of {scale} give {low} to {high}"))
        }
    }
}
