//! The mechanism of attention that a record stands for.

use std::vec;
use std::vec::Vec;

use super::exp2;
use crate::host::quantize::lsh::lsh_scale;
use crate::host::reference::AttentionKind as Kind;
use crate::host::reference::attention::bigbird::{BigBird, Pattern, Window};
use crate::host::reference::attention::favor::{self, Offsets};
use crate::host::reference::attention::hierarchical::{Hierarchical, Interpolation};
use crate::host::reference::attention::local::Local;
use crate::host::reference::attention::lsh::{self, Duplicates, ScoreScale};
use crate::model::{Attention, AttentionKind, Epsilon, Favor, FavorInput, Features, Lsh, Model, Rotations};
use crate::num::LogScore;

/// `fracs` are those of queries and keys.
pub(super) fn kind(attention: &Attention<'_>, model: &Model<'_>, fracs: [i32; 2]) -> Kind {
    let causal = attention.causal;
    match &attention.kind {
        AttentionKind::Exact => Kind::Exact,
        AttentionKind::Hierarchical(parameters) => Kind::Hierarchical {
            parameters: Hierarchical {
                block: parameters.block,
                causal,
                interpolation: Interpolation::Constant,
                temperature: 1.0,
                guard: None,
            },
            bias: parameters.bias.chunks_exact(4 * parameters.block - 1).map(natural).collect(),
        },
        AttentionKind::BigBird(parameters) => {
            let (block, random) = (parameters.block, parameters.random);
            let dense_up_to = parameters.dense_blocks.saturating_mul(block);
            Kind::BigBird {
                parameters: BigBird { block, random, pattern: Pattern::Internal, causal, dense_up_to },
                plans: plans(parameters.plan, parameters.rows, random),
            }
        }
        AttentionKind::BigBirdExtended(parameters) => {
            let (block, random) = (parameters.block, parameters.random);
            let window = parameters.radius.map_or(Window::Blocks, Window::Tokens);
            let pattern = Pattern::Extended { global: parameters.global, window };
            let dense_up_to = parameters.dense_tokens;
            Kind::BigBird {
                parameters: BigBird { block, random, pattern, causal, dense_up_to },
                plans: plans(parameters.plan, parameters.rows, random),
            }
        }
        AttentionKind::Favor(parameters) => Kind::Favor(favor(parameters, causal, fracs[0])),
        AttentionKind::Lsh(parameters) => lsh(parameters, attention, model.head_width),
        &AttentionKind::Local(crate::model::Local { chunk, before, after, multiple }) => {
            Kind::Local(Local { chunk, before, after, multiple, causal })
        }
    }
}

/// Natural logarithms of what is added to scores.
fn natural(scores: &[i16]) -> Vec<f64> {
    let unit = exp2(-(LogScore::FRAC_NBITS as i32)) * std::f64::consts::LN_2;
    scores.iter().map(|&score| f64::from(score) * unit).collect()
}

/// A plan a head, `rows` rows each; none without random blocks.
fn plans(blocks: &[i16], rows: usize, random: usize) -> Vec<Vec<Vec<usize>>> {
    if random == 0 {
        return Vec::new();
    }
    // A block that there is not is one that no sequence has.
    let row = |row: &[i16]| row.iter().map(|&block| usize::try_from(block).unwrap_or(usize::MAX)).collect();
    let rows_of = |head: &[i16]| head.chunks_exact(random).map(row).collect();
    blocks.chunks_exact((rows * random).max(1)).map(rows_of).collect()
}

fn favor(parameters: &Favor<'_>, causal: bool, frac: i32) -> favor::Favor {
    let FavorInput { projection, norm, epsilon } = parameters.query;
    let relu = parameters.features == Features::Relu;
    let log = std::f64::consts::LOG2_E * exp2(Favor::LOG_FRAC as i32);
    // The norm says what a row is multiplied by. ReLU features have none, and any scale gives the same.
    let input_scale = if relu { 1.0 } else { (2.0 * norm.factor() / log).sqrt() * exp2(frac) };
    let step = if relu { exp2(-10) } else { projection.factor() * exp2(frac) / (log * input_scale) };
    let unit = match (relu, parameters.projection.is_empty()) {
        (false, _) => 1.0,
        (true, true) => exp2(-frac),
        (true, false) => exp2(-frac) * step / projection.factor(),
    };
    let epsilon = match parameters.epsilon {
        Epsilon::Zero => 0.0,
        _ => (f64::from(epsilon) * exp2(-(Favor::LOG_FRAC as i32))).exp2() * unit,
    };
    let drawn = || parameters.projection.iter().map(|&x| f64::from(x) * step).collect();
    favor::Favor {
        features: match parameters.features {
            Features::Exponential => favor::Features::Exponential,
            Features::Hyperbolic => favor::Features::Hyperbolic,
            Features::Relu => favor::Features::Relu,
        },
        projection: (!parameters.projection.is_empty()).then(drawn),
        causal,
        input_scale,
        epsilon,
        offsets: match parameters.epsilon {
            Epsilon::Zero | Epsilon::Sequence => Offsets::Projection,
            Epsilon::Seen | Epsilon::Fixed => Offsets::Seen,
        },
        guard: 0.0,
        key_sum_epsilon: 0.0,
        renormalize: true,
        tile: (!relu && (causal || parameters.tile > 1)).then_some(parameters.tile),
    }
}

fn lsh(parameters: &Lsh<'_>, attention: &Attention<'_>, width: usize) -> Kind {
    let distance = |scale: ScoreScale| {
        let ideal = lsh_scale(scale, width, attention.query.frac).map_or(0.0, |scale| scale.factor());
        (ideal - attention.scale.factor()).abs()
    };
    let unit = distance(ScoreScale::Unit) <= distance(ScoreScale::SqrtWidth);
    Kind::Lsh {
        parameters: lsh::Lsh {
            buckets: parameters.factors.iter().map(|&factor| factor as usize).collect(),
            rounds: parameters.rounds,
            chunk: parameters.chunk,
            before: parameters.before,
            after: parameters.after,
            multiple: parameters.multiple,
            causal: attention.causal,
            scale: if unit { ScoreScale::Unit } else { ScoreScale::SqrtWidth },
            in_bucket: parameters.in_bucket,
            duplicates: match parameters.skip_duplicates {
                true => Duplicates::Skipped,
                false => Duplicates::Counted,
            },
            padding_bucket: parameters.padding_bucket,
        },
        rotations: rotations(parameters, width),
    }
}

/// Those of each head, `[width, rounds, columns]`.
fn rotations(parameters: &Lsh<'_>, width: usize) -> Vec<Vec<f64>> {
    let columns = parameters.rounds * parameters.columns();
    let count = parameters.rotation_heads * columns * width;
    let stored: Vec<f64> = match parameters.rotations {
        Rotations::Signs(words) => {
            (0..count).map(|i| if words[i / 32] >> (i % 32) & 1 == 1 { -1.0 } else { 1.0 }).collect()
        }
        Rotations::Int8(values) => values.iter().map(|&x| x.into()).collect(),
        Rotations::Int16(values) => values.iter().map(|&x| x.into()).collect(),
    };
    let of_head = |stored: &[f64]| {
        let mut set = vec![0.0; columns * width];
        for (i, &x) in stored.iter().enumerate() {
            set[i % width * columns + i / width] = x;
        }
        set
    };
    stored.chunks_exact((columns * width).max(1)).map(of_head).collect()
}
