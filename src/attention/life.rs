//! The life of a head, as functions over the words of its memory: a program links those of the mechanisms that it uses.

use core::ops::Range;

use super::{Budget, Head};

/// Where the rows of some tokens go, `[tokens, width]` each.
#[derive(Default)]
pub(crate) struct Room<'m> {
    /// Queries, where the mechanism wants them with the keys; else empty.
    pub(crate) queries: &'m mut [i16],
    /// Keys, magnitudes up to [`crate::kernels::dot_limit`]; empty where queries are keys too.
    pub(crate) keys: &'m mut [i16],
    /// Values, magnitudes up to [`crate::kernels::VALUE_LIMIT`].
    pub(crate) values: &'m mut [i16],
}

/// A head at work: its parameters and its memory, carved.
///
/// What may take long pauses when the budget is spent and answers `false`; called again with `resumed` it goes on.
pub(crate) trait Memory<'m>: Sized {
    /// Forgets everything.
    fn begin(&mut self);

    /// Where the rows of `tokens` go: a tile of at most [`super::ROW_TILE`], in order.
    fn room(self, tokens: Range<usize>) -> Room<'m>;

    /// Takes in rows that lie in their room; bit `j` of `visible`: token `tokens.start + j` is not masked.
    fn absorb(&mut self, tokens: Range<usize>, visible: u32, resumed: bool, budget: &mut Budget) -> bool;

    /// No key follows.
    fn close(&mut self, _resumed: bool, _budget: &mut Budget) -> bool {
        true
    }

    /// Replaces the query of a token, magnitudes up to [`crate::kernels::dot_limit`], by what it attends to, with
    /// `gain` more fractional bits than the values.
    fn answer(&mut self, token: usize, row: &mut [i16], resumed: bool, budget: &mut Budget) -> bool;
}

/// A mechanism of attention.
pub(crate) trait Mechanism {
    /// A head at work.
    type Memory<'m>: Memory<'m>;

    /// Carves the words of a head and the working memory that heads share; `None` for a head of another mechanism.
    fn carve<'m>(head: &Head<'m>, words: &'m mut [u32], scratch: &'m mut [u32]) -> Option<Self::Memory<'m>>;
}

type Begin = for<'m> fn(&Head<'m>, &'m mut [u32], &'m mut [u32]);
type GiveRoom = for<'m> fn(&Head<'m>, &'m mut [u32], &'m mut [u32], Range<usize>) -> Room<'m>;
type Absorb =
    for<'m> fn(&Head<'m>, &'m mut [u32], &'m mut [u32], Range<usize>, u32, bool, &mut Budget) -> bool;
type Close = for<'m> fn(&Head<'m>, &'m mut [u32], &'m mut [u32], bool, &mut Budget) -> bool;
type Answer =
    for<'m> fn(&Head<'m>, &'m mut [u32], &'m mut [u32], usize, &mut [i16], bool, &mut Budget) -> bool;

/// A mechanism as functions of a head, its words and the working memory; see [`Memory`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Life {
    pub(crate) begin: Begin,
    pub(crate) room: GiveRoom,
    pub(crate) absorb: Absorb,
    pub(crate) close: Close,
    pub(crate) answer: Answer,
}

impl Life {
    pub(crate) const fn of<M: Mechanism>() -> Self {
        Self {
            begin: |head, words, scratch| {
                if let Some(mut memory) = M::carve(head, words, scratch) {
                    memory.begin();
                }
            },
            room: |head, words, scratch, tokens| {
                M::carve(head, words, scratch).map_or_else(Room::default, |memory| memory.room(tokens))
            },
            absorb: |head, words, scratch, tokens, visible, resumed, budget| {
                M::carve(head, words, scratch)
                    .is_none_or(|mut memory| memory.absorb(tokens, visible, resumed, budget))
            },
            close: |head, words, scratch, resumed, budget| {
                M::carve(head, words, scratch).is_none_or(|mut memory| memory.close(resumed, budget))
            },
            answer: |head, words, scratch, token, row, resumed, budget| {
                M::carve(head, words, scratch)
                    .is_none_or(|mut memory| memory.answer(token, row, resumed, budget))
            },
        }
    }
}
