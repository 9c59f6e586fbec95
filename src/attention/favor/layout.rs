//! Where the words of a head lie that takes in all keys before all queries.

use super::blocks::has_epsilon;
use super::features::rows;
use crate::attention::{Head, KEY_TILE, ROW_TILE, TileBuffer};
use crate::memory::{Carver, halves};
use crate::model::Favor;

/// Sums, total and top of every feature, a tile of keys and values, and what epsilon is multiplied with.
pub(super) const fn memory(parameters: &Favor<'_>, tokens: usize, width: usize) -> usize {
    let of_epsilon = if has_epsilon(parameters) { width + halves(width) } else { 0 };
    PLACES + rows(parameters) * (width + 2) + 2 * halves(tile_rows(parameters, tokens) * width) + of_epsilon
}

/// Words that answers need, the first ones: means and logarithms, and what epsilon is multiplied with.
pub(super) const fn closed(parameters: &Favor<'_>, width: usize) -> usize {
    let of_epsilon = if has_epsilon(parameters) { halves(width) } else { 0 };
    PLACES + of_epsilon + rows(parameters) + halves(rows(parameters) * width)
}

/// Keys that are added to the sums together.
pub(super) const fn key_tile(parameters: &Favor<'_>) -> usize {
    // A file without a choice says 1.
    if parameters.tile == 1 { KEY_TILE } else { parameters.tile.next_multiple_of(ROW_TILE) }
}

/// Rows of a tile of keys, no more than a sequence has.
const fn tile_rows(parameters: &Favor<'_>, tokens: usize) -> usize {
    let tile = key_tile(parameters);
    if tokens < tile { tokens.next_multiple_of(2) } else { tile }
}

/// A tile, a row of sums, and two rows.
pub(super) const fn scratch(width: usize) -> usize {
    TileBuffer::WORDS + 2 * width
}

/// A word of [`Means::places`].
#[derive(Clone, Copy)]
pub(super) enum Place {
    /// Keys of the tile.
    Filled,
    /// Those of them that are not masked, 32 each.
    MaskLow,
    MaskHigh,
    /// Keys of all tiles that are not masked.
    Seen,
    /// Steps done of the work that is under way.
    Done,
    /// The work under way after the last key; see [`Means::close`].
    Closing,
    /// Largest magnitude of the means, then the fractional bits that they have more than the values.
    Extra,
    /// With an epsilon: largest `u` of the keys, then the logarithm of the sum of all features.
    Peak,
    /// With an epsilon: total and top of the sum of all values.
    AllTotal,
    AllTop,
}

const PLACES: usize = Place::AllTop as usize + 1;

/// A head at work. What answers need comes first, so that the rest can go once the last key was there.
pub(in crate::attention) struct Means<'m> {
    pub(super) parameters: &'m Favor<'m>,
    pub(super) head: &'m Head<'m>,
    pub(super) places: &'m mut [u32],
    /// `[width]`, with an epsilon: the mean of all values, then of all means.
    pub(super) constant: &'m mut [i16],
    /// `[rows]`, then `log2 z_i`.
    pub(super) totals: &'m mut [u32],
    /// `[rows, width]`; then, in the first half, means in pairs, `[rows, width]` of i16: `S_i / z_i`.
    pub(super) sums: &'m mut [i32],
    /// `[rows]`.
    pub(super) tops: &'m mut [i32],
    /// A tile, at most `[key_tile, width]`.
    pub(super) keys: &'m mut [i16],
    /// The same of values, in pairs once the tile is full.
    pub(super) values: &'m mut [i16],
    /// `[width]`, with an epsilon: the sum of all values.
    pub(super) all: &'m mut [i32],
    pub(super) buffer: TileBuffer<'m>,
    /// `[width]`.
    pub(super) sum: &'m mut [i32],
    /// `[2, width]`.
    pub(super) spare: &'m mut [i16],
}

impl<'m> Means<'m> {
    /// In `words`, all of them or those that answers need.
    pub(super) fn new(
        parameters: &'m Favor<'m>,
        head: &'m Head<'m>,
        words: &'m mut [u32],
        scratch: &'m mut [u32],
    ) -> Self {
        let (rows, width) = (rows(parameters), head.width);
        let of_epsilon = if has_epsilon(parameters) { width } else { 0 };
        let tile = tile_rows(parameters, head.tokens) * width;
        let is_whole = words.len() >= memory(parameters, head.tokens, width);
        let mut carver = Carver::new(words);
        let mut shared = Carver::new(scratch);
        Self {
            parameters,
            head,
            places: carver.words(PLACES),
            constant: carver.i16s(of_epsilon),
            totals: carver.words(rows),
            sums: carver.i32s(if is_whole { rows * width } else { halves(rows * width) }),
            tops: carver.i32s(rows),
            keys: carver.i16s(tile),
            values: carver.i16s(tile),
            all: carver.i32s(of_epsilon),
            buffer: TileBuffer::new(shared.words(TileBuffer::WORDS)),
            sum: shared.i32s(width),
            spare: shared.i16s(2 * width),
        }
    }
}
