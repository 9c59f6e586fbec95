//! Rows that share the tile they meet, on a host: directions of features that absorb keys, and queries that attend to features.
//! Each has an accumulator of its own, with the tiles in the order in which it takes them in alone.

use super::super::features::{keep, state, tile};
use super::super::layout::{Means, Place};
use super::each_tile;
use crate::attention::accumulator::Places;
use crate::attention::{Accumulator, Budget, ROW_TILE, TileBuffer, Weight};
use crate::memory;

impl Means<'_> {
    /// Adds the keys of the tile to features from `first` on, some of which share what they load, while the budget lasts; returns
    /// the feature to go on with.
    pub(super) fn absorb_together(
        &mut self,
        first: usize,
        filled: usize,
        mask: u64,
        offsets: &[i32],
        budget: &mut Budget,
    ) -> usize {
        const TOGETHER: usize = 4;
        let (width, mut next) = (self.head.width.max(1), first);
        let mut of_some = *budget;
        (0..TOGETHER).for_each(|_| of_some.charge_keys(filled, width));
        while !of_some.is_spent() {
            let mut features = self.features(self.parameters.key, next);
            let features = [(); TOGETHER].map(|()| features.next());
            let [Some(first), .., Some(last)] = features else { break };
            // Neither the end of a sign nor a feature without a direction lies between.
            if last.0 != next + TOGETHER - 1 || first.2 != last.2 {
                break;
            }
            let weight = Weight::Power { offsets, is_summed: true, extra: 0 };
            let tile = tile(self.keys, self.values, filled, width, mask, weight);
            let mut buffers = [[0; TileBuffer::WORDS]; TOGETHER];
            let mut rows = self.sums.get_mut(next * width..).unwrap_or_default().chunks_exact_mut(width);
            let mut buffers = buffers.iter_mut();
            let (totals, tops) = (&mut *self.totals, &mut *self.tops);
            let mut accumulators: [_; TOGETHER] = core::array::from_fn(|index| {
                let buffer = buffers.next().map_or(Default::default(), |words| &mut words[..]);
                let state = state(totals, tops, next + index);
                let sums = rows.next().unwrap_or_default();
                let mut accumulator = Accumulator::resume(sums, TileBuffer::new(buffer), state);
                accumulator.make_room(filled);
                accumulator
            });
            let directions = features.map(|feature| feature.map_or(&[][..], |(_, direction, _)| direction));
            Accumulator::absorb_together(&mut accumulators, directions, tile, first.2);
            for (index, accumulator) in accumulators.iter().enumerate() {
                keep(totals, tops, next + index, accumulator.state());
            }
            next += TOGETHER;
            for _ in 0..TOGETHER {
                budget.charge_keys(filled, width);
                of_some.charge_keys(filled, width);
            }
        }
        next
    }
}

/// Replaces queries by their attention, where no feature has an epsilon and the head is not too wide for what is here.
pub(super) fn answer(means: &Means<'_>, rows: [&mut [i16]; ROW_TILE]) -> bool {
    let (parameters, width, extra) = (means.parameters, means.head.width.max(1), means.at(Place::Extra));
    let mut places = Places::new();
    let Some(mut accumulators) = places.accumulators(width) else { return false };
    let (values, logs) = (memory::i16s(&*means.sums), memory::i32s(&*means.totals));
    let queries = rows.each_ref().map(|row| &**row);
    each_tile(parameters, width, extra, values, logs, |tile, projection| {
        Accumulator::absorb_together(&mut accumulators, queries, tile, projection);
    });
    let gain = means.head.gain;
    accumulators.into_iter().zip(rows).for_each(|(accumulator, row)| accumulator.finish(gain, row));
    true
}
