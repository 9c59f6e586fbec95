//! The BigBird classifier, as Hugging Face `BigBirdForSequenceClassification`: a post-norm encoder.

use std::vec::Vec;

use super::bigbird::BigBird;
use super::{Activation, FeedForward, Linear, Norm, Site};

/// A BigBird encoder with a classification head on the first token.
#[derive(Debug, Clone, PartialEq)]
pub struct BigBirdClassifier {
    /// What every token starts from, `[vocabulary, width]`: its embedding, with that of its type.
    pub table: Vec<f64>,
    /// Added to it, `[max_tokens or more, width]`.
    pub positions: Vec<f64>,
    /// Of the sum.
    pub embedding_norm: Norm,
    /// Attention of every block.
    pub attention: BigBird,
    /// Number of heads; the width is a multiple of it.
    pub heads: usize,
    /// The blocks, first to last.
    pub blocks: Vec<BigBirdBlock>,
    /// From the first token to the hidden vector of the head.
    pub hidden: Linear,
    /// Of the hidden vector.
    pub activation: Activation,
    /// To the scores.
    pub head: Linear,
}

/// a = norm1(a + output(attention(a))); a = norm2(a + feed_forward(a)).
#[derive(Debug, Clone, PartialEq)]
pub struct BigBirdBlock {
    /// q, width to width.
    pub query: Linear,
    /// k, width to width.
    pub key: Linear,
    /// v, width to width.
    pub value: Linear,
    /// From the concatenated heads back to the stream.
    pub output: Linear,
    /// After the residual of attention.
    pub norm1: Norm,
    /// The second sublayer.
    pub feed_forward: FeedForward,
    /// After the residual of the feed-forward.
    pub norm2: Norm,
    /// Random key blocks of each head.
    pub plans: Vec<Vec<Vec<usize>>>,
}

impl BigBirdClassifier {
    /// Scores of one sequence of token ids, `[classes]`; `mask` has a flag per token.
    ///
    /// `observer` is given `embedding`, each block's result as `norm2`, and `scores`.
    ///
    /// # Panics
    /// If an id is outside the vocabulary, or the sequence is longer than the positions.
    pub fn forward(
        &self,
        ids: &[usize],
        mask: Option<&[bool]>,
        observer: &mut dyn FnMut(Site, &[f64]),
    ) -> Vec<f64> {
        let width = self.hidden.inputs;
        assert!(ids.len() * width <= self.positions.len(), "{} tokens have no position", ids.len());
        let mut a: Vec<f64> =
            ids.iter().flat_map(|&id| &self.table[id * width..][..width]).copied().collect();
        add(&mut a, &self.positions);
        a = self.embedding_norm.apply(&a);
        observer(Site { block: None, tensor: "embedding" }, &a);
        for (index, block) in self.blocks.iter().enumerate() {
            let attended = self.attend(block, &a, mask);
            add(&mut a, &block.output.apply(&attended));
            a = block.norm1.apply(&a);
            let mut hidden = block.feed_forward.expand.apply(&a);
            hidden.iter_mut().for_each(|x| *x = block.feed_forward.activation.apply(*x));
            add(&mut a, &block.feed_forward.contract.apply(&hidden));
            a = block.norm2.apply(&a);
            observer(Site { block: Some(index), tensor: "norm2" }, &a);
        }
        let mut hidden = self.hidden.apply(&a[..width]);
        hidden.iter_mut().for_each(|x| *x = self.activation.apply(*x));
        let scores = self.head.apply(&hidden);
        observer(Site { block: None, tensor: "scores" }, &scores);
        scores
    }

    /// All heads of `a`, `[tokens, width]`, side by side.
    fn attend(&self, block: &BigBirdBlock, a: &[f64], mask: Option<&[bool]>) -> Vec<f64> {
        let (width, d) = (block.value.outputs, block.value.outputs / self.heads);
        let [q, k, mut attended] = [&block.query, &block.key, &block.value].map(|map| map.apply(a));
        for (head, plan) in block.plans.iter().enumerate() {
            let [q, k, v] = [&q, &k, &attended].map(|x| -> Vec<f64> {
                x.chunks_exact(width).flat_map(|row| &row[head * d..][..d]).copied().collect()
            });
            let out = self.attention.attend(&q, &k, &v, d, plan, mask);
            for (row, out) in attended.chunks_exact_mut(width).zip(out.chunks_exact(d)) {
                row[head * d..][..d].copy_from_slice(out);
            }
        }
        attended
    }
}

/// x += y over the length of x.
fn add(x: &mut [f64], y: &[f64]) {
    x.iter_mut().zip(y).for_each(|(x, y)| *x += y);
}
