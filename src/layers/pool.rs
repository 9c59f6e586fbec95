//! From token rows to one row: final norm and pooling.

use super::{KEYS_PER_WORD, Shape, Workspace, front};
use crate::model::{Model, Pooling};
use crate::num::saturate;
use crate::trace::{Site, Tensor, Tile, Trace};

/// Fills `work.pooled` from the stream; masked tokens do not count.
pub(crate) fn pool(
    model: &Model<'_>,
    shape: Shape,
    frac: i32,
    work: &mut Workspace<'_>,
    trace: &mut impl Trace,
) {
    let Workspace { stream, narrow, totals, pooled, visible, .. } = work;
    let frac = model.final_norm.as_ref().map_or(frac, |norm| norm.frac);
    let seen = |token: usize| {
        let word = visible.get(token / KEYS_PER_WORD).copied().unwrap_or_default();
        word >> (token % KEYS_PER_WORD) & 1 == 1
    };
    let mut count = 0;
    totals.fill(0);
    for (token, row) in front(stream, shape.elements()).chunks_exact_mut(shape.width).enumerate() {
        if let Some(norm) = &model.final_norm {
            norm.forward_in_place(row, narrow);
        }
        let tile =
            Tile { row: token, column: 0, width: shape.width, tensor_width: shape.width, values: row, frac };
        trace.tile(Site { block: None, tensor: Tensor::Normed }, tile);
        if !seen(token) {
            continue;
        }
        count += 1;
        match model.pooling {
            Pooling::Mean => totals.iter_mut().zip(&*row).for_each(|(total, &x)| *total += i32::from(x)),
            Pooling::Max if count > 1 => {
                pooled.iter_mut().zip(&*row).for_each(|(most, &x)| *most = (*most).max(x));
            }
            Pooling::First if count > 1 => {}
            Pooling::Max | Pooling::First | Pooling::Last => {
                pooled.iter_mut().zip(&*row).for_each(|(out, &x)| *out = x);
            }
        }
    }
    if model.pooling == Pooling::Mean && count > 0 {
        for (out, &total) in pooled.iter_mut().zip(totals.iter()) {
            *out = saturate((2 * i64::from(total) + count).div_euclid(2 * count) as i32);
        }
    }
    let tile =
        Tile { row: 0, column: 0, width: shape.width, tensor_width: shape.width, values: pooled, frac };
    trace.tile(Site { block: None, tensor: Tensor::Pooled }, tile);
}
