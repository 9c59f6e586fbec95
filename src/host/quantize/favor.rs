//! FAVOR+ in integers.

use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

use super::exp2;
use crate::attention::ROW_TILE;
use crate::host::reference::attention::favor as float;
use crate::kernels::dot_limit;
use crate::model::{Epsilon, Favor, FavorInput, Features, write};
use crate::num::Requant;

/// What [`favor_parameters`] needs to know beyond the float parameters.
#[derive(Clone, Copy, Debug)]
pub struct Formats {
    /// Columns of a head.
    pub width: usize,
    /// Fractional bits of the queries.
    pub query_frac: i32,
    /// Fractional bits of the keys.
    pub key_frac: i32,
    /// What a positive epsilon of the keys is relative to.
    pub key_offset: KeyOffset,
    /// A token attends to itself and to earlier ones only.
    pub causal: bool,
}

/// The offset in the exponents of the keys, where epsilon is added beside it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum KeyOffset {
    /// The largest u of all keys of the head, what the authors take: causal attention passes over the keys twice.
    Sequence,
    /// The largest u of the keys so far, for streams.
    Seen,
    /// A constant, for instance one that heads share.
    Fixed(f64),
}

/// The integer parameters of `favor`.
///
/// W gets one scale, derived from the multiplier that undoes it, so that no error is left in the scale itself;
/// its elements have 15 bits or what the accumulator leaves them.
///
/// # Errors
/// The name of the parameter that the engine cannot have, and why.
pub fn favor_parameters(
    favor: &float::Favor,
    formats: Formats,
) -> Result<write::Favor, (&'static str, String)> {
    let Formats { width, query_frac, key_frac, key_offset, .. } = formats;
    let features = match favor.features {
        float::Features::Exponential => Features::Exponential,
        float::Features::Hyperbolic => Features::Hyperbolic,
        float::Features::Relu => Features::Relu,
    };
    let projection = favor.projection.as_deref().unwrap_or_default();
    let directions = match &favor.projection {
        Some(w) => w.len() / width.max(1),
        None if features == Features::Relu => width,
        None => {
            return Err(("favor.projection", "is missing; only ReLU features can do without".to_string()));
        }
    };
    if directions == 0 || directions > Favor::MAX_DIRECTIONS as usize {
        let problem = format!("is {directions}; give 1 to {} random directions", Favor::MAX_DIRECTIONS);
        return Err(("favor.directions", problem));
    }
    if !projection.is_empty() && projection.len() != directions * width {
        let problem = format!("has {} values, no whole number of rows of {width}", projection.len());
        return Err(("favor.projection", problem));
    }
    if projection.iter().any(|w| !w.is_finite()) {
        return Err(("favor.projection", "has a value that is not finite".to_string()));
    }
    if !favor.renormalize {
        return Err(("favor.renormalize", "is false; the engine always divides".to_string()));
    }
    if !(0.0..1.0).contains(&favor.epsilon) {
        return Err(("favor.epsilon", format!("is {}; give 0 or a small positive number", favor.epsilon)));
    }
    if favor.epsilon > 0.0 && favor.offsets == float::Offsets::Exponent && features != Features::Relu {
        return Err(("favor.offsets", "include the norm, which no epsilon of the engine does".to_string()));
    }
    let scales = [query_frac, key_frac].map(|frac| favor.input_scale * exp2(-frac));
    let Some((projection, inputs)) = integers(features, projection, width, scales) else {
        return Err((
            "favor.projection",
            "is out of proportion to the range of queries and keys".to_string(),
        ));
    };
    let used = favor.epsilon > 0.0;
    let offset = match key_offset {
        KeyOffset::Fixed(offset) if features != Features::Relu => offset,
        _ => 0.0,
    };
    let integer = |(input, unit): (FavorInput, f64), offset: f64| {
        let log = (favor.epsilon / unit).log2() + offset * std::f64::consts::LOG2_E;
        let log = if used { log * exp2(Favor::LOG_FRAC as i32) } else { 0.0 };
        FavorInput { epsilon: log.round() as i32, ..input }
    };
    let [query, key] = [integer(inputs[0], 0.0), integer(inputs[1], offset)];
    if [query, key].iter().any(|input| input.epsilon.unsigned_abs() > Favor::MAX_EPSILON as u32) {
        let problem = format!("is {:e}, out of proportion to the features", favor.epsilon);
        return Err(("favor.epsilon", problem));
    }
    let epsilon = match key_offset {
        _ if !used => Epsilon::Zero,
        KeyOffset::Sequence => Epsilon::Sequence,
        KeyOffset::Seen => Epsilon::Seen,
        KeyOffset::Fixed(_) => Epsilon::Fixed,
    };
    let tile = match (formats.causal, favor.tile) {
        _ if features == Features::Relu => 1,
        (true, _) if epsilon == Epsilon::Sequence => 1,
        (true, tile) => tile.unwrap_or(Favor::TILE),
        (false, Some(tile)) if !tile.is_multiple_of(ROW_TILE) => {
            return Err(("favor.tile", format!("is {tile}; give a multiple of {ROW_TILE} keys")));
        }
        (false, tile) => tile.unwrap_or(1),
    };
    if !(1..=Favor::MAX_TILE as usize).contains(&tile) {
        return Err(("favor.tile", format!("is {tile}; give 1 to {} keys", Favor::MAX_TILE)));
    }
    Ok(write::Favor { features, directions, projection, query, key, epsilon, tile })
}

/// W in integers; for queries and keys, the scales to exponents and the real unit of a feature.
type Integers = (Vec<i16>, [(FavorInput, f64); 2]);

/// `scales`: what an integer of the queries and of the keys is worth.
fn integers(features: Features, w: &[f64], width: usize, scales: [f64; 2]) -> Option<Integers> {
    let smallest = smallest_step(w, width)?;
    if features == Features::Relu {
        // An eighth of a product, within 2^28; without a projection, the integers themselves.
        const EIGHTH: Requant = Requant { multiplier: 1 << 14, shift: 1 };
        let input = FavorInput { projection: EIGHTH, norm: Requant { multiplier: 0, shift: 1 }, epsilon: 0 };
        let unit = if w.is_empty() { 1.0 } else { smallest / EIGHTH.factor() };
        return Some((rounded(w, smallest), scales.map(|scale| (input, scale * unit))));
    }
    let log = std::f64::consts::LOG2_E * exp2(Favor::LOG_FRAC as i32);
    // One multiplier for both: their scales differ by a power of two.
    let apart = (scales[0] / scales[1]).log2().round() as i32;
    let (multiplier, shifts) = Requant::SHIFTS.rev().find_map(|shift| {
        let multiplier = (smallest * scales[0] * log * exp2(16 + shift as i32)).ceil();
        let shifts = [Some(shift), shift.checked_add_signed(apart)];
        let [Some(query), Some(key)] = shifts.map(|shift| shift.filter(|s| Requant::SHIFTS.contains(s)))
        else {
            return None;
        };
        (multiplier <= f64::from(i16::MAX)).then_some((multiplier.max(1.0), [query, key]))
    })?;
    let step = multiplier / (scales[0] * log * exp2(16 + shifts[0] as i32));
    let mut inputs = Vec::new();
    for (scale, shift) in scales.into_iter().zip(shifts) {
        let projection = Requant { multiplier: multiplier as i16, shift };
        let norm = nearest(scale * scale / 2.0 * log)?;
        inputs.push((FavorInput { projection, norm, epsilon: 0 }, 1.0));
    }
    Some((rounded(w, step), [inputs[0], inputs[1]]))
}

/// The smallest step with which an element fits into 16 bits and a product with any row into 32, whatever the
/// rounding.
fn smallest_step(w: &[f64], width: usize) -> Option<f64> {
    let room = f64::from(i32::MAX / i32::from(dot_limit(width))) - 0.5 * width as f64 - 1.0;
    let step = w.chunks_exact(width).fold(exp2(-30), |step: f64, row| {
        let sum: f64 = row.iter().map(|w| w.abs()).sum();
        step.max(sum / room).max(super::largest(row) / f64::from(i16::MAX))
    });
    (room > 0.0).then_some(step)
}

fn rounded(w: &[f64], step: f64) -> Vec<i16> {
    w.iter().map(|w| (w / step).round() as i16).collect()
}

/// The nearest factor that there is.
fn nearest(factor: f64) -> Option<Requant> {
    Requant::SHIFTS.rev().find_map(|shift| {
        let multiplier = (factor * exp2(16 + shift as i32)).round();
        let fits = multiplier <= f64::from(i16::MAX);
        fits.then_some(Requant { multiplier: multiplier as i16, shift })
    })
}
