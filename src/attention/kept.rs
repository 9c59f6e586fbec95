//! Keys and values kept row by row, and mechanisms that say which of them a query sees.
//!
//! Where no query sees further back than some rows, only those are kept: what is older makes room.

#[cfg(feature = "std")]
mod together;

use core::marker::PhantomData;
use core::ops::Range;

use super::accumulator::{State, TOGETHER};
use super::life::{self, Room};
use super::{Accumulator, Budget, Head, KEY_TILE, KeyTile, ROW_TILE, TileBuffer, Weight, pairs};
use crate::kernels;
use crate::memory::{Carver, halves};
use crate::num::Requant;
use crate::visible::{self, Visible};

/// Which keys a query sees.
pub(super) trait Pattern: Copy {
    /// The pattern of a head; `None` for a head of another mechanism.
    fn of(head: &Head<'_>) -> Option<Self>
    where
        Self: Sized;

    /// Whether there are heads for which older rows make room.
    const HAS_WINDOW: bool = false;

    /// Rows that have to be kept for any query, or all.
    fn window(self, _head: &Head<'_>) -> Option<usize> {
        None
    }

    /// The oldest key that the query of `token` or of a later one sees.
    fn oldest(self, _head: &Head<'_>, _token: usize) -> usize {
        0
    }

    /// Part `part` of the keys that the query of a token sees; `None` after the last part. `seen`: the token itself is not
    /// masked.
    fn part(self, head: &Head<'_>, token: usize, seen: bool, part: usize) -> Option<Range<usize>>;
}

/// Words that `rows` kept rows take: their first token, which of them count, keys, values in pairs, and a tile of values
/// that have no pair yet.
pub(super) const fn memory(rows: usize, width: usize) -> usize {
    1 + visible::words(rows)
        + halves(rows * width)
        + halves(rows.next_multiple_of(2) * width)
        + halves(ROW_TILE * width)
}

/// A row of sums, a tile, and where an answer paused.
pub(super) const fn scratch(width: usize) -> usize {
    width + TileBuffer::WORDS + 4
}

/// Rows that are kept so that `seen` of them are there for every query of a tile.
pub(super) const fn window(seen: usize) -> usize {
    // A window begins with a whole pair.
    seen.next_multiple_of(2) + ROW_TILE
}

/// A mechanism that keeps keys and values, with its pattern.
pub(super) struct Keeps<P>(PhantomData<P>);

impl<P: Pattern> life::Mechanism for Keeps<P> {
    type Memory<'m> = Kept<'m, P>;

    fn carve<'m>(head: &'m Head<'m>, words: &'m mut [u32], scratch: &'m mut [u32]) -> Option<Kept<'m, P>> {
        let pattern = P::of(head)?;
        let rows = pattern.window(head).unwrap_or(head.tokens);
        Some(Kept::new(pattern, head, rows, words, scratch))
    }
}

/// Kept rows at work.
pub(super) struct Kept<'m, P> {
    pattern: P,
    head: &'m Head<'m>,
    /// Rows there is room for.
    capacity: usize,
    rows: Rows<'m>,
    /// `[ROW_TILE, width]`: values that have no pair yet.
    fresh: &'m mut [i16],
    work: Work<'m>,
}

/// Working memory of an answer.
struct Work<'m> {
    /// `[width]`.
    sum: &'m mut [i32],
    buffer: TileBuffer<'m>,
    /// Where an answer paused: the part and its next key; total and top of the accumulator.
    paused: &'m mut [u32],
}

/// Keys and zipped values, in order of the tokens.
pub(super) struct Rows<'m> {
    pub(super) width: usize,
    /// Token of the first row, even.
    pub(super) first: &'m mut [u32],
    pub(super) visible: &'m mut [u32],
    pub(super) keys: &'m mut [i16],
    pub(super) values: &'m mut [i16],
}

impl<'m, P: Pattern> Kept<'m, P> {
    fn new(
        pattern: P,
        head: &'m Head<'m>,
        capacity: usize,
        words: &'m mut [u32],
        scratch: &'m mut [u32],
    ) -> Self {
        let width = head.width;
        let mut carver = Carver::new(words);
        let rows = Rows {
            width,
            first: carver.words(1),
            visible: carver.words(visible::words(capacity)),
            keys: carver.i16s(capacity * width),
            values: carver.i16s(capacity.next_multiple_of(2) * width),
        };
        let fresh = carver.i16s(ROW_TILE * width);
        let mut carver = Carver::new(scratch);
        let sum = carver.i32s(width);
        let buffer = TileBuffer::new(carver.words(TileBuffer::WORDS));
        let work = Work { sum, buffer, paused: carver.words(4) };
        Self { pattern, head, capacity, rows, fresh, work }
    }
}

impl<'m, P: Pattern> life::Memory<'m> for Kept<'m, P> {
    fn begin(&mut self) {
        self.rows.first.fill(0);
    }

    fn room(mut self, tokens: Range<usize>) -> Room<'m> {
        let width = self.head.width;
        if P::HAS_WINDOW && tokens.end - self.rows.first() > self.capacity {
            self.rows.forget(self.pattern.oldest(self.head, tokens.start));
        }
        let at = (tokens.start - self.rows.first()) * width;
        let length = tokens.len() * width;
        let keys = self.rows.keys.get_mut(at..at + length).unwrap_or_default();
        let fresh = tokens.start % ROW_TILE * width;
        let values = self.fresh.get_mut(fresh..fresh + length).unwrap_or_default();
        Room { queries: &mut [], keys, values }
    }

    fn absorb(&mut self, tokens: Range<usize>, visible: u32, _: bool, _: &mut Budget) -> bool {
        let width = self.head.width;
        let first = self.rows.first();
        for (bit, token) in tokens.enumerate() {
            let slot = token % ROW_TILE * width;
            let value = self.fresh.get(slot..slot + width).unwrap_or_default();
            pairs::put(self.rows.values, token - first, value);
            visible::set(self.rows.visible, token - first, visible >> bit & 1 == 1);
        }
        true
    }

    fn answer(&mut self, token: usize, row: &mut [i16], resumed: bool, budget: &mut Budget) -> bool {
        let Self { pattern, head, rows, work: Work { sum, buffer, paused }, .. } = self;
        let seen = rows.visible().contains(token - rows.first());
        let horizon = if head.causal { token + 1 } else { head.tokens };
        let (mut part, mut from, mut accumulator) = match &**paused {
            &[part, from, total, top] if resumed => {
                let state = State::of([total, top]);
                (part as usize, from as usize, Accumulator::resume(sum, buffer.lend(), state))
            }
            _ => (0, 0, Accumulator::new(sum, buffer.lend())),
        };
        while let Some(range) = pattern.part(head, token, seen, part) {
            let range = range.start.max(from)..range.end.min(horizon);
            let end = range.end;
            from = rows.absorb(&mut accumulator, row, range, head.scale, budget);
            if from >= end {
                (part, from) = (part + 1, 0);
            }
            if budget.is_spent() {
                let [total, top] = accumulator.state().words();
                let place = [part as u32, from as u32, total, top];
                paused.iter_mut().zip(place).for_each(|(slot, word)| *slot = word);
                return false;
            }
        }
        accumulator.finish(head.gain, row);
        true
    }

    #[cfg(feature = "std")]
    fn answer_together(
        &mut self,
        tokens: Range<usize>,
        rows: [&mut [i16]; ROW_TILE],
        budget: &mut Budget,
    ) -> bool {
        together::answer(self, tokens, rows, budget)
    }
}

impl Rows<'_> {
    fn first(&self) -> usize {
        self.first.first().copied().unwrap_or_default() as usize
    }

    pub(super) fn visible(&self) -> Visible<'_> {
        Visible(self.visible)
    }

    /// Makes room: rows of tokens before `oldest` are not seen again.
    fn forget(&mut self, oldest: usize) {
        let count = (oldest - self.first()) / 2 * 2;
        for rows in [&mut *self.keys, &mut *self.values] {
            slide(rows, count * self.width);
        }
        visible::forget(self.visible, count);
        self.first.iter_mut().for_each(|first| *first += count as u32);
    }

    /// Adds the keys of some tokens, a tile at a time, until the budget is spent; returns the token after the last one.
    pub(super) fn absorb(
        &self,
        accumulator: &mut Accumulator<'_>,
        q: &[i16],
        tokens: Range<usize>,
        scale: Requant,
        budget: &mut Budget,
    ) -> usize {
        let (width, first) = (self.width, self.first());
        let mut from = tokens.start;
        while from < tokens.end {
            // A tile begins with a whole pair, of which the first may not be meant.
            let skipped = from % 2;
            let start = from - skipped;
            let whole = (tokens.end - start) & !(KEY_TILE - 1);
            let together = TOGETHER
                && skipped == 0
                && whole > KEY_TILE
                && budget.allows_tiles(whole / KEY_TILE, width)
                && self.visible().all(start - first, whole);
            let to = if together { start + whole } else { tokens.end.min(start + KEY_TILE) };
            let (at, end) = (start - first, to - first);
            let tile = KeyTile {
                keys: self.keys.get(at * width..end * width).unwrap_or_default(),
                values: self.values.get(at * width..end.next_multiple_of(2) * width).unwrap_or_default(),
                count: end - at,
                visible: if together {
                    u64::MAX
                } else {
                    self.visible().bits(at + skipped, to - from) << skipped
                },
                weight: Weight::One,
            };
            if tile.visible != 0 {
                accumulator.absorb(q, tile, scale);
            }
            budget.charge_tiles(to - start, width);
            from = to;
            if budget.is_spent() {
                break;
            }
        }
        from
    }
}

/// Moves all elements but the first `by` to the front, as many at a time: none is read after it was written to.
fn slide(elements: &mut [i16], by: usize) {
    let mut rest = elements;
    while let Some((to, from)) = rest.split_at_mut_checked(by)
        && !to.is_empty()
        && !from.is_empty()
    {
        kernels::copy(from, to);
        rest = from;
    }
}
