//! The blocks of a pooling window, as a stream keeps them.
//!
//! A slot for each block of the window, one after the other; block `i` of the sequence has slot `i % blocks`. A slot is the
//! number of its tokens that count, then the sums of their columns, `[output width]` 32-bit integers, or their maxima,
//! `[output width]` 16-bit integers. A slot without such tokens holds nothing else.

use super::pool::Pool;
use super::statistics::{wide, words as of_sum};
use crate::memory::{halves, i16s, i16s_in, i32s, i32s_mut, rows};
use crate::model::{Model, Pooling, PoolingWindow};

/// Words of a slot.
const fn slot_words(pooling: Pooling, width: usize) -> usize {
    match pooling {
        Pooling::WindowMean(_) => 1 + width,
        Pooling::WindowMax(_) => 1 + halves(width),
        Pooling::None | Pooling::Mean | Pooling::Max | Pooling::First | Pooling::Last => 0,
    }
}

/// Words of all slots.
pub(crate) const fn length(model: &Model<'_>) -> usize {
    match model.pooling.window() {
        Some(window) => window.blocks * slot_words(model.pooling, model.output_width()),
        None => 0,
    }
}

/// The slot of a token.
fn slot<'m>(model: &Model<'_>, window: PoolingWindow, token: usize, slots: &'m mut [u32]) -> &'m mut [u32] {
    let words = slot_words(model.pooling, model.output_width());
    let index = token / window.block.max(1) % window.blocks.max(1);
    slots.get_mut(index * words..(index + 1) * words).unwrap_or_default()
}

/// The first token that a whole run of `tokens` tokens pools.
pub(super) fn first_pooled(model: &Model<'_>, tokens: usize) -> usize {
    model.pooling.window().map_or(0, |window| window.first(tokens))
}

/// Takes in the row of a token, `None` where it does not count; whether it is one of those that are pooled. Where a token of a
/// stream opens a block, the block whose slot that takes leaves the window.
pub(super) fn take_in(model: &Model<'_>, token: usize, row: Option<&[i16]>, pool: &mut Pool<'_>) -> bool {
    let Some(window) = model.pooling.window() else { return row.is_some() };
    if pool.recent.is_empty() {
        return row.is_some() && token >= pool.first;
    }
    let slot = slot(model, window, token, pool.recent);
    if token.is_multiple_of(window.block.max(1)) {
        let [tokens, columns @ ..] = &mut *slot else { return false };
        *pool.count -= (*tokens as usize).min(*pool.count);
        if matches!(model.pooling, Pooling::WindowMean(_)) {
            for (total, &mut sum) in pool.totals.as_chunks_mut().0.iter_mut().zip(i32s_mut(columns)) {
                *total = of_sum(wide(*total).wrapping_sub_signed(sum.into()));
            }
        }
        slot.fill(0);
    }
    let (Some(row), [tokens, columns @ ..]) = (row, slot) else { return false };
    *tokens += 1;
    if matches!(model.pooling, Pooling::WindowMean(_)) {
        i32s_mut(columns).iter_mut().zip(row).for_each(|(sum, &x)| *sum = sum.wrapping_add(x.into()));
        return true;
    }
    let is_first = *tokens == 1;
    for (most, &x) in i16s_in(columns, 0..row.len()).iter_mut().zip(row) {
        *most = if is_first { x } else { (*most).max(x) };
    }
    true
}

/// The maxima of all blocks, which are left as they are where no token counts.
pub(super) fn most(model: &Model<'_>, slots: &[u32], pooled: &mut [i16]) {
    let mut any = false;
    for slot in rows(slots, slot_words(model.pooling, model.output_width())) {
        let [tokens, columns @ ..] = slot else { return };
        if *tokens == 0 {
            continue;
        }
        for (most, &x) in pooled.iter_mut().zip(i16s(i32s(columns))) {
            *most = if any { (*most).max(x) } else { x };
        }
        any = true;
    }
}
