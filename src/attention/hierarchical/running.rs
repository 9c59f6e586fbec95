//! Only what came before: of every level the last complete block, and of the tokens the open one beside it.
//!
//! When a block is complete, it takes the place of the one before it; with that it makes, where it is the second of two, a
//! block of the level above. What a token has gathered from a level and above is kept until the level's row changes. A
//! query of a level is that of the first token of its run: a mean would have to wait for the last.

use core::ops::Range;

use super::mean::Mean;
use super::{Gathered, Rows, complete, ranges, row};
use crate::attention::accumulator::MOST_COUNTED;
use crate::attention::life::{Memory, Room};
use crate::attention::{Accumulator, Budget, Head, ROW_TILE, TileBuffer, pairs};
use crate::kernels::{self, Means, VALUE_LIMIT};
use crate::memory::{Carver, halves};
use crate::model::Hierarchical;
use crate::num::round_shift;

/// See [`Running`]: two blocks of tokens, one of every level above, what was gathered, and a tile.
pub(super) const fn memory(block: usize, levels: usize, width: usize) -> usize {
    1 + (levels + 2) * (2 * halves(block * width) + halves(block))
        + (levels + 1) * (width + 2)
        + 2 * halves(ROW_TILE * width)
}

/// A tile, two blocks on their way up, and where it paused.
pub(super) const fn scratch(block: usize, width: usize) -> usize {
    TileBuffer::WORDS + 2 * (2 * halves(block * width) + halves(block)) + 1
}

pub(in crate::attention) struct Running<'m> {
    parameters: &'m Hierarchical<'m>,
    head: &'m Head<'m>,
    levels: usize,
    /// Whether a token was masked.
    masked: &'m mut [u32],
    /// `[levels + 2]`: the block of tokens before, the open one, then the last complete block of each level from 1 on.
    blocks: Blocks<'m>,
    gathered: Gathered<'m>,
    /// `[ROW_TILE, width]`.
    keys: &'m mut [i16],
    /// `[ROW_TILE, width]`.
    values: &'m mut [i16],
    buffer: TileBuffer<'m>,
    /// A block on its way up, and the one made of it.
    rising: [Blocks<'m>; 2],
    /// The level to go on with.
    paused: &'m mut [u32],
}

/// Blocks of `size` rows.
struct Blocks<'m> {
    size: usize,
    width: usize,
    keys: &'m mut [i16],
    /// In pairs.
    values: &'m mut [i16],
    /// Tokens of each row that are not masked, [`in_units`].
    counts: &'m mut [i16],
}

/// Where [`Blocks`] have the tokens of the block before, the open block, and the first level.
const BEFORE: usize = 0;
const OPEN: usize = 1;

impl<'m> Blocks<'m> {
    fn carve(carver: &mut Carver<'m>, count: usize, size: usize, width: usize) -> Self {
        Self {
            size,
            width,
            keys: carver.i16s(count * size * width),
            values: carver.i16s(count * size * width),
            counts: carver.i16s(count * size),
        }
    }

    /// Puts the open block in the place of the one before it.
    fn shift(&mut self) {
        let (rows, size) = (self.size * self.width, self.size);
        for near in [&mut *self.keys, &mut *self.values] {
            let (before, open) = near.split_at_mut_checked(OPEN * rows).unwrap_or_default();
            kernels::copy(open.get(..rows).unwrap_or_default(), before);
        }
        let (before, open) = self.counts.split_at_mut_checked(OPEN * size).unwrap_or_default();
        kernels::copy(open.get(..size).unwrap_or_default(), before);
    }

    /// Takes the one block of others in the place of block `to`.
    fn take(&mut self, to: usize, others: &Blocks<'_>) {
        let rows = to * self.size * self.width;
        for (here, there) in [(&mut *self.keys, &*others.keys), (&mut *self.values, &*others.values)] {
            kernels::copy(there, here.get_mut(rows..).unwrap_or_default());
        }
        kernels::copy(others.counts, self.counts.get_mut(to * self.size..).unwrap_or_default());
    }

    /// Makes half of the rows of the one block of `level`, those from row `first` on, from block `block` of others; `extra`: the
    /// further bits of values of the level below and of this one. `full`: no token is masked.
    fn join(
        &mut self,
        level: usize,
        first: usize,
        (others, block): (&Blocks<'_>, usize),
        extra: [i8; 2],
        full: bool,
    ) {
        let (width, count) = (self.width, self.size / 2);
        let children = block * self.size;
        // Rows in pairs begin with an even one.
        if !full || !count.is_multiple_of(2) {
            let join = |at| self.join_row(level, first + at, (others, children + 2 * at), extra);
            return (0..count).for_each(join);
        }
        let tokens = others.counts.get(children).copied().unwrap_or_default();
        self.counts.get_mut(first..first + count).unwrap_or_default().fill(in_units([tokens; 2], level));
        let means = Means { width, first, count, half: 0 };
        let keys = self.keys.get_mut(first * width..).unwrap_or_default();
        kernels::join(others.keys.get(children * width..).unwrap_or_default(), keys, means);
        let values = self.values.get_mut(first * width..).unwrap_or_default();
        let whole = extra[0] == extra[1];
        kernels::join_pairs(others.values.get(children * width..).unwrap_or_default(), values, means, whole);
    }

    /// Makes row `at` of the one block of `level` from rows `children` and `children + 1` of others. One without some of its
    /// tokens has no further bits: means of all are small, those of a few may be as large as a value.
    fn join_row(
        &mut self,
        level: usize,
        at: usize,
        (others, children): (&Blocks<'_>, usize),
        extra: [i8; 2],
    ) {
        let width = self.width;
        let count = |child: usize| others.counts.get(child).copied().unwrap_or_default();
        let tokens = [count(children), count(children + 1)];
        if let Some(slot) = self.counts.get_mut(at) {
            *slot = in_units(tokens, level);
        }
        let (tokens, odd) = (tokens.map(|count| count as usize), at % 2 == 1);
        let mean = Mean::of_children(tokens, odd);
        let key = self.keys.iter_mut().skip(at * width);
        let halves = row(others.keys, children, width).iter().zip(row(others.keys, children + 1, width));
        for (key, (&a, &b)) in key.zip(halves) {
            *key = mean.round(mean.twice(i32::from(a), i32::from(b))) as i16;
        }
        let have_all = tokens.map(|count| count == complete(level - 1));
        let all = have_all == [true; 2];
        let coarser = have_all.map(|has_all| if has_all && !all { extra[0] as u32 } else { 0 });
        let mean = Mean::of_tokens(tokens, odd, !all || extra[0] == extra[1]);
        let value = self.values.iter_mut().skip(at / 2 * 2 * width + at % 2).step_by(2);
        let pair = others.values.get(children * width..(children + 2) * width).unwrap_or_default();
        for (value, [a, b]) in value.zip(pair.as_chunks::<2>().0) {
            let [a, b] = [(*a, coarser[0]), (*b, coarser[1])].map(|(x, by)| round_shift(x.into(), by));
            let mean = mean.round(mean.twice(a, b));
            *value = mean.clamp(-i32::from(VALUE_LIMIT), VALUE_LIMIT.into()) as i16;
        }
    }
}

/// The tokens of a row of `level` from those of its two children: one by one up to level [`MOST_COUNTED`], then in units
/// of as many more, of which one that is not empty has at least one, and one has all only if both children have.
fn in_units([a, b]: [i16; 2], level: usize) -> i16 {
    let (sum, all) = (i32::from(a) + i32::from(b), complete(level) as i32);
    if level <= MOST_COUNTED as usize {
        return sum as i16;
    }
    ((sum + 1) >> 1).min(if sum == 2 * all { all } else { all - 1 }) as i16
}

impl<'m> Running<'m> {
    pub(super) fn new(
        parameters: &'m Hierarchical<'m>,
        head: &'m Head<'m>,
        words: &'m mut [u32],
        scratch: &'m mut [u32],
    ) -> Self {
        let (width, size, levels) = (head.width, parameters.block, parameters.extra.len());
        let mut carver = Carver::new(words);
        let mut shared = Carver::new(scratch);
        Self {
            parameters,
            head,
            levels,
            masked: carver.words(1),
            blocks: Blocks::carve(&mut carver, levels + 2, size, width),
            gathered: Gathered {
                width,
                sums: carver.i32s((levels + 1) * width),
                states: carver.words(2 * (levels + 1)),
            },
            keys: carver.i16s(ROW_TILE * width),
            values: carver.i16s(ROW_TILE * width),
            buffer: TileBuffer::new(shared.words(TileBuffer::WORDS)),
            rising: [(); 2].map(|()| Blocks::carve(&mut shared, 1, size, width)),
            paused: shared.words(1),
        }
    }

    /// Fractional bits that the values of a level have more than those of the tokens.
    fn extra(&self, level: usize) -> i8 {
        match level.checked_sub(1) {
            Some(index) => self.parameters.extra.get(index).copied().unwrap_or_default(),
            None => 0,
        }
    }

    /// Before the first token of a block: the block before is complete, and what it completes is too, level by level from
    /// `level` on.
    fn rise(&mut self, token: usize, mut level: usize, budget: &mut Budget) -> bool {
        let size = self.parameters.block.max(1);
        let full = self.masked.first().is_some_and(|&masked| masked == 0);
        loop {
            let makes_above = level < self.levels && token.is_multiple_of(size << (level + 1));
            let extra = [self.extra(level), self.extra(level + 1)];
            let [even, odd] = &mut self.rising;
            let (made, to) = if level.is_multiple_of(2) { (even, odd) } else { (odd, even) };
            let here = if level == 0 { BEFORE } else { OPEN + level };
            if makes_above {
                let second = if level == 0 { (&self.blocks, OPEN) } else { (&*made, 0) };
                to.join(level + 1, 0, (&self.blocks, here), extra, full);
                to.join(level + 1, size / 2, second, extra, full);
            }
            if level == 0 {
                self.blocks.shift();
            } else {
                self.blocks.take(here, made);
            }
            budget.charge(size * self.head.width * if makes_above { 60 } else { 10 });
            if !makes_above {
                return true;
            }
            level += 1;
            if budget.is_spent() {
                self.paused.iter_mut().for_each(|paused| *paused = level as u32);
                return false;
            }
        }
    }
}

impl<'m> Memory<'m> for Running<'m> {
    fn begin(&mut self) {
        self.masked.fill(0);
        self.gathered.states.fill(0);
    }

    fn room(self, tokens: Range<usize>) -> Room<'m> {
        let start = tokens.start % ROW_TILE * self.head.width;
        let rows = start..start + tokens.len() * self.head.width;
        Room {
            queries: &mut [],
            keys: self.keys.get_mut(rows.clone()).unwrap_or_default(),
            values: self.values.get_mut(rows).unwrap_or_default(),
        }
    }

    fn absorb(&mut self, tokens: Range<usize>, visible: u32, resumed: bool, budget: &mut Budget) -> bool {
        // One at a time: a query comes between two.
        let token = tokens.start;
        let (width, size) = (self.head.width, self.parameters.block.max(1));
        let level = if resumed { self.paused.first().copied().unwrap_or_default() as usize } else { 0 };
        if token > 0 && token.is_multiple_of(size) && !self.rise(token, level, budget) {
            return false;
        }
        let counts = visible & 1;
        if counts == 0 {
            self.masked.fill(1);
        }
        let at = size + token % size;
        let slot = token % ROW_TILE;
        if let Some(count) = self.blocks.counts.get_mut(at) {
            *count = counts as i16;
        }
        let key = self.blocks.keys.get_mut(at * width..).unwrap_or_default();
        kernels::copy(row(self.keys, slot, width), key);
        pairs::put(self.blocks.values, at, row(self.values, slot, width));
        true
    }

    fn answer(&mut self, token: usize, out: &mut [i16], resumed: bool, budget: &mut Budget) -> bool {
        let Head { index, width, scale, gain, .. } = *self.head;
        let size = self.parameters.block.max(1);
        let masked = self.masked.first().is_some_and(|&masked| masked > 0);
        let counts =
            |token: usize| self.blocks.counts.get(size + token % size).is_some_and(|&count| count > 0);
        let hidden = masked && !counts(token);
        let changed = if token == 0 { self.levels } else { self.levels.min(token.trailing_zeros() as usize) };
        let paused = self.paused.first().copied().unwrap_or_default() as usize;
        for level in (0..=if resumed { paused } else { changed }).rev() {
            // Rows are counted from the first one of the block before.
            let start = (token >> level) / size * size;
            let at = (token >> level) + size - start;
            let block = if level == 0 { BEFORE } else { OPEN + level };
            let (here, end) = (block * size, (block + if level == 0 { 2 } else { 1 }) * size);
            let rows = Rows {
                width,
                level,
                first: 0,
                keys: self.blocks.keys.get(here * width..end * width).unwrap_or_default(),
                values: self.blocks.values.get(here * width..end * width).unwrap_or_default(),
                // What masked tokens leave of a mean may be as large as a value.
                extra: [self.extra(level) as u32, 0],
                masked,
                scale,
                bias: self.parameters.bias_of(index),
                bias_middle: 2 * size - 1,
            };
            let counts = &*self.blocks.counts;
            let count = |row: usize| counts.get(here + row).copied().unwrap_or_default() as usize;
            let count: Option<&dyn Fn(usize) -> usize> = if masked { Some(&count) } else { None };
            let (sums, state) = self.gathered.go_on(level);
            let mut accumulator = Accumulator::resume(sums, self.buffer.lend(), state);
            // The authors' code leaves a masked query at zero.
            let q: &[i16] = if level > 0 && hidden { &[] } else { out };
            let [before, _] = ranges(level, at, size, start == 0, 0, true);
            rows.absorb(&mut accumulator, q, at, before, count, budget);
            if level == 0 {
                accumulator.finish(gain, out);
                return true;
            }
            let state = accumulator.state();
            self.gathered.keep(level, state);
            if budget.is_spent() {
                self.paused.iter_mut().for_each(|paused| *paused = level as u32 - 1);
                return false;
            }
        }
        true
    }
}
