//! Queries that see the same keys, on a host: they share what they load. Each has an accumulator of its own, which takes in the
//! tiles in the order in which it does alone.

use core::ops::Range;

use super::{Kept, Pattern, Rows};
use crate::attention::accumulator::Places;
use crate::attention::{Accumulator, Budget, KEY_TILE, KeyTile, ROW_TILE, Weight};
use crate::num::Requant;

/// Answers all rows of a tile, if they see the same keys and the budget lasts.
pub(super) fn answer<P: Pattern>(
    kept: &Kept<'_, P>,
    tokens: Range<usize>,
    rows: [&mut [i16]; ROW_TILE],
    budget: &mut Budget,
) -> bool {
    let Kept { pattern, head, rows: memory, .. } = kept;
    let (width, visible, first) = (head.width, memory.visible(), memory.first());
    let part = |token: usize, part| {
        let range = pattern.part(head, token, visible.contains(token - first), part)?;
        Some(range.start..range.end.min(head.tokens))
    };
    let parts = |token| (0..).map_while(move |number| part(token, number));
    if head.causal || tokens.clone().any(|token| !parts(token).eq(parts(tokens.start))) {
        return false;
    }
    let mut left = *budget;
    for _ in 0..ROW_TILE {
        parts(tokens.start)
            .for_each(|range| left.charge_tiles(range.end.saturating_sub(range.start / 2 * 2), width));
    }
    if left.is_spent() {
        return false;
    }
    let mut places = Places::new();
    let Some(mut accumulators) = places.accumulators(width) else { return false };
    *budget = left;
    for range in parts(tokens.start) {
        memory.absorb_together(&mut accumulators, rows.each_ref().map(|row| &**row), range, head.scale);
    }
    accumulators.into_iter().zip(rows).for_each(|(accumulator, row)| accumulator.finish(head.gain, row));
    true
}

/// The tiles of a range: with whole pairs of rows, of the first of which a row may not be meant.
fn tiles(range: &Range<usize>) -> impl Iterator<Item = Range<usize>> + use<> {
    let end = range.end;
    let start = range.start / 2 * 2;
    (start..end).step_by(KEY_TILE).map(move |start| start..end.min(start + KEY_TILE))
}

impl Rows<'_> {
    /// [`Rows::absorb`] for some queries.
    fn absorb_together(
        &self,
        accumulators: &mut [Accumulator<'_>; ROW_TILE],
        queries: [&[i16]; ROW_TILE],
        range: Range<usize>,
        scale: Requant,
    ) {
        let (width, first) = (self.width, self.first());
        for of_tile in tiles(&range) {
            let (at, end) = (of_tile.start - first, of_tile.end - first);
            let skipped = range.start.saturating_sub(of_tile.start);
            let tile = KeyTile {
                keys: &self.keys[at * width..end * width],
                values: &self.values[at * width..end.next_multiple_of(2) * width],
                count: end - at,
                visible: self.visible().bits(at + skipped, end - at - skipped) << skipped,
                weight: Weight::One,
            };
            if tile.visible == 0 {
                continue;
            }
            Accumulator::absorb_together(accumulators, queries, tile, scale);
        }
    }
}
