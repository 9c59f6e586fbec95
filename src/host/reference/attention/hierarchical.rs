//! Hierarchical attention of one head (H-Transformer-1D), `[tokens, d]` in and out.
//!
//! Zhu and Soricut 2021, "H-Transformer-1D: Fast One-Dimensional Hierarchical Attention for Sequences"
//! (arXiv 2107.11906), in the form of the authors' code, google/flaxformer
//! `flaxformer/architectures/h_transformer/h_attention.py`. Tokens stand in blocks of Nr; level l halves
//! level l - 1, so that a row of it stands for 2^l tokens. A query sees keys of its own and the neighbouring
//! blocks at level 0, and at every level above the part of the neighbouring blocks that the level below has
//! not covered: every pair of tokens meets at exactly one level, given by their distance.

use std::vec;
use std::vec::Vec;

/// Parameters of hierarchical attention, shared by the heads.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Hierarchical {
    /// Nr, rows of a block; even.
    pub block: usize,
    /// Whether a token sees itself and the past only. A coarse query then is the first query of its run,
    /// else the mean of the run: a mean would tell the past about the future.
    pub causal: bool,
    /// How coarse results become results of tokens.
    pub interpolation: Interpolation,
    /// T: scores are divided by it before the exponential.
    pub temperature: f64,
    /// The authors' guard: a denominator at or below it, relative to the largest logit of the whole head,
    /// becomes 1. It spoils rows and causality where logits are far apart; leave it out but to meet their
    /// output.
    pub guard: Option<f64>,
}

/// How the results of a level are added to those of the level below.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Interpolation {
    /// Every row twice.
    Constant,
    /// Even rows as they are, odd rows the mean of both neighbours. Not causal.
    Linear,
}

/// Padding. Masked queries give zeros and take no part in coarse queries; masked keys have no influence.
#[derive(Debug, Clone, Copy, Default)]
pub struct Masks<'a> {
    /// One flag per query. Every query when absent.
    pub queries: Option<&'a [bool]>,
    /// One flag per key. Every key when absent.
    pub keys: Option<&'a [bool]>,
}

impl Hierarchical {
    /// Attention of one head.
    ///
    /// `q` is `[queries, width]`, not scaled, `k` is `[keys, width]`, `v` is `[keys, value width]`; the result
    /// is `[queries, value width]`. Any lengths will do: both sequences are padded to Nr 2^M. Queries of
    /// another sequence than the keys (cross attention) meet them position by position. `bias` is the relative
    /// position table, `[4 Nr - 1]`, indexed by key row - query row + 2 Nr - 1 at every level. A query that
    /// sees no key gives zeros.
    ///
    /// # Panics
    /// If the block size is odd or 0, or a shape does not fit.
    pub fn attend(
        &self,
        q: &[f64],
        k: &[f64],
        v: &[f64],
        width: usize,
        bias: Option<&[f64]>,
        masks: Masks<'_>,
    ) -> Vec<f64> {
        assert!(self.block > 0 && self.block.is_multiple_of(2), "the block size has to be even");
        assert!(bias.is_none_or(|table| table.len() == 4 * self.block - 1), "the bias table is [4 Nr - 1]");
        let (queries, keys) = (q.len() / width, k.len() / width);
        let levels = self.levels(queries.max(keys));
        let length = self.block << levels;
        let scale = 1.0 / (width as f64).sqrt();

        let mut level = Level {
            q: Rows::padded(q, width, length, masks.queries, scale),
            k: Rows::padded(k, width, length, masks.keys, 1.0),
            v: Rows::padded(v, v.len() / keys, length, masks.keys, 1.0),
        };
        let mut largest = 0.0; // Missing neighbour blocks count as logits of 0.
        let mut parts = Vec::with_capacity(levels);
        for l in 0..levels {
            if l > 0 {
                level = level.coarsened(self.causal);
            }
            let rows = 0..length >> l;
            parts.push(rows.map(|row| self.part(&level, l, row, bias, &mut largest)).collect::<Vec<_>>());
        }

        // From the coarsest level to the tokens.
        let mut merged = parts.pop().unwrap_or_default();
        while let Some(finer) = parts.pop() {
            let rows = finer.iter().enumerate();
            merged = rows.map(|(row, part)| self.merge(part, &merged, row)).collect();
        }
        let visible = |t: usize| masks.queries.is_none_or(|flags| flags[t]);
        let rows = merged.iter().take(queries).enumerate();
        rows.flat_map(|(t, part)| part.quotient(visible(t), self.guard, largest / self.temperature)).collect()
    }

    /// M ≥ 1, the number of levels for a sequence: Nr 2^M is the padded length, the coarsest level has two
    /// blocks. With M = 1 this is exact attention.
    pub fn levels(&self, tokens: usize) -> usize {
        let blocks = tokens.div_ceil(self.block).next_power_of_two();
        (blocks.trailing_zeros() as usize).max(1)
    }

    /// What row `row` of level `l` sees at that level. `largest` is raised to the largest logit computed,
    /// hidden ones included, as the authors do.
    fn part(&self, level: &Level, l: usize, row: usize, bias: Option<&[f64]>, largest: &mut f64) -> Part {
        let nr = self.block;
        let (block, rows) = (row / nr, level.k.valid.len());
        let mut seen = Vec::new();
        let first = block.saturating_sub(1) * nr;
        let end = if self.causal { (block + 1) * nr } else { ((block + 2) * nr).min(rows) };
        for column in first..end {
            if l > 0 && column / nr == block {
                continue;
            }
            let offset = bias.map_or(0.0, |table| table[column + 2 * nr - 1 - row]);
            let logit = dot(level.q.row(row), level.k.row(column)) + offset;
            *largest = largest.max(logit);
            if self.visible(l, row, column) && level.k.counts[column] > 0.0 {
                seen.push((logit / self.temperature, column));
            }
        }

        let maximum = seen.iter().map(|(logit, _)| *logit).fold(f64::NEG_INFINITY, f64::max);
        let mut part = Part { maximum, total: 0.0, weighted: vec![0.0; level.v.width] };
        for (logit, column) in seen {
            let weight = (logit - maximum).exp();
            part.total += weight * level.k.counts[column];
            part.weighted.iter_mut().zip(level.v.row(column)).for_each(|(y, v)| *y += weight * v);
        }
        part
    }

    /// Whether no finer level has covered the pair, of the same or neighbouring blocks.
    fn visible(&self, l: usize, row: usize, column: usize) -> bool {
        if l == 0 {
            return !self.causal || column <= row;
        }
        let half = self.block / 2;
        let (i, j) = (row % self.block, column % self.block);
        if column < row { i >= half || j < half } else { i < half || j >= half }
    }

    /// Adds to `part`, row `row` of a level, what the level above says about it.
    fn merge(&self, part: &Part, above: &[Part], row: usize) -> Part {
        let parent = &above[row / 2];
        match (self.interpolation, above.get(row / 2 + 1)) {
            (Interpolation::Linear, Some(next)) if row % 2 == 1 => {
                Part::sum(&[(part, 1.0), (parent, 0.5), (next, 0.5)])
            }
            _ => Part::sum(&[(part, 1.0), (parent, 1.0)]),
        }
    }
}

/// Queries, keys and values at one level. Keys are means, values are sums over the run.
struct Level {
    q: Rows,
    k: Rows,
    v: Rows,
}

impl Level {
    fn coarsened(&self, causal: bool) -> Level {
        let q = if causal { self.q.firsts() } else { self.q.means() };
        Level { q, k: self.k.means(), v: self.v.sums() }
    }
}

/// Rows of one level; masked rows are zero.
struct Rows {
    values: Vec<f64>,
    width: usize,
    /// Whether any token of the run is real.
    valid: Vec<bool>,
    /// Real tokens of the run.
    counts: Vec<f64>,
}

impl Rows {
    fn padded(x: &[f64], width: usize, length: usize, mask: Option<&[bool]>, scale: f64) -> Rows {
        let given = x.len() / width;
        let valid: Vec<bool> = (0..length).map(|t| t < given && mask.is_none_or(|flags| flags[t])).collect();
        let mut values = vec![0.0; length * width];
        for (t, row) in x.chunks_exact(width).enumerate().filter(|(t, _)| valid[*t]) {
            values[t * width..][..width].iter_mut().zip(row).for_each(|(y, x)| *y = x * scale);
        }
        let counts = valid.iter().map(|&flag| f64::from(u8::from(flag))).collect();
        Rows { values, width, valid, counts }
    }

    fn row(&self, row: usize) -> &[f64] {
        &self.values[row * self.width..][..self.width]
    }

    /// Pairwise; `combine` takes both children, and how many of them are valid.
    fn halved(&self, combine: impl Fn(f64, f64, f64) -> f64) -> Rows {
        let rows = self.valid.len() / 2;
        let children =
            |row: usize| f64::from(u8::from(self.valid[2 * row]) + u8::from(self.valid[2 * row + 1]));
        let row = |row: usize| {
            let pairs = self.row(2 * row).iter().zip(self.row(2 * row + 1));
            pairs.map(move |(x, y)| (x, y, children(row)))
        };
        Rows {
            values: (0..rows).flat_map(row).map(|(x, y, valid)| combine(*x, *y, valid)).collect(),
            width: self.width,
            valid: self.valid.chunks_exact(2).map(|pair| pair[0] || pair[1]).collect(),
            counts: self.counts.chunks_exact(2).map(|pair| pair[0] + pair[1]).collect(),
        }
    }

    /// Means of the valid children: a mean of means, each child counting once.
    fn means(&self) -> Rows {
        self.halved(|x, y, valid| (x + y) / valid.max(1.0))
    }

    fn sums(&self) -> Rows {
        self.halved(|x, y, _| x + y)
    }

    fn firsts(&self) -> Rows {
        self.halved(|x, _, _| x)
    }
}

/// A part of a softmax: its sums are relative to exp(maximum).
struct Part {
    maximum: f64,
    total: f64,
    weighted: Vec<f64>,
}

impl Part {
    /// The weighted sum of parts.
    fn sum(parts: &[(&Part, f64)]) -> Part {
        let maximum = parts.iter().map(|(part, _)| part.maximum).fold(f64::NEG_INFINITY, f64::max);
        let mut sum = Part { maximum, total: 0.0, weighted: vec![0.0; parts[0].0.weighted.len()] };
        for (part, factor) in parts.iter().filter(|(part, _)| part.total > 0.0) {
            let factor = factor * (part.maximum - maximum).exp();
            sum.total += factor * part.total;
            sum.weighted.iter_mut().zip(&part.weighted).for_each(|(y, x)| *y += factor * x);
        }
        sum
    }

    /// The output row; `largest` is what the guard's denominator is relative to.
    fn quotient(&self, visible: bool, guard: Option<f64>, largest: f64) -> Vec<f64> {
        let relative = (self.maximum - largest).exp();
        let factor = match guard {
            _ if !visible || self.total == 0.0 => 0.0,
            Some(guard) if self.total * relative <= guard => relative,
            _ => 1.0 / self.total,
        };
        self.weighted.iter().map(|y| y * factor).collect()
    }
}

fn dot(x: &[f64], y: &[f64]) -> f64 {
    x.iter().zip(y).map(|(x, y)| x * y).sum()
}
