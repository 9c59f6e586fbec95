//! FAVOR+ attention.

use std::format;
use std::string::ToString;
use std::vec::Vec;

use serde::Deserialize;

use super::{Place, Problem, Tensors, at_most, positive, problem, unused};
use crate::attention::ROW_TILE;
use crate::host::draw::{RowLength, favor_projection};
use crate::host::reference::AttentionKind;
use crate::host::reference::attention::favor as float;
use crate::model;

/// `encoder.attention` of the kind `favor`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the text of `Attention` says what the keys mean")]
pub struct Favor {
    #[serde(default)]
    pub causal: bool,
    #[serde(default)]
    pub features: Features,
    pub directions: Option<usize>,
    #[serde(default)]
    pub epsilon: f64,
    pub offset: Option<Offset>,
    pub scaling: Option<Scaling>,
    pub seed: Option<u64>,
    pub tile: Option<usize>,
}

/// The feature map.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Features {
    /// `exp(u - n)`: estimates the softmax.
    #[default]
    Exponential,
    /// `exp(u - n)` and `exp(-u - n)`: the same with less variance.
    Hyperbolic,
    /// `max(u, 0)`: another kernel.
    Relu,
}

/// Keys that epsilon is relative to in causal attention.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Offset {
    /// Those up to the query.
    Seen,
    /// All.
    Sequence,
}

/// How long drawn directions are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scaling {
    /// As long as normal vectors.
    Gaussian,
    /// The square root of the head's width.
    SqrtWidth,
}

impl Favor {
    /// Refuses parameters that contradict each other.
    pub(super) fn check(&self, tensors: &Tensors) -> Result<(), Problem> {
        if let Some(directions) = self.directions {
            positive("encoder.attention.directions", directions)?;
            at_most("directions", model::Favor::MAX_DIRECTIONS as usize, directions)?;
        }
        if !(0.0..1.0).contains(&self.epsilon) {
            let what = format!("is {}; give 0 or a small positive number", self.epsilon);
            return Err(problem("epsilon", what));
        }
        if self.offset.is_some() && !(self.causal && self.epsilon > 0.0) {
            return Err(unused("offset", "only causal attention with an epsilon above 0 has one"));
        }
        if let Some(tile) = self.tile {
            if self.features == Features::Relu {
                return Err(unused("tile", "ReLU features are added to the sums key by key"));
            }
            if self.epsilon > 0.0 && self.offset == Some(Offset::Sequence) {
                return Err(unused("tile", "the offset `sequence` adds keys to the sums one by one"));
            }
            if !self.causal && !tile.is_multiple_of(ROW_TILE) {
                return Err(problem("tile", format!("is {tile}; give a multiple of {ROW_TILE} keys")));
            }
            let most = model::Favor::MAX_TILE;
            if !(1..=most as usize).contains(&tile) {
                return Err(problem("tile", format!("is {tile}; give 1 to {most} keys")));
            }
        }
        let stored = tensors.projection.is_some();
        if self.directions.is_none() && !stored && self.features != Features::Relu {
            let what = "is missing; only ReLU features can do without a projection";
            return Err(problem("directions", what.to_string()));
        }
        let meaningless = match (stored, self.directions) {
            (true, _) => Some("`tensors.projection` names the directions"),
            (false, None) => Some("there are no directions to draw"),
            (false, Some(_)) => None,
        };
        if let Some(why) = meaningless {
            for (key, given) in [("seed", self.seed.is_some()), ("scaling", self.scaling.is_some())] {
                if given {
                    return Err(unused(key, why));
                }
            }
        }
        Ok(())
    }

    /// `projection` is `[directions, head width]`, if the checkpoint has one.
    pub(super) fn kind(&self, place: Place, projection: Option<Vec<f64>>) -> AttentionKind {
        let Place { layer, head_width, .. } = place;
        let length = match self.scaling.unwrap_or(Scaling::Gaussian) {
            Scaling::Gaussian => RowLength::Random,
            Scaling::SqrtWidth => RowLength::Fixed,
        };
        let seed = self.seed.unwrap_or(0);
        let drawn = |directions| favor_projection(directions, head_width, length, seed, layer);
        AttentionKind::Favor(float::Favor {
            features: match self.features {
                Features::Exponential => float::Features::Exponential,
                Features::Hyperbolic => float::Features::Hyperbolic,
                Features::Relu => float::Features::Relu,
            },
            projection: projection.or_else(|| self.directions.map(drawn)),
            causal: self.causal,
            // The softmax divides scores by the root of the width; the authors' ReLU kernel does not.
            input_scale: match self.features {
                Features::Relu => 1.0,
                _ => (head_width as f64).powf(-0.25),
            },
            epsilon: self.epsilon,
            offsets: match self.offset.unwrap_or(Offset::Seen) {
                Offset::Seen if self.causal => float::Offsets::Seen,
                _ => float::Offsets::Projection,
            },
            guard: 0.0,
            key_sum_epsilon: 0.0,
            renormalize: true,
            tile: self.tile,
        })
    }
}
