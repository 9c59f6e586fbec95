//! The online softmax: one key, many keys, tile after tile.

use crate::checks;
use crate::outcome::{equal, holds, rows};
use fixformer::attention::{Accumulator, KeyTile, TileBuffer, Weight};
use fixformer::num::Requant;

/// A score is an eighth of a product.
const UNIT: Requant = Requant { multiplier: 1 << 14, shift: 1 };
/// With keys of `128 n` in its column the score is `n` octaves.
const QUERY: [i16; 2] = [64, 0];

fn tile<'a>(keys: &'a [i16], values: &'a [i16], visible: u64) -> KeyTile<'a> {
    KeyTile { keys, values, count: keys.len() / QUERY.len(), visible, weight: Weight::One }
}

/// The mean over some tiles.
fn mean(tiles: &[KeyTile<'_>], gain: u32) -> [i16; 2] {
    let (mut sum, mut buffer) = ([0; 2], [0; TileBuffer::WORDS]);
    let mut accumulator = Accumulator::new(&mut sum, TileBuffer::new(&mut buffer));
    tiles.iter().for_each(|&tile| accumulator.absorb(&QUERY, tile, UNIT));
    let mut out = [0; 2];
    accumulator.finish(gain, &mut out);
    out
}

/// Two rows, zipped: `[100, -200]` and `[300, 600]`.
const VALUES: [i16; 4] = [100, 300, -200, 600];

checks! { "accumulator", 3072,
    fn of_no_key_is_zero() {
        let (mut sum, mut buffer) = ([7; 2], [0; TileBuffer::WORDS]);
        let accumulator = Accumulator::new(&mut sum, TileBuffer::new(&mut buffer));
        holds(accumulator.is_empty())?;
        let mut out = [5; 2];
        accumulator.finish(3, &mut out);
        rows(&out, &[0; 2], 0)?;
    }

    fn of_one_key_is_its_value() {
        for score in [-30_000, -128, 0, 5, 30_000] {
            rows(&mean(&[tile(&[score, 9], &[1234, -4321], 1)], 0), &[1234, -4321], 0)?;
        }
    }

    fn equal_keys_count_the_same() {
        rows(&mean(&[tile(&[50, 1, 50, 2], &VALUES, 3)], 0), &[200, 200], 0)?;
    }

    /// One octave: two thirds and one third.
    fn an_octave_counts_twice() {
        rows(&mean(&[tile(&[128, 0, 0, 0], &VALUES, 3)], 0), &[167, 67], 1)?;
        rows(&mean(&[tile(&[0, 0, 128, 0], &VALUES, 3)], 0), &[233, 333], 1)?;
    }

    fn hidden_keys_have_no_part() {
        let keys = [0, 0, 12_800, 0];
        rows(&mean(&[tile(&keys, &VALUES, 1)], 0), &[100, -200], 0)?;
        rows(&mean(&[tile(&keys, &VALUES, 2)], 0), &[300, 600], 0)?;
        rows(&mean(&[tile(&keys, &VALUES, 0)], 0), &[0, 0], 0)?;
    }

    fn gain_keeps_more_bits() {
        rows(&mean(&[tile(&[128, 0, 0, 0], &VALUES, 3)], 4), &[2667, 1067], 1)?;
    }

    fn tiles_may_come_in_any_order() {
        let (a, b) = (tile(&[300, 0], &[1000, -1000], 1), tile(&[0, 0, 200, 0], &VALUES, 3));
        rows(&mean(&[a, b], 0), &mean(&[b, a], 0), 1)?;
    }

    /// The running maximum moves by 100 octaves.
    fn what_is_far_below_vanishes() {
        let (low, high) = (tile(&[-6_400, 0], &[1000, 1000], 1), tile(&[6_400, 0], &[-7, 8], 1));
        rows(&mean(&[low, high], 0), &[-7, 8], 0)?;
        rows(&mean(&[high, low], 0), &[-7, 8], 0)?;
    }

    fn a_full_tile_does_not_overflow() {
        let (keys, values) = ([1000; 128], [8191; 128]);
        rows(&mean(&[tile(&keys, &values, u64::MAX); 9], 0), &[8191, 8191], 0)?;
    }

    /// The more bits a level has, the more are dropped of its sums, which come to the same.
    fn a_full_tile_of_any_level_does_not_overflow() {
        // Two full runs.
        let (keys, values) = ([0; 32 * 8], [8191; 32 * 8]);
        for extra in 0..=14 {
            let (mut sum, mut buffer) = ([0; 8], [0; TileBuffer::WORDS]);
            let mut accumulator = Accumulator::new(&mut sum, TileBuffer::new(&mut buffer));
            let weight = Weight::Coarse { level: extra, counts: None, bias: None, extra };
            let tile = KeyTile { keys: &keys, values: &values, count: 32, visible: u32::MAX.into(), weight };
            for _ in 0..9 {
                accumulator.absorb(&[0; 8], tile, UNIT);
            }
            let mut out = [0; 8];
            accumulator.finish(extra.min(12), &mut out);
            // A run of 16 keys is rounded to a sixteenth of what a value of theirs may be, at the highest level.
            rows(&out, &[8191 >> (extra - extra.min(12)); 8], if extra > 8 { 64 } else { 1 })?;
        }
    }

    fn goes_on_where_it_stopped() {
        let tiles = [tile(&[300, 0], &[1000, -1000], 1), tile(&[0, 0, 640, 0], &VALUES, 3)];
        let (mut sum, mut buffer) = ([0; 2], [0; TileBuffer::WORDS]);
        let mut first = Accumulator::new(&mut sum, TileBuffer::new(&mut buffer));
        first.absorb(&QUERY, tiles[0], UNIT);
        let state = first.state();
        let mut second = Accumulator::resume(&mut sum, TileBuffer::new(&mut buffer), state);
        second.absorb(&QUERY, tiles[1], UNIT);
        let mut out = [0; 2];
        second.finish(2, &mut out);
        rows(&out, &mean(&tiles, 2), 0)?;
    }

    /// A key of level 2 stands for four tokens.
    fn levels_count_their_tokens() {
        let coarse = Weight::Coarse { level: 2, counts: None, bias: None, extra: 0 };
        let four = KeyTile { weight: coarse, ..tile(&[0, 0], &[100, 0], 1) };
        let one = tile(&[0, 0], &[600, 500], 1);
        rows(&mean(&[four, one], 0), &[200, 100], 1)?;
        rows(&mean(&[one, four], 0), &[200, 100], 1)?;
    }

    /// Three of the four are masked.
    fn levels_count_what_is_left_of_them() {
        let mut counts = [0; 64];
        counts[0] = 1;
        let coarse = Weight::Coarse { level: 2, counts: Some(&counts), bias: None, extra: 0 };
        let four = KeyTile { weight: coarse, ..tile(&[0, 0], &[100, 0], 1) };
        rows(&mean(&[four, tile(&[0, 0], &[600, 500], 1)], 0), &[350, 250], 1)?;
    }

    fn bias_is_added_to_the_score() {
        let coarse = |bias| Weight::Coarse { level: 0, counts: None, bias: Some((0, bias)), extra: 0 };
        let biased = |bias| KeyTile { weight: coarse(bias), ..tile(&[0, 0, 0, 0], &VALUES, 3) };
        rows(&mean(&[biased(&[0, 0])], 0), &[200, 200], 0)?;
        rows(&mean(&[biased(&[1 << 10, 0])], 0), &[167, 67], 1)?;
    }

    fn an_empty_query_is_a_row_of_zeros() {
        let (mut sum, mut buffer) = ([0; 2], [0; TileBuffer::WORDS]);
        let mut accumulator = Accumulator::new(&mut sum, TileBuffer::new(&mut buffer));
        accumulator.absorb(&[], tile(&[9_000, 0, -9_000, 0], &VALUES, 3), UNIT);
        let mut out = [0; 2];
        accumulator.finish(0, &mut out);
        rows(&out, &[200, 200], 0)?;
        equal(sum.len(), 2)?;
    }
}
