//! Attention to blocks: global, window and random. Zaheer et al. 2020, Big Bird, section 2 and
//! appendix D; the extended form after Ainslie et al. 2020, ETC, section 3.

use std::iter::once;
use std::ops::Range;
use std::vec::Vec;

use super::candidates::{Candidates, dot, row};
use super::{Visible, exact};

/// What BigBird attention is told beside its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BigBird {
    /// Tokens of a block.
    pub block: usize,
    /// Random key blocks of a query block.
    pub random: usize,
    /// Where the global tokens are, and the window.
    pub pattern: Pattern,
    /// Whether a token sees itself and the past only. Global tokens of the extended form come first,
    /// so they then see one another only.
    pub causal: bool,
    /// An input of at most this many tokens is attended to in full; 0 for never. It depends on the
    /// length alone, not on what was run before.
    pub dense_up_to: usize,
}

/// Where the global tokens are, and the window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pattern {
    /// Internal transformer construction: the first and the last block are global, the window is a
    /// block on either side. A block listed more than once counts more than once. Rows of queries that
    /// the mask hides are zero.
    Internal,
    /// Extended transformer construction: `global` tokens of their own stand before the others. A key
    /// counts once, by whatever way it is reached. Queries that the mask hides are computed as others.
    Extended {
        /// Number of global tokens, the first rows.
        global: usize,
        /// What an ordinary token sees around itself.
        window: Window,
    },
}

/// What an ordinary token of the extended form sees around itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Window {
    /// Its own block and one on either side.
    Blocks,
    /// Itself and this many tokens on either side.
    Tokens(usize),
}

/// Random key blocks: of query block x + 1 (internal; the global blocks have none) or x (extended).
pub type Plan = [Vec<usize>];

impl BigBird {
    /// Number of blocks of an input of `rows` rows, the last one perhaps not full.
    pub fn block_count(&self, rows: usize) -> usize {
        rows.saturating_sub(self.global_rows()).div_ceil(self.block)
    }

    /// Rows before the first block.
    pub fn global_rows(&self) -> usize {
        match self.pattern {
            Pattern::Internal => 0,
            Pattern::Extended { global, .. } => global,
        }
    }

    /// The key blocks of query block `x` of `count`, in the order of the publication.
    ///
    /// The internal form lists repeated blocks as often as they are drawn; fewer than four blocks are
    /// all global. The extended form lists each block once, and no neighbours where its window counts
    /// tokens. Random blocks outside the input, and rows that a plan does not have, are left out.
    pub fn blocks(&self, x: usize, count: usize, plan: &Plan) -> Vec<usize> {
        let random = |row: usize| {
            let row = plan.get(row).map_or(&[][..], Vec::as_slice);
            row.iter().copied().filter(move |&block| block < count)
        };
        match self.pattern {
            Pattern::Internal if x == 0 || x + 1 == count || count < 4 => (0..count).collect(),
            Pattern::Internal => {
                let last = count - 1;
                let near: &[usize] = match x {
                    1 => &[0, 1, 2, last],
                    _ if x + 2 == count => &[0, x - 1, x, last],
                    _ => &[0, x - 1, x, x + 1, last],
                };
                near.iter().copied().chain(random(x - 1)).collect()
            }
            Pattern::Extended { window, .. } => {
                let near = match window {
                    Window::Blocks => x.saturating_sub(1)..(x + 2).min(count),
                    Window::Tokens(_) => 0..0,
                };
                let mut blocks: Vec<usize> = near.collect();
                for block in random(x) {
                    if !blocks.contains(&block) {
                        blocks.push(block);
                    }
                }
                blocks
            }
        }
    }

    /// One head; `q`, `k`, `v` and the result are `[rows, d]`, q unscaled, `valid` has a flag per row.
    ///
    /// The number of rows need not be a multiple of the block. A query that sees no key gives zeros.
    pub fn attend(
        &self,
        q: &[f64],
        k: &[f64],
        v: &[f64],
        d: usize,
        plan: &Plan,
        valid: Option<&[bool]>,
    ) -> Vec<f64> {
        let rows = q.len() / d;
        if rows <= self.dense_up_to {
            return exact(q, k, v, d, Visible { causal: self.causal, keys: valid });
        }
        let scale = 1.0 / (d as f64).sqrt();
        let mut out = q.to_vec();
        let mut candidates = Candidates::default();
        for (i, out) in out.chunks_exact_mut(d).enumerate() {
            if self.pattern != Pattern::Internal || valid.is_none_or(|valid| valid[i]) {
                for j in self.ranges(i, rows, plan).into_iter().flatten() {
                    if (!self.causal || j <= i) && valid.is_none_or(|valid| valid[j]) {
                        candidates.push(j, scale * dot(row(q, i, d), row(k, j, d)));
                    }
                }
            }
            candidates.attend(v, out);
        }
        out
    }

    /// The key rows of query row `i`.
    fn ranges(&self, i: usize, rows: usize, plan: &Plan) -> Vec<Range<usize>> {
        let (global, count) = (self.global_rows(), self.block_count(rows));
        if i < global {
            return once(0..rows).collect();
        }
        let window = match self.pattern {
            Pattern::Extended { window: Window::Tokens(radius), .. } => {
                i.saturating_sub(radius).max(global)..i.saturating_add(radius).saturating_add(1).min(rows)
            }
            _ => 0..0,
        };
        let mut ranges = Vec::from([0..global, window.clone()]);
        for block in self.blocks((i - global) / self.block, count, plan) {
            let from = global + block * self.block;
            let to = (from + self.block).min(rows);
            // What the window of tokens has already is left out: the part before it, the part after it.
            if window.is_empty() {
                ranges.push(from..to);
            } else {
                ranges.push(from..to.min(window.start));
                ranges.push(from.max(window.end)..to);
            }
        }
        ranges
    }
}
