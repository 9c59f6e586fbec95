//! The Reformer classifier: reversible blocks of LSH and local attention. Kitaev, Kaiser, Levskaya 2020,
//! Reformer, section 3; in the details as Hugging Face `ReformerForSequenceClassification`.

use std::vec;
use std::vec::Vec;

use super::local::Local;
use super::lsh::Lsh;
use super::{FeedForward, Linear, Norm, Site};

/// A Reformer encoder with a classification head on the first token.
#[derive(Debug, Clone, PartialEq)]
pub struct Reformer {
    /// Token embedding, `[vocabulary, width]`.
    pub table: Vec<f64>,
    /// Added to the tokens.
    pub positions: Axial,
    /// The blocks, first to last.
    pub blocks: Vec<ReversibleBlock>,
    /// Of both streams side by side, `[2 width]`.
    pub final_norm: Norm,
    /// From the first token, twice the width, to the hidden vector of the head; tanh follows.
    pub hidden: Linear,
    /// To the scores.
    pub head: Linear,
    /// The token that fills an input up to whole chunks.
    pub padding: usize,
}

/// Axial position embedding: position t has the row t / B of the first table beside the row t mod B of
/// the second, with B = `shape[1]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Axial {
    /// Rows of each table; their product is the largest number of tokens.
    pub shape: [usize; 2],
    /// `[shape[i], widths[i]]`; the widths add up to that of the model.
    pub tables: [Vec<f64>; 2],
}

/// y1 = x1 + output(attention(norm1 x2)); y2 = x2 + feed_forward(norm2 y1).
#[derive(Debug, Clone, PartialEq)]
pub struct ReversibleBlock {
    /// Before attention.
    pub norm1: Norm,
    /// Number of heads; the width of the projections is a multiple of it.
    pub heads: usize,
    /// The mechanism and its projections.
    pub attention: ReversibleAttention,
    /// From the concatenated heads to the stream.
    pub output: Linear,
    /// Before the feed-forward.
    pub norm2: Norm,
    /// The second sublayer.
    pub feed_forward: FeedForward,
    /// Rows that pass the feed-forward together; all where 0. The result is the same.
    pub feed_forward_rows: usize,
}

/// Attention of a reversible block.
#[derive(Debug, Clone, PartialEq)]
pub enum ReversibleAttention {
    /// Hashed, with queries and keys shared.
    Lsh {
        /// Its parameters.
        parameters: Lsh,
        /// To queries that are keys too.
        query_key: Linear,
        /// To values.
        value: Linear,
        /// Of each head, `[d, rounds, columns]`.
        rotations: Vec<Vec<f64>>,
    },
    /// In a window of chunks.
    Local {
        /// Its parameters.
        parameters: Local,
        /// To queries.
        query: Linear,
        /// To keys.
        key: Linear,
        /// To values.
        value: Linear,
    },
}

impl Reformer {
    /// Scores of one sequence of token ids, `[classes]`; `mask` has a flag per token.
    ///
    /// An input longer than the shortest chunk is filled up to a multiple of all chunk lengths, with
    /// tokens that the mask hides. `observer` is given the streams, filling included: `summed` before
    /// the first block, `y1` and `y2` after each, `scores` at last.
    ///
    /// # Panics
    /// If an id is outside the vocabulary, or the sequence is longer than the positions.
    pub fn forward(
        &self,
        ids: &[usize],
        mask: Option<&[bool]>,
        observer: &mut dyn FnMut(Site, &[f64]),
    ) -> Vec<f64> {
        let width = self.hidden.inputs / 2;
        let chunks = || self.blocks.iter().map(|block| block.attention.chunk());
        let mut rows = ids.len();
        if chunks().min().is_some_and(|shortest| rows > shortest) {
            rows = rows.next_multiple_of(chunks().fold(1, least_common_multiple));
        }
        let mut valid = mask.map(<[bool]>::to_vec);
        if rows > ids.len() {
            valid.get_or_insert_with(|| vec![true; ids.len()]).resize(rows, false);
        }

        let filling = std::iter::repeat_n(&self.padding, rows - ids.len());
        let tokens = ids.iter().chain(filling);
        let mut x1: Vec<f64> = tokens.flat_map(|&id| &self.table[id * width..][..width]).copied().collect();
        for (t, token) in x1.chunks_exact_mut(width).enumerate() {
            self.positions.add(t, token);
        }
        observer(Site { block: None, tensor: "summed" }, &x1);
        let mut x2 = x1.clone();
        for (index, block) in self.blocks.iter().enumerate() {
            block.forward(&mut x1, &mut x2, valid.as_deref());
            observer(Site { block: Some(index), tensor: "y1" }, &x1);
            observer(Site { block: Some(index), tensor: "y2" }, &x2);
        }

        let first = [&x1[..width], &x2[..width]].concat();
        let mut hidden = self.hidden.apply(&self.final_norm.apply(&first));
        hidden.iter_mut().for_each(|x| *x = x.tanh());
        let scores = self.head.apply(&hidden);
        observer(Site { block: None, tensor: "scores" }, &scores);
        scores
    }
}

impl Axial {
    /// Adds the embedding of position `t` to `token`, `[width]`.
    fn add(&self, t: usize, token: &mut [f64]) {
        assert!(t < self.shape[0] * self.shape[1], "position {t} has no embedding");
        let rows = [t / self.shape[1], t % self.shape[1]];
        let parts = (0..2).flat_map(|axis| {
            let width = self.tables[axis].len() / self.shape[axis];
            &self.tables[axis][rows[axis] * width..][..width]
        });
        token.iter_mut().zip(parts).for_each(|(x, y)| *x += y);
    }
}

impl ReversibleBlock {
    /// Turns the streams x1, x2 into y1, y2, each `[tokens, width]`, in place.
    fn forward(&self, x1: &mut [f64], x2: &mut [f64], valid: Option<&[bool]>) {
        let attended = self.attention.forward(&self.norm1.apply(x2), self.heads, valid);
        add(x1, &self.output.apply(&attended));
        let width = self.norm2.gain.len();
        let rows = if self.feed_forward_rows == 0 { x1.len() / width } else { self.feed_forward_rows };
        for (x1, x2) in x1.chunks(rows * width).zip(x2.chunks_mut(rows * width)) {
            let mut hidden = self.feed_forward.expand.apply(&self.norm2.apply(x1));
            hidden.iter_mut().for_each(|x| *x = self.feed_forward.activation.apply(*x));
            add(x2, &self.feed_forward.contract.apply(&hidden));
        }
    }
}

impl ReversibleAttention {
    /// Tokens of a chunk.
    fn chunk(&self) -> usize {
        match self {
            ReversibleAttention::Lsh { parameters, .. } => parameters.chunk,
            ReversibleAttention::Local { parameters, .. } => parameters.chunk,
        }
    }

    /// All heads of `x`, `[tokens, width]`, side by side.
    fn forward(&self, x: &[f64], heads: usize, valid: Option<&[bool]>) -> Vec<f64> {
        let (ReversibleAttention::Lsh { value, .. } | ReversibleAttention::Local { value, .. }) = self;
        let (width, d) = (value.outputs, value.outputs / heads);
        let mut attended = value.apply(x);
        let of_head = |x: &[f64], head: usize| -> Vec<f64> {
            x.chunks_exact(width).flat_map(|row| &row[head * d..][..d]).copied().collect()
        };
        let queries = match self {
            ReversibleAttention::Lsh { query_key, .. } => query_key.apply(x),
            ReversibleAttention::Local { query, .. } => query.apply(x),
        };
        for head in 0..heads {
            let [q, v] = [&queries, &attended].map(|x| of_head(x, head));
            let out = match self {
                ReversibleAttention::Lsh { parameters, rotations, .. } => {
                    let buckets = parameters.hash(&q, d, &rotations[head], valid);
                    parameters.attend(&q, &v, d, &buckets, valid)
                }
                ReversibleAttention::Local { parameters, key, .. } => {
                    parameters.attend(&q, &of_head(&key.apply(x), head), &v, d, valid)
                }
            };
            for (row, out) in attended.chunks_exact_mut(width).zip(out.chunks_exact(d)) {
                row[head * d..][..d].copy_from_slice(out);
            }
        }
        attended
    }
}

fn least_common_multiple(a: usize, b: usize) -> usize {
    let (mut x, mut y) = (a, b);
    while y > 0 {
        (x, y) = (y, x % y);
    }
    a / x * b
}

/// x += y.
fn add(x: &mut [f64], y: &[f64]) {
    x.iter_mut().zip(y).for_each(|(x, y)| *x += y);
}
