//! From the pooled row to one score a class.

use super::{Workspace, front};
use crate::kernels::activate;
use crate::model::Model;
use crate::trace::{Site, Tensor, Tile, Trace};

/// Fills `work.scores` from `work.pooled`.
#[inline(never)]
pub(crate) fn head(model: &Model<'_>, work: &mut Workspace<'_>, trace: &mut impl Trace) {
    let mut show = |tensor, values: &[i16], frac| {
        let width = values.len();
        let tile = Tile { row: 0, column: 0, width, tensor_width: width, values, frac };
        trace.tile(Site { block: None, tensor }, tile);
    };
    let mut row = &*work.pooled;
    if let Some(layer) = &model.head_hidden {
        let hidden = front(work.wide, layer.linear.outputs);
        layer.linear.forward(row, hidden);
        activate(hidden, layer.activation, layer.linear.frac as u32);
        show(Tensor::Hidden, hidden, layer.linear.frac);
        row = hidden;
    }
    model.head.forward(row, work.scores);
    show(Tensor::Scores, work.scores, model.head.frac);
}
