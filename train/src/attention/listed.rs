//! The mechanisms that list keys for each query. A key that is listed c times counts c times, which is a softmax with
//! ln c added to its score: training computes every score, which for the widths of heads in use is cheaper than to
//! gather keys up to a thousand tokens.

use burn::tensor::{Tensor, TensorData, activation};
use fixformer::host::reference::attention::bigbird::BigBird;
use fixformer::host::reference::attention::lsh::{Duplicates, Lsh, ScoreScale, sort_by_bucket};

use super::{HIDDEN, Heads, Lengths};

pub(super) fn bigbird(
    bigbird: &BigBird,
    plans: &[Vec<Vec<usize>>],
    causal: bool,
    Heads { query, key, value }: Heads,
    lengths: &Lengths,
) -> Tensor<4> {
    let [_, heads, tokens, width] = query.dims();
    // Equally long recordings share a list, and so do heads without random blocks.
    let alike = lengths.tokens.windows(2).all(|pair| pair[0] == pair[1]);
    let shared = &lengths.tokens[..if alike { 1 } else { lengths.tokens.len() }];
    let heads = if plans.is_empty() { 1 } else { heads };
    let mut lists = Lists::new([shared.len(), heads, tokens]);
    for (recording, &length) in shared.iter().enumerate() {
        let count = bigbird.block_count(length);
        for head in 0..heads {
            let plan = plans.get(head).map_or(&[][..], Vec::as_slice);
            for i in 0..length {
                let row = lists.row(recording, head, i);
                let end = if causal { i + 1 } else { length };
                if length <= bigbird.dense_up_to {
                    row[..end].fill(1.0);
                    continue;
                }
                for block in bigbird.blocks(i / bigbird.block, count, plan) {
                    let from = (block * bigbird.block).min(end);
                    let to = (from + bigbird.block).min(end);
                    row[from..to].iter_mut().for_each(|count| *count += 1.0);
                }
            }
        }
    }
    softmax(query.mul_scalar((width as f32).powf(-0.5)), key, value, lists)
}

pub(super) fn lsh(
    lsh: &Lsh,
    rotations: &[Vec<f64>],
    causal: bool,
    Heads { query, value, .. }: Heads,
    lengths: &Lengths,
) -> Tensor<4> {
    let [recordings, heads, tokens, width] = query.dims();
    let values: Vec<f32> = query.clone().inner().into_data().try_into_vec().expect("single precision");
    let mut lists = Lists::new([recordings, heads, tokens]);
    for (place, rows) in values.chunks_exact(tokens * width).enumerate() {
        let (recording, head) = (place / heads, place % heads);
        let length = lengths.tokens[recording];
        let rows: Vec<f64> = rows[..length * width].iter().map(|&x| x.into()).collect();
        let buckets = lsh.hash(&rows, width, &rotations[head % rotations.len()], None);
        list(lsh, &buckets, length, |i, j| {
            if i != j && (!causal || j < i) {
                let count = &mut lists.row(recording, head, i)[j];
                match lsh.duplicates {
                    Duplicates::Counted => *count += 1.0,
                    _ => *count = 1.0,
                }
            }
        });
        for i in 0..length {
            let row = lists.row(recording, head, i);
            if row.iter().all(|&count| count == 0.0) {
                row[i] = 1.0;
            }
        }
    }
    let squares = query.clone().square().sum_dim(3);
    let length = match lsh.scale {
        ScoreScale::Unit => squares.div_scalar(width as f32).add_scalar(1e-6).sqrt(),
        ScoreScale::SqrtWidth => squares.clamp_min(1e-24).sqrt(),
    };
    let key = query.clone() / length.mul_scalar((width as f32).sqrt());
    softmax(query, key, value, lists)
}

/// Gives each query with each key that is listed for it, as often as it is listed.
fn list(lsh: &Lsh, buckets: &[usize], tokens: usize, mut give: impl FnMut(usize, usize)) {
    if tokens <= lsh.chunk {
        (0..tokens).for_each(|i| (0..tokens).for_each(|j| give(i, j)));
        return;
    }
    let filled = tokens.next_multiple_of(lsh.chunk);
    let mut order = Vec::with_capacity(lsh.rounds * filled);
    for (round, buckets) in buckets.chunks_exact(tokens).enumerate() {
        let mut buckets = buckets.to_vec();
        buckets.resize(filled, lsh.bucket_count());
        order.extend(sort_by_bucket(&buckets).into_iter().map(|token| (round, buckets[token], token)));
    }
    let chunks = order.len() / lsh.chunk;
    for (place, &(round, bucket, i)) in order.iter().enumerate().filter(|(_, (_, _, token))| *token < tokens)
    {
        let first = place / lsh.chunk + chunks - lsh.before % chunks;
        for chunk in (first..=first + lsh.before + lsh.after).map(|chunk| chunk % chunks) {
            for &(other, with, j) in &order[chunk * lsh.chunk..][..lsh.chunk] {
                if j < tokens && (!lsh.in_bucket || (other, with) == (round, bucket)) {
                    give(i, j);
                }
            }
        }
    }
}

/// How often each key is listed for each query, `[recordings or 1, heads or 1, tokens, tokens]`.
struct Lists {
    counts: Vec<f32>,
    shape: [usize; 3],
}

impl Lists {
    fn new(shape: [usize; 3]) -> Lists {
        let [recordings, heads, tokens] = shape;
        Lists { counts: vec![0.0; recordings * heads * tokens * tokens], shape }
    }

    fn row(&mut self, recording: usize, head: usize, query: usize) -> &mut [f32] {
        let [_, heads, tokens] = self.shape;
        &mut self.counts[((recording * heads + head) * tokens + query) * tokens..][..tokens]
    }
}

fn softmax(query: Tensor<4>, key: Tensor<4>, value: Tensor<4>, lists: Lists) -> Tensor<4> {
    let Lists { mut counts, shape: [recordings, heads, tokens] } = lists;
    for count in &mut counts {
        *count = if *count == 0.0 { HIDDEN } else { count.ln() };
    }
    let data = TensorData::new(counts, [recordings, heads, tokens, tokens]);
    let scores = query.clone().matmul(key.transpose()) + Tensor::from_data(data, &query.device());
    activation::softmax(scores, 3).matmul(value)
}
