//! What accumulators take in on a host: some of them the same tile, whose keys their queries share; one of them keys that lie
//! anywhere.

use super::{Accumulator, KEY_TILE, KeyTile, TileBuffer, Weight, run, weigh_any};
use crate::attention::ROW_TILE;
use crate::kernels::{
    Tiles, dots_of_listed, dots_of_rows, weighted_sum, weighted_sum_of_listed, weighted_sum_of_rows,
};
use crate::num::Requant;

/// Widest head that has room in [`Places`].
const WIDEST: usize = 64;

/// The memory of as many accumulators as a tile has rows.
pub(in crate::attention) struct Places {
    sums: [[i32; WIDEST]; ROW_TILE],
    buffers: [[u32; TileBuffer::WORDS]; ROW_TILE],
}

impl Places {
    pub(in crate::attention) const fn new() -> Self {
        Self { sums: [[0; WIDEST]; ROW_TILE], buffers: [[0; TileBuffer::WORDS]; ROW_TILE] }
    }

    /// Empty accumulators; none for a head that is too wide.
    pub(in crate::attention) fn accumulators(&mut self, width: usize) -> Option<[Accumulator<'_>; ROW_TILE]> {
        if width > WIDEST {
            return None;
        }
        let mut places = self.sums.iter_mut().zip(&mut self.buffers);
        Some(core::array::from_fn(|_| {
            let (sum, buffer) = places.next().expect("as many as rows");
            Accumulator::new(&mut sum[..width], TileBuffer::new(buffer))
        }))
    }
}

/// How the weights of a tile are added to the sums.
#[derive(Clone, Copy, PartialEq)]
struct Addition {
    run: usize,
    shift: u32,
}

impl Accumulator<'_> {
    /// [`Accumulator::absorb`] of one tile up to the sums, where `multiply` makes the products: none if no key was visible.
    fn weigh(
        &mut self,
        tile: KeyTile<'_>,
        scale: Requant,
        multiply: impl FnOnce(&mut [i32]),
    ) -> Option<Addition> {
        let (level, shift) = tile.weight.level_and_shift();
        let hidden = !tile.visible << KEY_TILE.saturating_sub(tile.count) != 0;
        let Self { sum, state, buffer: TileBuffer { dots, weights } } = self;
        let mut tiles = Tiles::new(&[], (tile.count, tile.keys, tile.values), dots, weights, sum);
        tiles.multiply(tile.count, multiply);
        let total = weigh_any(state, &mut tiles, tile, hidden, scale, level)?;
        state.total += total;
        Some(Addition { run: run(total), shift })
    }

    /// Adds what the weights of a tile come to.
    fn add(&mut self, tile: KeyTile<'_>, Addition { run, shift }: Addition) {
        let weights = self.buffer.weights.get(..tile.count.next_multiple_of(2)).unwrap_or_default();
        weighted_sum(weights, tile.values, run, shift, self.sum);
    }

    /// [`Accumulator::absorb`] of one tile by some accumulators, each of which has a query.
    pub(in crate::attention) fn absorb_together<const R: usize>(
        accumulators: &mut [Self; R],
        queries: [&[i16]; R],
        tile: KeyTile<'_>,
        scale: Requant,
    ) {
        let n = tile.count;
        let products = accumulators.each_mut().map(|each| each.buffer.dots.get_mut(..n).unwrap_or_default());
        dots_of_rows(queries, tile.keys, products);
        let additions = accumulators.each_mut().map(|each| each.weigh(tile, scale, |_| {}));
        if let Some(&Some(addition)) = additions.first()
            && additions.iter().all(|other| *other == Some(addition))
        {
            let n = n.next_multiple_of(2);
            let mut weights = [&[][..]; R];
            let mut rest = weights.iter_mut();
            let sums = accumulators.each_mut().map(|each| {
                let of_tile = each.buffer.weights.get(..n).unwrap_or_default();
                rest.next().into_iter().for_each(|slot| *slot = of_tile);
                &mut *each.sum
            });
            return weighted_sum_of_rows(weights, tile.values, addition.run, addition.shift, sums);
        }
        for (each, addition) in accumulators.iter_mut().zip(additions) {
            addition.into_iter().for_each(|addition| each.add(tile, addition));
        }
    }

    /// [`Accumulator::absorb`] of the keys and values with these numbers, at most [`KEY_TILE`].
    pub(in crate::attention) fn absorb_listed(
        &mut self,
        q: &[i16],
        [keys, values]: [&[i16]; 2],
        numbers: &[u16],
        scale: Requant,
    ) {
        let n = numbers.len();
        let visible = u64::MAX.checked_shr((KEY_TILE - n.min(KEY_TILE)) as u32).unwrap_or_default();
        let tile = KeyTile { keys: &[], values: &[], count: n, visible, weight: Weight::One };
        let multiply = |products: &mut [i32]| dots_of_listed(q, keys, numbers, products);
        if let Some(Addition { run, shift }) = self.weigh(tile, scale, multiply) {
            let weights = self.buffer.weights.get(..n).unwrap_or_default();
            weighted_sum_of_listed(weights, values, numbers, run, shift, self.sum);
        }
    }
}
