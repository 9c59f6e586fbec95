//! Attention to a circular window of chunks: the local layers of the public Reformer implementations
//! (Hugging Face `LocalSelfAttention`), which alternate with the LSH layers.

use std::vec::Vec;

use super::candidates::{Candidates, dot, row};

/// What local attention is told beside its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Local {
    /// Tokens of a chunk.
    pub chunk: usize,
    /// Chunks that a query sees before its own.
    pub before: usize,
    /// Chunks that a query sees after its own.
    pub after: usize,
    /// An input longer than a chunk is filled up to a multiple of this many tokens: of the chunk, or of all
    /// chunks of a model.
    pub multiple: usize,
    /// Whether a token sees itself and the past only.
    pub causal: bool,
}

impl Local {
    /// One head; `q`, `k`, `v` and the result are `[tokens, d]`, q unscaled.
    ///
    /// Chunks wrap around: the first sees the last. An input of at most one chunk is attended to in
    /// full; a longer one is filled up with invalid tokens. A query that sees no key gives zeros.
    pub fn attend(&self, q: &[f64], k: &[f64], v: &[f64], d: usize, valid: Option<&[bool]>) -> Vec<f64> {
        let tokens = q.len() / d;
        let total =
            if tokens <= self.chunk { 1 } else { tokens.next_multiple_of(self.multiple) / self.chunk };
        let scale = 1.0 / (d as f64).sqrt();
        let mut out = q.to_vec();
        let mut candidates = Candidates::default();
        for (i, out) in out.chunks_exact_mut(d).enumerate() {
            let first = i / self.chunk + total - self.before % total;
            let steps = if tokens <= self.chunk { 1 } else { self.before + self.after + 1 };
            for chunk in (0..steps).map(|step| (first + step) % total) {
                let from = (chunk * self.chunk).min(tokens);
                for j in from..(from + self.chunk).min(tokens) {
                    if (!self.causal || j <= i) && valid.is_none_or(|valid| valid[j]) {
                        candidates.push(j, scale * dot(row(q, i, d), row(k, j, d)));
                    }
                }
            }
            candidates.attend(v, out);
        }
        out
    }
}
