//! Attention by locality-sensitive hashing, Reformer (Kitaev et al. 2020, section 2; the masks and the order of
//! chunks are those of the authors' code).
//!
//! Query and key are one vector; as a key it has length one. Every round hashes each token to a bucket, sorts the
//! tokens by bucket and cuts the sorted lists of all rounds, one behind the other, into chunks; a query sees its
//! own chunk and its neighbours. All rounds are one softmax, so that one [`Accumulator`] serves a query and
//! nothing is kept of a token but its row and its places. Causal attention is so in who attends to whom alone: what
//! comes later moves the edges of chunks.

mod hash;
mod sorted;

use core::ops::Range;

use super::accumulator::State;
use super::kept::Rows;
use super::life::{self, Room};
use super::{Accumulator, Budget, Given, Head, KEY_TILE, KeyTile, TileBuffer, Weight, pairs};
use crate::kernels::gather;
use crate::memory::{Carver, halves};
use crate::model::{AttentionKind, Lsh};
use crate::num::{Factor, Requant, rsqrt, saturate};
use crate::visible;
use hash::Hash;
use sorted::{Listed, Sorted};

/// Fractional bits of a key of length one. Its product with a query is at most the product of their lengths,
/// `2^15 * sqrt(width) * dot_limit < 2^30.6`.
pub const KEY_FRAC: u32 = 15;

/// Words that a head keeps: whether some token is masked, a map of those that count, keys and values, and where the tokens are in every round.
pub(super) const fn memory(parameters: &Lsh<'_>, tokens: usize, width: usize) -> usize {
    2 + visible::words(tokens)
        + halves(tokens * width)
        + halves(tokens.next_multiple_of(2) * width)
        + sorted::memory(parameters, tokens)
}

/// A row of sums, a tile, its keys, their values and their tokens, and where an answer paused.
pub(super) const fn scratch(width: usize) -> usize {
    width + TileBuffer::WORDS + 2 * halves(KEY_TILE * width) + halves(KEY_TILE) + PAUSED
}

/// Words of [`Memory::paused`].
const PAUSED: usize = 5;

/// The bucket of every token in every round, `[rounds, tokens]`, as attention finds them in the queries of a head. Masked
/// tokens are in bucket [`Lsh::bucket_count`] where the parameters say so.
pub fn hash(parameters: Lsh<'_>, given: &Given<'_>, buckets: &mut [u16]) {
    let (tokens, width) = (given.tokens(), given.width);
    let mut hash = Hash::new(&parameters, given.index);
    for (place, bucket) in buckets.iter_mut().enumerate().take(parameters.rounds * tokens) {
        let token = place % tokens;
        let q = row(given.rows, token, width);
        *bucket = hash.bucket(place / tokens, q, given.is_visible(token)) as u16;
    }
}

/// [`super::attend`] on given buckets, `[rounds, tokens]`: tells an error of attention from one of hashing.
pub fn attend_in(parameters: Lsh<'_>, buckets: &[u16], given: Given<'_>, words: &mut [u32]) {
    let tokens = given.tokens();
    given.attend(&AttentionKind::Lsh(parameters), words, |head, words, scratch| {
        if let Some(mut memory) = <Mechanism as life::Mechanism>::carve(head, words, scratch)
            && memory.is_sorted
        {
            memory.sorted.begin();
            for (index, &bucket) in buckets.iter().enumerate() {
                memory.sorted.count(index / tokens.max(1), index % tokens.max(1), bucket.into());
            }
        }
    });
}

/// LSH attention.
pub(super) struct Mechanism;

impl life::Mechanism for Mechanism {
    type Memory<'m> = Memory<'m>;

    fn carve<'m>(head: &'m Head<'m>, words: &'m mut [u32], scratch: &'m mut [u32]) -> Option<Memory<'m>> {
        let AttentionKind::Lsh(parameters) = head.kind else { return None };
        let Head { width, tokens, .. } = *head;
        let mut carver = Carver::new(words);
        let mut shared = Carver::new(scratch);
        Some(Memory {
            parameters,
            head,
            // One chunk is attended to in full: no need to sort.
            is_sorted: tokens > parameters.chunk,
            masked: carver.words(1),
            rows: Rows {
                width,
                first: carver.words(1),
                visible: carver.words(visible::words(tokens)),
                keys: carver.i16s(tokens * width),
                values: carver.i16s(tokens.next_multiple_of(2) * width),
            },
            sorted: Sorted::carve(parameters, tokens, width, &mut carver),
            sum: shared.i32s(width),
            buffer: TileBuffer::new(shared.words(TileBuffer::WORDS)),
            keys: shared.i16s(KEY_TILE * width),
            values: shared.i16s(KEY_TILE * width),
            listed: shared.u16s(KEY_TILE),
            paused: shared.words(PAUSED),
        })
    }
}

pub(super) struct Memory<'m> {
    parameters: &'m Lsh<'m>,
    head: &'m Head<'m>,
    is_sorted: bool,
    /// Not zero where some token is masked.
    masked: &'m mut [u32],
    /// Values are in pairs where nothing is sorted.
    rows: Rows<'m>,
    sorted: Sorted<'m>,
    /// `[width]`.
    sum: &'m mut [i32],
    buffer: TileBuffer<'m>,
    /// `[KEY_TILE, width]`.
    keys: &'m mut [i16],
    /// `[KEY_TILE, width]`, in pairs.
    values: &'m mut [i16],
    /// `[KEY_TILE]`, tokens of the keys.
    listed: &'m mut [u16],
    /// Where an answer paused: two numbers; keys of the tile; total and top.
    paused: &'m mut [u32],
}

impl Memory<'_> {
    /// The other keys up to the horizon, where they lie.
    fn answer_from_all(
        &mut self,
        token: usize,
        q: &[i16],
        mut at: usize,
        state: State,
        budget: &mut Budget,
    ) -> Result<State, (usize, State)> {
        let horizon = if self.head.causal { token } else { self.head.tokens };
        let mut accumulator = Accumulator::resume(self.sum, self.buffer.lend(), state);
        for range in [0..token, token + 1..horizon] {
            let range = range.start.max(at)..range.end;
            if range.is_empty() {
                continue;
            }
            let end = range.end;
            at = self.rows.absorb(&mut accumulator, q, range, self.head.scale, budget);
            if at < end || budget.is_spent() {
                return Err((at, accumulator.state()));
            }
        }
        Ok(accumulator.state())
    }
}

impl<'m> life::Memory<'m> for Memory<'m> {
    fn begin(&mut self) {
        self.masked.fill(0);
        self.rows.first.fill(0);
        self.sorted.begin();
    }

    fn room(self, tokens: Range<usize>) -> Room<'m> {
        let rows = tokens.start * self.head.width..tokens.end * self.head.width;
        Room {
            // Queries become keys where they lie.
            queries: self.rows.keys.get_mut(rows.clone()).unwrap_or_default(),
            keys: &mut [],
            values: self.rows.values.get_mut(rows).unwrap_or_default(),
        }
    }

    fn absorb(&mut self, tokens: Range<usize>, visible: u32, resumed: bool, budget: &mut Budget) -> bool {
        let (width, parameters) = (self.head.width, self.parameters);
        let mut hash = Hash::new(parameters, self.head.index);
        let mut done = if resumed { self.paused.first().copied().unwrap_or_default() as usize } else { 0 };
        while done < tokens.len() {
            let (token, seen) = (tokens.start + done, visible >> done & 1 == 1);
            visible::set(self.rows.visible, token, seen);
            if !seen {
                self.masked.fill(1);
            }
            let key = self.rows.keys.get_mut(token * width..(token + 1) * width).unwrap_or_default();
            if self.is_sorted {
                for round in 0..parameters.rounds {
                    self.sorted.count(round, token, hash.bucket(round, key, seen));
                }
                budget.charge(parameters.rounds * parameters.columns() * (10 * width + 40));
            }
            normalise(key, parameters.epsilon);
            budget.charge(12 * width + 150);
            done += 1;
            if budget.is_spent() && done < tokens.len() {
                self.paused.iter_mut().take(1).for_each(|slot| *slot = done as u32);
                return false;
            }
        }
        if !self.is_sorted {
            let rows = self.rows.values.get_mut(tokens.start * width..).unwrap_or_default();
            pairs::zip_in_place(rows, tokens.len(), width, self.keys);
        }
        true
    }

    fn close(&mut self, _: bool, budget: &mut Budget) -> bool {
        !self.is_sorted || self.sorted.sort(budget)
    }

    fn answer(&mut self, token: usize, out: &mut [i16], resumed: bool, budget: &mut Budget) -> bool {
        let paused = match &*self.paused {
            &[first, second, filled, total, top] if resumed => {
                [first, second, filled, total, top].map(|word| word as usize)
            }
            _ => {
                self.sum.fill(0);
                [0; PAUSED]
            }
        };
        let [first, second, filled, total, top] = paused;
        let state = State::of([total as u32, top as u32]);
        let Head { width, causal, tokens, scale, gain, .. } = *self.head;
        let answered = if self.is_sorted {
            let (rows, visible) = (&self.rows, self.rows.visible());
            let horizon = if causal { token } else { tokens };
            let (keys, values, listed) = (&mut *self.keys, &mut *self.values, &mut *self.listed);
            let mut tile = Tile { keys, values, listed, rows, filled, scale };
            let mut accumulator = Accumulator::resume(self.sum, self.buffer.lend(), state);
            let place = Listed { round: first, step: second };
            let sees_all = !causal && self.masked.iter().all(|&masked| masked == 0);
            let next = self.sorted.for_each_listed(token, place, budget, |keys, listed_before| {
                // Mostly no key is left out.
                if sees_all && listed_before.is_none() {
                    return tile.push(&mut accumulator, out, keys, Tile::list_all);
                }
                tile.push(&mut accumulator, out, keys, |tile, keys| {
                    tile.list(keys, |key| {
                        key < horizon
                            && visible.contains(key)
                            && !listed_before.is_some_and(|before| before(key))
                    })
                });
            });
            match next {
                Some(Listed { round, step }) => Err(([round, step, tile.filled], accumulator.state())),
                None => {
                    tile.flush(&mut accumulator, out);
                    Ok(accumulator.state())
                }
            }
        } else {
            let answered = self.answer_from_all(token, out, first, state, budget);
            answered.map_err(|(at, state)| ([at, 0, 0], state))
        };
        let state = match answered {
            Ok(state) => state,
            Err((place, state)) => {
                let words = place.into_iter().map(|x| x as u32).chain(state.words());
                self.paused.iter_mut().zip(words).for_each(|(slot, word)| *slot = word);
                return false;
            }
        };
        let accumulator = Accumulator::resume(self.sum, self.buffer.lend(), state);
        if !accumulator.is_empty() {
            accumulator.finish(gain, out);
            return true;
        }
        // A token sees itself only where nothing else is left.
        let widen = |(out, v): (&mut i16, i16)| *out = saturate(i32::from(v) << gain);
        if self.is_sorted {
            out.iter_mut().zip(row(self.rows.values, token, width).iter().copied()).for_each(widen);
        } else {
            out.iter_mut().zip(pairs::row(self.rows.values, token, width)).for_each(widen);
        }
        true
    }
}

/// `q` becomes `q / sqrt(|q|^2 + epsilon)`, [`KEY_FRAC`] fractional bits.
fn normalise(q: &mut [i16], epsilon: u64) {
    let squares: u64 = q.iter().map(|&q| u64::from(i32::from(q).unsigned_abs().pow(2))).sum();
    let root = rsqrt(squares.saturating_add(epsilon));
    // Magnitudes are below 2^14: there is room for what a short shift lacks.
    let factor = Factor::new(root.mantissa, root.exponent - KEY_FRAC);
    for q in q {
        *q = saturate(factor.of((*q).into()));
    }
}

/// Candidates, listed until the kernels have a full tile.
struct Tile<'a, 'm> {
    /// `[KEY_TILE, width]`.
    keys: &'a mut [i16],
    /// `[KEY_TILE, width]`, in pairs.
    values: &'a mut [i16],
    /// `[KEY_TILE]`, tokens.
    listed: &'a mut [u16],
    rows: &'a Rows<'m>,
    filled: usize,
    scale: Requant,
}

impl Tile<'_, '_> {
    /// Adds keys as `list` lists them.
    fn push(
        &mut self,
        accumulator: &mut Accumulator<'_>,
        q: &[i16],
        mut keys: &[u16],
        list: impl Fn(&mut Self, &[u16]) -> usize,
    ) {
        while !keys.is_empty() {
            let taken = list(self, keys);
            keys = keys.get(taken..).unwrap_or_default();
            if self.filled == KEY_TILE {
                self.flush(accumulator, q);
            }
        }
    }

    /// Lists keys until the tile is full; returns how many.
    #[inline(never)]
    fn list_all(&mut self, keys: &[u16]) -> usize {
        let free = self.listed.get_mut(self.filled..).unwrap_or_default();
        let count = keys.len().min(free.len());
        free.iter_mut().zip(keys).for_each(|(slot, key)| *slot = *key);
        self.filled += count;
        count
    }

    /// Lists those keys that count, until the tile is full; returns how many keys it has looked at.
    #[inline(never)]
    fn list(&mut self, keys: &[u16], counts: impl Fn(usize) -> bool) -> usize {
        let mut free = self.listed.get_mut(self.filled..).unwrap_or_default().iter_mut();
        for (looked_at, &key) in keys.iter().enumerate() {
            if counts(key.into()) {
                let Some(slot) = free.next() else {
                    self.filled = KEY_TILE;
                    return looked_at;
                };
                *slot = key;
            }
        }
        self.filled = KEY_TILE - free.len();
        keys.len()
    }

    #[inline(never)]
    fn flush(&mut self, accumulator: &mut Accumulator<'_>, q: &[i16]) {
        if self.filled == 0 {
            return;
        }
        let (width, listed) = (q.len(), self.listed.get(..self.filled).unwrap_or_default());
        // A host has what reads them where they lie.
        #[cfg(feature = "std")]
        if width > 0 {
            accumulator.absorb_listed(q, [self.rows.keys, self.rows.values], listed, self.scale);
            self.filled = 0;
            return;
        }
        let keys = self.keys.get_mut(..self.filled * width).unwrap_or_default();
        // Of an odd number, the weight of what stands beside the last is zero.
        let values = self.values.get_mut(..self.filled.next_multiple_of(2) * width).unwrap_or_default();
        gather(self.rows.keys, self.rows.values, listed, width, [&mut *keys, &mut *values]);
        let visible = u64::MAX >> (KEY_TILE - self.filled);
        let tile = KeyTile { keys, values, count: self.filled, visible, weight: Weight::One };
        accumulator.absorb(q, tile, self.scale);
        self.filled = 0;
    }
}

fn row(rows: &[i16], index: usize, width: usize) -> &[i16] {
    rows.get(index * width..(index + 1) * width).unwrap_or_default()
}
