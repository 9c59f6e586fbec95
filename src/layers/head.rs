//! From the pooled row to the scores.

use super::{Rare, front};
use crate::model::Model;
use crate::trace::{Site, Tensor, Tile, Trace};

/// Fills `scores` from `pooled`; the rows between have room for the normalised row, where there is one, and for the hidden
/// one. `pooled` stays as it is: a stream goes on from it. `row` is the token of which they are, where each has scores.
#[inline(never)]
pub(crate) fn head(
    (model, rare): (&Model<'_>, &Rare),
    pooled: &[i16],
    [normed, hidden]: [&mut [i16]; 2],
    scores: &mut [i16],
    row: usize,
    trace: &mut impl Trace,
) {
    let mut show = |tensor, values: &[i16], frac| {
        let width = values.len();
        let tile = Tile { row, column: 0, width, tensor_width: width, values, frac };
        trace.tile(Site { block: None, tensor }, tile);
    };
    let mut x = pooled;
    if let Some(norm) = &model.pooled_norm {
        norm.forward(x, normed);
        show(Tensor::PooledNorm, normed, norm.frac);
        x = normed;
    }
    if let Some(layer) = &model.head_hidden {
        let hidden = front(hidden, layer.linear.outputs);
        layer.linear.forward(x, hidden);
        rare.activate(hidden, layer.activation, layer.linear.frac as u32);
        show(Tensor::Hidden, hidden, layer.linear.frac);
        x = hidden;
    }
    model.head.forward(x, scores);
    show(Tensor::Scores, scores, model.head.frac);
}
