//! FAVOR+ where every key comes before every query: two softmaxes, one after the other.
//!
//! `S_i / z_i` is a mean of the values, key `j` weighted with `exp(u_ij - n_j)`: exact attention whose query is row `i`
//! of the projection. And `sum_i f_i S_i / sum_i f_i z_i` is a mean of these means, number `i` weighted with
//! `exp(u_i) z_i`: exact attention whose keys are the rows of the projection. Both are an [`Accumulator`]'s work.

use core::num::NonZeroUsize;

use super::super::accumulator::{HIDDEN, State};
use super::super::{Accumulator, Head, KEY_TILE, KeyTile, TileBuffer, Weight, bits, zip_pairs};
use super::norm;
use crate::arena::Carver;
use crate::kernels::{VALUE_LIMIT, dots};
use crate::model::{Epsilon, Favor, FavorInput, Features};
use crate::num::Requant;

/// Working memory: sums, total, top and logarithm of every feature, their means, and three rows.
pub(super) const fn scratch(parameters: &Favor<'_>, width: usize) -> usize {
    let rows = signs(parameters) * stride(parameters);
    rows * (width + 3) + rows / 2 * width + width + 2 * width.div_ceil(2)
}

/// Features of a direction.
const fn signs(parameters: &Favor<'_>) -> usize {
    1 + matches!(parameters.features, Features::Hyperbolic) as usize
}

/// Rows of the features of one sign: those of the other begin with a pair.
const fn stride(parameters: &Favor<'_>) -> usize {
    parameters.directions.next_multiple_of(2)
}

/// Attends in place, with features that are powers.
pub(super) fn attend<'a>(parameters: Favor<'_>, head: Head<'a>, scratch: &mut [u32]) {
    let Head { width, rows, keys, values, visible, gain, .. } = head;
    // The model was parsed: no width is zero, and no division can panic.
    let columns = NonZeroUsize::new(width).unwrap_or(NonZeroUsize::MIN);
    let width = columns.get();
    let mut carver = Carver::new(scratch);
    let sum = carver.i32s(width);
    zip_pairs(values, width, sum);
    let tiles = || {
        let size = (KEY_TILE * width).max(1);
        keys.chunks(size).zip(values.chunks(size)).enumerate().filter_map(|(tile, (keys, values))| {
            let visible = bits(visible, tile * KEY_TILE, keys.len() / width);
            (visible != 0).then_some(KeyTile { keys, values, visible, weight: Weight::One })
        })
    };
    let mut buffer = TileBuffer::new();
    let mut features = FeatureRows::new(parameters, columns, &mut carver);
    tiles().for_each(|tile| features.look_at(tile, &mut buffer));
    tiles().for_each(|tile| features.absorb(tile, &mut buffer));
    if features.totals.first().is_none_or(|&total| total == 0) {
        return rows.fill(0); // No key is visible.
    }
    let [constant, zeros] = [carver.i16s(width), carver.i16s(width)];
    zeros.fill(0);
    if parameters.epsilon != Epsilon::Zero {
        // As much of every value in every feature: like a key of zeros whose value is the mean of all.
        let mut all = Accumulator::new(sum, &mut buffer);
        tiles().for_each(|tile| all.absorb(&[], tile, Requant { multiplier: 0, shift: 1 }));
        let count = all.state().log2();
        all.finish(0, constant);
        let seen = |tile: KeyTile<'a>| {
            let rows = tile.keys.chunks_exact(width).enumerate();
            rows.filter(move |(j, _)| tile.visible >> j & 1 == 1)
        };
        let peaks = tiles().flat_map(seen).map(|(_, key)| peak(&parameters, parameters.key, key));
        let peak = if parameters.epsilon == Epsilon::Fixed { 0 } else { peaks.max().unwrap_or_default() };
        let log = parameters.key.epsilon.saturating_add(peak).saturating_add(count).clamp(-LIMIT, LIMIT);
        let tile = KeyTile { keys: zeros, values: constant, visible: 1, weight: Weight::One };
        features.absorb_weighted(tile, &[log], &mut buffer);
    }
    features.finish(sum, &mut buffer);
    let mut all = Accumulator::new(sum, &mut buffer);
    if parameters.epsilon != Epsilon::Zero {
        // As much of every feature: like a direction of zeros whose mean is the mean of all.
        features.attend(&[], &mut all);
    }
    let total = all.state().log2();
    all.finish(features.extra, constant);
    for row in rows.chunks_exact_mut(width) {
        let mut accumulator = Accumulator::new(sum, &mut buffer);
        features.attend(row, &mut accumulator);
        if parameters.epsilon != Epsilon::Zero {
            let offset = norm(row, parameters.query).saturating_add(peak(&parameters, parameters.query, row));
            let log = parameters.query.epsilon.saturating_add(offset).saturating_add(total);
            let weight =
                Weight::Power { offsets: &[log.clamp(-LIMIT, LIMIT)], base: 0, extra: features.extra };
            let tile = KeyTile { keys: zeros, values: constant, visible: 1, weight };
            accumulator.absorb(&[], tile, parameters.query.projection);
        }
        accumulator.finish(gain, row);
    }
}

/// Largest magnitude of what is added to an exponent.
const LIMIT: i32 = 1 << 29;

/// One accumulator for every feature, and what it comes to.
struct FeatureRows<'p, 's> {
    parameters: Favor<'p>,
    width: NonZeroUsize,
    /// `[rows, width]`.
    sums: &'s mut [i32],
    /// `[rows]`.
    totals: &'s mut [u32],
    /// `[rows]`.
    tops: &'s mut [i32],
    /// `[rows, width]`, pairs zipped: `S_i / z_i`.
    means: &'s mut [i16],
    /// `[rows]`, the largest exponent of the keys, then `log2 z_i`.
    logs: &'s mut [i32],
    /// Fractional bits that the means have more than the values.
    extra: u32,
}

impl<'p, 's> FeatureRows<'p, 's> {
    /// Empty.
    fn new(parameters: Favor<'p>, width: NonZeroUsize, carver: &mut Carver<'s>) -> Self {
        let rows = signs(&parameters) * stride(&parameters);
        let elements = rows * width.get();
        let (sums, totals, tops) = (carver.i32s(elements), carver.words(rows), carver.i32s(rows));
        let (means, logs) = (carver.i16s(elements), carver.i32s(rows));
        sums.fill(0);
        totals.fill(0);
        logs.fill(HIDDEN);
        Self { parameters, width, sums, totals, tops, means, logs, extra: 0 }
    }

    /// Notes the largest exponent of every feature: relative to it, weights have as many bits as there are.
    fn look_at(&mut self, tile: KeyTile<'_>, buffer: &mut TileBuffer) {
        let offsets = &self.offsets(tile);
        let tile = KeyTile { weight: Weight::Power { offsets, base: 0, extra: 0 }, ..tile };
        for (first, projection) in self.signs(self.parameters.key) {
            let directions = self.parameters.projection.chunks_exact(self.width.get());
            for (direction, peak) in directions.zip(self.logs.iter_mut().skip(first)) {
                *peak = buffer.peak(direction, tile, projection).max(*peak);
            }
        }
    }

    /// Adds visible keys to every feature.
    fn absorb(&mut self, tile: KeyTile<'_>, buffer: &mut TileBuffer) {
        self.absorb_weighted(tile, &self.offsets(tile), buffer);
    }

    /// Minus `n` of every key.
    fn offsets(&self, tile: KeyTile<'_>) -> [i32; KEY_TILE] {
        let mut offsets = [0; KEY_TILE];
        for (offset, key) in offsets.iter_mut().zip(tile.keys.chunks_exact(self.width.get())) {
            *offset = -norm(key, self.parameters.key);
        }
        offsets
    }

    /// Adds visible keys whose exponents have an offset.
    fn absorb_weighted(&mut self, tile: KeyTile<'_>, offsets: &[i32], buffer: &mut TileBuffer) {
        for (first, projection) in self.signs(self.parameters.key) {
            let directions = self.parameters.projection.chunks_exact(self.width.get());
            let sums = self.sums.chunks_exact_mut(self.width.get()).zip(&*self.logs);
            let states = self.totals.iter_mut().zip(self.tops.iter_mut());
            let rows = directions.zip(sums.zip(states).skip(first));
            for (direction, ((sums, &base), (total, top))) in rows {
                let state = State { total: *total, top: *top };
                let mut accumulator = Accumulator::resume(sums, buffer, state);
                let weight = Weight::Power { offsets, base, extra: 0 };
                accumulator.absorb(direction, KeyTile { weight, ..tile }, projection);
                State { total: *total, top: *top } = accumulator.state();
            }
        }
    }

    /// First rows of the features of either sign, and how products become exponents there.
    fn signs(&self, input: FavorInput) -> impl Iterator<Item = (usize, Requant)> + use<> {
        let plus = input.projection;
        let minus = Requant { multiplier: -plus.multiplier, ..plus };
        [(0, plus), (stride(&self.parameters), minus)].into_iter().take(signs(&self.parameters))
    }

    /// Turns sums and totals into means and logarithms.
    fn finish(&mut self, sum: &mut [i32], buffer: &mut TileBuffer) {
        // What the largest mean leaves free, all of them use.
        let mut peak = 0;
        for gain in [Some(0), None] {
            let gain = gain.unwrap_or(
                (i32::from(VALUE_LIMIT) / (peak + 1)).checked_ilog2().unwrap_or(0).min(MOST_EXTRA),
            );
            self.extra = gain;
            let rows = self
                .sums
                .chunks_exact_mut(self.width.get())
                .zip(self.means.chunks_exact_mut(self.width.get()));
            for ((sums, mean), (&total, &top)) in rows.zip(self.totals.iter().zip(&*self.tops)) {
                Accumulator::resume(sums, buffer, State { total, top }).finish(gain, mean);
                peak = mean.iter().fold(peak, |peak, &mean| peak.max(i32::from(mean).abs()));
            }
        }
        for (log, (&total, &top)) in self.logs.iter_mut().zip(self.totals.iter().zip(&*self.tops)) {
            *log = log.saturating_add(State { total, top }.log2()).clamp(-LIMIT, LIMIT);
        }
        zip_pairs(self.means, self.width.get(), sum);
    }

    /// The features as keys of a query, [`KEY_TILE`] at a time; with `u` left out if it is empty.
    fn attend(&self, q: &[i16], accumulator: &mut Accumulator<'_>) {
        let Favor { query, projection: directions, .. } = self.parameters;
        let width = self.width;
        let size = (KEY_TILE * width.get()).max(1);
        for (first, projection) in self.signs(query) {
            let means = self.means.get(first * width.get()..).unwrap_or_default();
            let logs = self.logs.get(first..).unwrap_or_default();
            let tiles = directions.chunks(size).zip(means.chunks(size)).zip(logs.chunks(KEY_TILE));
            for ((keys, values), offsets) in tiles {
                let visible = u64::MAX >> (KEY_TILE - keys.len() / width);
                let values =
                    values.get(..keys.len().next_multiple_of((2 * width.get()).max(1))).unwrap_or(values);
                let weight = Weight::Power { offsets, base: 0, extra: self.extra };
                accumulator.absorb(q, KeyTile { keys, values, visible, weight }, projection);
            }
        }
    }
}

/// Most further bits of means: of values that are all zero there would be no end.
const MOST_EXTRA: u32 = 10;

/// The largest `u` of a row, or magnitude of one where the features have both signs.
fn peak(parameters: &Favor<'_>, input: FavorInput, row: &[i16]) -> i32 {
    let mut products = [0; KEY_TILE];
    let mut peak = i32::MIN;
    let width = row.len().max(1);
    for directions in parameters.projection.chunks((KEY_TILE * width).max(1)) {
        let products = products.get_mut(..directions.len() / width).unwrap_or_default();
        dots(row, directions, products);
        for u in products.iter().map(|&product| input.projection.apply(product)) {
            let u = if parameters.features == Features::Hyperbolic { u.abs() } else { u };
            peak = peak.max(u);
        }
    }
    peak
}
