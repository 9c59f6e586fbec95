//! Causal FAVOR+ whose features are powers of two: keys are added to the sums a tile at a time.
//!
//! A key of the open tile is kept as its value and its features, so that its weight for a query is `sum_i f_i phi_i`: one
//! product of two rows. It is merged with what the query finds in the sums of the closed tiles, exactly as one weighted
//! mean. No bit depends on a later token.
//!
//! Every feature `i` has its own power of two, `t_i`, above which no feature of a key lies; it rises, and sums are shifted,
//! where one would, and it sinks where tiles leave it far behind. The sums are relative to `2^(t_i + level)`: the level rises
//! with the logarithm of the number of keys, so that none can overflow.

use core::ops::Range;

use super::blocks::{self, Block, has_epsilon};
use super::close::LEVELS;
use super::sums::Sums;
use super::{SIXTEENTH, norm};
use crate::attention::life::{Memory, Room};
use crate::attention::{Budget, Head, KEY_TILE, ROW_TILE, pairs};
use crate::kernels::{WEIGHT_FRAC, exp2_weights};
use crate::memory::{Carver, halves};
use crate::model::{Epsilon, Favor};

/// Sums, powers of two, and the open tile.
pub(super) const fn memory(parameters: &Favor<'_>, width: usize) -> usize {
    let (features, tile) = (blocks::all(parameters), parameters.tile.next_multiple_of(2));
    PLACES + Sums::words(features, width) + features / 2 + tile / 2 * (features + width)
}

/// Four rows of keys and values, exponents and weights of a query, and what is gathered.
pub(super) const fn scratch(parameters: &Favor<'_>, width: usize) -> usize {
    let features = blocks::all(parameters);
    let epsilon = if has_epsilon(parameters) { KEY_TILE } else { 0 };
    2 * halves(ROW_TILE * width)
        + products(parameters)
        + features / 2
        + epsilon
        + KEY_TILE
        + (width + 1)
        + parameters.tile
        + PROGRESS
}

/// Exponents of all features; later, the weights of a tile.
const fn products(parameters: &Favor<'_>) -> usize {
    let features = blocks::all(parameters);
    if features > parameters.tile { features } else { parameters.tile }
}

/// A word of [`Tiles::places`].
#[derive(Clone, Copy)]
pub(super) enum Place {
    /// Whether there was a key.
    Seen,
    /// Keys of the open tile.
    Filled,
    /// Keys of the closed tiles, as many as their weights come to.
    Closed,
    /// See [`LEVELS`].
    Level,
    /// With an epsilon: largest `u` of the keys.
    Peak,
}

const PLACES: usize = Place::Peak as usize + 1;

/// How far a key or a query is, and what is known of a query by then.
#[derive(Clone, Copy)]
pub(super) struct Progress {
    /// What is done with every block, then the block.
    pub(super) part: usize,
    pub(super) block: usize,
    /// Largest exponent of all features.
    pub(super) largest: i32,
    /// Sum of all weights, [`WEIGHT_FRAC`] fractional bits; of a key: whether powers of two are being raised.
    pub(super) total: u32,
    /// With an epsilon: the largest `u`, the largest power of two, and the exponent of the sum of all values.
    pub(super) peak: i32,
    pub(super) farthest: i32,
    pub(super) of_all: i32,
}

/// With an epsilon, one feature is one for every key, and another `2^-FINE`: together their weights have so many bits more. They
/// may be small where the other features are, as those of many keys are summed.
pub(super) const FINE: u32 = 7;

/// Words of [`Tiles::progress`].
const PROGRESS: usize = 7;

impl Progress {
    pub(super) const START: Self = Self {
        part: 0,
        block: 0,
        largest: i32::MIN,
        total: 0,
        peak: i32::MIN,
        farthest: i32::MIN,
        of_all: i32::MIN,
    };

    /// What was written.
    pub(super) fn read(words: &[u32]) -> Self {
        let &[part, block, largest, total, peak, farthest, of_all] = words else { return Self::START };
        Self {
            part: part as usize,
            block: block as usize,
            largest: largest as i32,
            total,
            peak: peak as i32,
            farthest: farthest as i32,
            of_all: of_all as i32,
        }
    }

    pub(super) fn write(self, words: &mut [u32]) {
        let Self { part, block, largest, total, peak, farthest, of_all } = self;
        let values =
            [part as u32, block as u32, largest as u32, total, peak as u32, farthest as u32, of_all as u32];
        words.iter_mut().zip(values).for_each(|(slot, word)| *slot = word);
    }
}

pub(in crate::attention) struct Tiles<'m> {
    pub(super) parameters: &'m Favor<'m>,
    pub(super) head: &'m Head<'m>,
    places: &'m mut [u32],
    pub(super) sums: Sums<'m>,
    /// `[features]`, `t`.
    pub(super) tops: &'m mut [i16],
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
        let mut carver = Carver::new(words);
        let mut shared = Carver::new(scratch);
        Self {
            parameters,
            head,
            places: carver.words(PLACES),
            sums: Sums { width, sums: carver.i32s(Sums::words(features, width)) },
            tops: carver.i16s(features),
            phi: carver.i16s(tile * features),
            values: carver.i16s(tile * width),
            room_keys: shared.i16s(ROW_TILE * width),
            room_values: shared.i16s(ROW_TILE * width),
            products: shared.i32s(products(parameters)),
            weights: shared.i16s(features),
            of_epsilon: shared.i32s(of_epsilon),
            spare: shared.i16s(2 * KEY_TILE),
            gathered: shared.i32s(width + 1),
            pulls: shared.i32s(parameters.tile),
            progress: shared.words(PROGRESS),
        }
    }

    pub(super) fn at(&self, place: Place) -> u32 {
        self.places.get(place as usize).copied().unwrap_or_default()
    }

    pub(super) fn put(&mut self, place: Place, word: u32) {
        if let Some(slot) = self.places.get_mut(place as usize) {
            *slot = word;
        }
    }

    /// Rows of the open tile, `[tile, count]`.
    pub(super) fn rows_of_tile(&self, block: Block) -> Range<usize> {
        block.rows(self.parameters.tile.next_multiple_of(2))
    }

    /// Makes the features of a key in a block, or goes on with that; whether it is done.
    fn add_features(&mut self, block: Block, slot: usize, resumed: bool, budget: &mut Budget) -> bool {
        let filled = self.at(Place::Filled) as usize;
        let at = self.rows_of_tile(block).start + filled * block.count;
        let features = at..at + block.count;
        if block.directions == 0 {
            let powers = [1 << WEIGHT_FRAC, 1 << (WEIGHT_FRAC - FINE)];
            let phi = self.phi.get_mut(features).unwrap_or_default();
            phi.iter_mut().zip(powers).for_each(|(slot, phi)| *slot = phi);
            return true;
        }
        if !resumed {
            let above = self.expose_key(block, slot);
            budget.charge(block.count * (self.head.width + 24));
            if self.at(Place::Seen) > 0 && !above {
                self.weigh_features(block, features);
                return true;
            }
        }
        let done = self.raise(block, filled, budget);
        if done {
            self.weigh_features(block, features);
        }
        done
    }

    /// Exponents of a key, each less its power of two; whether one may be above zero.
    fn expose_key(&mut self, block: Block, slot: usize) -> bool {
        let (parameters, width) = (self.parameters, self.head.width);
        let key = self.room_keys.get(slot * width..(slot + 1) * width).unwrap_or_default();
        let n = norm(key, parameters.key);
        let tops = self.tops.get(block.features()).unwrap_or_default();
        let exponents = self.products.get_mut(..block.count).unwrap_or_default();
        let above = block.expose_key(parameters, key, n, tops, exponents);
        if parameters.epsilon == Epsilon::Seen {
            let u = |(&exponent, &top)| exponent + (i32::from(top) << Favor::LOG_FRAC) + n;
            let used = block.used(parameters);
            let peak = exponents.iter().zip(tops).take(used).map(u).fold(i32::MIN, i32::max);
            self.put(Place::Peak, peak.max(self.at(Place::Peak) as i32) as u32);
        }
        above
    }

    /// The features of a key from its exponents, none above its power of two.
    fn weigh_features(&mut self, block: Block, features: Range<usize>) {
        let exponents = self.products.get(..block.count).unwrap_or_default();
        exp2_weights(exponents, SIXTEENTH, 0, self.phi.get_mut(features).unwrap_or_default());
    }

    /// Raises the powers of two of the features whose exponents lie above; takes those of the first key, whatever they are.
    /// Whether that is all.
    #[inline(never)]
    fn raise(&mut self, block: Block, filled: usize, budget: &mut Budget) -> bool {
        let rows = self.rows_of_tile(block).start;
        let (is_first, is_closed) = (self.at(Place::Seen) == 0, self.at(Place::Closed) > 0);
        let used = block.used(self.parameters);
        let exponents = self.products.get_mut(..used).unwrap_or_default();
        let tops = self.tops.get_mut(block.features()).unwrap_or_default();
        for (index, (exponent, top)) in exponents.iter_mut().zip(tops).enumerate() {
            if *exponent <= 0 && !is_first {
                continue;
            }
            if !is_first && budget.is_spent() {
                return false;
            }
            let rise = octaves(*exponent);
            *exponent -= rise << Favor::LOG_FRAC;
            *top = (i32::from(*top) + rise) as i16;
            let shift = rise.clamp(1, 16);
            let of_tile = self.phi.get_mut(rows + index..rows + filled * block.count).unwrap_or_default();
            for phi in of_tile.iter_mut().step_by(block.count.max(1)) {
                *phi = ((i32::from(*phi) + (1 << (shift - 1))) >> shift) as i16;
            }
            if is_closed {
                self.sums.scale(block, index, rise);
            }
            budget.charge(16 * self.head.width + 8 * filled);
        }
        true
    }
}

/// The whole octaves that an exponent does not exceed.
pub(super) const fn octaves(exponent: i32) -> i32 {
    (exponent + (1 << Favor::LOG_FRAC) - 1) >> Favor::LOG_FRAC
}

impl<'m> Memory<'m> for Tiles<'m> {
    fn begin(&mut self) {
        self.places.fill(0);
        self.put(Place::Peak, i32::MIN as u32);
        self.put(Place::Level, *LEVELS.start());
        self.tops.fill(0);
        // An odd tile has room for one value more.
        self.values.fill(0);
        self.sums.sums.fill(0);
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
        let (slot, width) = (tokens.start % ROW_TILE, self.head.width);
        let mut progress = if resumed { Progress::read(self.progress) } else { Progress::START };
        while progress.part == 0 {
            let block = Block::of(self.parameters, progress.block);
            if !self.add_features(block, slot, progress.total == 1, budget) {
                progress.total = 1;
                progress.write(self.progress);
                return false;
            }
            (progress.block, progress.total) = (progress.block + 1, 0);
            if progress.block == blocks::number(self.parameters) {
                let value = self.room_values.get(slot * width..(slot + 1) * width).unwrap_or_default();
                let filled = self.at(Place::Filled);
                pairs::put(self.values, filled as usize, value);
                self.put(Place::Filled, filled + 1);
                self.put(Place::Seen, 1);
                if (filled as usize) + 1 < self.parameters.tile {
                    return true;
                }
                progress = Progress { part: 1, block: 0, ..progress };
            }
            if budget.is_spent() {
                progress.write(self.progress);
                return false;
            }
        }
        self.close_tile(progress, budget)
    }

    fn answer(&mut self, _: usize, row: &mut [i16], resumed: bool, budget: &mut Budget) -> bool {
        if self.at(Place::Seen) == 0 {
            row.fill(0);
            return true;
        }
        self.find(row, resumed, budget)
    }
}
