//! FAVOR+ where every key comes before every query: two softmaxes, one after the other.
//!
//! `S_i / z_i` is a mean of the values, key `j` weighted with `exp(u_ij - n_j)`: exact attention whose query is row `i`
//! of the projection. And `sum_i f_i S_i / sum_i f_i z_i` is a mean of these means, number `i` weighted with
//! `exp(u_i) z_i`: exact attention whose keys are the rows of the projection. Both are an [`Accumulator`]'s work.
//!
//! Keys and values are kept for a tile alone. The means take the place of the sums that they are made of.

#[cfg(feature = "std")]
mod together;

use core::ops::Range;

use super::blocks::has_epsilon;
use super::features::{feature, keep, peak, rows, signs, stride, tile};
use super::layout::{Means, Place, key_tile};
use super::norm;
#[cfg(feature = "std")]
use crate::attention::ROW_TILE;
use crate::attention::accumulator::State;
use crate::attention::life::{Memory, Room};
use crate::attention::{Accumulator, Budget, KEY_TILE, KeyTile, Weight, pairs};
use crate::kernels::{VALUE_LIMIT, clamp};
use crate::memory;
use crate::model::{Epsilon, Favor, FavorInput};
use crate::num::Requant;

impl<'m> Means<'m> {
    fn at(&self, place: Place) -> u32 {
        self.places.get(place as usize).copied().unwrap_or_default()
    }

    fn put(&mut self, place: Place, word: u32) {
        if let Some(slot) = self.places.get_mut(place as usize) {
            *slot = word;
        }
    }

    fn mask(&self) -> u64 {
        u64::from(self.at(Place::MaskLow)) | u64::from(self.at(Place::MaskHigh)) << 32
    }

    /// Whether the largest `u` of the keys is asked for.
    const fn needs_peak(&self) -> bool {
        matches!(self.parameters.epsilon, Epsilon::Seen | Epsilon::Sequence)
    }

    /// The features from `first` on, each with its direction and with what makes exponents of its products with the rows of
    /// `input`.
    fn features(
        &self,
        input: FavorInput,
        first: usize,
    ) -> impl Iterator<Item = (usize, &'m [i16], Requant)> + use<'m> {
        let (stride, signs, width) =
            (stride(self.parameters), signs(self.parameters), self.head.width.max(1));
        let projection = self.parameters.projection;
        (first..signs * stride).filter_map(move |row| {
            let (sign, direction) = if row < stride { (1, row) } else { (-1, row - stride) };
            let direction = projection.get(direction * width..(direction + 1) * width)?;
            let multiplier = sign * input.projection.multiplier;
            Some((row, direction, Requant { multiplier, ..input.projection }))
        })
    }

    /// Adds the keys of the tile to everything.
    fn absorb_tile(&mut self, budget: &mut Budget) -> bool {
        let (width, filled, mask) = (self.head.width, self.at(Place::Filled) as usize, self.mask());
        let looks = if self.needs_peak() { filled } else { 0 };
        let mut done = self.at(Place::Done) as usize;
        if mask != 0 && done == 0 {
            pairs::zip_in_place(self.values, filled, width, self.spare);
            if has_epsilon(self.parameters) {
                self.add_to_all(filled, mask);
            }
            budget.charge(filled * width * 6);
            done = 1;
        }
        while mask != 0 && done <= looks && !budget.is_spent() {
            if mask >> (done - 1) & 1 == 1 {
                let key = self.keys.get((done - 1) * width..done * width).unwrap_or_default();
                let peak = peak(self.parameters, self.parameters.key, key).max(self.at(Place::Peak) as i32);
                self.put(Place::Peak, peak as u32);
                budget.charge_keys(self.parameters.directions, width);
            }
            done += 1;
        }
        let ends = looks + 1 + rows(self.parameters);
        if mask != 0 && done > looks && !budget.is_spent() {
            let offsets = self.offsets(filled);
            budget.charge(filled * 3 * width);
            let first = done - looks - 1;
            done = ends;
            #[cfg(feature = "std")]
            let first = self.absorb_together(first, filled, mask, &offsets, budget);
            for (row, direction, projection) in self.features(self.parameters.key, first) {
                let weight = Weight::Power { offsets: &offsets, is_summed: true, extra: 0 };
                let tile = tile(self.keys, self.values, filled, width, mask, weight);
                let (sums, state) = feature(self.sums, self.totals, self.tops, row, width);
                let mut accumulator = Accumulator::resume(sums, self.buffer.lend(), state);
                accumulator.make_room(filled);
                accumulator.absorb(direction, tile, projection);
                let state = accumulator.state();
                keep(self.totals, self.tops, row, state);
                budget.charge_keys(filled, width);
                if budget.is_spent() {
                    done = looks + 2 + row;
                    break;
                }
            }
        }
        if mask != 0 && done < ends {
            self.put(Place::Done, done as u32);
            return false;
        }
        for place in [Place::Done, Place::Filled, Place::MaskLow, Place::MaskHigh] {
            self.put(place, 0);
        }
        true
    }

    /// Minus `n` of every key of the tile.
    fn offsets(&self, filled: usize) -> [i32; KEY_TILE] {
        let mut offsets = [0; KEY_TILE];
        let keys = self.keys.chunks_exact(self.head.width.max(1)).take(filled);
        for (offset, key) in offsets.iter_mut().zip(keys) {
            *offset = -norm(key, self.parameters.key);
        }
        offsets
    }

    /// Adds the values of the tile to the sum of all.
    fn add_to_all(&mut self, filled: usize, mask: u64) {
        let state = State::of([self.at(Place::AllTotal), self.at(Place::AllTop)]);
        let mut all = Accumulator::resume(self.all, self.buffer.lend(), state);
        let tile = tile(self.keys, self.values, filled, self.head.width, mask, Weight::One);
        all.make_room(filled);
        all.absorb(&[], tile, Requant { multiplier: 0, shift: 1 });
        let [total, top] = all.state().words();
        self.put(Place::AllTotal, total);
        self.put(Place::AllTop, top);
    }

    /// Adds the mean of all values to feature `row`, as if a key of zeros had it.
    fn add_constant(&mut self, row: usize) {
        let state = State::of([self.at(Place::AllTotal), self.at(Place::AllTop)]);
        Accumulator::resume(self.all, self.buffer.lend(), state).finish(0, self.constant);
        clamp(self.constant, VALUE_LIMIT);
        let key = self.parameters.key;
        let peak = if self.needs_peak() { self.at(Place::Peak) as i32 } else { 0 };
        let log = key.epsilon.saturating_add(peak).saturating_add(state.log2()).clamp(-LIMIT, LIMIT);
        let (zeros, _) = self.spare.split_at_mut_checked(self.head.width).unwrap_or_default();
        zeros.fill(0);
        let weight = Weight::Power { offsets: &[log], is_summed: false, extra: 0 };
        let tile = KeyTile { keys: zeros, values: self.constant, count: 1, visible: 1, weight };
        let (sums, state) = feature(self.sums, self.totals, self.tops, row, self.head.width);
        let mut accumulator = Accumulator::resume(sums, self.buffer.lend(), state);
        accumulator.absorb(&[], tile, key.projection);
        let state = accumulator.state();
        keep(self.totals, self.tops, row, state);
    }

    /// The mean of feature `row`, with `gain` more fractional bits than the values, in a spare row.
    fn mean(&mut self, row: usize, gain: u32) -> &[i16] {
        let (sums, state) = feature(self.sums, self.totals, self.tops, row, self.head.width);
        let (even, odd) = self.spare.split_at_mut_checked(self.head.width).unwrap_or_default();
        let mean = if row.is_multiple_of(2) { even } else { odd };
        Accumulator::resume(sums, self.buffer.lend(), state).finish(gain, mean);
        mean
    }

    /// Puts the means of the features `row` and `row + 1` in the place of sums that are means already.
    fn put_means(&mut self, row: usize) {
        let (width, extra) = (self.head.width, self.at(Place::Extra));
        for row in row..row + 2 {
            self.mean(row, extra);
            let (_, state) = feature(self.sums, self.totals, self.tops, row, width);
            let log = state.log2().clamp(-LIMIT, LIMIT);
            self.totals.iter_mut().skip(row).take(1).for_each(|total| *total = log as u32);
        }
        if extra == 0 {
            // They become values, and rounding may have made more of one than of all that it is the mean of. With extra bits
            // they stay below: what was free was divided by one more than the largest of them.
            clamp(self.spare, VALUE_LIMIT);
        }
        let (even, odd) = self.spare.split_at_checked(width).unwrap_or_default();
        let words = self.sums.iter_mut().skip(row / 2 * width);
        for (word, (&a, &b)) in words.zip(even.iter().zip(odd.iter())) {
            *word = i32::from(b) << 16 | i32::from(a as u16);
        }
    }

    /// The features as keys of a query, [`KEY_TILE`] at a time; with `u` left out if `q` is empty.
    fn attend(&mut self, q: &[i16]) -> State {
        let (parameters, width, extra) = (self.parameters, self.head.width.max(1), self.at(Place::Extra));
        let (means, logs) = (memory::i16s(self.sums), memory::i32s(self.totals));
        let mut accumulator = Accumulator::new(self.sum, self.buffer.lend());
        each_tile(parameters, width, extra, means, logs, |tile, projection| {
            accumulator.absorb(q, tile, projection);
        });
        accumulator.state()
    }
}

impl<'m> Memory<'m> for Means<'m> {
    fn begin(&mut self) {
        self.places.fill(0);
        self.put(Place::Peak, i32::MIN as u32);
        self.sums.fill(0);
        self.totals.fill(0);
        // A row that makes the number of features even has no key, but is read.
        self.tops.fill(0);
        self.all.fill(0);
    }

    fn room(self, tokens: Range<usize>) -> Room<'m> {
        let width = self.head.width;
        let start = self.at(Place::Filled) as usize * width;
        let rows = start..start + tokens.len() * width;
        Room {
            queries: &mut [],
            keys: self.keys.get_mut(rows.clone()).unwrap_or_default(),
            values: self.values.get_mut(rows).unwrap_or_default(),
        }
    }

    fn absorb(&mut self, tokens: Range<usize>, visible: u32, resumed: bool, budget: &mut Budget) -> bool {
        if !resumed {
            let slot = self.at(Place::Filled) as usize;
            let mask = u64::from(visible & ((1 << tokens.len()) - 1)) << slot;
            let all = self.mask() | mask;
            self.put(Place::MaskLow, all as u32);
            self.put(Place::MaskHigh, (all >> 32) as u32);
            self.put(Place::Filled, (slot + tokens.len()) as u32);
            self.put(Place::Seen, self.at(Place::Seen) + mask.count_ones());
        }
        (self.at(Place::Filled) as usize) < key_tile(self.parameters) || self.absorb_tile(budget)
    }

    fn close(&mut self, _: bool, budget: &mut Budget) -> bool {
        let rows = rows(self.parameters);
        loop {
            let (closing, done) = (self.at(Place::Closing), self.at(Place::Done) as usize);
            let next = match closing {
                // The last keys.
                0 => {
                    if !self.absorb_tile(budget) {
                        return false;
                    }
                    None
                }
                // As much of every value in every feature.
                1 if has_epsilon(self.parameters) && done < rows => {
                    self.add_constant(done);
                    Some(done + 1)
                }
                // What the largest mean leaves free, all of them use.
                2 if done < rows => {
                    let peak =
                        self.mean(done, 0).iter().fold(0, |peak: u16, mean| peak.max(mean.unsigned_abs()));
                    self.put(Place::Extra, self.at(Place::Extra).max(peak.into()));
                    Some(done + 1)
                }
                2 => {
                    let free = VALUE_LIMIT as u32 / self.at(Place::Extra).saturating_add(1).max(1);
                    self.put(Place::Extra, free.checked_ilog2().unwrap_or(0).min(MOST_EXTRA));
                    None
                }
                3 if done < rows => {
                    self.put_means(done);
                    Some(done + 2)
                }
                // As much of every feature: like a direction of zeros whose mean is the mean of all.
                4 if has_epsilon(self.parameters) => {
                    let (state, extra) = (self.attend(&[]), self.at(Place::Extra));
                    Accumulator::resume(self.sum, self.buffer.lend(), state).finish(extra, self.constant);
                    clamp(self.constant, VALUE_LIMIT);
                    self.put(Place::Peak, state.log2() as u32);
                    None
                }
                1..=4 => None,
                _ => return true,
            };
            match next {
                Some(done) => self.put(Place::Done, done as u32),
                None => [(Place::Closing, closing + 1), (Place::Done, 0)]
                    .into_iter()
                    .for_each(|(place, word)| self.put(place, word)),
            }
            budget.charge(20 * self.head.width + 100);
            if budget.is_spent() {
                return false;
            }
        }
    }

    fn answer(&mut self, _: usize, row: &mut [i16], _: bool, budget: &mut Budget) -> bool {
        if self.at(Place::Seen) == 0 {
            row.fill(0);
            return true;
        }
        let state = self.attend(row);
        budget.charge_keys(rows(self.parameters), self.head.width);
        let mut accumulator = Accumulator::resume(self.sum, self.buffer.lend(), state);
        let Favor { epsilon, query, .. } = *self.parameters;
        if epsilon != Epsilon::Zero {
            let total = self.places.get(Place::Peak as usize).map_or(0, |&total| total as i32);
            let offset = norm(row, query).saturating_add(peak(self.parameters, query, row));
            let log = query.epsilon.saturating_add(offset).saturating_add(total).clamp(-LIMIT, LIMIT);
            let extra = self.places.get(Place::Extra as usize).copied().unwrap_or_default();
            let weight = Weight::Power { offsets: &[log], is_summed: false, extra };
            let (zeros, _) = self.spare.split_at_mut_checked(self.head.width).unwrap_or_default();
            zeros.fill(0);
            let tile = KeyTile { keys: zeros, values: self.constant, count: 1, visible: 1, weight };
            accumulator.absorb(&[], tile, query.projection);
            budget.charge_keys(self.parameters.directions, row.len());
        }
        accumulator.finish(self.head.gain, row);
        true
    }

    #[cfg(feature = "std")]
    fn answer_together(
        &mut self,
        _: Range<usize>,
        rows: [&mut [i16]; ROW_TILE],
        budget: &mut Budget,
    ) -> bool {
        let (mut left, of_query) = (*budget, super::features::rows(self.parameters));
        (0..ROW_TILE).for_each(|_| left.charge_keys(of_query, self.head.width));
        // What epsilon adds, every query weighs for itself.
        if has_epsilon(self.parameters) || self.at(Place::Seen) == 0 || left.is_spent() {
            return false;
        }
        let answered = together::answer(self, rows);
        if answered {
            *budget = left;
        }
        answered
    }
}

/// Gives the features as keys of a query, with `extra` more bits in their means, and what makes exponents of its products with
/// them.
#[inline(always)]
fn each_tile<'t>(
    parameters: &'t Favor<'t>,
    width: usize,
    extra: u32,
    means: &'t [i16],
    logs: &'t [i32],
    mut give: impl FnMut(KeyTile<'t>, Requant),
) {
    let Favor { query, projection: directions, .. } = *parameters;
    let size = (KEY_TILE * width).max(1);
    for sign in 0..signs(parameters) {
        let first = sign * stride(parameters);
        let multiplier = if sign == 0 { query.projection.multiplier } else { -query.projection.multiplier };
        let projection = Requant { multiplier, ..query.projection };
        let tiles = directions.chunks(size).zip(logs.get(first..).unwrap_or_default().chunks(KEY_TILE));
        for (index, (keys, offsets)) in tiles.enumerate() {
            let count = keys.len() / width;
            let start = first * width + index * size;
            let values = means.get(start..start + count.next_multiple_of(2) * width).unwrap_or_default();
            let visible = u64::MAX >> (KEY_TILE - count);
            let weight = Weight::Power { offsets, is_summed: false, extra };
            give(KeyTile { keys, values, count, visible, weight }, projection);
        }
    }
}

/// Largest magnitude of what is added to an exponent.
const LIMIT: i32 = 1 << 29;

/// Most further bits of means: of values that are all zero there would be no end.
const MOST_EXTRA: u32 = 10;
