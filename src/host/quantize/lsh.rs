//! LSH attention in integers.

use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

use super::{exp2, fractional_bits};
use crate::attention::lsh::KEY_FRAC;
use crate::host::reference::attention::lsh::{Duplicates, Lsh, ScoreScale};
use crate::kernels::dot_limit;
use crate::model::{self, write};
use crate::num::Requant;

/// The record of LSH attention for queries of `frac` fractional bits and heads of `d` columns; `rotations` are one
/// `[d, rounds, columns]` a head, or one for all heads.
///
/// # Errors
/// Names the field that the engine cannot honour, and says why.
pub fn lsh_record(
    parameters: &Lsh,
    rotations: &[&[f64]],
    d: usize,
    frac: i32,
) -> Result<write::Lsh, (&'static str, String)> {
    let Lsh { rounds, chunk, before, after, multiple, in_bucket, padding_bucket, .. } = *parameters;
    let skip_duplicates = parameters.duplicates != Duplicates::Counted;
    if skip_duplicates && !in_bucket && rounds > 1 {
        let problem = "are skipped, across buckets and in several rounds: attend in buckets, or count them";
        return Err(("lsh.duplicates", problem.to_string()));
    }
    if !(1..=model::Lsh::MAX_ROUNDS).contains(&rounds) {
        return Err(("lsh.rounds", format!("is {rounds}; the engine has 1 to {}", model::Lsh::MAX_ROUNDS)));
    }
    if parameters.bucket_count() > model::Lsh::MAX_BUCKETS {
        let problem =
            format!("are {}; the engine has {}", parameters.bucket_count(), model::Lsh::MAX_BUCKETS);
        return Err(("lsh.buckets", problem));
    }
    let epsilon = match parameters.scale {
        // trax and Hugging Face add it to the mean of the squares.
        ScoreScale::Unit => 1e-6 * d as f64 * exp2(2 * frac),
        ScoreScale::SqrtWidth => 0.0,
    };
    Ok(write::Lsh {
        factors: parameters.buckets.iter().map(|&factor| factor as i16).collect(),
        rounds,
        chunk,
        before,
        after,
        multiple,
        in_bucket,
        skip_duplicates,
        padding_bucket,
        epsilon: epsilon.round() as u64,
        rotation_heads: rotations.len(),
        rotations: lsh_rotations(rotations, d),
    })
}

/// From a product of a query of `frac` fractional bits and a key of length one to a score.
pub fn lsh_scale(scale: ScoreScale, d: usize, frac: i32) -> Option<Requant> {
    let divided_by_root_of = match scale {
        ScoreScale::Unit => 1,
        ScoreScale::SqrtWidth => d,
    };
    super::score_scale(frac + KEY_FRAC as i32, divided_by_root_of)
}

/// Integers of float rotations, `sets` of `[d, rounds, columns]`; hashing does not depend on their scale.
///
/// Values that are all of one magnitude take a bit each, those that 8 bits hold exactly take 8, others 16.
pub fn lsh_rotations(sets: &[&[f64]], d: usize) -> write::Rotations {
    let transposed = sets.iter().flat_map(|set| {
        let columns = set.len() / d;
        (0..columns).flat_map(move |column| (0..d).map(move |row| set[row * columns + column]))
    });
    let values: Vec<f64> = transposed.collect();
    let peak = values.iter().fold(0.0, |most: f64, value| most.max(value.abs()));
    if peak > 0.0 && values.iter().all(|value| value.abs() == peak) {
        return write::Rotations {
            bits: 1,
            values: values.iter().map(|value| value.signum() as i16).collect(),
        };
    }
    let scaled = |limit: i16| {
        let scale = exp2(fractional_bits(peak, limit));
        values.iter().map(move |value| value * scale)
    };
    let byte = i16::from(i8::MAX);
    if scaled(byte).all(|value| value.fract() == 0.0) {
        return write::Rotations { bits: 8, values: scaled(byte).map(|value| value as i16).collect() };
    }
    write::Rotations { bits: 16, values: scaled(dot_limit(d)).map(|value| value.round() as i16).collect() }
}
