//! A full tile of keys is added to the sums.

use super::blocks::{self, Block};
use super::sums::ONE;
use super::tiles::{Place, Progress, Tiles};
use crate::attention::{Budget, pairs};
use crate::kernels::{SAFE_KEYS, weighted_sum};
use crate::num::round_shift;

/// Octaves from the largest feature that is possible to the unit of the sums, which `2^(level + 1)` keys do not overflow. The
/// first one is enough for a tile of any size. At the last one, sums are halved instead: what is 2^29 keys old begins to fade.
pub(super) const LEVELS: core::ops::RangeInclusive<u32> = 6..=28;
/// Bits that products of features and values have more than sums, less the level.
const LESS: u32 = 2;
/// A feature whose keys of a tile come to less than `2^-FEW` of the largest that is possible gets more bits, while its `z`
/// is below [`FREE`].
const FEW: u32 = 6;
const FREE: i32 = 1 << 21;
/// As many as can be at a time.
const MOST_SUNK: usize = 8;

impl Tiles<'_> {
    /// Adds the keys of a full tile to `z` of a block.
    #[inline(never)]
    fn close_block(&mut self, block: Block) {
        let (rows, tile, width) = (self.rows_of_tile(block), self.parameters.tile, self.head.width);
        let phi = self.phi.get_mut(rows).unwrap_or_default();
        pairs::zip_in_place(phi, tile, block.count, self.spare);
        self.halve(block, width);
        let before = self.products.get_mut(..block.count).unwrap_or_default();
        before.iter_mut().zip(self.sums.row(block, width)).for_each(|(before, sum)| *before = *sum);
        self.spare.fill(ONE);
        self.add_up(block, width);
        let most = 1_i32 << (28 - FEW).saturating_sub(self.level());
        let mut sunk = 0;
        for index in 0..block.used(self.parameters) {
            let sum = self.sums.row(block, width).get(index).copied().unwrap_or_default();
            let more = sum - self.products.get(index).copied().unwrap_or_default();
            if sum < FREE && more < most && sunk < MOST_SUNK {
                let free = sum.leading_zeros() - FREE.leading_zeros() - 1;
                let octaves = free.min(more.leading_zeros() - most.leading_zeros());
                sunk += usize::from(self.sink(block, index, octaves));
            }
        }
    }

    /// Lowers the power of two of a feature by `octaves` while its tile is closed; whether there are any.
    #[inline(never)]
    fn sink(&mut self, block: Block, index: usize, octaves: u32) -> bool {
        if octaves == 0 {
            return false;
        }
        self.sums.scale(block, index, -(octaves as i32));
        self.tops.iter_mut().skip(block.first + index).take(1).for_each(|top| *top -= octaves as i16);
        let rows = self.rows_of_tile(block);
        let pairs = self.phi.get_mut(rows).unwrap_or_default().chunks_exact_mut((2 * block.count).max(1));
        pairs.flat_map(|pair| pair.iter_mut().skip(2 * index).take(2)).for_each(|phi| *phi <<= octaves);
        true
    }

    /// Adds the keys of a full tile to the sums of a column.
    #[inline(never)]
    fn close_column(&mut self, block: Block, column: usize) {
        let values = self.values.as_chunks::<2>().0;
        let mut at = column;
        for weights in self.spare.as_chunks_mut::<2>().0 {
            let Some(pair) = values.get(at) else { break };
            *weights = *pair;
            at += self.head.width;
        }
        self.halve(block, column);
        self.add_up(block, column);
    }

    /// Halves the sums of a row, where there will be too many keys.
    fn halve(&mut self, block: Block, row: usize) {
        if self.is_halved() {
            self.sums.row(block, row).iter_mut().for_each(|sum| *sum = round_shift(*sum, 1));
        }
    }

    /// Adds the features of a full tile to the sums of a row, each weighted with what is in the spare rows.
    fn add_up(&mut self, block: Block, row: usize) {
        let (rows, level) = (self.rows_of_tile(block), self.level());
        let weights = self.spare.get(..self.parameters.tile.next_multiple_of(2)).unwrap_or_default();
        let phi = self.phi.get(rows).unwrap_or_default();
        weighted_sum(weights, phi, SAFE_KEYS, level - LESS, self.sums.row(block, row));
    }

    /// Of the sums once the open tile is closed.
    fn level(&self) -> u32 {
        let keys = self.at(Place::Closed) + self.parameters.tile as u32;
        // As many keys as twice its power of two.
        (u32::BITS - (keys - 1).leading_zeros()).saturating_sub(1).clamp(*LEVELS.start(), *LEVELS.end())
    }

    /// Whether closing the open tile halves the sums first.
    fn is_halved(&self) -> bool {
        self.at(Place::Closed) + self.parameters.tile as u32 > 2 << self.at(Place::Level)
    }

    /// Adds the keys of a full tile to the sums, part by part: to `z`, then to those of a column after the other.
    #[inline(never)]
    pub(super) fn close_tile(&mut self, mut progress: Progress, budget: &mut Budget) -> bool {
        let (width, blocks) = (self.head.width, blocks::number(self.parameters));
        let mut block = Block::of(self.parameters, progress.block);
        while progress.part < width + 2 {
            if budget.is_spent() {
                progress.write(self.progress);
                return false;
            }
            match progress.part.checked_sub(2) {
                Some(column) => self.close_column(block, column),
                None => self.close_block(block),
            }
            budget.charge(block.count * 24);
            progress.block += 1;
            if progress.block == blocks {
                (progress.block, progress.part) = (0, progress.part + 1);
            }
            if blocks > 1 {
                block = Block::of(self.parameters, progress.block);
            }
        }
        self.finish_tile();
        true
    }

    /// The tile is empty again.
    fn finish_tile(&mut self) {
        let (level, tile) = (self.level(), self.parameters.tile as u32);
        let closed = self.at(Place::Closed);
        let faded = self.is_halved() && level == self.at(Place::Level);
        self.put(Place::Closed, if faded { closed / 2 } else { closed } + tile);
        self.put(Place::Level, level);
        self.put(Place::Filled, 0);
    }
}
