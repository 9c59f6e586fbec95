//! The features of FAVOR+ as rows of sums, and the keys that they take in.

use crate::attention::accumulator::State;
use crate::attention::{KEY_TILE, KeyTile, Weight};
use crate::kernels::dots;
use crate::model::{Favor, FavorInput, Features};

/// Features of a direction.
pub(super) const fn signs(parameters: &Favor<'_>) -> usize {
    1 + matches!(parameters.features, Features::Hyperbolic) as usize
}

/// Rows of the features of one sign: those of the other begin with a pair.
pub(super) const fn stride(parameters: &Favor<'_>) -> usize {
    parameters.directions.next_multiple_of(2)
}

pub(super) const fn rows(parameters: &Favor<'_>) -> usize {
    signs(parameters) * stride(parameters)
}

/// Sums of feature `row`, and what belongs to them; `tops` have [`Favor::LOG_FRAC`] fractional bits.
pub(super) fn feature<'f>(
    sums: &'f mut [i32],
    totals: &[u32],
    tops: &[i32],
    row: usize,
    width: usize,
) -> (&'f mut [i32], State) {
    let state = state(totals, tops, row);
    (sums.get_mut(row * width..(row + 1) * width).unwrap_or_default(), state)
}

/// What belongs to the sums of feature `row`.
#[inline(always)]
pub(super) fn state(totals: &[u32], tops: &[i32], row: usize) -> State {
    let top = tops.get(row).copied().unwrap_or_default();
    State {
        total: totals.get(row).copied().unwrap_or_default(),
        top: top >> Favor::LOG_FRAC,
        base: top & ((1 << Favor::LOG_FRAC) - 1),
    }
}

/// Notes what belongs to the sums of feature `row`.
pub(super) fn keep(totals: &mut [u32], tops: &mut [i32], row: usize, state: State) {
    if let (Some(total), Some(top)) = (totals.get_mut(row), tops.get_mut(row)) {
        (*total, *top) = (state.total, (state.top << Favor::LOG_FRAC) | state.base);
    }
}

/// The first `filled` keys of a tile.
pub(super) fn tile<'t>(
    keys: &'t [i16],
    values: &'t [i16],
    filled: usize,
    width: usize,
    visible: u64,
    weight: Weight<'t>,
) -> KeyTile<'t> {
    let keys = keys.get(..filled * width).unwrap_or_default();
    let values = values.get(..filled.next_multiple_of(2) * width).unwrap_or_default();
    KeyTile { keys, values, count: filled, visible, weight }
}

/// The largest `u` of a row, or magnitude of one where the features have both signs.
pub(super) fn peak(parameters: &Favor<'_>, input: FavorInput, row: &[i16]) -> i32 {
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
