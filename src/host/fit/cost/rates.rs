//! From counts to rates.

use std::collections::BTreeMap;
use std::format;
use std::string::{String, ToString};
use std::vec;
use std::vec::Vec;

use crate::attention::before_and_after;
use crate::model::{AttentionKind, BigBird, BigBirdExtended, Hierarchical, Local};

/// What was counted: the work of each count, and its instructions.
type Counts = Vec<(Vec<f64>, f64)>;

/// The table of rates of the counts in `snapshot`, the lines of `boards/instructions.txt`; `kind` gives the
/// parameters with which a mechanism was counted at a length and a width.
pub fn derive<'a>(snapshot: &str, kind: impl Fn(&str, usize, usize) -> Option<AttentionKind<'a>>) -> String {
    let mut counts: BTreeMap<(String, String), Counts> = BTreeMap::new();
    for line in snapshot.lines() {
        let words: Vec<_> = line.split(' ').collect();
        let [core, group, name, fields @ ..] = &words[..] else { continue };
        let text =
            |field: &str| fields.chunks_exact(2).find(|pair| pair[0] == field).map_or("", |pair| pair[1]);
        let number = |field: &str| text(field).parse::<usize>().unwrap_or(0);
        let (name, work) = match *group {
            "kernel" => (name.to_string(), kernel_work(name, text("shape"))),
            "attention" if text("direction") == "stream" => {
                let width = number("d");
                let Some(kind) = kind(name, HORIZON, width) else { continue };
                let worst = (worst_work(&kind, HORIZON, width).to_vec(), number("worst") as f64);
                counts.entry((core.to_string(), format!("{name}_worst"))).or_default().push(worst);
                continue;
            }
            "attention" => {
                let (tokens, width, direction) = (number("n"), number("d"), text("direction"));
                let Some(kind) = kind(name, tokens, width) else { continue };
                let work = head_work(&kind, tokens, width, direction == "causal").to_vec();
                (format!("{name}_{direction}"), Some(work))
            }
            _ => continue,
        };
        let Some(work) = work else { continue };
        counts.entry((core.to_string(), name)).or_default().push((work, number("instructions") as f64));
    }
    let lines = counts.iter().map(|((core, name), counts)| {
        let rates: Vec<_> = fit(counts).iter().map(|rate| format!("{rate:.3}")).collect();
        format!("{core} {name} {}\n", rates.join(" "))
    });
    lines.collect()
}

/// Products, outputs, rows and calls of a linear layer; width and rows of a norm; elements of the rest. `None` where
/// no layer does this by itself.
fn kernel_work(name: &str, shape: &str) -> Option<Vec<f64>> {
    let shape: Vec<f64> = shape.split(',').filter_map(|word| word.parse().ok()).collect();
    let &[rows, inputs, outputs] = &shape[..] else { return None };
    match name {
        "linear" | "linear_i16" => Some(vec![rows * inputs * outputs, rows * outputs, rows, 1.0]),
        "layer_norm" => Some(vec![rows * inputs, rows]),
        "relu" | "gelu_erf" | "gelu_tanh" | "add" | "clamp" => Some(vec![rows * inputs]),
        _ => None,
    }
}

/// Tokens, their columns, pairs of a query and a key (or a random direction), their columns, columns of hashing, and those of
/// features, of which each is finished once.
pub(super) fn head_work(kind: &AttentionKind<'_>, tokens: usize, width: usize, causal: bool) -> [f64; 6] {
    let (n, d) = (tokens as f64, width as f64);
    let near = |keys: usize| n * keys.min(tokens) as f64;
    let (pairs, hashes) = match kind {
        AttentionKind::Exact if causal => (n * (n + 1.0) / 2.0, 0.0),
        AttentionKind::Exact => (n * n, 0.0),
        AttentionKind::Hierarchical(parameters) => (hierarchical_pairs(parameters, tokens, causal), 0.0),
        AttentionKind::BigBird(parameters) => (bigbird_pairs(parameters, tokens, causal), 0.0),
        AttentionKind::BigBirdExtended(parameters) => {
            let strict = causal && kind.can_be_strict();
            let dense = !strict && tokens <= parameters.dense_tokens;
            (extended_pairs(parameters, tokens, causal, dense), 0.0)
        }
        AttentionKind::Favor(parameters) => (n * parameters.directions as f64, 0.0),
        AttentionKind::Lsh(parameters) => {
            let rounds = parameters.rounds as f64;
            let keys = parameters.chunk * (parameters.before + 1 + parameters.after);
            (rounds * near(keys), rounds * n * parameters.columns() as f64)
        }
        AttentionKind::Local(Local { chunk, before, .. }) if causal => {
            let keys = (0..tokens).map(|token| token % chunk + 1 + chunk * (token / chunk).min(*before));
            (keys.sum::<usize>() as f64, 0.0)
        }
        AttentionKind::Local(Local { chunk, before, after, .. }) => (near(chunk * (before + 1 + after)), 0.0),
    };
    let features = match kind {
        AttentionKind::Favor(parameters) => parameters.directions as f64,
        _ => 0.0,
    };
    [n, n * d, pairs, pairs * d, hashes * d, features * d]
}

/// Tokens of the streams that were counted.
const HORIZON: usize = 1 << 20;

/// What the token of a stream of up to `tokens` that takes most work has to do, as [`head_work`] counts it.
pub(super) fn worst_work(kind: &AttentionKind<'_>, tokens: usize, width: usize) -> [f64; 6] {
    let pairs = match kind {
        AttentionKind::Exact => tokens,
        // A row of every level is new, and so is the last block of each.
        AttentionKind::Hierarchical(Hierarchical { block, .. }) => {
            (2 + Hierarchical::levels(tokens, *block)) * block
        }
        AttentionKind::Favor(parameters) => parameters.directions,
        AttentionKind::Local(Local { chunk, before, .. }) => (before + 1) * chunk,
        AttentionKind::BigBirdExtended(parameters) => {
            // The last token of a block sees all of it and of the block before.
            parameters.radius.map_or(2 * parameters.block, |radius| radius + 1).min(tokens)
        }
        AttentionKind::BigBird(_) | AttentionKind::Lsh(_) => 0,
    };
    [1, width, pairs, pairs * width, 0, 0].map(|count| count as f64)
}

/// A block sees itself and its neighbours; on each coarser level, of half as many rows, its neighbours.
fn hierarchical_pairs(parameters: &Hierarchical<'_>, tokens: usize, causal: bool) -> f64 {
    let square = (parameters.block * parameters.block) as f64;
    let mut blocks = tokens.div_ceil(parameters.block);
    let sides = if causal { 1.0 } else { 2.0 };
    let mut pairs = blocks as f64 + sides * (blocks as f64 - 1.0);
    while blocks > 3 {
        blocks = blocks.div_ceil(2);
        pairs += sides * (blocks as f64 - 1.0);
    }
    pairs * square
}

/// The first and the last block see all; others the first, the last, their neighbours and random ones.
fn bigbird_pairs(parameters: &BigBird<'_>, tokens: usize, causal: bool) -> f64 {
    let blocks = tokens.div_ceil(parameters.block);
    let (ends, each) = if causal { (1, 3) } else { (2, 5) };
    let seen = if blocks <= parameters.dense_blocks { blocks } else { blocks.min(each + parameters.random) };
    ((ends * blocks + blocks.saturating_sub(2) * seen) * parameters.block * parameters.block) as f64
}

/// A global token sees all, another one the global tokens, its window, and what the window does not have of its random
/// blocks; those of the first head stand for all.
fn extended_pairs(parameters: &BigBirdExtended<'_>, tokens: usize, causal: bool, dense: bool) -> f64 {
    let BigBirdExtended { global, block, .. } = *parameters;
    let seen = |token: usize| {
        let horizon = if causal { token + 1 } else { tokens };
        if dense || token < global {
            return horizon;
        }
        let window = before_and_after(parameters, token);
        let random = parameters.random_of(0, (token - global) / block).iter();
        let random = random.filter_map(|&id| usize::try_from(id).ok()).map(|id| {
            let keys = global + id * block..(global + (id + 1) * block).min(horizon);
            let common = keys.end.min(window.end).saturating_sub(keys.start.max(window.start));
            keys.len() - common.min(keys.len())
        });
        global + window.end.min(horizon) - window.start + random.sum::<usize>()
    };
    (0..tokens).map(seen).sum::<usize>() as f64
}

/// Rates, none below zero, with the least sum of squared relative errors.
fn fit(counts: &Counts) -> Vec<f64> {
    let terms = counts.first().map_or(0, |(work, _)| work.len());
    // Work that never occurs has no rate.
    let mut used: Vec<usize> =
        (0..terms).filter(|&term| counts.iter().any(|(work, _)| work[term] != 0.0)).collect();
    loop {
        let rates = solve(counts, &used);
        match rates.iter().enumerate().min_by(|a, b| a.1.total_cmp(b.1)) {
            Some((index, &least)) if least < 0.0 => drop(used.remove(index)),
            _ => {
                let mut all = vec![0.0; terms];
                used.iter().zip(&rates).for_each(|(&term, &rate)| all[term] = rate);
                return all;
            }
        }
    }
}

/// The normal equations by Gaussian elimination; a little is added to the diagonal, so that a solution exists.
fn solve(counts: &Counts, used: &[usize]) -> Vec<f64> {
    let size = used.len();
    // Columns of about the same length, so that one ridge serves all.
    let row = |(work, count): &(Vec<f64>, f64)| -> Vec<f64> {
        used.iter().map(|&term| work[term] / count.max(1.0)).collect()
    };
    let rows: Vec<_> = counts.iter().map(row).collect();
    let length = |term: usize| rows.iter().map(|row| row[term] * row[term]).sum::<f64>().sqrt();
    let lengths: Vec<_> = (0..size).map(length).collect();
    let mut matrix = vec![vec![0.0; size + 1]; size];
    for row in &rows {
        for i in 0..size {
            (0..size).for_each(|j| matrix[i][j] += row[i] * row[j] / (lengths[i] * lengths[j]));
            matrix[i][size] += row[i] / lengths[i];
        }
    }
    (0..size).for_each(|i| matrix[i][i] += 1e-9);
    for i in 0..size {
        let pivot = matrix[i].clone();
        for other in (0..size).filter(|&other| other != i) {
            let factor = matrix[other][i] / pivot[i];
            matrix[other].iter_mut().zip(&pivot).for_each(|(x, &p)| *x -= factor * p);
        }
    }
    (0..size).map(|i| matrix[i][size] / matrix[i][i] / lengths[i]).collect()
}
