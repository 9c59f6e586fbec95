//! FAVOR+ (Choromanski et al. 2021, "Rethinking Attention with Performers"): `phi(q) S / phi(q) z` with
//! `S = sum phi(k) v` and `z = sum phi(k)`; work linear in the length, memory independent of it.
//!
//! **Offsets.** The original subtracts one offset from the exponents of all keys. Here every feature `i` has its
//! own, a whole power of two that rises as keys come in, with `S_i` and `z_i` shifted when it does (a running
//! maximum over the keys, of the whole exponent `u - n`). A query's weight of feature `i` is then
//! `2^(u_i + top_i)`, so that the offsets cancel exactly. No feature can vanish beside a larger one, whatever
//! the range of the inputs, and 16-bit features are enough.
//!
//! **Epsilon.** The originals add `epsilon` to every feature, relative to the largest `u`: of the row for a query, of
//! the sequence for the keys (`o_q`, `o_k`; both without `n`). Multiplied by `exp(n + o_q)` and `exp(o_k)`:
//!
//! `f_i = exp(u_i) + epsilon exp(n + o_q)`,
//! `out = sum_i f_i (S_i + epsilon exp(o_k) sum v) / sum_i f_i (z_i + epsilon exp(o_k) count)`.
//!
//! `S` and `z` stay free of it: `sum v` and `count` are one more feature, `o_k` is a maximum kept beside. That is
//! the original exactly, but for rounding, if `o_k` is ([`Epsilon::Sequence`], or a bidirectional head); where the
//! maximum runs ([`Epsilon::Seen`]) or is a constant ([`Epsilon::Fixed`]) the result differs from the original by
//! `O(epsilon)`: 8e-3 measured at 1e-6 on unit normal inputs, 3e-4 on correlated ones. The original's guard, `2 epsilon` more on a denominator below `epsilon`, does not exist here.
//!
//! Where all keys come before all queries nothing has to run: [`means`] does that.
//!
//! ReLU features have no offset; their products are integers, with the same running power of two.

mod means;

use super::accumulator::raise;
use super::{Head, is_visible};
use crate::arena::Carver;
use crate::kernels::{VALUE_LIMIT, dots};
use crate::model::{Epsilon, Favor, FavorInput, Features, MAX_TOKENS};
use crate::num::{LogScore, Probability, exp2_neg, recip, round_shift, round_shift_wide, saturate};

/// Fractional bits of a feature relative to its row's power of two.
const FEATURE_FRAC: u32 = Probability::FRAC_NBITS;
/// Bits dropped from a product of feature and value: what is left is `S`.
const SUM_SHIFT: u32 = 11;

/// Working memory: state, the weights of one query, the exponents of one row.
pub(super) const fn scratch(parameters: &Favor<'_>, width: usize, causal: bool) -> usize {
    if all_at_once(parameters, causal) {
        return means::scratch(parameters, width);
    }
    rows(parameters) * (width + 4) + parameters.directions
}

/// Rows of the state: one a feature, and one for what epsilon is multiplied with.
const fn rows(parameters: &Favor<'_>) -> usize {
    parameters.length() + !matches!(parameters.epsilon, Epsilon::Zero) as usize
}

/// Whether features are powers and no key comes after a query.
const fn all_at_once(parameters: &Favor<'_>, causal: bool) -> bool {
    !causal && !matches!(parameters.features, Features::Relu)
}

/// Attends in place.
pub(super) fn attend(parameters: Favor<'_>, head: Head<'_>, scratch: &mut [u32]) {
    if all_at_once(&parameters, head.causal) {
        return means::attend(parameters, head, scratch);
    }
    let Head { width, rows, keys, values, visible, causal, gain, .. } = head;
    let width = width.max(1); // The model was parsed.
    let mut state = State::new(parameters, width, scratch);
    let seen = |token: usize| is_visible(visible, token);
    let pairs = keys.chunks_exact(width).zip(values.chunks_exact(width)).enumerate();
    if !causal {
        for (_, (key, value)) in pairs.filter(|(token, _)| seen(*token)) {
            state.absorb(key, value);
        }
        rows.chunks_exact_mut(width).for_each(|row| state.read(gain, row));
        return;
    }
    if parameters.epsilon == Epsilon::Sequence {
        for (_, (key, _)) in pairs.clone().filter(|(token, _)| seen(*token)) {
            state.look_ahead(key);
        }
    }
    for (row, (token, (key, value))) in rows.chunks_exact_mut(width).zip(pairs) {
        state.step(gain, row, seen(token).then_some((key, value)));
    }
}

/// What is kept of all keys so far.
struct State<'p, 's> {
    parameters: Favor<'p>,
    width: usize,
    /// `S`, `[rows, width]`: `2^(top - FEATURE_FRAC + SUM_SHIFT)` times the unit of the values.
    sums: &'s mut [i32],
    /// `z`, `[rows]`, units of `2^(top - FEATURE_FRAC)`; zero: no key yet.
    totals: &'s mut [u32],
    /// `[rows]`: no feature lies above `2^top`.
    tops: &'s mut [i32],
    /// `[rows]`, of one query: mantissas, then what to multiply sums and totals with.
    weights: &'s mut [u32],
    /// `[rows]`, of one query: exponents that belong to the mantissas.
    exponents: &'s mut [i32],
    /// `[m]`, of one row: `u`.
    products: &'s mut [i32],
    /// Largest `u` of the keys, `o_k`.
    peak: i32,
}

impl<'p, 's> State<'p, 's> {
    /// Empty.
    fn new(parameters: Favor<'p>, width: usize, scratch: &'s mut [u32]) -> Self {
        let rows = rows(&parameters);
        let mut carver = Carver::new(scratch);
        let state = Self {
            parameters,
            width,
            sums: carver.i32s(rows * width),
            totals: carver.words(rows),
            tops: carver.i32s(rows),
            weights: carver.words(rows),
            exponents: carver.i32s(rows),
            products: carver.i32s(parameters.directions),
            peak: i32::MIN,
        };
        state.sums.fill(0);
        state.totals.fill(0);
        state
    }

    /// One token of a causal sequence: its key and value, unless masked, and then its query.
    fn step(&mut self, gain: u32, row: &mut [i16], pair: Option<(&[i16], &[i16])>) {
        if let Some((key, value)) = pair {
            self.absorb(key, value);
        }
        self.read(gain, row);
    }

    /// Notes a key's offset only.
    fn look_ahead(&mut self, key: &[i16]) {
        let peak = self.project(key, self.parameters.key);
        self.peak = self.peak.max(peak);
    }

    /// Adds a key and its value.
    fn absorb(&mut self, key: &[i16], value: &[i16]) {
        self.look_ahead(key);
        let norm = norm(key, self.parameters.key);
        let m = self.products.len();
        for i in 0..m {
            let u = self.products.get(i).copied().unwrap_or_default();
            match self.parameters.features {
                Features::Relu => self.add(i, Feature::Plain(u), value),
                Features::Exponential => self.add(i, Feature::Log(u - norm), value),
                Features::Hyperbolic => {
                    self.add(i, Feature::Log(u - norm), value);
                    self.add(m + i, Feature::Log(-u - norm), value);
                }
            }
        }
        if self.parameters.epsilon != Epsilon::Zero {
            self.add(self.parameters.length(), Feature::Log(0), value);
        }
    }

    /// `S_i += phi_i v`, `z_i += phi_i`.
    fn add(&mut self, row: usize, feature: Feature, value: &[i16]) {
        let Some(limit) = feature.top() else { return };
        let sums = self.sums.get_mut(row * self.width..(row + 1) * self.width).unwrap_or_default();
        let (Some(total), Some(top)) = (self.totals.get_mut(row), self.tops.get_mut(row)) else { return };
        raise(sums, total, top, limit);
        let phi = feature.relative_to(*top);
        *total += phi as u32;
        for (sum, &v) in sums.iter_mut().zip(value) {
            *sum += (phi * i32::from(v) + (1 << (SUM_SHIFT - 1))) >> SUM_SHIFT;
        }
    }

    /// Replaces a query by its attention, with `gain` more fractional bits than the values; zero without a key.
    fn read(&mut self, gain: u32, row: &mut [i16]) {
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
        let width = self.width.max(1);
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
        let Favor { features, epsilon, query, key, .. } = self.parameters;
        let relu = features == Features::Relu;
        let fixed = epsilon == Epsilon::Fixed;
        let epsilon = (epsilon != Epsilon::Zero).then(|| {
            let of_query = if relu { 0 } else { norm.saturating_add(peak) };
            let of_key = if relu || fixed { 0 } else { self.peak };
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

/// `n` of a row.
fn norm(row: &[i16], input: FavorInput) -> i32 {
    input.norm.apply(row.iter().map(|&x| i32::from(x) * i32::from(x)).sum())
}

/// Columns that a query gathers at a time.
const COLUMNS: usize = 8;

/// One feature of one key.
#[derive(Clone, Copy)]
enum Feature {
    /// Its logarithm, [`Favor::LOG_FRAC`] fractional bits.
    Log(i32),
    /// Itself; nothing if not positive.
    Plain(i32),
}

impl Feature {
    /// The smallest power of two that is not below it.
    fn top(self) -> Option<i32> {
        match self {
            Self::Log(log) => Some(ceil(log)),
            Self::Plain(x) => (x > 0).then(|| (i32::BITS - (x - 1).leading_zeros()) as i32),
        }
    }

    /// Itself over `2^top`, [`FEATURE_FRAC`] fractional bits.
    fn relative_to(self, top: i32) -> i32 {
        match self {
            Self::Log(log) => i32::from(exp2_neg(below(log, top)).to_bits()),
            Self::Plain(x) if top <= FEATURE_FRAC as i32 => x << (FEATURE_FRAC as i32 - top),
            Self::Plain(x) => round_shift(x, (top - FEATURE_FRAC as i32) as u32),
        }
    }
}

/// `mantissa 2^exponent`; the mantissa is in `2^30 ..= 2^31`, or zero.
#[derive(Clone, Copy)]
struct Power {
    mantissa: u32,
    exponent: i32,
}

impl Power {
    const ZERO: Self = Self { mantissa: 0, exponent: 0 };

    fn new(x: u64, exponent: i32) -> Self {
        let excess = 33 - x.leading_zeros() as i32;
        match excess {
            _ if x == 0 => Self::ZERO,
            1.. => Self { mantissa: (x >> excess) as u32, exponent: exponent + excess },
            _ => Self { mantissa: (x << -excess) as u32, exponent: exponent + excess },
        }
    }

    fn plus(self, other: Self) -> Self {
        if self.mantissa == 0 || other.mantissa == 0 {
            return if self.mantissa == 0 { other } else { self };
        }
        let exponent = self.exponent.max(other.exponent);
        let part = |x: Self| u64::from(shift_down(x.mantissa, exponent.abs_diff(x.exponent)));
        Self::new(part(self) + part(other), exponent)
    }

    fn times(self, other: Self) -> Self {
        Self::new(u64::from(self.mantissa) * u64::from(other.mantissa), self.exponent + other.exponent)
    }
}

/// `2^(log / 2^LOG_FRAC)`.
fn exp2(log: i32) -> Power {
    let whole = ceil(log);
    let mantissa = u32::from(exp2_neg(below(log, whole)).to_bits());
    Power { mantissa: mantissa << (31 - FEATURE_FRAC), exponent: whole - 31 }
}

/// How far `log` lies below `2^top`, as the table of powers has it.
fn below(log: i32, top: i32) -> LogScore {
    let distance = (top << Favor::LOG_FRAC).saturating_sub(log);
    LogScore::from_bits(round_shift(distance, Favor::LOG_FRAC - LogScore::FRAC_NBITS))
}

const fn ceil(log: i32) -> i32 {
    (log >> Favor::LOG_FRAC) + (log & ((1 << Favor::LOG_FRAC) - 1) != 0) as i32
}

/// `x / 2^shift` to nearest.
fn shift_down(x: u32, shift: u32) -> u32 {
    match shift {
        0 => x,
        1..=32 => ((u64::from(x) + (1 << (shift - 1))) >> shift) as u32,
        _ => 0,
    }
}

// The longest sequence fits, with every feature at its power of two and every value at its limit. Each addition
// and each move of the top rounds by half a unit, and a move halves at least: one unit per token is enough.
const _: () = {
    let term = ((VALUE_LIMIT as u64) << FEATURE_FRAC >> SUM_SHIFT) + 1;
    assert!(MAX_TOKENS as u64 * term < 1 << 31);
    assert!((MAX_TOKENS as u64) << FEATURE_FRAC < 1 << 31);
    // A weight times a total is at most 2^(31 + FEATURE_FRAC), and a sum at most twice `term` / 2^FEATURE_FRAC
    // of its total: what a query gathers from all rows fits into 64 bits.
    let rows = 2 * Favor::MAX_DIRECTIONS as u64 + 1;
    assert!((rows << 31) * 2 * term < 1 << 63);
};
