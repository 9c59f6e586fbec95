//! The record of an attention mechanism, its parameters checked against each other.

use std::format;
use std::string::{String, ToString};
use std::vec;
use std::vec::Vec;

use super::favor::{Formats, KeyOffset, favor_parameters};
use super::lsh::lsh_record;
use super::{MOST_FRAC, QuantizeError, exp2};
use crate::host::reference::attention::bigbird::{BigBird, Pattern, Window};
use crate::host::reference::attention::favor::{Favor, Offsets};
use crate::host::reference::attention::hierarchical::{Hierarchical, Interpolation};
use crate::host::reference::attention::local::Local;
use crate::host::reference::attention::lsh::Lsh;
use crate::host::reference::{Attention, AttentionKind, Network};
use crate::kernels::SCORE_SHIFT;
use crate::model::{self, MAX_TOKENS, write};
use crate::num::{LogScore, Requant};

/// What is wrong with which parameter.
type Problem = (&'static str, String);

/// Whether every block's mechanism is one that the engine has, with parameters that agree.
pub(super) fn check(network: &Network) -> Result<(), QuantizeError> {
    // The ranges are not known yet: what the finest formats refuse, all others do.
    let fracs = [MOST_FRAC; 2];
    let mut blocks = network.blocks.iter().enumerate();
    blocks.try_for_each(|(index, block)| kind(index, &block.attention, network, fracs).map(drop))
}

/// The record of block `index`; `fracs` are those of queries and keys.
pub(super) fn kind(
    index: usize,
    attention: &Attention,
    network: &Network,
    fracs: [i32; 2],
) -> Result<write::AttentionKind, QuantizeError> {
    let (heads, tokens) = (attention.heads, network.max_tokens);
    let width = attention.query.outputs / heads;
    if attention.key.is_none() && !attention.kind.shares_query() {
        let problem = "is missing: only LSH attention has queries that are keys too".to_string();
        return Err(QuantizeError::Attention { block: index, field: "key", problem });
    }
    let record = match &attention.kind {
        AttentionKind::Exact => Ok(write::AttentionKind::Exact),
        AttentionKind::Hierarchical { parameters, bias } => {
            // Without extra bits as yet: the engine finds them.
            let horizon = attention.causal.then(|| network.horizon());
            hierarchical(parameters, bias, heads, horizon)
        }
        AttentionKind::BigBird { parameters, plans } => bigbird(parameters, plans, heads, tokens),
        AttentionKind::Favor(parameters) => favor(parameters, attention.causal, width, fracs),
        AttentionKind::Lsh { parameters, rotations } => {
            check_lsh(parameters, tokens).and_then(|()| lsh(parameters, rotations, heads, width, fracs[0]))
        }
        AttentionKind::Local(parameters) => local(parameters, tokens),
    };
    record.map_err(|(field, problem)| QuantizeError::Attention { block: index, field, problem })
}

fn hierarchical(
    parameters: &Hierarchical,
    bias: &[Vec<f64>],
    heads: usize,
    horizon: Option<usize>,
) -> Result<write::AttentionKind, Problem> {
    let Hierarchical { block, interpolation, temperature, guard, .. } = *parameters;
    if block == 0 || !block.is_multiple_of(2) {
        return Err(("hierarchical.block", format!("is {block}; give an even number of rows")));
    }
    if interpolation != Interpolation::Constant {
        return Err((
            "hierarchical.interpolation",
            "is not constant, the only one of the engine".to_string(),
        ));
    }
    if temperature != 1.0 {
        let problem = format!("is {temperature}; divide the query's weights by it and give 1");
        return Err(("hierarchical.temperature", problem));
    }
    if guard.is_some() {
        return Err(("hierarchical.guard", "is given; the engine needs none".to_string()));
    }
    let rows = 4 * block - 1;
    if !bias.is_empty() && (bias.len() != heads || bias.iter().any(|table| table.len() != rows)) {
        return Err(("hierarchical.bias", format!("is not {heads} tables, one a head, of {rows} values")));
    }
    let bias = log_scores(bias.iter().flatten()).ok_or_else(|| {
        ("hierarchical.bias", "has a value that is not finite or past 22, the range of a score".to_string())
    })?;
    let extra = vec![0; horizon.map_or(0, |tokens| model::Hierarchical::levels(tokens, block))];
    Ok(write::AttentionKind::Hierarchical(write::Hierarchical { block, bias, extra }))
}

fn bigbird(
    parameters: &BigBird,
    plans: &[Vec<Vec<usize>>],
    heads: usize,
    tokens: usize,
) -> Result<write::AttentionKind, Problem> {
    let BigBird { block, random, pattern, dense_up_to, .. } = *parameters;
    if block == 0 {
        return Err(("bigbird.block", "is 0; give at least 1 token".to_string()));
    }
    if pattern == Pattern::Internal && !dense_up_to.is_multiple_of(block) {
        let problem = format!("is {dense_up_to}; give a multiple of the block of {block} tokens");
        return Err(("bigbird.dense_up_to", problem));
    }
    if parameters.global_rows() >= tokens {
        let problem = format!("are {}, of {tokens} tokens; give fewer", parameters.global_rows());
        return Err(("bigbird.global", problem));
    }
    let blocks = parameters.block_count(tokens);
    // The global blocks of the internal form have no random ones.
    let rows = if pattern == Pattern::Internal { blocks.saturating_sub(2) } else { blocks };
    if random > 0 && plans.is_empty() {
        return Err(("bigbird.plan", format!("is missing, for {random} random blocks")));
    }
    let sized = |plan: &Vec<Vec<usize>>| plan.len() == rows && plan.iter().all(|row| row.len() == random);
    let right = match random {
        0 => plans.iter().flatten().all(Vec::is_empty),
        _ => plans.len() == heads && plans.iter().all(sized),
    };
    if !right {
        let without = if pattern == Pattern::Internal { " but for the first and the last block" } else { "" };
        let problem = format!(
            "has another size than {heads} heads, {rows} query blocks ({tokens} tokens{without}), {random} random \
             blocks"
        );
        return Err(("bigbird.plan", problem));
    }
    let ids = plans.iter().flatten().flatten();
    if let Some(id) = ids.clone().find(|&&id| id >= blocks) {
        let problem = format!("has the block {id}; {tokens} tokens have the blocks 0 to {}", blocks - 1);
        return Err(("bigbird.plan", problem));
    }
    let plan = ids.map(|&id| id as i16).collect();
    Ok(match pattern {
        Pattern::Internal => {
            let dense_blocks = dense_up_to / block;
            write::AttentionKind::BigBird(write::BigBird { block, dense_blocks, random, plan })
        }
        Pattern::Extended { global, window } => {
            let radius = match window {
                Window::Blocks => None,
                Window::Tokens(radius) => Some(radius),
            };
            let dense_tokens = dense_up_to;
            let extended = write::BigBirdExtended { block, dense_tokens, global, radius, random, plan };
            write::AttentionKind::BigBirdExtended(extended)
        }
    })
}

fn local(parameters: &Local, tokens: usize) -> Result<write::AttentionKind, Problem> {
    let Local { chunk, before, after, multiple, .. } = *parameters;
    check_chunks(["local.chunk", "local.before", "local.after"], [chunk, before, after], 1, tokens)?;
    Ok(write::AttentionKind::Local(model::Local { chunk, before, after, multiple }))
}

fn favor(
    parameters: &Favor,
    causal: bool,
    width: usize,
    [query_frac, key_frac]: [i32; 2],
) -> Result<write::AttentionKind, Problem> {
    for (field, value) in
        [("favor.guard", parameters.guard), ("favor.key_sum_epsilon", parameters.key_sum_epsilon)]
    {
        if value != 0.0 {
            return Err((field, format!("is {value}; the engine has none, give 0")));
        }
    }
    let scale = parameters.input_scale;
    if !(scale.is_finite() && scale > 0.0) {
        return Err(("favor.input_scale", format!("is {scale}; give a finite number above 0")));
    }
    // The reference's offset: the largest exponent of all keys, or of those seen.
    let key_offset = match parameters.offsets {
        Offsets::Seen if causal => KeyOffset::Seen,
        _ => KeyOffset::Sequence,
    };
    let formats = Formats { width, query_frac, key_frac, key_offset, causal };
    favor_parameters(parameters, formats).map(write::AttentionKind::Favor)
}

/// What the reference takes at its word and [`lsh_record`] too.
fn check_lsh(parameters: &Lsh, tokens: usize) -> Result<(), Problem> {
    let Lsh { buckets, rounds, chunk, before, after, .. } = parameters;
    if !(1..=8).contains(&buckets.len()) {
        return Err(("lsh.buckets", format!("has {} factors; give 1 to 8", buckets.len())));
    }
    if let Some(factor) = buckets.iter().find(|&&factor| factor == 0 || !factor.is_multiple_of(2)) {
        return Err(("lsh.buckets", format!("has {factor}; buckets come in pairs, so give even numbers")));
    }
    if buckets.iter().try_fold(1, |product: usize, &factor| product.checked_mul(factor)).is_none() {
        return Err(("lsh.buckets", "have a product past all numbers".to_string()));
    }
    check_chunks(["lsh.chunk", "lsh.before", "lsh.after"], [*chunk, *before, *after], *rounds, tokens)
}

/// Chunks that a model file holds, with no more keys of a query than the engine takes.
fn check_chunks(
    [chunk_field, before_field, after_field]: [&'static str; 3],
    [chunk, before, after]: [usize; 3],
    rounds: usize,
    tokens: usize,
) -> Result<(), Problem> {
    if chunk == 0 {
        return Err((chunk_field, "is 0; give at least 1 token".to_string()));
    }
    for (field, chunks) in [(before_field, before), (after_field, after)] {
        if chunks > 255 {
            return Err((field, format!("is {chunks}; a model file takes at most 255 chunks")));
        }
    }
    let keys = rounds.saturating_mul(chunk).saturating_mul(before + 1 + after);
    if chunk < tokens && keys > MAX_TOKENS as usize {
        let problem = format!("makes {keys} keys of a query in all rounds; the engine has {MAX_TOKENS}");
        return Err((chunk_field, problem));
    }
    Ok(())
}

fn lsh(
    parameters: &Lsh,
    rotations: &[Vec<f64>],
    heads: usize,
    width: usize,
    frac: i32,
) -> Result<write::AttentionKind, Problem> {
    let sets: Vec<&[f64]> = rotations.iter().map(Vec::as_slice).collect();
    let record = lsh_record(parameters, &sets, width, frac)?;
    let length = width * parameters.rounds * parameters.rotation_columns();
    let counted = rotations.len() == 1 || rotations.len() == heads;
    if !counted || rotations.iter().any(|set| set.len() != length) {
        let problem = format!("are not {heads} sets, one a head, or 1, of {length} values");
        return Err(("lsh.rotations", problem));
    }
    if rotations.iter().flatten().any(|value| !value.is_finite()) {
        return Err(("lsh.rotations", "have a value that is not finite".to_string()));
    }
    Ok(write::AttentionKind::Lsh(record))
}

/// Natural logarithms as the engine adds them to scores; none if one is out of range.
pub(in crate::host) fn log_scores<'v>(values: impl Iterator<Item = &'v f64>) -> Option<Vec<i16>> {
    let unit = f64::from(1 << LogScore::FRAC_NBITS) * std::f64::consts::LOG2_E;
    let score = |value: &f64| {
        let score = (value * unit).round();
        (score.abs() <= f64::from(i16::MAX)).then_some(score as i16)
    };
    values.map(score).collect()
}

/// From a product of query and key with `frac` fractional bits to a score in units of log2.
pub(in crate::host) fn score_scale(frac: i32, head_width: usize) -> Option<Requant> {
    let log = f64::from(crate::num::LogScore::FRAC_NBITS).exp2() * std::f64::consts::LOG2_E;
    let factor = exp2(-frac) * log / (head_width as f64).sqrt();
    (1..=SCORE_SHIFT).rev().find_map(|shift| {
        let multiplier = (factor * exp2(16 + shift as i32)).round();
        (multiplier <= f64::from(i16::MAX)).then_some(Requant { multiplier: multiplier as i16, shift })
    })
}
