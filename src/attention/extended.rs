//! Block-sparse attention, BigBird (Zaheer et al. 2020), extended transformer construction (after Ainslie et al.
//! 2020, ETC): global tokens of their own stand before the others and see everything; every other token sees
//! them, a window and a few random blocks. A key counts once, by whatever way it is reached.
//!
//! Without global tokens and random blocks a causal head sees a window of earlier tokens alone: it keeps no more.
//! With them it is causal in who attends to whom alone.

use core::ops::Range;

use super::Head;
use super::kept::{self, Pattern};
use crate::model::{AttentionKind, BigBirdExtended};

/// Rows that a head keeps that sees nothing later: nothing older is seen either.
pub(super) const fn window(parameters: &BigBirdExtended<'_>) -> usize {
    kept::window(
        1 + match parameters.radius {
            Some(radius) => radius + 1,
            None => 2 * parameters.block,
        },
    )
}

/// The global tokens, the window and the random blocks of a token.
#[derive(Clone, Copy)]
pub(super) struct Blocks;

impl Pattern for Blocks {
    fn of(head: &Head<'_>) -> Option<Self> {
        matches!(head.kind, AttentionKind::BigBirdExtended(_)).then_some(Self)
    }

    const HAS_WINDOW: bool = true;

    fn window(self, head: &Head<'_>) -> Option<usize> {
        let AttentionKind::BigBirdExtended(parameters) = head.kind else { return None };
        head.is_strict().then(|| window(parameters))
    }

    fn oldest(self, head: &Head<'_>, token: usize) -> usize {
        let AttentionKind::BigBirdExtended(parameters) = head.kind else { return 0 };
        before_and_after(parameters, token).start
    }

    fn part(self, head: &Head<'_>, token: usize, _: bool, part: usize) -> Option<Range<usize>> {
        let AttentionKind::BigBirdExtended(parameters) = head.kind else { return None };
        let BigBirdExtended { global, block, .. } = *parameters;
        // The model was parsed: no block is empty.
        let block = block.max(1);
        if token < global || !head.is_strict() && head.tokens <= parameters.dense_tokens {
            return (part == 0).then_some(0..head.tokens);
        }
        let window = before_and_after(parameters, token);
        match part {
            0 => return Some(0..global),
            1 => return Some(window),
            _ => {}
        }
        let random = parameters.random_of(head.index, (token - global) / block);
        let place = (part - 2) / 2;
        let &id = random.get(place)?;
        if id < 0 || random.iter().take(place).any(|&earlier| earlier == id) {
            return Some(0..0);
        }
        let start = global + id as usize * block;
        // What the window has already is left out: the part before it, the part after it.
        Some(if part.is_multiple_of(2) {
            start..(start + block).min(window.start)
        } else {
            start.max(window.end)..start + block
        })
    }
}

/// The window of a token that is not global.
pub(crate) fn before_and_after(parameters: &BigBirdExtended<'_>, token: usize) -> Range<usize> {
    let &BigBirdExtended { global, block, .. } = parameters;
    let query_block = (token - global) / block.max(1);
    match parameters.radius {
        Some(radius) => token.saturating_sub(radius).max(global)..token.saturating_add(radius + 1),
        None => global + query_block.saturating_sub(1) * block..global + (query_block + 2) * block,
    }
}
