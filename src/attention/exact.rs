//! Exact softmax attention (Vaswani et al. 2017), tiled: memory linear in the length, never `L x L` scores.

use super::{Accumulator, Head, TileBuffer, absorb_range, zip_pairs};
use crate::arena::Carver;

/// `softmax(Q K^T) V`, over all keys or, if causal, over the first `t + 1` for token `t`.
pub(super) fn attend(head: Head<'_>, scratch: &mut [u32]) {
    let tokens = head.tokens();
    let Head { width, rows, keys, values, visible, causal, scale, gain, .. } = head;
    let sum = Carver::new(scratch).i32s(width);
    let mut buffer = TileBuffer::new();
    zip_pairs(values, width, sum);
    for (token, row) in rows.chunks_exact_mut(width.max(1)).enumerate() {
        let horizon = if causal { token + 1 } else { tokens };
        let mut accumulator = Accumulator::new(sum, &mut buffer);
        absorb_range(&mut accumulator, row, keys, values, visible, 0..horizon, scale);
        accumulator.finish(gain, row);
    }
}
