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
use super::sums::{ONE, Sums};
use super::{SIXTEENTH, norm};
use crate::attention::life::{Memory, Room};
use crate::attention::{Budget, Head, KEY_TILE, ROW_TILE, pairs};
use crate::kernels::{SAFE_KEYS, WEIGHT_FRAC, softmax_weights, weighted_sum};
use crate::memory::{Carver, halves};
use crate::model::{Epsilon, Favor};

/// Sums, powers of two, and the open tile.
pub(super) const fn memory(parameters: &Favor<'_>, width: usize) -> usize {
    let (features, tile) = (blocks::all(parameters), parameters.tile.next_multiple_of(2));
    let [upper, lower] = Sums::words(features, width);
    PLACES + upper + lower + features / 2 + tile / 2 * (features + width)
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
    let (features, gathered) = (blocks::all(parameters), 2 * width + 2);
    let most = if features > gathered { features } else { gathered };
    if most > parameters.tile { most } else { parameters.tile }
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
    /// Sum of all weights, [`WEIGHT_FRAC`] fractional bits.
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

/// Octaves from the largest feature that is possible to the unit of the sums, which `2^(level + 1)` keys do not overflow: as
/// many as a tile can have at least. At the last one, sums are halved instead: what is 2^29 keys old begins to fade.
const LEVELS: core::ops::RangeInclusive<u32> = 6..=28;
/// Bits that products of features and values have more than sums, less the level.
const LESS: u32 = 2;
/// A feature whose keys of a tile come to less than `2^-FEW` of the largest that is possible gets more bits, while its `z`
/// is below [`FREE`].
const FEW: u32 = 6;
const FREE: i32 = 1 << 21;

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
        let [upper, lower] = Sums::words(features, width);
        let mut carver = Carver::new(words);
        let mut shared = Carver::new(scratch);
        Self {
            parameters,
            head,
            places: carver.words(PLACES),
            sums: Sums { width, upper: carver.words(upper), lower: carver.words(lower) },
            tops: carver.i16s(features),
            phi: carver.i16s(tile * features),
            values: carver.i16s(tile * width),
            room_keys: shared.i16s(ROW_TILE * width),
            room_values: shared.i16s(ROW_TILE * width),
            products: shared.i32s(products(parameters, width)),
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

    fn put(&mut self, place: Place, word: u32) {
        if let Some(slot) = self.places.get_mut(place as usize) {
            *slot = word;
        }
    }

    /// Rows of the open tile, `[tile, count]`.
    pub(super) fn rows_of_tile(&self, block: Block) -> Range<usize> {
        block.rows(self.parameters.tile.next_multiple_of(2))
    }

    /// Makes the features of a key in a block.
    fn add_features(&mut self, block: Block, slot: usize) {
        let (parameters, width, filled) = (self.parameters, self.head.width, self.at(Place::Filled) as usize);
        let at = self.rows_of_tile(block).start + filled * block.count;
        let phi = self.phi.get_mut(at..at + block.count).unwrap_or_default();
        if block.directions == 0 {
            let powers = [1 << WEIGHT_FRAC, 1 << (WEIGHT_FRAC - FINE)];
            return phi.iter_mut().zip(powers).for_each(|(slot, phi)| *slot = phi);
        }
        let key = self.room_keys.get(slot * width..(slot + 1) * width).unwrap_or_default();
        let n = norm(key, parameters.key);
        let tops = self.tops.get_mut(block.features()).unwrap_or_default();
        let exponents = self.products.get_mut(..block.count).unwrap_or_default();
        block.expose::<true>(parameters, key, n, tops, exponents);
        if parameters.epsilon == Epsilon::Seen {
            let u = |(&exponent, &top)| exponent + (i32::from(top) << Favor::LOG_FRAC) + n;
            let used = block.used(parameters);
            let peak = exponents.iter().zip(&*tops).take(used).map(u).fold(i32::MIN, i32::max);
            self.put(Place::Peak, peak.max(self.at(Place::Peak) as i32) as u32);
        }
        if self.at(Place::Seen) == 0 {
            self.raise(block, filled);
        }
        let features = at..at + block.count;
        if self.weigh_features(block, features.clone()).is_err() {
            self.raise(block, filled);
            // Now none lies above its power of two.
            let _ = self.weigh_features(block, features);
        }
    }

    fn weigh_features(&mut self, block: Block, features: Range<usize>) -> Result<u32, i32> {
        let exponents = self.products.get(..block.count).unwrap_or_default();
        softmax_weights(exponents, SIXTEENTH, 0, self.phi.get_mut(features).unwrap_or_default())
    }

    /// Raises the powers of two of the features whose exponents lie above; takes those of the first key, whatever they are.
    #[inline(never)]
    fn raise(&mut self, block: Block, filled: usize) {
        let rows = self.rows_of_tile(block).start;
        let (is_first, is_closed) = (self.at(Place::Seen) == 0, self.at(Place::Closed) > 0);
        let used = block.used(self.parameters);
        let exponents = self.products.get_mut(..used).unwrap_or_default();
        let tops = self.tops.get_mut(block.features()).unwrap_or_default();
        for (index, (exponent, top)) in exponents.iter_mut().zip(tops).enumerate() {
            if *exponent <= 0 && !is_first {
                continue;
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
        }
    }

    /// Adds the keys of a full tile to `z` of a block.
    #[inline(never)]
    fn close_block(&mut self, block: Block) {
        let (rows, tile, width) = (self.rows_of_tile(block), self.parameters.tile, self.head.width);
        let phi = self.phi.get_mut(rows).unwrap_or_default();
        pairs::zip_in_place(phi, tile, block.count, self.spare);
        self.spare.fill(ONE);
        self.add_up(block, width);
        // What there is of a feature without this tile is still in the sums.
        let most = 1_i32 << (28 - FEW).saturating_sub(self.level());
        let mut before = [0; KEY_TILE];
        self.sums.take(block, width, self.is_halved(), &mut before);
        for (index, before) in before.into_iter().enumerate().take(block.used(self.parameters)) {
            let sum = self.products.get(index).copied().unwrap_or_default();
            let more = sum - before;
            if sum < FREE && more < most {
                let free = sum.leading_zeros() - FREE.leading_zeros() - 1;
                self.sink(block, index, free.min(more.leading_zeros() - most.leading_zeros()));
            }
        }
        self.sums.put(block, width, self.products);
    }

    /// Lowers the power of two of a feature by `octaves` while its tile is closed.
    #[inline(never)]
    fn sink(&mut self, block: Block, index: usize, octaves: u32) {
        if octaves == 0 {
            return;
        }
        self.sums.scale(block, index, -(octaves as i32));
        self.tops.iter_mut().skip(block.first + index).take(1).for_each(|top| *top -= octaves as i16);
        self.products.iter_mut().skip(index).take(1).for_each(|sum| *sum <<= octaves);
        let rows = self.rows_of_tile(block);
        let pairs = self.phi.get_mut(rows).unwrap_or_default().chunks_exact_mut((2 * block.count).max(1));
        pairs.flat_map(|pair| pair.iter_mut().skip(2 * index).take(2)).for_each(|phi| *phi <<= octaves);
    }

    /// Adds the keys of a full tile to the sums of a column.
    #[inline(never)]
    fn close_column(&mut self, block: Block, column: usize) {
        let values = self.values.as_chunks::<2>().0;
        let mut at = column;
        for weights in self.spare.as_chunks_mut::<2>().0 {
            let Some(pair) = values.get(at) else { break };
            *weights = *pair;
            at += self.head.width;
        }
        self.add_up(block, column);
        self.sums.put(block, column, self.products);
    }

    /// Takes the sums of a row and adds the features of a full tile, each weighted with what is in the spare rows.
    fn add_up(&mut self, block: Block, row: usize) {
        let (rows, level, is_halved) = (self.rows_of_tile(block), self.level(), self.is_halved());
        let sums = self.products.get_mut(..block.count).unwrap_or_default();
        self.sums.take(block, row, is_halved, sums);
        let weights = self.spare.get(..self.parameters.tile.next_multiple_of(2)).unwrap_or_default();
        let phi = self.phi.get(rows).unwrap_or_default();
        weighted_sum(weights, phi, SAFE_KEYS, level - LESS, sums);
    }

    /// Of the sums once the open tile is closed.
    fn level(&self) -> u32 {
        let keys = self.at(Place::Closed) + self.parameters.tile as u32;
        // As many keys as twice its power of two.
        (u32::BITS - (keys - 1).leading_zeros()).saturating_sub(1).clamp(*LEVELS.start(), *LEVELS.end())
    }

    /// Whether closing the open tile halves the sums first.
    fn is_halved(&self) -> bool {
        self.at(Place::Closed) + self.parameters.tile as u32 > 2 << self.at(Place::Level)
    }

    /// Adds the keys of a full tile to the sums, part by part: to `z`, then to those of a column after the other.
    #[inline(never)]
    fn close_tile(&mut self, mut progress: Progress, budget: &mut Budget) -> bool {
        let (width, blocks) = (self.head.width, blocks::number(self.parameters));
        let mut block = Block::of(self.parameters, progress.block);
        while progress.part < width + 2 {
            if budget.is_spent() {
                progress.write(self.progress);
                return false;
            }
            match progress.part.checked_sub(2) {
                Some(column) => self.close_column(block, column),
                None => self.close_block(block),
            }
            budget.charge(block.count * 24);
            progress.block += 1;
            if progress.block == blocks {
                (progress.block, progress.part) = (0, progress.part + 1);
            }
            if blocks > 1 {
                block = Block::of(self.parameters, progress.block);
            }
        }
        self.finish_tile();
        true
    }

    /// The tile is empty again.
    fn finish_tile(&mut self) {
        let (level, tile) = (self.level(), self.parameters.tile as u32);
        let closed = self.at(Place::Closed);
        let faded = self.is_halved() && level == self.at(Place::Level);
        self.put(Place::Closed, if faded { closed / 2 } else { closed } + tile);
        self.put(Place::Level, level);
        self.put(Place::Filled, 0);
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
        self.sums.upper.fill(0);
        self.sums.lower.fill(0);
    }

    fn room(self, tokens: Range<usize>) -> Room<'m> {
        let length = tokens.len() * self.head.width;
        Room {
            queries: &mut [],
            keys: self.room_keys.get_mut(..length).unwrap_or_default(),
            values: self.room_values.get_mut(..length).unwrap_or_default(),
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
            self.add_features(block, slot);
            budget.charge(block.count * (width + 24));
            progress.block += 1;
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
