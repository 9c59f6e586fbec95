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

    /// [`Memory::answer`] of all rows of a tile, which share what they load, where the budget lasts; whether they are answered.
    #[cfg(feature = "std")]
    fn answer_together(
        &mut self,
        _tokens: Range<usize>,
        _rows: [&mut [i16]; super::ROW_TILE],
        _budget: &mut Budget,
    ) -> bool {
        false
    }
}

/// A mechanism of attention.
pub(crate) trait Mechanism {
    /// A head at work.
    type Memory<'m>: Memory<'m>;

    /// Carves the words of a head and the working memory that heads share; `None` for a head of another mechanism.
    fn carve<'m>(
        head: &'m Head<'m>,
        words: &'m mut [u32],
        scratch: &'m mut [u32],
    ) -> Option<Self::Memory<'m>>;
}

/// A tile of queries that become what they attend to.
pub(crate) struct Answers<'r> {
    /// The tokens of the tile.
    pub(crate) tokens: Range<usize>,
    /// The row of the first token and those after it.
    pub(crate) rows: &'r mut [i16],
    /// Elements from row to row.
    pub(crate) stride: usize,
    /// The last token comes first.
    pub(crate) backwards: bool,
    /// The key of a token is taken in before its query is answered.
    pub(crate) absorbs: bool,
    /// Bit `j`: token `tokens.start + j` is not masked.
    pub(crate) visible: u32,
}

/// How far the answers of a tile are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Progress {
    /// The token at work.
    pub(crate) token: usize,
    /// Its key is taken in first.
    pub(crate) absorbs: bool,
    /// The work at hand was begun before.
    pub(crate) resumed: bool,
}

type Begin = for<'m> fn(&'m Head<'m>, &'m mut [u32], &'m mut [u32]);
type GiveRoom = for<'m> fn(&'m Head<'m>, &'m mut [u32], &'m mut [u32], Range<usize>) -> Room<'m>;
type Absorb =
    for<'m> fn(&'m Head<'m>, &'m mut [u32], &'m mut [u32], Range<usize>, u32, bool, &mut Budget) -> bool;
type Close = for<'m> fn(&'m Head<'m>, &'m mut [u32], &'m mut [u32], bool, &mut Budget) -> bool;
type Answer =
    for<'m> fn(&'m Head<'m>, &'m mut [u32], &'m mut [u32], Answers<'_>, &mut Progress, &mut Budget) -> bool;

/// A mechanism as functions of a head, its words and the working memory; see [`Memory`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Life {
    pub(crate) begin: Begin,
    pub(crate) room: GiveRoom,
    pub(crate) absorb: Absorb,
    pub(crate) close: Close,
    /// Answers a tile, row by row; where it pauses, `false`.
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
            answer: |head, words, scratch, answers, progress, budget| {
                M::carve(head, words, scratch)
                    .is_none_or(|mut memory| answer(&mut memory, head.width, answers, progress, budget))
            },
        }
    }
}

/// Answers rows until the tile is done or the budget is spent.
fn answer<'m>(
    memory: &mut impl Memory<'m>,
    width: usize,
    answers: Answers<'_>,
    progress: &mut Progress,
    budget: &mut Budget,
) -> bool {
    let Answers { tokens, rows, stride, backwards, absorbs, visible } = answers;
    #[cfg(feature = "std")]
    if !absorbs && !progress.resumed && progress.token == tokens.start && tokens.len() == super::ROW_TILE {
        let mut rest = rows.chunks_mut(stride.max(1)).map(|row| row.get_mut(..width).unwrap_or_default());
        let rows = core::array::from_fn(|_| rest.next().unwrap_or_default());
        if memory.answer_together(tokens.clone(), rows, budget) {
            return true;
        }
    }
    loop {
        let (token, row) = (progress.token, progress.token - tokens.start);
        if progress.absorbs {
            let done = memory.absorb(token..token + 1, visible >> row & 1, progress.resumed, budget);
            (progress.absorbs, progress.resumed) = (!done, !done);
            if !done || budget.is_spent() {
                return false;
            }
        }
        let out = rows.get_mut(row * stride..row * stride + width).unwrap_or_default();
        progress.resumed = !memory.answer(token, out, progress.resumed, budget);
        if progress.resumed {
            return false;
        }
        let last = if backwards { tokens.start } else { tokens.end - 1 };
        if token == last {
            return true;
        }
        progress.token = if backwards { token - 1 } else { token + 1 };
        progress.absorbs = absorbs;
        if budget.is_spent() {
            return false;
        }
    }
}
