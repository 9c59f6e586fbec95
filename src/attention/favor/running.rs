//! A state that runs from key to key: what a query finds in it depends on no later key.

use core::ops::Range;

use super::norm;
use super::power::{FEATURE_FRAC, Feature, Power, exp2, shift_down};
use crate::attention::accumulator::raise;
use crate::attention::life::{Memory, Room};
use crate::attention::{Budget, Head, ROW_TILE};
use crate::kernels::dots;
use crate::memory::{Carver, halves};
use crate::model::{Epsilon, Favor, FavorInput, Features, MAX_TOKENS};
use crate::num::{recip, round_shift_wide, saturate};

/// Bits dropped from a product of feature and value: what is left is `S`.
pub(super) const SUM_SHIFT: u32 = 11;

/// State, and a tile of keys and values.
pub(super) const fn memory(parameters: &Favor<'_>, width: usize) -> usize {
    closed(parameters, width) + 2 * halves(ROW_TILE * width)
}

/// State: the words that answers need, the first ones.
pub(super) const fn closed(parameters: &Favor<'_>, width: usize) -> usize {
    PLACE + rows(parameters) * (width + 2)
}

/// The weights of one query, the exponents of one row.
pub(super) const fn scratch(parameters: &Favor<'_>) -> usize {
    2 * rows(parameters) + parameters.directions + 2
}

/// Words of [`Running::place`].
const PLACE: usize = 2;

/// Rows of the state: one a feature, and one for what epsilon is multiplied with.
const fn rows(parameters: &Favor<'_>) -> usize {
    parameters.length() + !matches!(parameters.epsilon, Epsilon::Zero) as usize
}

/// What is kept of all keys so far.
pub(in crate::attention) struct Running<'m> {
    parameters: &'m Favor<'m>,
    head: &'m Head<'m>,
    /// Largest `u` of the keys, `o_k`; whether all of them were looked at.
    place: &'m mut [u32],
    /// `S`, `[rows, width]`: `2^(top - FEATURE_FRAC + SUM_SHIFT)` times the unit of the values.
    sums: &'m mut [i32],
    /// `z`, `[rows]`, units of `2^(top - FEATURE_FRAC)`; zero: no key yet.
    totals: &'m mut [u32],
    /// `[rows]`: no feature lies above `2^top`.
    tops: &'m mut [i32],
    /// `[ROW_TILE, width]`.
    keys: &'m mut [i16],
    /// `[ROW_TILE, width]`.
    values: &'m mut [i16],
    /// `[rows]`, of one query: mantissas, then what to multiply sums and totals with.
    weights: &'m mut [u32],
    /// `[rows]`, of one query: exponents that belong to the mantissas.
    exponents: &'m mut [i32],
    /// `[m]`, of one row: `u`.
    products: &'m mut [i32],
    /// Token of the tile and feature to go on with.
    paused: &'m mut [u32],
}

impl<'m> Running<'m> {
    pub(super) fn new(
        parameters: &'m Favor<'m>,
        head: &'m Head<'m>,
        words: &'m mut [u32],
        scratch: &'m mut [u32],
    ) -> Self {
        let (rows, width) = (rows(parameters), head.width);
        let mut carver = Carver::new(words);
        let mut shared = Carver::new(scratch);
        Self {
            parameters,
            head,
            place: carver.words(PLACE),
            sums: carver.i32s(rows * width),
            totals: carver.words(rows),
            tops: carver.i32s(rows),
            keys: carver.i16s(ROW_TILE * width),
            values: carver.i16s(ROW_TILE * width),
            weights: shared.words(rows),
            exponents: shared.i32s(rows),
            products: shared.i32s(parameters.directions),
            paused: shared.words(2),
        }
    }

    /// Whether keys are only looked at yet.
    fn looks_ahead(&self) -> bool {
        let whole = self.head.causal && !self.head.is_strict();
        whole && self.place.get(1).is_some_and(|&looked| looked == 0)
    }

    /// Makes the products of a key, and notes its offset.
    fn look_at(&mut self, slot: usize) {
        let width = self.head.width;
        let keys = core::mem::take(&mut self.keys);
        let key = keys.get(slot * width..(slot + 1) * width).unwrap_or_default();
        let peak = self.project(key, self.parameters.key);
        self.keys = keys;
        let peak = self.peak().max(peak);
        self.place.iter_mut().take(1).for_each(|slot| *slot = peak as u32);
    }

    /// Largest `u` of the keys, `o_k`.
    fn peak(&self) -> i32 {
        self.place.first().map_or(i32::MIN, |&peak| peak as i32)
    }

    /// Adds what a key and its value are to the features from `from` on, as long as the budget lasts; returns the one to go on
    /// with. The products of the key are there.
    fn add_features(&mut self, from: usize, slot: usize, budget: &mut Budget) -> usize {
        let width = self.head.width;
        let (keys, values) = (core::mem::take(&mut self.keys), core::mem::take(&mut self.values));
        let key = keys.get(slot * width..(slot + 1) * width).unwrap_or_default();
        let value = values.get(slot * width..(slot + 1) * width).unwrap_or_default();
        let norm = norm(key, self.parameters.key);
        let m = self.products.len();
        let mut i = from;
        while i < m && (i == from || !budget.is_spent()) {
            let u = self.products.get(i).copied().unwrap_or_default();
            match self.parameters.features {
                Features::Relu => self.add(i, Feature::Plain(u), value),
                Features::Exponential => self.add(i, Feature::Log(u - norm), value),
                Features::Hyperbolic => {
                    self.add(i, Feature::Log(u - norm), value);
                    self.add(m + i, Feature::Log(-u - norm), value);
                    budget.charge(16 * width + 60);
                }
            }
            budget.charge(16 * width + 60);
            i += 1;
        }
        if i == m && self.parameters.epsilon != Epsilon::Zero {
            self.add(self.parameters.length(), Feature::Log(0), value);
        }
        (self.keys, self.values) = (keys, values);
        i
    }

    /// `S_i += phi_i v`, `z_i += phi_i`.
    fn add(&mut self, row: usize, feature: Feature, value: &[i16]) {
        let Some(limit) = feature.top() else { return };
        let sums = self.sums.get_mut(row * self.head.width..(row + 1) * self.head.width).unwrap_or_default();
        let (Some(total), Some(top)) = (self.totals.get_mut(row), self.tops.get_mut(row)) else { return };
        raise(sums, total, top, limit);
        if *total > (MAX_TOKENS - 1) << FEATURE_FRAC {
            // More keys than there are in a whole run: room for as many again.
            raise(sums, total, top, *top + 1);
        }
        let phi = feature.relative_to(*top);
        *total += phi as u32;
        for (sum, &v) in sums.iter_mut().zip(value) {
            // Saturates at most by what is rounded, and only after more keys than there are in a whole run.
            *sum = sum.saturating_add((phi * i32::from(v) + (1 << (SUM_SHIFT - 1))) >> SUM_SHIFT);
        }
    }

    /// Replaces a query by its attention, with `gain` more fractional bits than the values; zero without a key.
    fn read(&mut self, row: &mut [i16]) {
        let gain = self.head.gain;
        let peak = self.project(row, self.parameters.query);
        let norm = norm(row, self.parameters.query);
        self.features_of_query(norm, peak);
        let total = self.align();
        if total == 0 {
            return row.fill(0);
        }
        // The quotient needs no more than 28 bits of its denominator.
        let shift = (u64::BITS - total.leading_zeros()).saturating_sub(28);
        let reciprocal = recip((total >> shift) as u32);
        let down = reciprocal.exponent - SUM_SHIFT - gain;
        let width = self.head.width.max(1);
        for (first, out) in row.chunks_mut(COLUMNS).enumerate() {
            let first = first * COLUMNS;
            let mut weighted = [0_i64; COLUMNS];
            for (sums, &weight) in self.sums.chunks_exact(width).zip(&*self.weights) {
                let sums = sums.get(first..first + out.len()).unwrap_or_default();
                for (weighted, &sum) in weighted.iter_mut().zip(sums) {
                    *weighted += i64::from(sum) * i64::from(weight);
                }
            }
            for (out, weighted) in out.iter_mut().zip(weighted) {
                let mean = round_shift_wide(weighted, shift) * i64::from(reciprocal.mantissa);
                let mean = round_shift_wide(mean, down).clamp(i64::from(i16::MIN), i64::from(i16::MAX));
                *out = saturate(mean as i32);
            }
        }
    }

    /// `f` of a query whose `u` has been projected, as mantissas and exponents; last, what the sum of values and
    /// the number of keys are weighted with.
    fn features_of_query(&mut self, norm: i32, peak: i32) {
        let Favor { features, epsilon, query, key, .. } = *self.parameters;
        let relu = features == Features::Relu;
        let fixed = epsilon == Epsilon::Fixed;
        let epsilon = (epsilon != Epsilon::Zero).then(|| {
            let of_query = if relu { 0 } else { norm.saturating_add(peak) };
            let of_key = if relu || fixed { 0 } else { self.peak() };
            let log =
                |epsilon: i32, offset: i32| exp2(epsilon.saturating_add(offset).clamp(-(1 << 30), 1 << 30));
            (log(query.epsilon, of_query), log(key.epsilon, of_key))
        });
        let mut all = Power::ZERO;
        let mut set = |row: usize, f: Power| {
            if let (Some(mantissa), Some(exponent)) = (self.weights.get_mut(row), self.exponents.get_mut(row))
            {
                (*mantissa, *exponent) = (f.mantissa, f.exponent);
            }
        };
        let m = self.products.len();
        for (i, &u) in self.products.iter().enumerate() {
            let mut put = |row: usize, f: Power| {
                let Some((epsilon, _)) = epsilon else { return set(row, f) };
                let f = f.plus(epsilon);
                all = all.plus(f);
                set(row, f);
            };
            match features {
                Features::Relu => put(i, Power::new(u.max(0) as u64, 0)),
                Features::Exponential => put(i, exp2(u)),
                Features::Hyperbolic => {
                    put(i, exp2(u));
                    put(m + i, exp2(-u));
                }
            }
        }
        if let Some((_, epsilon)) = epsilon {
            set(self.parameters.length(), all.times(epsilon));
        }
    }

    /// Turns mantissas and exponents into integers that sums and totals can be multiplied with; returns the
    /// weighted total, zero if there is no key.
    fn align(&mut self) -> u64 {
        // Exponent of a row's contribution, weight times total.
        let exponent = |exponent: i32, top: i32, total: u32| exponent + top - total.leading_zeros() as i32;
        let rows = || self.exponents.iter().zip(&*self.tops).zip(&*self.totals);
        let present = rows().zip(&*self.weights).filter(|((_, total), weight)| **total > 0 && **weight > 0);
        let Some(largest) = present.map(|(((&e, &top), &total), _)| exponent(e, top, total)).max() else {
            return 0;
        };
        let mut sum = 0;
        for (((&e, &top), &total), weight) in rows().zip(self.weights.iter_mut()) {
            if total == 0 || *weight == 0 {
                *weight = 0;
                continue;
            }
            // A long row gets a short weight: no product exceeds 2^(31 + FEATURE_FRAC).
            let long = (u32::BITS - FEATURE_FRAC).saturating_sub(total.leading_zeros());
            let shift = largest.abs_diff(exponent(e, top, total)).saturating_add(long);
            *weight = shift_down(*weight, shift);
            sum += u64::from(*weight) * u64::from(total);
        }
        sum
    }

    /// `u` of a row; returns the largest (the largest magnitude where the features are hyperbolic).
    fn project(&mut self, row: &[i16], input: FavorInput) -> i32 {
        if self.parameters.projection.is_empty() {
            self.products.iter_mut().zip(row).for_each(|(u, &x)| *u = i32::from(x));
        }
        if !self.parameters.projection.is_empty() {
            dots(row, self.parameters.projection, self.products);
            self.products.iter_mut().for_each(|u| *u = input.projection.apply(*u));
        }
        let hyperbolic = self.parameters.features == Features::Hyperbolic;
        let largest = self.products.iter().map(|&u| if hyperbolic { u.abs() } else { u }).max();
        largest.unwrap_or_default()
    }
}

impl<'m> Memory<'m> for Running<'m> {
    fn begin(&mut self) {
        self.sums.fill(0);
        self.totals.fill(0);
        self.place.iter_mut().zip([i32::MIN as u32, 0]).for_each(|(slot, word)| *slot = word);
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
        let (mut done, mut feature) = match &*self.paused {
            &[done, feature] if resumed => (done as usize, feature as usize),
            _ => (0, 0),
        };
        let looks_ahead = self.looks_ahead();
        while done < tokens.len() {
            let slot = (tokens.start + done) % ROW_TILE;
            if visible >> done & 1 == 1 {
                if feature == 0 {
                    self.look_at(slot);
                    budget.charge(self.products.len() * (2 * self.head.width + 16));
                }
                if !looks_ahead {
                    feature = self.add_features(feature, slot, budget);
                }
            }
            if feature == 0 || feature == self.products.len() {
                (done, feature) = (done + 1, 0);
            }
            if budget.is_spent() && done < tokens.len() {
                let place = [done as u32, feature as u32];
                self.paused.iter_mut().zip(place).for_each(|(slot, word)| *slot = word);
                return false;
            }
        }
        true
    }

    fn close(&mut self, _: bool, _: &mut Budget) -> bool {
        self.place.iter_mut().skip(1).for_each(|looked| *looked = 1);
        true
    }

    fn answer(&mut self, _: usize, row: &mut [i16], _: bool, budget: &mut Budget) -> bool {
        self.read(row);
        budget.charge(self.products.len() * (6 * self.head.width + 100));
        true
    }
}

/// Columns that a query gathers at a time.
const COLUMNS: usize = 8;
