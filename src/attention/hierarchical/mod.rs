//! Hierarchical attention, H-Transformer-1D (Zhu and Soricut 2021): near keys one by one, far keys as means of
//! runs whose length doubles with the distance.
//!
//! At level `l` a row stands for a run of `2^l` tokens. A token sees, at level 0, its own block of `Nr` rows and
//! the neighbours; at every level above, the neighbours' rows that the level below has not covered. All
//! levels meet in one accumulator with weight `2^l`, so no level has a maximum of its own.
//!
//! What a token sees at a level and above is the same for its whole run: each level goes on from where the one above
//! stopped, and is done again only when its row changes. So the work is linear. [`lifted`] has the whole sequence before
//! it, [`running`] only what came before.

mod lifted;
mod mask;
mod mean;
mod running;

use core::ops::Range;

use super::accumulator::{Accumulator, MOST_COUNTED, State};
use super::life;
use super::{Budget, Head, KEY_TILE, KeyTile, Weight};
use crate::kernels::copy;
use crate::model::{AttentionKind, Hierarchical};
use crate::num::Requant;

/// Words that a head keeps for up to `tokens` tokens; causal: for any number.
pub(super) const fn memory(
    parameters: &Hierarchical<'_>,
    tokens: usize,
    width: usize,
    causal: bool,
) -> usize {
    if causal {
        running::memory(parameters.block, parameters.extra.len(), width)
    } else {
        lifted::memory(parameters.block, tokens, width)
    }
}

/// Working memory.
pub(super) const fn scratch(parameters: &Hierarchical<'_>, width: usize, causal: bool) -> usize {
    if causal { running::scratch(parameters.block, width) } else { lifted::scratch(width) }
}

/// Bidirectional: the whole sequence.
pub(super) struct Whole;

impl life::Mechanism for Whole {
    type Memory<'m> = lifted::Lifted<'m>;

    fn carve<'m>(
        head: &'m Head<'m>,
        words: &'m mut [u32],
        scratch: &'m mut [u32],
    ) -> Option<Self::Memory<'m>> {
        let AttentionKind::Hierarchical(parameters) = head.kind else { return None };
        Some(lifted::Lifted::new(parameters, head, words, scratch))
    }
}

/// Causal: what came before.
pub(super) struct Causal;

impl life::Mechanism for Causal {
    type Memory<'m> = running::Running<'m>;

    fn carve<'m>(
        head: &'m Head<'m>,
        words: &'m mut [u32],
        scratch: &'m mut [u32],
    ) -> Option<Self::Memory<'m>> {
        let AttentionKind::Hierarchical(parameters) = head.kind else { return None };
        Some(running::Running::new(parameters, head, words, scratch))
    }
}

/// Row sums, totals and tops of every level: what a token has gathered down to it.
struct Gathered<'m> {
    width: usize,
    /// `[levels + 1, width]`.
    sums: &'m mut [i32],
    /// `[levels + 1, 2]`.
    states: &'m mut [u32],
}

impl Gathered<'_> {
    /// Sums of a level, begun with those of the level above or with zero at the top, and the state that belongs to them.
    fn go_on(&mut self, level: usize) -> (&mut [i32], State) {
        let width = self.width;
        let (below, above) = self.sums.split_at_mut(((level + 1) * width).min(self.sums.len()));
        let sums = below.get_mut(level * width..).unwrap_or_default();
        match above.get(..width) {
            Some(above) => copy(above, sums),
            None => sums.fill(0),
        }
        let state = match self.states.get(2 * level + 2..2 * level + 4) {
            Some(&[total, top]) => State::of([total, top]),
            _ => State::default(),
        };
        (sums, state)
    }

    fn keep(&mut self, level: usize, state: State) {
        let words = self.states.iter_mut().skip(2 * level);
        words.zip(state.words()).for_each(|(slot, word)| *slot = word);
    }
}

/// Key rows that a query row sees at a level, both counted from the first row of the block before its own: the paper's
/// band with the quadrants of finer levels removed. `first`: there is no block before. No row is at or after `end`.
fn ranges(level: usize, row: usize, size: usize, first: bool, end: usize, causal: bool) -> [Range<usize>; 2] {
    let left = if first { size } else { 0 };
    if level == 0 {
        return [left..if causal { row + 1 } else { end.min(3 * size) }, 0..0];
    }
    let second_half = row - size >= size / 2;
    let before = left..if second_half { size } else { size / 2 };
    let before = before.start..before.end.max(before.start);
    let right = 2 * size;
    let after = if second_half { right + size / 2 } else { right };
    [before, if causal { 0..0 } else { after..end.min(right + size) }]
}

/// Rows of one level around a query.
struct Rows<'a> {
    width: usize,
    level: usize,
    /// Number of the first row here.
    first: usize,
    keys: &'a [i16],
    /// In pairs.
    values: &'a [i16],
    /// Fractional bits that the values have more than those of the tokens: of rows of which all tokens count, and of others.
    extra: [u32; 2],
    /// Whether tokens are masked, so that all rows of a tile may have few.
    masked: bool,
    scale: Requant,
    /// By key row minus query row plus `bias_middle`.
    bias: Option<&'a [i16]>,
    bias_middle: usize,
}

impl Rows<'_> {
    /// Adds the rows of a range. An empty `q` is a row of zeros. `count`: tokens of a row that are not masked, in units as
    /// [`Weight::Coarse`] has them, or `None` where all rows have all.
    fn absorb(
        &self,
        accumulator: &mut Accumulator<'_>,
        q: &[i16],
        row: usize,
        range: Range<usize>,
        count: Option<&dyn Fn(usize) -> usize>,
        budget: &mut Budget,
    ) {
        let Self { width, level, .. } = *self;
        let mut from = range.start;
        while from < range.end {
            // A tile begins with a whole pair, of which the first may not be meant.
            let skipped = from % 2;
            let start = from - skipped;
            let to = range.end.min(start + KEY_TILE);
            let mut visible = u64::MAX >> (KEY_TILE - (to - start)) >> skipped << skipped;
            let mut counts = count.map(|count| {
                let mut counts = [0; KEY_TILE];
                for (j, slot) in counts.iter_mut().enumerate().take(to - start).skip(skipped) {
                    *slot = count(start + j) as u16;
                    if *slot == 0 {
                        visible &= !(1 << j);
                    }
                }
                counts
            });
            let bias = self.bias.and_then(|table| table.get(from + self.bias_middle - row..));
            let (at, end) = (start - self.first, to - self.first);
            let masked = if self.masked { counts.take() } else { None };
            let tile = KeyTile {
                keys: self.keys.get(at * width..end * width).unwrap_or_default(),
                values: self.values.get(at * width..end.next_multiple_of(2) * width).unwrap_or_default(),
                count: to - start,
                visible,
                weight: Weight::Coarse {
                    level: level as u32,
                    counts: counts.as_ref(),
                    bias: bias.map(|bias| (skipped, bias)),
                    extra: self.extra[0],
                },
            };
            if visible != 0 {
                match masked {
                    Some(mut counts) => self.absorb_masked(accumulator, q, tile, &mut counts, budget),
                    None => accumulator.absorb(q, tile, self.scale),
                }
            }
            budget.charge_keys(to - start, width);
            from = to;
        }
    }

    /// Adds a tile of rows some of which are without some of their tokens.
    #[inline(never)]
    fn absorb_masked(
        &self,
        accumulator: &mut Accumulator<'_>,
        q: &[i16],
        tile: KeyTile<'_>,
        counts: &mut [u16; KEY_TILE],
        budget: &mut Budget,
    ) {
        let ([all, some], mut few) = (self.extra, tile.visible);
        if all != some {
            for (j, count) in counts.iter_mut().enumerate() {
                if usize::from(*count) == complete(self.level) {
                    (*count, few) = (0, few & !(1 << j));
                }
            }
            let whole = tile.visible & !few;
            if whole != 0 {
                accumulator.absorb(q, KeyTile { visible: whole, ..tile }, self.scale);
                budget.charge_keys(tile.keys.len() / self.width.max(1), self.width);
            }
        }
        if let (true, Weight::Coarse { bias, .. }) = (few != 0, tile.weight) {
            let level = fewest(counts, self.level) as u32;
            let weight = Weight::Coarse { level, counts: Some(counts), bias, extra: some };
            accumulator.absorb(q, KeyTile { visible: few, weight, ..tile }, self.scale);
        }
    }
}

/// What a row of a level counts that has all its tokens.
const fn complete(level: usize) -> usize {
    1 << if level < MOST_COUNTED as usize { level } else { MOST_COUNTED as usize }
}

/// The lowest level whose rows have as many tokens as the fullest of a tile of `level`, and the counts for it: relative to
/// rows of `level` itself, weights of a few tokens would have few bits left.
fn fewest(counts: &mut [u16; KEY_TILE], level: usize) -> usize {
    let counted = level.min(MOST_COUNTED as usize);
    let most = counts.iter().fold(1, |most: u16, &count| most.max(count));
    let needed = most.next_power_of_two().trailing_zeros() as usize;
    let lowest = level + needed.min(counted) - counted;
    // Above the level up to which tokens are counted one by one, units are as large as the level's are small.
    let up = lowest.min(MOST_COUNTED as usize).saturating_sub(needed);
    counts.iter_mut().for_each(|count| *count <<= up);
    lowest
}

/// Row `index` of rows of `width` columns.
fn row(rows: &[i16], index: usize, width: usize) -> &[i16] {
    rows.get(index * width..(index + 1) * width).unwrap_or_default()
}
