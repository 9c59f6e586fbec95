//! What a query finds in the sums and in the open tile.

use super::blocks::{self, Block, LIMIT, NOTHING, has_epsilon};
use super::tiles::{FINE, Place, Progress, Tiles, octaves};
use super::{SIXTEENTH, norm};
use crate::attention::Budget;
use crate::kernels::{SAFE_KEYS, WEIGHT_FRAC, dots, exp2_weights, scale, weighted_sum};
use crate::model::{Epsilon, Favor};
use crate::num::{Factor, LogScore, Probability, exp2_neg, exp2_weight, log2, recip, round_shift};

/// Bits of the sum of a query's weights: products with sums over 2^16 fit into 32 bits.
const WEIGHT_BITS: u32 = 16;

/// Bits that products of features and values have more than sums over 2^16, less the level.
const FROM_SUMS: u32 = 14;

impl Tiles<'_> {
    /// Replaces a query by its attention, part by part: exponents of all features, with an epsilon the sum of its own
    /// features, weights, and what they find.
    pub(super) fn find(&mut self, row: &mut [i16], resumed: bool, budget: &mut Budget) -> bool {
        let (blocks, width) = (blocks::number(self.parameters), self.head.width);
        let mut progress = if resumed { Progress::read(self.progress) } else { Progress::START };
        let mut block = Block::of(self.parameters, progress.block);
        while progress.part < 4 {
            match progress.part {
                0 => self.expose(block, row, &mut progress),
                1 => self.sum_features(block, row, &mut progress),
                2 => self.weigh(block, row, &mut progress),
                _ => self.gather(block, progress),
            }
            budget.charge(block.count * if progress.part == 1 { 0 } else { width + 20 });
            progress.block += 1;
            if progress.block == blocks {
                (progress.block, progress.part) = (0, progress.part + 1);
                if progress.part == 1 && !has_epsilon(self.parameters) {
                    progress.part = 2;
                }
                if matches!(progress.part, 1 | 2) {
                    progress.total = 0;
                }
            }
            if budget.is_spent() && progress.part < 4 {
                progress.write(self.progress);
                return false;
            }
            if blocks > 1 {
                block = Block::of(self.parameters, progress.block);
            }
        }
        self.finish(row);
        true
    }

    /// `u_i + t_i` of a block.
    fn expose(&mut self, block: Block, row: &[i16], progress: &mut Progress) {
        let parameters = self.parameters;
        let exponents = self.products.get_mut(block.features()).unwrap_or_default();
        let tops = self.tops.get(block.features()).unwrap_or_default();
        if block.directions == 0 {
            return;
        }
        let largest = block.expose_query(parameters, row, tops, exponents);
        progress.largest = progress.largest.max(largest);
        if has_epsilon(parameters) {
            for (&exponent, &top) in exponents.iter().zip(tops).take(block.used(parameters)) {
                let top = i32::from(top) << Favor::LOG_FRAC;
                progress.peak = progress.peak.max(exponent - top);
                progress.farthest = progress.farthest.max(top);
            }
        }
    }

    /// `t_i` of a block, with the fractional bits of exponents.
    fn units(&self, block: Block) -> impl Iterator<Item = i32> + use<'_> {
        let tops = self.tops.get(block.features()).unwrap_or_default();
        tops.iter().map(|&top| i32::from(top) << Favor::LOG_FRAC)
    }

    /// The exponent of what epsilon adds to every feature of a query.
    fn of_epsilon(&self, row: &[i16], peak: i32) -> i32 {
        let query = self.parameters.query;
        let log = query.epsilon.saturating_add(norm(row, query)).saturating_add(peak);
        log.clamp(-LIMIT, LIMIT - 1)
    }

    /// Adds up the features of a query, which is what it weighs the sum of all values with.
    #[inline(never)]
    fn sum_features(&mut self, block: Block, row: &[i16], progress: &mut Progress) {
        let of_epsilon = self.of_epsilon(row, progress.peak);
        let top = octaves(progress.peak.max(of_epsilon));
        if block.directions > 0 {
            let own = core::mem::take(&mut self.of_epsilon);
            let exponents = self.products.get(block.features()).unwrap_or_default();
            for (own, (&exponent, unit)) in own.iter_mut().zip(exponents.iter().zip(self.units(block))) {
                *own = exponent - unit;
            }
            let of_block = own.get(..block.used(self.parameters)).unwrap_or_default();
            progress.total += exp2_weights(of_block, SIXTEENTH, top, self.spare);
            self.of_epsilon = own;
            return;
        }
        let Favor { epsilon, key, .. } = *self.parameters;
        let below = ((top << Favor::LOG_FRAC) - of_epsilon) >> (Favor::LOG_FRAC - LogScore::FRAC_NBITS);
        let more = u32::from(exp2_weight(LogScore::from_bits(below))) * self.parameters.length() as u32;
        let sum = (top << Favor::LOG_FRAC) + log2(progress.total + more).to_bits()
            - ((WEIGHT_FRAC << Favor::LOG_FRAC) as i32);
        let of_key = if epsilon == Epsilon::Seen { self.at(Place::Peak) as i32 } else { 0 };
        let log = sum.saturating_add(key.epsilon).saturating_add(of_key).clamp(-LIMIT, LIMIT - 1);
        let unit = self.units(block).next().unwrap_or_default();
        let exponents = self.products.get_mut(block.features()).unwrap_or_default();
        exponents.iter_mut().zip([log + unit, NOTHING]).for_each(|(slot, exponent)| *slot = exponent);
        progress.largest = progress.largest.max(log + unit).max(of_epsilon + progress.farthest);
        progress.of_all = log + unit;
        progress.total = 0;
    }

    /// Weights of a block.
    fn weigh(&mut self, block: Block, row: &[i16], progress: &mut Progress) {
        let exponents = self.products.get(block.features()).unwrap_or_default();
        let weights = self.weights.get_mut(block.features()).unwrap_or_default();
        if !has_epsilon(self.parameters) {
            // None lies above the top.
            let top = octaves(progress.largest);
            progress.total += exp2_weights(exponents, SIXTEENTH, top, weights);
            return;
        }
        // Room for the sum of two.
        let top = octaves(progress.largest) + 1;
        progress.total += exp2_weights(exponents, SIXTEENTH, top, weights);
        if block.directions > 0 {
            let of_epsilon = self.of_epsilon(row, progress.peak);
            let logs = core::mem::take(&mut self.of_epsilon);
            let used = block.used(self.parameters);
            logs.iter_mut().zip(self.units(block)).for_each(|(log, unit)| *log = of_epsilon + unit);
            let logs_used = logs.get(..used).unwrap_or_default();
            progress.total += exp2_weights(logs_used, SIXTEENTH, top, self.spare);
            let weights = self.weights.get_mut(block.features()).unwrap_or_default();
            weights.iter_mut().zip(&*self.spare).take(used).for_each(|(weight, more)| *weight += more);
            self.of_epsilon = logs;
        }
    }

    /// Adds what the weights of a block find in the sums and in the open tile.
    fn gather(&mut self, block: Block, progress: Progress) {
        let (filled, rows) = (self.at(Place::Filled) as usize, self.rows_of_tile(block));
        let closed = self.at(Place::Closed) > 0;
        let weights = self.weights.get_mut(block.features()).unwrap_or_default();
        let shift = excess(progress.total, self.parameters);
        if block.directions == 0 {
            let below = ((octaves(progress.largest) + 1) << Favor::LOG_FRAC) - progress.of_all;
            weights.iter_mut().zip(fine_weights(below, shift)).for_each(|(slot, weight)| *slot = weight);
        } else if shift > 0 {
            weights.iter_mut().for_each(|weight| *weight = round_shift(i32::from(*weight), shift) as i16);
        }
        let weights = &*weights;
        if block.first == 0 {
            // Products with sums are rounded down: half a unit each, in the mean.
            let lost = if closed { blocks::all(self.parameters) / 2 } else { 0 };
            self.gathered.fill(lost as i32);
            dots(
                weights,
                self.phi.get(rows.clone()).unwrap_or_default(),
                self.pulls.get_mut(..filled).unwrap_or_default(),
            );
        } else {
            let products = self.products.get_mut(..filled).unwrap_or_default();
            dots(weights, self.phi.get(rows).unwrap_or_default(), products);
            self.pulls.iter_mut().zip(products).for_each(|(pull, &mut product)| *pull += product);
        }
        if closed {
            self.sums.read(block, weights, self.gathered);
        }
    }

    /// The weighted mean of all that was gathered.
    #[inline(never)]
    fn finish(&mut self, row: &mut [i16]) {
        let (filled, width) = (self.at(Place::Filled) as usize, self.head.width);
        let pulls = self.pulls.get(..filled).unwrap_or_default();
        let bits = pulls.iter().fold(0, |bits, pull| bits | pull);
        let long = (i32::BITS - bits.leading_zeros()).saturating_sub(WEIGHT_FRAC);
        let down = FROM_SUMS + self.at(Place::Level);
        let (numerators, denominator) = self.gathered.split_at_mut_checked(width).unwrap_or_default();
        let mut z = denominator.iter().copied().sum::<i32>();
        if filled > 0 && down - long < 31 {
            let weights = self.spare.get_mut(..filled.next_multiple_of(2)).unwrap_or_default();
            weights.fill(0);
            let mut total = 0;
            for (weight, &pull) in weights.iter_mut().zip(pulls) {
                *weight = round_shift(pull, long) as i16;
                total += i32::from(*weight);
            }
            let values = self.values.get(..weights.len() * width).unwrap_or_default();
            weighted_sum(weights, values, SAFE_KEYS, down - long, numerators);
            let down = down - 12;
            z += if down > long { round_shift(total, down - long) } else { total << (long - down) };
        }
        let reciprocal = recip(z as u32);
        let factor = Factor::new(reciprocal.mantissa, reciprocal.exponent - 12 - self.head.gain);
        scale(numerators, factor, row);
    }
}

/// The weights of a feature that is one and of one that is `2^-FINE`: together `2^(-below - shift)`.
fn fine_weights(below: i32, shift: u32) -> [i16; 2] {
    let below = round_shift(below, Favor::LOG_FRAC - LogScore::FRAC_NBITS);
    let octave = 1 << LogScore::FRAC_NBITS;
    let mantissa = i32::from(exp2_neg(LogScore::from_bits(below % octave)).to_bits());
    let up = WEIGHT_FRAC + FINE - Probability::FRAC_NBITS;
    let weight = round_shift(mantissa << up, ((below / octave) as u32 + shift).min(31));
    [(weight >> FINE) as i16, (weight & ((1 << FINE) - 1)) as i16]
}

/// How far weights are shifted, so that their sum has [`WEIGHT_BITS`] bits whatever the rounding.
fn excess(total: u32, parameters: &Favor<'_>) -> u32 {
    let mut shift = 0;
    while (total >> shift) + blocks::all(parameters) as u32 + (1 << FINE) >= 1 << WEIGHT_BITS {
        shift += 1;
    }
    shift
}
