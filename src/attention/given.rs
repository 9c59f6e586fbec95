//! One head on rows that are given: for tests, counts of instructions and golden files.

use super::life::{Answers, Life, Progress};
use super::{Budget, Head, Mechanisms, Order, ROW_TILE, Room, Way, memory, scratch};
use crate::model::AttentionKind;
use crate::num::Requant;

/// Rows of one head, all `[tokens, width]`.
pub struct Given<'a> {
    /// Which head, from 0.
    pub index: usize,
    /// Width of a row.
    pub width: usize,
    /// Queries in, magnitudes up to [`crate::kernels::dot_limit`]; outputs out, with `gain` more
    /// fractional bits than the values.
    pub rows: &'a mut [i16],
    /// Keys, magnitudes up to [`crate::kernels::dot_limit`]. LSH attention does not read them.
    pub keys: &'a [i16],
    /// Values, magnitudes up to [`crate::kernels::VALUE_LIMIT`].
    pub values: &'a [i16],
    /// Bit `j` of element `i`: token `16 i + j` is not masked.
    pub visible: &'a [u16],
    /// A token attends to itself and to earlier ones only.
    pub causal: bool,
    /// From a product of query and key to a score in units of log2.
    pub scale: Requant,
    /// Fractional bits that outputs have more than values.
    pub gain: u32,
}

/// Words that [`attend`] needs for up to `tokens` tokens of `width` columns.
pub const fn words(kind: &AttentionKind<'_>, tokens: usize, width: usize, causal: bool) -> usize {
    memory(kind, tokens, width, causal) + scratch(kind, width, causal)
}

/// Attends in place. `memory` has at least [`words`] words and need not be cleared.
pub fn attend(kind: AttentionKind<'_>, given: Given<'_>, memory: &mut [u32]) {
    given.attend(&kind, memory, |_, _, _| {});
}

impl Given<'_> {
    /// Number of tokens.
    pub fn tokens(&self) -> usize {
        self.rows.len() / self.width.max(1)
    }

    pub(super) fn is_visible(&self, token: usize) -> bool {
        self.visible.get(token / 16).copied().unwrap_or_default() >> (token % 16) & 1 == 1
    }

    /// [`attend`]; `closing` changes the memory before it is closed.
    pub(super) fn attend(
        self,
        kind: &AttentionKind<'_>,
        memory: &mut [u32],
        closing: impl FnOnce(&Head<'_>, &mut [u32], &mut [u32]),
    ) {
        // A call at a time has an end to its work: one for all would be spent where a word has 32 bits.
        let (tokens, unlimited) = (self.tokens(), || Budget::UNLIMITED);
        let Self { index, width, causal, scale, gain, .. } = self;
        let head = &Head { kind, index, width, tokens, causal, scale, gain };
        let Some((words, scratch)) = memory.split_at_mut_checked(head.memory()) else { return };
        let mechanisms = const { Mechanisms::all() };
        let Some(life) = mechanisms.life(kind, causal) else { return };
        let order = Way::of(kind, causal).order;
        (life.begin)(head, words, scratch);
        if order != Order::Together {
            for first in (0..tokens).step_by(ROW_TILE) {
                let tile = first..tokens.min(first + ROW_TILE);
                self.fill((life.room)(head, words, scratch, tile.clone()), tile.start);
                (life.absorb)(
                    head,
                    words,
                    scratch,
                    tile.clone(),
                    self.mask(tile.start),
                    false,
                    &mut unlimited(),
                );
            }
            closing(head, words, scratch);
            (life.close)(head, words, scratch, false, &mut unlimited());
        }
        let backwards = order == Order::Backwards;
        let absorbs = matches!(order, Order::Together | Order::Twice);
        let tiles = tokens.div_ceil(ROW_TILE);
        for tile in 0..tiles {
            let first = if backwards { tiles - 1 - tile } else { tile } * ROW_TILE;
            let tile = first..tokens.min(first + ROW_TILE);
            if absorbs {
                self.fill((life.room)(head, words, scratch, tile.clone()), first);
            }
            let visible = self.mask(first);
            let token = if backwards { tile.end - 1 } else { first };
            let rows = self.rows.get_mut(first * width..).unwrap_or_default();
            let answers = Answers { tokens: tile, rows, stride: width, backwards, absorbs, visible };
            (life.answer)(
                head,
                words,
                scratch,
                answers,
                &mut Progress { token, absorbs, resumed: false },
                &mut unlimited(),
            );
        }
    }

    /// Copies the rows from a token on.
    fn fill(&self, room: Room<'_>, first: usize) {
        let start = first * self.width;
        for (to, from) in [(room.queries, &*self.rows), (room.keys, self.keys), (room.values, self.values)] {
            if let Some(from) = from.get(start..start + to.len()) {
                to.copy_from_slice(from);
            }
        }
    }

    /// Which of the tokens from one on are not masked.
    fn mask(&self, first: usize) -> u32 {
        (0..ROW_TILE).fold(0, |mask, bit| mask | u32::from(self.is_visible(first + bit)) << bit)
    }
}

/// One head of a causal mechanism whose tokens come one at a time, as [`crate::Stream`] sends them.
pub struct Passing<'a> {
    head: Head<'a>,
    life: Life,
    memory: &'a mut [u32],
}

impl<'a> Passing<'a> {
    /// A head before its first token. `memory` has at least [`words`] words of `tokens`, the most tokens that can come, and need
    /// not be cleared. `None` where the mechanism does not take its tokens one at a time.
    pub fn new(
        kind: &'a AttentionKind<'a>,
        tokens: usize,
        given: &Given<'_>,
        memory: &'a mut [u32],
    ) -> Option<Self> {
        let Given { index, width, scale, gain, .. } = *given;
        let head = Head { kind, index, width, tokens, causal: true, scale, gain };
        let life = *const { Mechanisms::all() }.life(kind, true)?;
        let (words, scratch) = memory.split_at_mut_checked(head.memory())?;
        (life.begin)(&head, words, scratch);
        (Way::of(kind, true).order == Order::Together).then_some(Self { head, life, memory })
    }

    /// Takes the key and the value of a token in and replaces its query by what it attends to. Tokens come in order; one
    /// may be far beyond the last one, for counts of instructions: its answer is then that of a sequence nobody has.
    pub fn push(&mut self, token: usize, row: &mut [i16], key: &[i16], value: &[i16]) {
        self.push_if(true, token, row, key, value);
    }

    /// [`Passing::push`] of a token that is masked unless it `counts`.
    pub fn push_if(&mut self, counts: bool, token: usize, row: &mut [i16], key: &[i16], value: &[i16]) {
        let (head, life, tokens) = (&self.head, &self.life, token..token + 1);
        let Some((words, scratch)) = self.memory.split_at_mut_checked(head.memory()) else { return };
        let room = (life.room)(head, words, scratch, tokens.clone());
        for (to, from) in [(room.queries, &*row), (room.keys, key), (room.values, value)] {
            to.iter_mut().zip(from).for_each(|(to, &from)| *to = from);
        }
        let answers = Answers {
            tokens,
            rows: row,
            stride: head.width,
            backwards: false,
            absorbs: true,
            visible: counts.into(),
        };
        let mut progress = Progress { token, absorbs: true, resumed: false };
        (life.answer)(head, words, scratch, answers, &mut progress, &mut Budget::UNLIMITED.clone());
    }
}
