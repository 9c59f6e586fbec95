//! Causal FAVOR+ whose features are powers of two: keys are added to the sums a tile at a time.
//!
//! A key of the open tile is kept as its value and its features, so that its weight for a query is `sum_i f_i phi_i`: one
//! product of two rows. It is merged with what the query finds in the sums of the closed tiles, exactly as one weighted
//! mean. No bit depends on a later token.
//!
//! Every feature `i` has its own powers of two. `t_i`: no feature of a key in the open tile lies above `2^t_i`. `x_i`: the
//! unit of the sums, at least `t_i`; it rises where they would overflow, however long the stream. A query weighs feature `i`
//! with `2^(u_i + x_i)`, so that what is largest of all features in the sums and in the tile has most bits.

use core::ops::Range;

use super::blocks::{self, Block, NOTHING, has_epsilon};
use super::sums::{ONE, PRODUCT_SHIFT, Sums};
use super::{SIXTEENTH, norm};
use crate::attention::life::{Memory, Room};
use crate::attention::{Budget, Head, KEY_TILE, ROW_TILE, pairs};
use crate::kernels::{SAFE_KEYS, WEIGHT_FRAC, softmax_weights, weighted_sum};
use crate::memory::{Carver, halves};
use crate::model::{Epsilon, Favor};
use crate::num::round_shift;

/// Sums, powers of two, and the open tile.
pub(super) const fn memory(parameters: &Favor<'_>, width: usize) -> usize {
    let (features, tile) = (blocks::all(parameters), parameters.tile.next_multiple_of(2));
    PLACES + features * (width + 1) + features + tile / 2 * (features + width)
}

/// Four rows of keys and values, exponents and weights of a query, and what is gathered.
pub(super) const fn scratch(parameters: &Favor<'_>, width: usize) -> usize {
    let features = blocks::all(parameters);
    let epsilon = if has_epsilon(parameters) { KEY_TILE } else { 0 };
    2 * halves(ROW_TILE * width)
        + products(parameters, width)
        + features / 2
        + epsilon
        + KEY_TILE
        + (width + 1)
        + parameters.tile
        + PROGRESS
}

/// Exponents of all features; later, the weighted sums of a block and the weights of a tile.
const fn products(parameters: &Favor<'_>, width: usize) -> usize {
    let (features, gathered) = (blocks::all(parameters), 2 * (width + 1) + parameters.tile);
    if features > gathered { features } else { gathered }
}

/// A word of [`Tiles::places`].
#[derive(Clone, Copy)]
pub(super) enum Place {
    /// Whether there was a key.
    Seen,
    /// Whether a tile was closed.
    Closed,
    /// Keys of the open tile.
    Filled,
    /// The smallest of the shifts.
    Least,
    /// With an epsilon: largest `u` of the keys.
    Peak,
}

const PLACES: usize = Place::Peak as usize + 1;

/// How far a key or a query is, and what is known of a query by then.
#[derive(Clone, Copy, Default)]
pub(super) struct Progress {
    /// What is done with every block, then the block.
    pub(super) part: usize,
    pub(super) block: usize,
    /// Largest exponent of all features.
    pub(super) largest: i32,
    /// Sum of all weights, [`WEIGHT_FRAC`] fractional bits.
    pub(super) total: u32,
    /// With an epsilon: the largest `u`, and the largest unit.
    pub(super) peak: i32,
    pub(super) farthest: i32,
}

/// Words of [`Tiles::progress`].
const PROGRESS: usize = 6;

impl Progress {
    /// What was written; the beginning, where nothing was.
    pub(super) fn read(words: &[u32]) -> Self {
        let &[part, block, largest, total, peak, farthest] = words else {
            return Self { largest: i32::MIN, peak: i32::MIN, farthest: i32::MIN, ..Self::default() };
        };
        Self {
            part: part as usize,
            block: block as usize,
            largest: largest as i32,
            total,
            peak: peak as i32,
            farthest: farthest as i32,
        }
    }

    pub(super) fn write(self, words: &mut [u32]) {
        let Self { part, block, largest, total, peak, farthest } = self;
        let values = [part as u32, block as u32, largest as u32, total, peak as u32, farthest as u32];
        words.iter_mut().zip(values).for_each(|(slot, word)| *slot = word);
    }
}

/// How far sums lie above features at least, in octaves: enough for a tile of [`Favor::MAX_TILE`] keys.
pub(super) const HEADROOM: i32 = 6;
/// Largest shift beyond that; a feature so far below the sums has no bit in them.
const MOST_SHIFT: i16 = 24;
/// A feature whose keys of a tile come to less than `2^-4` gets more bits, up to this shift.
const MOST_FREE: i16 = 18;
const FEW: i32 = (ONE as i32) << (WEIGHT_FRAC - 4 - PRODUCT_SHIFT);

/// Exponents of keys, and powers of two beside them, stay within 2^14 octaves.
pub(super) const LIMIT: i32 = 1 << 28;

pub(in crate::attention) struct Tiles<'m> {
    pub(super) parameters: &'m Favor<'m>,
    pub(super) head: &'m Head<'m>,
    places: &'m mut [u32],
    pub(super) sums: Sums<'m>,
    /// `[features]`, `t`.
    tops: &'m mut [i16],
    /// `[features]`, `x - t - HEADROOM`, never negative.
    pub(super) shifts: &'m mut [i16],
    /// In every block `[tile, count]`, [`WEIGHT_FRAC`] fractional bits below `t`.
    pub(super) phi: &'m mut [i16],
    /// `[tile, width]`, in pairs.
    pub(super) values: &'m mut [i16],
    /// `[ROW_TILE, width]`.
    room_keys: &'m mut [i16],
    /// `[ROW_TILE, width]`.
    room_values: &'m mut [i16],
    /// See [`products`].
    pub(super) products: &'m mut [i32],
    /// `[features]`, of a query.
    pub(super) weights: &'m mut [i16],
    /// `[KEY_TILE]`, with an epsilon: its exponents in a block.
    pub(super) of_epsilon: &'m mut [i32],
    /// `[2, KEY_TILE]`.
    pub(super) spare: &'m mut [i16],
    /// `[width + 1]`: numerators and the denominator of a query.
    pub(super) gathered: &'m mut [i32],
    /// `[tile]`: what the keys of the open tile weigh.
    pub(super) pulls: &'m mut [i32],
    /// How far a key or a query is.
    pub(super) progress: &'m mut [u32],
}

impl<'m> Tiles<'m> {
    pub(super) fn new(
        parameters: &'m Favor<'m>,
        head: &'m Head<'m>,
        words: &'m mut [u32],
        scratch: &'m mut [u32],
    ) -> Self {
        let (features, width) = (blocks::all(parameters), head.width);
        let tile = parameters.tile.next_multiple_of(2);
        let of_epsilon = if has_epsilon(parameters) { KEY_TILE } else { 0 };
        let rows = width + 1;
        let mut carver = Carver::new(words);
        let mut shared = Carver::new(scratch);
        Self {
            parameters,
            head,
            places: carver.words(PLACES),
            sums: Sums { rows, upper: carver.i16s(rows * features), lower: carver.i16s(rows * features) },
            tops: carver.i16s(features),
            shifts: carver.i16s(features),
            phi: carver.i16s(tile * features),
            values: carver.i16s(tile * width),
            room_keys: shared.i16s(ROW_TILE * width),
            room_values: shared.i16s(ROW_TILE * width),
            products: shared.i32s(products(parameters, width)),
            weights: shared.i16s(features),
            of_epsilon: shared.i32s(of_epsilon),
            spare: shared.i16s(2 * KEY_TILE),
            gathered: shared.i32s(rows),
            pulls: shared.i32s(parameters.tile),
            progress: shared.words(PROGRESS),
        }
    }

    pub(super) fn at(&self, place: Place) -> u32 {
        self.places.get(place as usize).copied().unwrap_or_default()
    }

    fn put(&mut self, place: Place, word: u32) {
        if let Some(slot) = self.places.get_mut(place as usize) {
            *slot = word;
        }
    }

    /// `x_i` of a block, with the fractional bits of exponents.
    pub(super) fn units(&self, block: Block) -> impl Iterator<Item = i32> + use<'_> {
        let tops = self.tops.get(block.features()).unwrap_or_default();
        let shifts = self.shifts.get(block.features()).unwrap_or_default();
        let unit = |(&top, &shift)| (i32::from(top) + i32::from(shift) + HEADROOM) << Favor::LOG_FRAC;
        tops.iter().zip(shifts).map(unit)
    }

    /// Rows of the open tile, `[tile, count]`.
    pub(super) fn rows_of_tile(&self, block: Block) -> Range<usize> {
        block.rows(self.parameters.tile.next_multiple_of(2))
    }

    /// Makes the features of a key in a block.
    fn add_features(&mut self, block: Block, slot: usize) {
        let (parameters, width, filled) = (self.parameters, self.head.width, self.at(Place::Filled) as usize);
        let peak = self.at(Place::Peak) as i32;
        let key = self.room_keys.get(slot * width..(slot + 1) * width).unwrap_or_default();
        let exponents = self.products.get_mut(..block.count).unwrap_or_default();
        let n = if block.directions == 0 {
            exponents.iter_mut().zip([0, NOTHING]).for_each(|(slot, exponent)| *slot = exponent);
            0
        } else {
            block.project(parameters, key, parameters.key, exponents);
            norm(key, parameters.key)
        };
        if block.directions > 0 && parameters.epsilon == Epsilon::Seen {
            let peak = exponents.iter().copied().fold(peak, i32::max);
            self.put(Place::Peak, peak as u32);
        }
        if self.at(Place::Seen) == 0 {
            self.begin_powers(block, n);
        }
        let tops = self.tops.get(block.features()).unwrap_or_default();
        let exponents = self.products.get_mut(..block.count).unwrap_or_default();
        let mut highest = 0;
        for (exponent, &top) in exponents.iter_mut().zip(tops) {
            *exponent = of_key(*exponent, n) - (i32::from(top) << Favor::LOG_FRAC);
            highest = highest.max(*exponent);
        }
        if highest > 0 {
            self.raise(block, filled);
        }
        let at = self.rows_of_tile(block).start + filled * block.count;
        let phi = self.phi.get_mut(at..at + block.count).unwrap_or_default();
        let exponents = self.products.get(..block.count).unwrap_or_default();
        // No exponent lies above the top.
        let _ = softmax_weights(exponents, SIXTEENTH, 0, phi);
    }

    /// The powers of two of a block, from its first key. A feature that is not used never has the smallest shift.
    #[inline(never)]
    fn begin_powers(&mut self, block: Block, n: i32) {
        let tops = self.tops.get_mut(block.features()).unwrap_or_default();
        for (top, &exponent) in tops.iter_mut().zip(&*self.products) {
            *top = octaves(of_key(exponent, n)) as i16;
        }
        let shifts = self.shifts.get_mut(block.features()).unwrap_or_default();
        shifts.fill(MOST_SHIFT);
        shifts.iter_mut().take(block.used(self.parameters)).for_each(|shift| *shift = 0);
    }

    /// Raises the powers of two of the features whose exponents lie above.
    #[inline(never)]
    fn raise(&mut self, block: Block, filled: usize) {
        let rows = self.rows_of_tile(block).start;
        for index in 0..block.count {
            let Some(exponent) = self.products.get_mut(index).filter(|exponent| **exponent > 0) else {
                continue;
            };
            let rise = octaves(*exponent);
            *exponent -= rise << Favor::LOG_FRAC;
            let of_feature = self.phi.iter_mut().skip(rows + index).step_by(block.count).take(filled);
            of_feature.for_each(|phi| *phi = round_shift(i32::from(*phi), rise.min(31) as u32) as i16);
            let lacks = self.change(block, index, rise, -rise);
            if lacks > 0 {
                self.change(block, index, 0, lacks);
                self.sums.lower(block, index, lacks as u32);
            }
        }
    }

    /// Changes the powers of two of a feature; returns how far its shift is below zero.
    fn change(&mut self, block: Block, index: usize, of_top: i32, of_shift: i32) -> i32 {
        let feature = block.first + index;
        let (Some(top), Some(shift)) = (self.tops.get_mut(feature), self.shifts.get_mut(feature)) else {
            return 0;
        };
        *top += of_top as i16;
        *shift += of_shift as i16;
        let shift = i32::from(*shift);
        self.put(Place::Least, self.at(Place::Least).min(shift.max(0) as u32));
        -shift
    }

    /// Adds the keys of a full tile to `z` of a block, and makes room for them in its sums.
    #[inline(never)]
    fn close_block(&mut self, block: Block) {
        let rows = self.rows_of_tile(block);
        let phi = self.phi.get_mut(rows).unwrap_or_default();
        pairs::zip_in_place(phi, self.parameters.tile, block.count, self.spare);
        self.spare.fill(ONE);
        self.add_up(block);
        for index in 0..block.count {
            let shift = self.shifts.get(block.first + index).copied().unwrap_or_default();
            let term = self.products.get(index).copied().unwrap_or_default();
            if term < FEW && shift < MOST_FREE {
                self.change(block, index, -1, 1);
                self.scale(block, index, |x| 2 * x);
            } else if self.sums.is_full(block, index, term, shift) {
                self.sums.lower(block, index, 1);
                if shift < MOST_SHIFT {
                    self.change(block, index, 0, 1);
                } else {
                    self.change(block, index, 1, 0);
                    self.scale(block, index, |x| round_shift(x, 1));
                }
            }
        }
        let shifts = self.shifts.get(block.features()).unwrap_or_default();
        self.sums.add(block, self.head.width, self.products, shifts);
    }

    /// What a feature is of the keys of a full tile, and their sum, in another unit.
    fn scale(&mut self, block: Block, index: usize, scaled: impl Fn(i32) -> i32) {
        let rows = self.rows_of_tile(block);
        let pairs = self.phi.get_mut(rows).unwrap_or_default().chunks_exact_mut((2 * block.count).max(1));
        for phi in pairs.flat_map(|pair| pair.iter_mut().skip(2 * index).take(2)) {
            *phi = scaled(i32::from(*phi)) as i16;
        }
        self.products.iter_mut().skip(index).take(1).for_each(|term| *term = scaled(*term));
    }

    /// Adds the keys of a full tile to the sums of a column.
    fn close_column(&mut self, block: Block, column: usize) {
        let columns = self.values.as_chunks::<2>().0.iter().skip(column).step_by(self.head.width.max(1));
        let weights = self.spare.as_chunks_mut::<2>().0.iter_mut();
        weights.zip(columns).for_each(|(slot, pair)| *slot = *pair);
        self.add_up(block);
        let shifts = self.shifts.get(block.features()).unwrap_or_default();
        self.sums.add(block, column, self.products, shifts);
    }

    /// Sums the features of a full tile, each weighted with what is in the spare rows.
    fn add_up(&mut self, block: Block) {
        let rows = self.rows_of_tile(block);
        let terms = self.products.get_mut(..block.count).unwrap_or_default();
        terms.fill(0);
        let weights = self.spare.get(..self.parameters.tile.next_multiple_of(2)).unwrap_or_default();
        weighted_sum(weights, self.phi.get(rows).unwrap_or_default(), SAFE_KEYS, PRODUCT_SHIFT, terms);
    }

    /// The tile is empty again.
    fn finish_tile(&mut self) {
        let least = self.shifts.iter().copied().fold(MOST_SHIFT, i16::min);
        self.put(Place::Least, least as u32);
        self.put(Place::Filled, 0);
        self.put(Place::Closed, 1);
    }
}

/// `u - n` of a key.
fn of_key(u: i32, n: i32) -> i32 {
    (u - n).clamp(-LIMIT, LIMIT - 1)
}

/// The whole octaves that an exponent does not exceed.
pub(super) const fn octaves(exponent: i32) -> i32 {
    (exponent + (1 << Favor::LOG_FRAC) - 1) >> Favor::LOG_FRAC
}

impl<'m> Memory<'m> for Tiles<'m> {
    fn begin(&mut self) {
        self.places.fill(0);
        self.put(Place::Peak, i32::MIN as u32);
        self.sums.upper.fill(0);
        self.sums.lower.fill(0);
    }

    fn room(self, tokens: Range<usize>) -> Room<'m> {
        let start = tokens.start % ROW_TILE * self.head.width;
        let rows = start..start + tokens.len() * self.head.width;
        Room {
            queries: &mut [],
            keys: self.room_keys.get_mut(rows.clone()).unwrap_or_default(),
            values: self.room_values.get_mut(rows).unwrap_or_default(),
        }
    }

    /// Tokens come one at a time; see [`crate::attention::Order::Together`].
    fn absorb(&mut self, tokens: Range<usize>, visible: u32, resumed: bool, budget: &mut Budget) -> bool {
        if visible & 1 == 0 {
            return true;
        }
        let (slot, width, blocks) =
            (tokens.start % ROW_TILE, self.head.width, blocks::number(self.parameters));
        let mut progress = Progress::read(if resumed { self.progress } else { &[] });
        loop {
            let block = Block::of(self.parameters, progress.block);
            let column = progress.part.wrapping_sub(2);
            match progress.part {
                0 => self.add_features(block, slot),
                1 => self.close_block(block),
                _ => self.close_column(block, column),
            }
            budget.charge(block.count * if progress.part == 0 { width + 24 } else { 24 });
            progress.block += 1;
            if progress.block == blocks {
                progress = Progress { block: 0, part: progress.part + 1, ..progress };
                if progress.part == 1 {
                    let value = self.room_values.get(slot * width..(slot + 1) * width).unwrap_or_default();
                    let filled = self.at(Place::Filled);
                    pairs::put(self.values, filled as usize, value);
                    self.put(Place::Filled, filled + 1);
                    self.put(Place::Seen, 1);
                    if (filled as usize) + 1 < self.parameters.tile {
                        return true;
                    }
                } else if progress.part == width + 2 {
                    self.finish_tile();
                    return true;
                }
            }
            if budget.is_spent() {
                progress.write(self.progress);
                return false;
            }
        }
    }

    fn answer(&mut self, _: usize, row: &mut [i16], resumed: bool, budget: &mut Budget) -> bool {
        if self.at(Place::Seen) == 0 {
            row.fill(0);
            return true;
        }
        self.find(row, resumed, budget)
    }
}
