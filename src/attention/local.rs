//! Attention to a circular window of chunks: the local layers that alternate with LSH attention in Reformer models
//! (as in the public implementations: the first chunk sees the last).
//!
//! With at most one chunk before and none after, a causal head sees nothing that comes later: it keeps two chunks.

use core::ops::Range;

use super::Head;
use super::kept::{self, Pattern};
use crate::model::{AttentionKind, Local};

/// Rows that a head keeps that sees nothing later: nothing older is seen either.
pub(super) const fn window(parameters: &Local) -> usize {
    kept::window((parameters.before + 1) * parameters.chunk + 1)
}

/// A token's chunk and its neighbours. One chunk is attended to in full.
#[derive(Clone, Copy)]
pub(super) struct Chunks(Local);

impl Pattern for Chunks {
    fn of(head: &Head<'_>) -> Option<Self> {
        if let AttentionKind::Local(parameters) = head.kind { Some(Self(*parameters)) } else { None }
    }

    const HAS_WINDOW: bool = true;

    fn window(self, head: &Head<'_>) -> Option<usize> {
        head.is_strict().then(|| window(&self.0))
    }

    fn oldest(self, _: &Head<'_>, token: usize) -> usize {
        let chunk = self.0.chunk.max(1);
        (token / chunk).saturating_sub(self.0.before) * chunk
    }

    fn part(self, head: &Head<'_>, token: usize, _: bool, part: usize) -> Option<Range<usize>> {
        let Local { chunk, before, after, multiple } = self.0;
        // The model was parsed, and there are tokens: none is zero.
        let chunk = chunk.max(1);
        if head.is_strict() {
            // The chunk before the first one comes after all tokens.
            let own = token / chunk;
            let from = (own + part).checked_sub(before).unwrap_or(own + 1) * chunk;
            return (part <= before).then_some(from..from + chunk);
        }
        let (chunks, parts) = if head.tokens <= chunk {
            (1, 1)
        } else {
            ((head.tokens.next_multiple_of(multiple.max(1)) / chunk).max(1), before + 1 + after)
        };
        let first = token / chunk + chunks - before % chunks;
        let from = (first + part) % chunks * chunk;
        (part < parts).then_some(from..from + chunk)
    }
}
