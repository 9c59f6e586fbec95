//! What a row stands for where tokens are masked or the sequence ends.

use core::ops::Range;

use crate::visible::Visible;

/// Tokens that are not masked.
#[derive(Clone, Copy)]
pub(super) struct Mask<'a> {
    visible: Visible<'a>,
    tokens: usize,
    /// No token is masked.
    pub(super) full: bool,
}

impl<'a> Mask<'a> {
    /// Of a map; the first word of `place` says how many of its tokens are not masked.
    pub(super) fn of(place: &[u32], visible: &'a [u32], tokens: usize) -> Self {
        let full = place.first().is_some_and(|&seen| seen as usize == tokens);
        Self { visible: Visible(visible), tokens, full }
    }

    /// How many of a range.
    pub(super) fn count(self, range: Range<usize>) -> usize {
        let end = range.end.min(self.tokens);
        if self.full { end.saturating_sub(range.start) } else { self.visible.count(range.start..end) }
    }

    /// How many of either half of row `row` of a level from 1 on.
    pub(super) fn halves(self, level: usize, row: usize) -> [usize; 2] {
        let (first, half) = (row << level, 1 << (level - 1));
        [self.count(first..first + half), self.count(first + half..first + 2 * half)]
    }
}
