//! Every mechanism of attention, with parameters at random.

use fixformer::host::draw::{RowLength, bigbird_plan, bigbird_plan_extended, favor_projection, lsh_signs};
use fixformer::host::reference::attention::bigbird::{BigBird, Pattern, Window};
use fixformer::host::reference::attention::favor::{Favor, Features, Offsets};
use fixformer::host::reference::attention::hierarchical::{Hierarchical, Interpolation};
use fixformer::host::reference::attention::local::Local;
use fixformer::host::reference::attention::lsh::{Duplicates, Lsh, ScoreScale};
use fixformer::host::reference::*;

use super::{Options, Source};

/// Most tokens of the models.
pub const MAX_TOKENS: usize = 150;

/// Hierarchical attention.
pub fn hierarchical(block: usize, bias: Vec<Vec<f64>>) -> AttentionKind {
    let interpolation = Interpolation::Constant;
    let parameters = Hierarchical { block, causal: false, interpolation, temperature: 1.0, guard: None };
    AttentionKind::Hierarchical { parameters, bias }
}

/// BigBird whose first and last block are global.
pub fn bigbird(
    block: usize,
    random: usize,
    dense_up_to: usize,
    plans: Vec<Vec<Vec<usize>>>,
) -> AttentionKind {
    let pattern = Pattern::Internal;
    let parameters = BigBird { block, random, pattern, causal: false, dense_up_to };
    AttentionKind::BigBird { parameters, plans }
}

/// Drawn plans of one layer.
pub fn drawn(block: usize, random: usize, heads: usize, layer: usize) -> Vec<Vec<Vec<usize>>> {
    let blocks = MAX_TOKENS.div_ceil(block);
    (0..heads).map(|head| bigbird_plan(blocks, random, 1, layer, head).unwrap()).collect()
}

/// `directions` of 0: no projection.
pub fn favor(
    features: Features,
    directions: usize,
    width: usize,
    layer: usize,
    epsilon: f64,
) -> AttentionKind {
    let drawn = favor_projection(directions, width, RowLength::Random, 1, layer);
    AttentionKind::Favor(favor_parameters(features, (directions > 0).then_some(drawn), width, epsilon))
}

/// FAVOR+ as most tests have it, for heads of `width` columns.
pub fn favor_parameters(
    features: Features,
    projection: Option<Vec<f64>>,
    width: usize,
    epsilon: f64,
) -> Favor {
    Favor {
        features,
        projection,
        causal: false,
        input_scale: if features == Features::Relu { 1.0 } else { (width as f64).powf(-0.25) },
        epsilon,
        offsets: Offsets::Projection,
        guard: 0.0,
        key_sum_epsilon: 0.0,
        renormalize: true,
        tile: Some(8),
    }
}

/// LSH; with several rounds, and with several factors of the buckets, other options too.
pub fn lsh(
    buckets: &[usize],
    rounds: usize,
    chunk: usize,
    [heads, width, layer]: [usize; 3],
) -> AttentionKind {
    let parameters = Lsh {
        buckets: buckets.to_vec(),
        rounds,
        chunk,
        before: 1,
        after: usize::from(rounds > 1),
        multiple: 2 * chunk,
        causal: false,
        scale: if rounds > 1 { ScoreScale::Unit } else { ScoreScale::SqrtWidth },
        in_bucket: buckets.len() > 1,
        duplicates: if buckets.len() > 1 { Duplicates::Skipped } else { Duplicates::Counted },
        padding_bucket: true,
    };
    let length = width * rounds * parameters.rotation_columns();
    let signs = lsh_signs(heads * length, 1, layer);
    let rotations = signs.chunks(length).map(|set| set.iter().map(|&sign| f64::from(sign)).collect());
    AttentionKind::Lsh { rotations: rotations.collect(), parameters }
}

/// BigBird with 3 global tokens of their own.
pub fn extended(block: usize, window: Window, [heads, layer]: [usize; 2]) -> AttentionKind {
    let pattern = Pattern::Extended { global: 3, window };
    let parameters = BigBird { block, random: 2, pattern, causal: false, dense_up_to: 20 };
    let blocks = parameters.block_count(MAX_TOKENS);
    let plan = |head| bigbird_plan_extended(blocks, 2, 1, layer, head).unwrap();
    AttentionKind::BigBird { parameters, plans: (0..heads).map(plan).collect() }
}

/// A window without global tokens and random blocks.
pub fn window(block: usize, window: Window) -> AttentionKind {
    let pattern = Pattern::Extended { global: 0, window };
    let parameters = BigBird { block, random: 0, pattern, causal: false, dense_up_to: 0 };
    AttentionKind::BigBird { parameters, plans: Vec::new() }
}

/// Attention to chunks nearby.
pub fn local(chunk: usize, before: usize, after: usize, multiple: usize) -> AttentionKind {
    AttentionKind::Local(Local { chunk, before, after, multiple, causal: false })
}

/// Number of [`kinds`].
pub const KINDS: usize = 21;

/// Every mechanism, for one layer.
pub fn kinds(source: &mut Source, heads: usize, width: usize, layer: usize) -> Vec<AttentionKind> {
    let zero = |block: usize, random: usize| {
        let rows = MAX_TOKENS.div_ceil(block).saturating_sub(2);
        vec![vec![vec![0; random]; rows]; heads]
    };
    vec![
        hierarchical(2, Vec::new()),
        hierarchical(8, (0..heads).map(|_| source.values(31, 0.7)).collect()),
        hierarchical(16, Vec::new()),
        bigbird(4, 0, 0, Vec::new()),
        bigbird(8, 1, 0, zero(8, 1)),
        bigbird(8, 2, 64, drawn(8, 2, heads, layer)),
        bigbird(5, 3, 0, drawn(5, 3, heads, layer)),
        bigbird(64, 2, 0, zero(64, 2)),
        favor(Features::Exponential, 64, width, layer, 0.0),
        favor(Features::Hyperbolic, 24, width, layer, 1e-4),
        favor(Features::Relu, 40, width, layer, 1e-3),
        favor(Features::Relu, 0, width, layer, 1e-3),
        lsh(&[8], 1, 16, [heads, width, layer]),
        lsh(&[8], 2, 32, [heads, width, layer]),
        lsh(&[4, 2], 2, 16, [heads, width, layer]),
        local(16, 1, 0, 16),
        local(8, 1, 1, 48),
        extended(8, Window::Blocks, [heads, layer]),
        extended(12, Window::Tokens(9), [heads, layer]),
        window(8, Window::Blocks),
        window(6, Window::Tokens(13)),
    ]
}

/// Options number `i`.
pub fn options(i: usize, causal: bool) -> Options {
    use {Activation::*, NormOrder::*};
    Options {
        input: (i % 3) as u8,
        positions: (i / 2 % 4) as u8,
        order: [Pre, Post, Reversible][i / 2 % 3],
        activation: [Relu, GeluErf, GeluTanh, Tanh][i % 4],
        causal,
        heads: [1, 2, 4][i % 3],
        // Heads of even and of odd width.
        width: [16, 22, 32, 15, 24, 36][i % 6],
        pooling: [Pooling::Mean, Pooling::Max, Pooling::First, Pooling::Last][i % 4],
        hidden: [None, Some(Tanh), None, Some(GeluTanh), Some(Relu)][i % 5],
        norms: i % 4 < 2,
        max_tokens: MAX_TOKENS,
    }
}
