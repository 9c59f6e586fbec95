//! Hierarchical attention: every level is a batch of small blocks, linear in the tokens.

use burn::tensor::Tensor;
use fixformer::host::reference::attention::hierarchical::Hierarchical;

use super::{HIDDEN, Heads, Lengths, indices, matrix};

pub(super) fn attend(
    hierarchical: &Hierarchical,
    causal: bool,
    Heads { query, key, value }: Heads,
    bias: Option<Tensor<2>>,
    lengths: &Lengths,
) -> Tensor<4> {
    let [recordings, heads, tokens, width] = query.dims();
    let block = hierarchical.block;
    let levels = hierarchical.levels(tokens);
    let length = block << levels;
    let valid = lengths.rows().unwrap_or_else(|| Tensor::ones([1, 1, tokens, 1], &query.device()));
    let mut level = Level {
        query: padded(query.mul_scalar((width as f32).powf(-0.5)) * valid.clone(), length),
        key: padded(key * valid.clone(), length),
        value: padded(value * valid.clone(), length),
        counts: padded(valid, length),
    };
    let mut parts = Vec::with_capacity(levels);
    for number in 0..levels {
        if number > 0 {
            level = level.coarsened(causal);
        }
        parts.push(level.part(block, number, causal, bias.as_ref()));
    }

    // From the coarsest level to the tokens.
    let merged = parts.into_iter().rev().reduce(|coarse, fine| fine.merged(coarse.repeated()));
    let Part { total, weighted, .. } = merged.expect("at least one level");
    let nothing = total.clone().equal_elem(0.0);
    let out = weighted / total.mask_fill(nothing, 1.0);
    out.slice([0..recordings, 0..heads, 0..tokens, 0..width])
}

/// Queries and keys are means of runs, values sums, counts the real tokens of each run: `[_, _, rows, _]`.
struct Level {
    query: Tensor<4>,
    key: Tensor<4>,
    value: Tensor<4>,
    counts: Tensor<4>,
}

impl Level {
    fn coarsened(self, causal: bool) -> Level {
        let pairs = |rows: Tensor<4>| {
            let [recordings, heads, rows_, width] = rows.dims();
            rows.reshape([recordings, heads, rows_ / 2, 2, width])
        };
        let sum = |rows: Tensor<4>| pairs(rows).sum_dim(3).squeeze_dim::<4>(3);
        let children = sum(real(self.counts.clone())).clamp_min(1.0);
        Level {
            query: match causal {
                true => pairs(self.query).narrow(3, 0, 1).squeeze_dim::<4>(3),
                false => sum(self.query) / children.clone(),
            },
            key: sum(self.key) / children,
            value: sum(self.value),
            counts: sum(self.counts),
        }
    }

    /// What the rows of this level see at this level.
    fn part(&self, block: usize, number: usize, causal: bool, bias: Option<&Tensor<2>>) -> Part {
        let [recordings, heads, rows, width] = self.query.dims();
        // Of the level's own blocks, the one before (0), itself (1) and the one after (2).
        let seen: Vec<usize> = (0..3).filter(|&o| (number == 0 || o != 1) && (!causal || o != 2)).collect();
        let columns = seen.len() * block;
        let beside = |rows: &Tensor<4>| neighbours(rows, block, &seen);
        let visible = |i: usize, column: usize| {
            let (o, j, half) = (seen[column / block], column % block, block / 2);
            match o {
                0 => number == 0 || i >= half || j < half,
                1 => !causal || j <= i,
                _ => number == 0 || i < half || j >= half,
            }
        };
        let visible = matrix(block, columns, |i, j| f32::from(u8::from(visible(i, j))), &self.query);
        let counts = beside(&self.counts).transpose();
        let visible = visible.unsqueeze::<5>() * real(counts.clone());

        let query = self.query.clone().reshape([recordings, heads, rows / block, block, width]);
        let mut logits = query.matmul(beside(&self.key).transpose());
        if let Some(bias) = bias {
            let row = |i: usize, column: usize| {
                (seen[column / block] * block + column % block + block - i - 1) as i32
            };
            let table = (0..block).flat_map(|i| (0..columns).map(move |j| (i, j)));
            let table = bias.clone().select(0, indices(table.map(|(i, j)| row(i, j)).collect(), bias));
            let table = table.transpose().reshape([1, heads, 1, block, columns]);
            logits = logits + table;
        }
        let logits = logits + visible.clone().sub_scalar(1.0).mul_scalar(-HIDDEN);
        let maximum = logits.clone().detach().max_dim(4);
        let weights = (logits - maximum.clone()).exp() * visible;
        let flat = |rows_: Tensor<5>, width| rows_.reshape([recordings, heads, rows, width]);
        Part {
            maximum: flat(maximum, 1),
            total: flat((weights.clone() * counts).sum_dim(4), 1),
            weighted: flat(weights.matmul(beside(&self.value)), width),
        }
    }
}

/// A part of a softmax: its sums are relative to exp(maximum).
struct Part {
    maximum: Tensor<4>,
    total: Tensor<4>,
    weighted: Tensor<4>,
}

impl Part {
    /// Every row twice.
    fn repeated(self) -> Part {
        let twice = |rows: Tensor<4>| {
            let [recordings, heads, rows_, width] = rows.dims();
            rows.unsqueeze_dim::<5>(3).repeat_dim(3, 2).reshape([recordings, heads, 2 * rows_, width])
        };
        Part { maximum: twice(self.maximum), total: twice(self.total), weighted: twice(self.weighted) }
    }

    fn merged(self, other: Part) -> Part {
        let maximum = self.maximum.clone().max_pair(other.maximum.clone());
        let mine = (self.maximum - maximum.clone()).exp();
        let theirs = (other.maximum - maximum.clone()).exp();
        Part {
            maximum,
            total: self.total * mine.clone() + other.total * theirs.clone(),
            weighted: self.weighted * mine + other.weighted * theirs,
        }
    }
}

/// Rows of zeros after the given ones.
fn padded(rows: Tensor<4>, length: usize) -> Tensor<4> {
    let [recordings, heads, tokens, width] = rows.dims();
    if tokens == length {
        return rows;
    }
    let zeros = Tensor::zeros([recordings, heads, length - tokens, width], &rows.device());
    Tensor::cat(vec![rows, zeros], 2)
}

/// For each block the blocks of `seen` around it, one behind the other; outside are zeros.
fn neighbours(rows: &Tensor<4>, block: usize, seen: &[usize]) -> Tensor<5> {
    let [recordings, heads, count, width] = rows.dims();
    let count = count / block;
    let blocks = rows.clone().reshape([recordings, heads, count, block, width]);
    let zeros = Tensor::zeros([recordings, heads, 1, block, width], &rows.device());
    let shifted = seen.iter().map(|o| match o {
        0 => Tensor::cat(vec![zeros.clone(), blocks.clone().narrow(2, 0, count - 1)], 2),
        1 => blocks.clone(),
        _ => Tensor::cat(vec![blocks.clone().narrow(2, 1, count - 1), zeros.clone()], 2),
    });
    Tensor::cat(shifted.collect(), 3)
}

/// 1 where the count is above 0.
fn real<const D: usize>(counts: Tensor<D>) -> Tensor<D> {
    counts.clamp_max(1.0)
}
