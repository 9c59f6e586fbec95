//! From token rows to one row: final norm and pooling.

use super::statistics::{wide, words};
use super::{Rare, front};
use crate::memory::rows_mut;
use crate::model::{Model, Pooling};
use crate::num::{mean, round_shift, saturate};
use crate::trace::{Site, Tensor, Tile, Trace};

/// What is pooled, and how much of it there is.
pub(crate) struct Pool<'a> {
    /// What of the layers is linked.
    pub(crate) rare: &'a Rare,
    /// `[output width, 2]`: 64-bit sums of the columns, the lower word first.
    pub(crate) totals: &'a mut [i32],
    /// `[output width]`.
    pub(crate) pooled: &'a mut [i16],
    /// Of a stream that pools a window: its blocks, see [`recent`].
    pub(crate) recent: &'a mut [u32],
    /// First token that is pooled: that of the window, where a whole run pools one.
    pub(crate) first: usize,
    /// Tokens that count.
    pub(crate) count: &'a mut usize,
}

/// Fractional bits of a row that is pooled, and of the residuals side by side, which have the coarser of their formats.
fn fracs(model: &Model<'_>, residuals: [i32; 2]) -> [i32; 2] {
    let joined = if model.reversible { residuals[0].min(residuals[1]) } else { residuals[0] };
    [model.final_norm.as_ref().map_or(joined, |norm| norm.frac), joined]
}

/// Adds a token, with its row in each residual; `work` is `[2, output width]`. A masked token does not count.
#[inline(never)]
pub(crate) fn add(
    model: &Model<'_>,
    token: usize,
    residuals: [(&[i16], i32); 2],
    seen: bool,
    work: &mut [i16],
    pool: &mut Pool<'_>,
    trace: &mut impl Trace,
) {
    let width = model.output_width();
    let [frac, joined] = fracs(model, residuals.map(|(_, frac)| frac));
    let Some((row, normed)) = work.split_at_mut_checked(width) else { return };
    for (half, (x, from)) in rows_mut(row, model.width).zip(residuals) {
        let coarser = (from - joined) as u32;
        half.iter_mut().zip(x).for_each(|(out, &x)| *out = round_shift(x.into(), coarser) as i16);
    }
    let row = match &model.final_norm {
        Some(norm) => {
            let normed = front(normed, width);
            norm.forward(row, normed);
            normed
        }
        None => row,
    };
    let tile = Tile { row: token, column: 0, width, tensor_width: width, values: row, frac };
    trace.tile(Site { block: None, tensor: Tensor::Normed }, tile);
    let counts = match pool.rare.take_in {
        Some(take_in) => take_in(model, token, seen.then_some(&*row), pool),
        None => seen,
    };
    if !counts {
        return;
    }
    *pool.count += 1;
    let Pool { totals, pooled, count, .. } = pool;
    match model.pooling {
        Pooling::Mean | Pooling::WindowMean(_) => {
            for (total, &x) in totals.as_chunks_mut().0.iter_mut().zip(&*row) {
                *total = words(wide(*total).wrapping_add_signed(x.into()));
            }
        }
        Pooling::Max | Pooling::WindowMax(_) if **count > 1 => {
            pooled.iter_mut().zip(&*row).for_each(|(most, &x)| *most = (*most).max(x));
        }
        Pooling::First if **count > 1 => {}
        Pooling::None | Pooling::Max | Pooling::WindowMax(_) | Pooling::First | Pooling::Last => {
            pooled.iter_mut().zip(&*row).for_each(|(out, &x)| *out = x);
        }
    }
}

/// After the last token.
pub(crate) fn finish(model: &Model<'_>, residuals: [i32; 2], pool: &mut Pool<'_>, trace: &mut impl Trace) {
    let Pool { rare, totals, pooled, recent, count, .. } = pool;
    match model.pooling {
        Pooling::Mean | Pooling::WindowMean(_) if **count > 0 => {
            for (out, &total) in pooled.iter_mut().zip(totals.as_chunks().0) {
                *out = saturate(mean(wide(total) as i64, **count as u64));
            }
        }
        _ => {}
    }
    // A stream of maxima alone has kept them block by block.
    if let (Some(most), Pooling::WindowMax(_), false) = (rare.most, model.pooling, recent.is_empty()) {
        most(model, recent, pooled);
    }
    let (width, [frac, _]) = (model.output_width(), fracs(model, residuals));
    let tile = Tile { row: 0, column: 0, width, tensor_width: width, values: pooled, frac };
    trace.tile(Site { block: None, tensor: Tensor::Pooled }, tile);
}
