//! Attention to a circular window of chunks: the local layers that alternate with LSH attention in Reformer models
//! (as in the public implementations: the first chunk sees the last).

use super::{Accumulator, Head, TileBuffer, absorb_range, zip_pairs};
use crate::arena::Carver;
use crate::model::Local;

/// Attends in place. One chunk is attended to in full.
pub(super) fn attend(parameters: Local, head: Head<'_>, scratch: &mut [u32]) {
    let tokens = head.tokens();
    let Head { width, rows, keys, values, visible, causal, scale, gain, .. } = head;
    let Local { chunk, before, after, multiple } = parameters;
    // The model was parsed, and there are tokens: none is zero.
    let (width, chunk) = (width.max(1), chunk.max(1));
    let chunks = (tokens.next_multiple_of(multiple.max(1)) / chunk).max(1);
    let steps = if tokens <= chunk { 1 } else { before + 1 + after };
    let sum = Carver::new(scratch).i32s(width);
    let mut buffer = TileBuffer::new();
    zip_pairs(values, width, sum);
    for (token, row) in rows.chunks_exact_mut(width).enumerate() {
        let horizon = if causal { token + 1 } else { tokens };
        let first = token / chunk + chunks - before % chunks;
        let mut accumulator = Accumulator::new(sum, &mut buffer);
        for step in 0..steps {
            let from = (first + step) % chunks * chunk;
            let seen = from..(from + chunk).min(horizon);
            absorb_range(&mut accumulator, row, keys, values, visible, seen, scale);
        }
        accumulator.finish(gain, row);
    }
}
