//! Block-sparse attention, BigBird (Zaheer et al. 2020), internal transformer construction: every query block sees
//! the first and the last block, its neighbours and a few random blocks; the first and the last see everything.
//!
//! The list of blocks is a multiset: a random block that is listed twice counts twice, as in the authors' code.

use core::ops::Range;

use super::{Accumulator, Head, TileBuffer, absorb_range, is_visible, zip_pairs};
use crate::arena::Carver;
use crate::model::BigBird;

/// Attends in place.
pub(super) fn attend(parameters: BigBird<'_>, head: Head<'_>, scratch: &mut [u32]) {
    let tokens = head.tokens();
    let Head { index, width, rows, keys, values, visible, causal, scale, gain } = head;
    // The model was parsed: neither is zero.
    let (width, size) = (width.max(1), parameters.block.max(1));
    let blocks = tokens.div_ceil(size);
    let sum = Carver::new(scratch).i32s(width);
    let mut buffer = TileBuffer::new();
    zip_pairs(values, width, sum);
    for (token, row) in rows.chunks_exact_mut(width).enumerate() {
        let horizon = if causal { token + 1 } else { tokens };
        let mut accumulator = Accumulator::new(sum, &mut buffer);
        let mut see = |blocks: Range<usize>| {
            let keys_seen = blocks.start * size..(blocks.end * size).min(horizon);
            absorb_range(&mut accumulator, row, keys, values, visible, keys_seen, scale);
        };
        let block = token / size;
        let dense = blocks <= parameters.dense_blocks;
        if !dense && !is_visible(visible, token) {
            row.fill(0); // as the authors' code does, in the sparse form only
            continue;
        }
        // Of fewer than four blocks all are global: random ones would count some twice.
        if dense || blocks < 4 || block == 0 || block + 1 == blocks {
            see(0..blocks);
        } else {
            for range in fixed(block, blocks) {
                see(range);
            }
            for &random in parameters.random_of(index, block) {
                let random = random as usize;
                if random < blocks {
                    see(random..random + 1);
                }
            }
        }
        accumulator.finish(gain, row);
    }
}

/// First block, window of three and last block; the first and last once where they are part of the window.
fn fixed(block: usize, blocks: usize) -> [Range<usize>; 3] {
    let window = block - 1..(block + 2).min(blocks);
    let first = if window.start == 0 { 0..0 } else { 0..1 };
    let last = if window.end == blocks { 0..0 } else { blocks - 1..blocks };
    [first, window, last]
}
