//! The whole sequence: keys, values and queries of all levels in the place of those of the tokens.
//!
//! **Lifting.** A row and its neighbour become their mean, which takes the place of the first, and their difference, which
//! takes that of the second; so do the means in their turn. Row `j` of level `l` lies in the place of token `j 2^l`, the
//! difference of its two halves in that of token `j 2^l + 2^(l-1)`. Both rows follow exactly from mean and difference.
//!
//! **The sweep** goes from the last token to the first. Of every level three blocks lie beside each other, that of the
//! token at work and its neighbours; when a token enters the block before, one block of a level is expanded from half a
//! block of the level above.

use core::num::NonZeroUsize;
use core::ops::Range;

use super::mask::Mask;
use super::mean::Mean;
use super::{Gathered, Rows, ranges, row};
use crate::attention::life::{Memory, Room};
use crate::attention::{Accumulator, Budget, Head, TileBuffer, pairs};
use crate::kernels::{self, Means, VALUE_LIMIT, half};
use crate::memory::{Carver, halves};
use crate::model::Hierarchical;
use crate::visible;

/// See [`Lifted`].
pub(super) const fn memory(block: usize, tokens: usize, width: usize) -> usize {
    let levels = Hierarchical::levels(tokens, block);
    let rows = if levels == 0 { 0 } else { (levels + 1) * (halves(6 * block * width) + width) };
    PLACE
        + visible::words(tokens)
        + (levels + 1) * (width + 3)
        + 2 * halves(tokens * width)
        + halves(tokens.next_multiple_of(2) * width)
        + rows
}

/// A tile, and two rows that are zipped.
pub(super) const fn scratch(width: usize) -> usize {
    TileBuffer::WORDS + width
}

/// Words of [`Lifted::place`].
const PLACE: usize = 5;
/// Most rows of a level that are made at a time.
const TOGETHER: usize = 8;

pub(in crate::attention) struct Lifted<'m> {
    parameters: &'m Hierarchical<'m>,
    head: &'m Head<'m>,
    levels: usize,
    /// Tokens that are not masked; then where lifting paused: the level that is done, row of the next, bits of the magnitudes
    /// of its values, and whether values of the level that is done are twice the means. While the levels are gathered the
    /// second is the level to go on with.
    place: &'m mut [u32],
    visible: &'m mut [u32],
    /// `[levels + 1]`: fractional bits that values of a level have more than the tokens'.
    extra: &'m mut [u32],
    gathered: Gathered<'m>,
    keys: &'m mut [i16],
    queries: &'m mut [i16],
    /// In pairs if there are no levels: nothing is lifted then.
    values: &'m mut [i16],
    /// `[levels + 1, 3, Nr, width]`: the block of the token at work, and one on either side.
    near_keys: &'m mut [i16],
    /// The same of values, in pairs.
    near_values: &'m mut [i16],
    /// `[levels + 1, 2, width]`: of each level the latest query row of even and of odd number.
    near_queries: &'m mut [i16],
    buffer: TileBuffer<'m>,
    /// `[2, width]`.
    spare: &'m mut [i16],
}

impl<'m> Lifted<'m> {
    pub(super) fn new(
        parameters: &'m Hierarchical<'m>,
        head: &'m Head<'m>,
        words: &'m mut [u32],
        scratch: &'m mut [u32],
    ) -> Self {
        let Head { width, tokens, .. } = *head;
        let levels = Hierarchical::levels(tokens, parameters.block);
        let near = if levels == 0 { 0 } else { (levels + 1) * width };
        let mut carver = Carver::new(words);
        let mut shared = Carver::new(scratch);
        Self {
            parameters,
            head,
            levels,
            place: carver.words(PLACE),
            visible: carver.words(visible::words(tokens)),
            extra: carver.words(levels + 1),
            gathered: Gathered {
                width,
                states: carver.words(2 * (levels + 1)),
                sums: carver.i32s((levels + 1) * width),
            },
            keys: carver.i16s(tokens * width),
            queries: carver.i16s(tokens * width),
            values: carver.i16s(tokens.next_multiple_of(2) * width),
            near_keys: carver.i16s(3 * parameters.block * near),
            near_values: carver.i16s(3 * parameters.block * near),
            near_queries: carver.i16s(2 * near),
            buffer: TileBuffer::new(shared.words(TileBuffer::WORDS)),
            spare: shared.i16s(2 * width),
        }
    }

    /// Rows of a level.
    fn rows(&self, level: usize) -> usize {
        (self.head.tokens + (1 << level) - 1) >> level
    }

    fn mask(&self) -> Mask<'_> {
        Mask::of(self.place, self.visible, self.head.tokens)
    }

    /// Makes rows of a level from 1 on, of all three, `row` and those after it that go with it, no more than `most`.
    /// `halved`: values of the level below are twice the means as yet. Returns how many rows, and the bits of all
    /// magnitudes of twice their values.
    fn lift(&mut self, level: usize, row: usize, most: usize, halved: bool) -> (usize, u32) {
        let (Head { width, tokens, .. }, mask) = (*self.head, self.mask());
        let (place, half_run) = (row << level, 1 << (level - 1));
        let halves = mask.halves(level, row);
        let equal = match mask.full {
            true => most.min((tokens >> level).saturating_sub(row)),
            false => usize::from(halves[0] == halves[1] && halves[0] > 0),
        };
        let rows = [&mut *self.keys, &mut *self.queries, &mut *self.values];
        let [keys, queries, values] = rows.map(|rows| rows.get_mut(place * width..).unwrap_or_default());
        if equal > 0 {
            let means = Means { width, first: row, count: equal, half: half_run * width };
            // Keys meet queries in scores, which have one scale: no further bits.
            kernels::lift(keys, means);
            kernels::lift(queries, means);
            return (equal, kernels::lift_twice(values, means, halved));
        }
        let two = |rows| Self::halves(rows, half_run, width, place + half_run < tokens);
        let odd = row % 2 == 1;
        for rows in [keys, queries] {
            let (first, second) = two(rows);
            Mean::of_children(halves, odd).lift(first, second);
        }
        let (first, second) = two(values);
        if halved {
            first.iter_mut().for_each(|value| *value = half(i32::from(*value), false) as i16);
            second.iter_mut().for_each(|value| *value = half(i32::from(*value), true) as i16);
        }
        (1, Mean::of_tokens(halves, odd, false).lift(first, second))
    }

    /// The rows in the places of the two halves of a row, the second empty if there is none.
    fn halves(rows: &mut [i16], half: usize, width: usize, both: bool) -> (&mut [i16], &mut [i16]) {
        let (first, second) = rows.split_at_mut((half * width).min(rows.len()));
        let second = if both { second.get_mut(..width) } else { None };
        (first.get_mut(..width).unwrap_or_default(), second.unwrap_or_default())
    }

    /// Fractional bits that the values of a level have more than those of the tokens.
    fn extra(&self, level: usize) -> u32 {
        self.extra.get(level).copied().unwrap_or_default()
    }

    /// Puts the rows of a level around row `row` where they are read; `last`: nothing is there yet. `changed`: the level up
    /// to which rows have changed.
    fn bring(&mut self, level: usize, row: usize, last: bool, changed: usize, budget: &mut Budget) {
        let size = self.parameters.block.max(1);
        if level == self.levels {
            self.bring_query_from_top(row);
        } else if level < changed {
            self.bring_queries(level + 1, row / 2);
        }
        let block = row / size;
        budget.charge(40 * self.head.width);
        if last {
            budget.charge(30 * size * self.head.width);
            self.bring_block(level, block, 1, block);
        } else if (row + 1).is_multiple_of(size) {
            let length = size * self.head.width;
            let here = 3 * level * length;
            for near in [&mut *self.near_keys, &mut *self.near_values] {
                let near = near.get_mut(here..here + 3 * length).unwrap_or_default();
                let (before, rest) = near.split_at_mut_checked(length).unwrap_or_default();
                let (at_work, after) = rest.split_at_mut_checked(length).unwrap_or_default();
                kernels::copy(at_work, after);
                kernels::copy(before, at_work);
            }
        } else {
            return;
        }
        budget.charge(40 * size * self.head.width);
        if let Some(before) = block.checked_sub(1) {
            self.bring_block(level, before, 0, block);
        }
    }

    fn bring_query_from_top(&mut self, at: usize) {
        let (width, level) = (self.head.width, self.levels);
        let from = row(self.queries, at << level, width);
        let to = self.near_queries.get_mut((2 * level + at % 2) * width..).unwrap_or_default();
        kernels::copy(from, to);
    }

    /// The two query rows below row `at` of a level from 1 on.
    fn bring_queries(&mut self, level: usize, at: usize) {
        let width = self.head.width;
        let mean = Mean::of_children(self.mask().halves(level, at), at % 2 == 1);
        let difference = difference(self.queries, self.head, level, at);
        let (below, here) = self.near_queries.split_at_mut((2 * level * width).min(self.near_queries.len()));
        let below = below.get_mut(2 * (level - 1) * width..).unwrap_or_default();
        expand(mean, width, row(here, at % 2, width), difference, below);
    }

    /// Puts block `block` of a level in slot `slot` of three, where `around` is the block of the token at work.
    fn bring_block(&mut self, level: usize, block: usize, slot: usize, around: usize) {
        let (width, size) = (self.head.width, self.parameters.block);
        let here = (3 * level + slot) * size * width;
        if level == self.levels {
            let rows = block * size..((block + 1) * size).min(self.rows(level));
            let to = self.near_keys.get_mut(here..).unwrap_or_default().chunks_exact_mut(width.max(1));
            for (at, to) in rows.clone().zip(to) {
                kernels::copy(row(self.keys, at << level, width), to);
            }
            let pairs = self.near_values.get_mut(here..).unwrap_or_default();
            for (first, pair) in rows.clone().step_by(2).zip(pairs.chunks_exact_mut((2 * width).max(1))) {
                let second =
                    if first + 1 < rows.end { row(self.values, (first + 1) << level, width) } else { &[] };
                pairs::zip(row(self.values, first << level, width), second, pair);
            }
            return;
        }
        let parent = level + 1;
        // Row `at` of the level above lies this far from the first of its three blocks.
        let before = (around / 2 + 2) * size;
        let rows = block * size / 2..((block + 1) * size / 2).min(self.rows(parent));
        let split = 3 * parent * size * width;
        let mask = Mask::of(self.place, self.visible, self.head.tokens);
        // Whether both halves of all rows count equally.
        let equal = mask.full && rows.end << parent <= self.head.tokens;
        let first_difference = ((rows.start << parent) + (1 << level)) * width;
        let means = Means { width, first: rows.start, count: rows.len(), half: width << level };
        let local = (rows.start + 3 * size - before) * width;

        let (below, above) = self.near_keys.split_at_mut(split.min(self.near_keys.len()));
        let to = below.get_mut(here..).unwrap_or_default();
        if equal {
            let differences = self.keys.get(first_difference..).unwrap_or_default();
            kernels::expand(above.get(local..).unwrap_or_default(), differences, to, means);
        } else {
            for (place, at) in rows.clone().enumerate() {
                let mean = Mean::of_children(mask.halves(parent, at), at % 2 == 1);
                let to = to.get_mut(2 * place * width..).unwrap_or_default();
                let from = above.get(local + place * width..).unwrap_or_default();
                expand(mean, width, from, difference(self.keys, self.head, parent, at), to);
            }
        }
        let whole = self.extra(parent) == self.extra(level);
        let (below, above) = self.near_values.split_at_mut(split.min(self.near_values.len()));
        let to = below.get_mut(here..).unwrap_or_default();
        if equal && rows.start % 2 + rows.len() % 2 == 0 {
            let differences = self.values.get(first_difference..).unwrap_or_default();
            kernels::expand_pairs(above.get(local..).unwrap_or_default(), differences, to, means, whole);
        } else {
            for (place, at) in rows.enumerate() {
                let mean = Mean::of_tokens(mask.halves(parent, at), at % 2 == 1, whole);
                let difference = difference(self.values, self.head, parent, at);
                let pair = to.get_mut(2 * place * width..).unwrap_or_default().as_chunks_mut().0;
                let out = pair.iter_mut().take(width).map(|[a, b]| (a, b));
                mean.expand(pairs::row(above, at + 3 * size - before, width), difference, out);
            }
        }
    }
}

/// The difference of the halves of row `at` of a level from 1 on, empty if there is no second half.
fn difference<'r>(rows: &'r [i16], head: &Head<'_>, level: usize, at: usize) -> &'r [i16] {
    let second = (at << level) + (1 << (level - 1));
    if second < head.tokens { row(rows, second, head.width) } else { &[] }
}

/// Puts two rows of `width` columns beside each other, of which `from` is the mean `of` them.
fn expand(of: Mean, width: usize, from: &[i16], difference: &[i16], out: &mut [i16]) {
    if of.is_even() && !difference.is_empty() {
        let means = Means { width, first: usize::from(of.odd), count: 1, half: 0 };
        return kernels::expand(from, difference, out, means);
    }
    let Some((first, second)) = out.split_at_mut_checked(width) else { return };
    of.expand(from.iter().copied(), difference, first.iter_mut().zip(second));
}

impl<'m> Memory<'m> for Lifted<'m> {
    fn begin(&mut self) {
        self.place.fill(0);
        self.extra.fill(0);
    }

    fn room(self, tokens: Range<usize>) -> Room<'m> {
        let width = self.head.width;
        let rows = tokens.start * width..tokens.end * width;
        Room {
            queries: self.queries.get_mut(rows.clone()).unwrap_or_default(),
            keys: self.keys.get_mut(rows.clone()).unwrap_or_default(),
            values: self.values.get_mut(rows).unwrap_or_default(),
        }
    }

    fn absorb(&mut self, tokens: Range<usize>, visible: u32, _: bool, _: &mut Budget) -> bool {
        let width = self.head.width;
        for (bit, token) in tokens.clone().enumerate() {
            let counts = visible >> bit & 1 == 1;
            visible::set(self.visible, token, counts);
            self.place.iter_mut().take(1).for_each(|count| *count += u32::from(counts));
        }
        if self.levels == 0 {
            let rows = self.values.get_mut(tokens.start * width..).unwrap_or_default();
            pairs::zip_in_place(rows, tokens.len(), width, self.spare);
        }
        true
    }

    fn close(&mut self, _: bool, budget: &mut Budget) -> bool {
        loop {
            let (&mut [_, done, row, magnitudes, halved], width) = (&mut *self.place, self.head.width) else {
                return true;
            };
            let (level, at) = (done as usize + 1, row as usize);
            let next = if level > self.levels {
                if halved == 0 {
                    return true;
                }
                // No level lifts the values of the top.
                let place = (at << (level - 1)) * width;
                let values = self.values.get_mut(place..place + width).unwrap_or_default();
                values.iter_mut().for_each(|v| *v = half(i32::from(*v), at % 2 == 1) as i16);
                budget.charge(6 * width);
                if at + 1 == self.rows(self.levels) { [done, 0, 0, 0] } else { [done, row + 1, 0, 1] }
            } else if at == self.rows(level) {
                // Where a level's means leave the upper half of the range free, they keep a further bit: means of noise
                // shrink from level to level, and their rounding would not.
                let keeps = magnitudes <= VALUE_LIMIT as u32;
                let extra = self.extra(level - 1) + u32::from(keeps);
                self.extra.iter_mut().skip(level).take(1).for_each(|slot| *slot = extra);
                [done + 1, 0, 0, u32::from(!keeps)]
            } else {
                let work = 30 * width;
                let most = if budget.allows(TOGETHER * work) { TOGETHER } else { 1 };
                let (count, found) = self.lift(level, at, most, halved == 1);
                budget.charge(count * work);
                [done, row + count as u32, magnitudes | found, halved]
            };
            self.place.iter_mut().skip(1).zip(next).for_each(|(slot, word)| *slot = word);
            if budget.is_spent() {
                return false;
            }
        }
    }

    fn answer(&mut self, token: usize, out: &mut [i16], resumed: bool, budget: &mut Budget) -> bool {
        let Head { index, width, tokens, scale, gain, .. } = *self.head;
        let size = self.parameters.block.max(1);
        let last = token + 1 == tokens;
        let changed = if last { self.levels } else { self.levels.min((token + 1).trailing_zeros() as usize) };
        let paused = self.place.get(1).copied().unwrap_or_default() as usize;
        for level in (0..=if resumed { paused } else { changed }).rev() {
            let at = token >> level;
            if self.levels > 0 {
                self.bring(level, at, last, changed, budget);
            }
            // Rows are counted from the first one of the block before.
            let start = at / NonZeroUsize::new(size).unwrap_or(NonZeroUsize::MIN) * size;
            let (at, end) = (at + size - start, self.rows(level) + size - start);
            let mask = Mask::of(self.place, self.visible, tokens);
            let near = 3 * level * size * width..3 * (level + 1) * size * width;
            let (q, keys, values, first) = if self.levels > 0 {
                let q = row(self.near_queries, 2 * level + (token >> level) % 2, width);
                (q, self.near_keys.get(near.clone()), self.near_values.get(near), 0)
            } else {
                let first = size.saturating_sub(start);
                (row(self.queries, token, width), Some(&*self.keys), Some(&*self.values), first)
            };
            let rows = Rows {
                width,
                level,
                first,
                keys: keys.unwrap_or_default(),
                values: values.unwrap_or_default(),
                extra: [self.extra(level); 2],
                masked: !mask.full,
                scale,
                bias: self.parameters.bias_of(index),
                bias_middle: 2 * size - 1,
            };
            let count = |row: usize| {
                let first = (row + start).saturating_sub(size) << level;
                mask.count(first..first + (1 << level))
            };
            let (sums, state) = self.gathered.go_on(level);
            let mut accumulator = Accumulator::resume(sums, self.buffer.lend(), state);
            for range in ranges(level, at, size, start == 0, end, false) {
                let whole = mask.full && (range.end + start).saturating_sub(size) << level <= tokens;
                let count: Option<&dyn Fn(usize) -> usize> = if whole { None } else { Some(&count) };
                rows.absorb(&mut accumulator, q, at, range, count, budget);
            }
            if level == 0 {
                accumulator.finish(gain, out);
                return true;
            }
            let state = accumulator.state();
            self.gathered.keep(level, state);
            if budget.is_spent() {
                self.place.iter_mut().skip(1).take(1).for_each(|paused| *paused = level as u32 - 1);
                return false;
            }
        }
        true
    }
}
