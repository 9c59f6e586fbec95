//! Exact softmax attention (Vaswani et al. 2017), tiled: memory linear in the length, never `L x L` scores.

use core::ops::Range;

use super::Head;
use super::kept::Pattern;
use crate::model::AttentionKind;

/// All keys or, if causal, the first `t + 1` for token `t`.
#[derive(Clone, Copy)]
pub(super) struct Exact;

impl Pattern for Exact {
    fn of(head: &Head<'_>) -> Option<Self> {
        matches!(head.kind, AttentionKind::Exact).then_some(Self)
    }

    fn part(self, head: &Head<'_>, _: usize, _: bool, part: usize) -> Option<Range<usize>> {
        (part == 0).then_some(0..head.tokens)
    }
}
