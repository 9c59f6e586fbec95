//! Block-sparse attention, BigBird (Zaheer et al. 2020), extended transformer construction (after Ainslie et al.
//! 2020, ETC): global tokens of their own stand before the others and see everything; every other token sees
//! them, a window and a few random blocks. A key counts once, by whatever way it is reached.

use core::ops::Range;

use super::{Accumulator, Head, TileBuffer, absorb_range, zip_pairs};
use crate::arena::Carver;
use crate::model::BigBirdExtended;

/// Attends in place.
pub(super) fn attend(parameters: BigBirdExtended<'_>, head: Head<'_>, scratch: &mut [u32]) {
    let tokens = head.tokens();
    let Head { index, width, rows, keys, values, visible, causal, scale, gain } = head;
    let BigBirdExtended { block, global, .. } = parameters;
    // The model was parsed: neither is zero.
    let (width, block) = (width.max(1), block.max(1));
    let sum = Carver::new(scratch).i32s(width);
    let mut buffer = TileBuffer::new();
    zip_pairs(values, width, sum);
    for (token, row) in rows.chunks_exact_mut(width).enumerate() {
        let horizon = if causal { token + 1 } else { tokens };
        let mut accumulator = Accumulator::new(sum, &mut buffer);
        let mut see = |keys_seen: Range<usize>| {
            let keys_seen = keys_seen.start..keys_seen.end.min(horizon);
            absorb_range(&mut accumulator, row, keys, values, visible, keys_seen, scale);
        };
        if token < global || tokens <= parameters.dense_tokens {
            see(0..tokens);
        } else {
            see(0..global);
            let query_block = (token - global) / block;
            let window = match parameters.radius {
                Some(radius) => token.saturating_sub(radius).max(global)..token.saturating_add(radius + 1),
                None => global + query_block.saturating_sub(1) * block..global + (query_block + 2) * block,
            };
            see(window.clone());
            let random = parameters.random_of(index, query_block);
            for (place, &id) in random.iter().enumerate() {
                if id < 0 || random.iter().take(place).any(|&earlier| earlier == id) {
                    continue;
                }
                let start = global + id as usize * block;
                // What the window has already is left out: the part before it, the part after it.
                see(start..(start + block).min(window.start));
                see(start.max(window.end)..start + block);
            }
        }
        accumulator.finish(gain, row);
    }
}
