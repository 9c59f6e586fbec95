//! The mechanisms of attention, all heads of a batch at once: `[recordings, heads, tokens, head width]` in and out.

use burn::tensor::{Int, Tensor, TensorData, activation};
use fixformer::host::reference::AttentionKind;

mod favor;
mod hierarchical;
mod listed;

/// Queries, keys and values; keys are not read where the mechanism shares the query.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Heads {
    pub query: Tensor<4>,
    pub key: Tensor<4>,
    pub value: Tensor<4>,
}

/// How many of a batch's tokens are real; the others follow them.
#[derive(Debug, Clone)]
pub struct Lengths {
    /// Of each recording.
    pub tokens: Vec<usize>,
    /// 1 for a real token, 0 for another, `[recordings, tokens]`; none if all are real.
    pub valid: Option<Tensor<2>>,
}

impl Lengths {
    /// 1 for a real token, `[recordings, 1, tokens, 1]`; none if all are real.
    fn rows(&self) -> Option<Tensor<4>> {
        let valid = self.valid.clone()?;
        let [recordings, tokens] = valid.dims();
        Some(valid.reshape([recordings, 1, tokens, 1]))
    }
}

/// What is added to the score of a key that a query must not see.
const HIDDEN: f32 = -1e9;

/// Attends by `kind`. `bias` is the relative position bias that hierarchical attention may have, `[rows, heads]`.
/// Rows of tokens that are not real are arbitrary.
///
/// # Panics
/// If training does not know the kind; [`known`] tells before.
pub fn attend(
    kind: &AttentionKind,
    causal: bool,
    heads: Heads,
    bias: Option<Tensor<2>>,
    lengths: &Lengths,
) -> Tensor<4> {
    match kind {
        AttentionKind::Exact => exact(causal, heads, lengths),
        AttentionKind::Hierarchical { parameters, .. } => {
            hierarchical::attend(parameters, causal, heads, bias, lengths)
        }
        AttentionKind::BigBird { parameters, plans } => {
            listed::bigbird(parameters, plans, causal, heads, lengths)
        }
        AttentionKind::Favor(parameters) => favor::attend(parameters, causal, heads, lengths),
        AttentionKind::Lsh { parameters, rotations } => {
            listed::lsh(parameters, rotations, causal, heads, lengths)
        }
        _ => unreachable!("`known` refuses it"),
    }
}

/// Whether training knows the kind.
pub fn known(kind: &AttentionKind) -> bool {
    matches!(
        kind,
        AttentionKind::Exact
            | AttentionKind::Hierarchical { .. }
            | AttentionKind::BigBird { .. }
            | AttentionKind::Favor(_)
            | AttentionKind::Lsh { .. }
    )
}

fn exact(causal: bool, Heads { query, key, value }: Heads, lengths: &Lengths) -> Tensor<4> {
    let [_, _, tokens, width] = query.dims();
    let mut scores = query.mul_scalar((width as f32).powf(-0.5)).matmul(key.transpose());
    if let Some(valid) = &lengths.valid {
        let hidden = valid.clone().sub_scalar(1.0).mul_scalar(-HIDDEN);
        let [recordings, tokens] = hidden.dims();
        scores = scores + hidden.reshape([recordings, 1, 1, tokens]);
    }
    if causal {
        let hidden = matrix(tokens, tokens, |i, j| if j > i { HIDDEN } else { 0.0 }, &scores);
        scores = scores + hidden.unsqueeze::<4>();
    }
    activation::softmax(scores, 3).matmul(value)
}

/// A constant `[rows, columns]` where `like` is.
fn matrix(rows: usize, columns: usize, value: impl Fn(usize, usize) -> f32, like: &Tensor<4>) -> Tensor<2> {
    let values: Vec<f32> =
        (0..rows).flat_map(|i| (0..columns).map(move |j| (i, j))).map(|(i, j)| value(i, j)).collect();
    Tensor::from_data(TensorData::new(values, [rows, columns]), &like.device())
}

/// Constant indices where `like` is.
fn indices(values: Vec<i32>, like: &Tensor<2>) -> Tensor<1, Int> {
    let length = values.len();
    Tensor::from_data(TensorData::new(values, [length]), &like.device())
}
