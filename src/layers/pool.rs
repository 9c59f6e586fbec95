//! From token rows to one row: final norm and pooling.

use super::{KEYS_PER_WORD, Shape, Workspace, front, rows_mut};
use crate::model::{Model, Pooling};
use crate::num::{round_shift, saturate};
use crate::trace::{Site, Tensor, Tile, Trace};

/// Fills `work.pooled` from the stream; masked tokens do not count.
#[inline(never)]
pub(crate) fn pool(
    model: &Model<'_>,
    shape: Shape,
    fracs: [i32; 2],
    work: &mut Workspace<'_>,
    trace: &mut impl Trace,
) {
    let Workspace { stream, second, narrow, totals, pooled, visible, .. } = work;
    let width = model.output_width();
    // Two streams side by side have the coarser of their formats.
    let joined_frac = if model.reversible { fracs[0].min(fracs[1]) } else { fracs[0] };
    let frac = model.final_norm.as_ref().map_or(joined_frac, |norm| norm.frac);
    let seen = |token: usize| {
        let word = visible.get(token / KEYS_PER_WORD).copied().unwrap_or_default();
        word >> (token % KEYS_PER_WORD) & 1 == 1
    };
    let mut count = 0;
    totals.fill(0);
    for token in 0..shape.tokens {
        let Some((row, normed)) = narrow.split_at_mut_checked(width) else { return };
        let streams = [(&**stream, fracs[0]), (&**second, fracs[1])];
        for (half, (rows, from)) in rows_mut(row, shape.width).zip(streams) {
            let rows = rows.iter().skip(token * shape.width);
            let coarser = (from - joined_frac) as u32;
            half.iter_mut().zip(rows).for_each(|(out, &x)| *out = round_shift(x.into(), coarser) as i16);
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
            *out = saturate((2 * i64::from(total) + count).div_euclid((2 * count).max(1)) as i32);
        }
    }
    let tile = Tile { row: 0, column: 0, width, tensor_width: width, values: pooled, frac };
    trace.tile(Site { block: None, tensor: Tensor::Pooled }, tile);
}
