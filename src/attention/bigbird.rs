//! Block-sparse attention, BigBird (Zaheer et al. 2020), internal transformer construction: every query block sees
//! the first and the last block, its neighbours and a few random blocks; the first and the last see everything.
//!
//! The list of blocks is a multiset: a random block that is listed twice counts twice, as in the authors' code.
//! A causal head is so in who attends to whom alone: which block is the last depends on the length.

use core::ops::Range;

use super::Head;
use super::kept::Pattern;
use crate::model::{AttentionKind, BigBird};

/// The blocks that a query's block sees.
#[derive(Clone, Copy)]
pub(super) struct Blocks;

impl Pattern for Blocks {
    fn of(head: &Head<'_>) -> Option<Self> {
        matches!(head.kind, AttentionKind::BigBird(_)).then_some(Self)
    }

    fn part(self, head: &Head<'_>, token: usize, seen: bool, part: usize) -> Option<Range<usize>> {
        let AttentionKind::BigBird(parameters) = head.kind else { return None };
        // The model was parsed: no block is empty.
        let size = parameters.block.max(1);
        let blocks = blocks_of(parameters, head, token, seen, part, head.tokens.div_ceil(size))?;
        Some(blocks.start * size..blocks.end * size)
    }
}

fn blocks_of(
    parameters: &BigBird<'_>,
    head: &Head<'_>,
    token: usize,
    seen: bool,
    part: usize,
    blocks: usize,
) -> Option<Range<usize>> {
    let block = token / parameters.block.max(1);
    let dense = blocks <= parameters.dense_blocks;
    if !dense && !seen {
        return None; // zeros, as the authors' code has it, in the sparse form only
    }
    // Of fewer than four blocks all are global: random ones would count some twice.
    if dense || blocks < 4 || block == 0 || block + 1 == blocks {
        return (part == 0).then_some(0..blocks);
    }
    // First block, window of three and last block; the first and last once where they are part of the window.
    let window = block - 1..(block + 2).min(blocks);
    match part {
        0 => Some(0..usize::from(window.start > 0)),
        1 => Some(window),
        2 => Some(blocks - usize::from(window.end < blocks)..blocks),
        _ => {
            let &random = parameters.random_of(head.index, block).get(part - 3)?;
            let random = random as usize;
            Some(if random < blocks { random..random + 1 } else { 0..0 })
        }
    }
}
