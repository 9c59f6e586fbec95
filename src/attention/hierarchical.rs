//! Hierarchical attention, H-Transformer-1D (Zhu and Soricut 2021): near keys one by one, far keys as means of
//! runs whose length doubles with the distance.
//!
//! At level `l` a row stands for a run of `2^l` tokens. A token sees, at level 0, its own block of `Nr` rows and
//! the neighbours; at every level above, the neighbours' rows that the level below has not covered. All
//! levels meet in one accumulator with weight `2^l`, so no level has a maximum of its own.

use core::ops::Range;

use super::accumulator::State;
use super::{Accumulator, Head, KEY_TILE, KeyTile, TileBuffer, Weight, bits, zip_pairs};
use crate::arena::Carver;
use crate::kernels::VALUE_LIMIT;
use crate::model::{Hierarchical, MAX_TOKENS};
use crate::num::Requant;

mod queries;

use queries::Queries;

/// Working memory: a row of sums for each level, the means of keys and values of all levels above the tokens, and
/// those of the current queries.
pub(super) const fn scratch(block: usize, tokens: usize, width: usize, causal: bool) -> usize {
    let (levels, rows) = coarse(block, tokens);
    // Causal queries are sampled, not averaged: they need no memory.
    let queries = if causal { 0 } else { Queries::size(levels, width).div_ceil(2) };
    (levels + 1) * width + 2 * (rows * width).div_ceil(2) + queries
}

/// Number of levels above the tokens, and rows of all of them together.
const fn coarse(block: usize, tokens: usize) -> (usize, usize) {
    let (mut levels, mut rows) = (0, 0);
    let mut level = tokens;
    while level > 2 * block {
        level = level.div_ceil(2);
        rows += level;
        levels += 1;
    }
    (levels, rows)
}

/// Attends in place.
pub(super) fn attend(parameters: Hierarchical<'_>, head: Head<'_>, scratch: &mut [u32]) {
    let tokens = head.tokens();
    let Head { index, width, rows, keys, values, visible, causal, scale, gain } = head;
    // The model was parsed: neither is zero.
    let (width, block) = (width.max(1), parameters.block.max(1));
    let (count, coarse) = coarse(block, tokens);
    let coarse = coarse * width;
    let mut carver = Carver::new(scratch);
    let sums = carver.i32s((count + 1) * width);
    let coarse_keys = carver.i16s(coarse);
    let coarse_values = carver.i16s(coarse);
    let mut queries = Queries::new(carver.i16s(if causal { 0 } else { Queries::size(count, width) }), width);

    let mask = Mask::new(visible, tokens);
    let shape = (width, block);
    // Keys meet queries in scores, which have one scale: no further bits.
    build(keys, coarse_keys, shape, mask, Mean::OfChildren, Bits::None);
    // Of a causal head they must not depend on what comes later.
    let value_bits = if causal { Bits::Fixed(parameters.extra) } else { Bits::Found };
    let extra = build(values, coarse_values, shape, mask, Mean::OfTokens, value_bits);

    let mut levels = [Level { index: 0, rows: tokens, offset: 0 }; LEVELS + 1];
    for index in 1..=count {
        let above = levels.get(index - 1).and_then(|level| level.above(block));
        if let (Some(level), Some(above)) = (levels.get_mut(index), above) {
            let rows = above.offset * width..(above.offset + above.rows) * width;
            zip_pairs(coarse_values.get_mut(rows).unwrap_or_default(), width, sums);
            *level = above;
        }
    }
    zip_pairs(values, width, sums);
    let view = View {
        keys: Pyramid { tokens: keys, coarse: coarse_keys },
        values: Pyramid { tokens: values, coarse: coarse_values },
        mask,
        width,
        block,
        bias: parameters.bias_of(index),
        extra,
        scale,
    };

    // What a token sees at a level and above is the same for its whole run: each level goes on from where the one
    // above stopped, and is done again only when its row changes. So the work is linear.
    // Last token first: a causal query of a coarse level is that of an earlier token, not yet replaced.
    let mut buffer = TileBuffer::new();
    let mut states = [State::default(); LEVELS + 2];
    for token in (0..tokens).rev() {
        let last = token + 1 == tokens;
        let changed = if last { count } else { count.min((token + 1).trailing_zeros() as usize) };
        if !causal {
            queries.begin(rows, token, changed, mask);
        }
        for level in levels.iter().take(changed + 1).rev() {
            let row = token >> level.index;
            let q = if level.index == 0 || causal {
                let sampled = row << level.index;
                let hidden = level.index > 0 && mask.count(sampled..sampled + 1) == 0;
                // The authors' code leaves a masked query at zero.
                if hidden { &[] } else { part(rows, sampled * width, width) }
            } else {
                queries.row(level.index, row)
            };
            let index = level.index as usize;
            let state = states.get(index + 1).copied().unwrap_or_default();
            let mut accumulator = Accumulator::resume(go_on(sums, index, width), &mut buffer, state);
            for range in ranges(row, *level, block, causal) {
                view.absorb(&mut accumulator, q, row, *level, range);
            }
            if level.index == 0 {
                accumulator
                    .finish(gain, rows.get_mut(token * width..(token + 1) * width).unwrap_or_default());
            } else if let Some(state) = states.get_mut(index) {
                *state = accumulator.state();
            }
        }
    }
}

/// The sums of a level, begun with those of the level above, or with zero at the top.
fn go_on(sums: &mut [i32], level: usize, width: usize) -> &mut [i32] {
    let (below, above) = sums.split_at_mut(((level + 1) * width).min(sums.len()));
    let sums = below.get_mut(level * width..).unwrap_or_default();
    let above = above.iter().copied().chain(core::iter::repeat(0));
    sums.iter_mut().zip(above).for_each(|(sum, above)| *sum = above);
    sums
}

/// One level of a pyramid.
#[derive(Clone, Copy)]
struct Level {
    /// 0 for the tokens.
    index: u32,
    /// Rows of the level.
    rows: usize,
    /// Its first row in the coarse buffer (levels from 1 on).
    offset: usize,
}

impl Level {
    /// The next level, unless two blocks cover this one: then everything has been seen.
    fn above(self, block: usize) -> Option<Self> {
        let offset = if self.index == 0 { 0 } else { self.offset + self.rows };
        (self.rows > 2 * block).then(|| Self { index: self.index + 1, rows: self.rows.div_ceil(2), offset })
    }
}

/// Key rows that a query row sees at a level: the paper's band with the quadrants of finer levels removed.
fn ranges(row: usize, level: Level, size: usize, causal: bool) -> [Range<usize>; 2] {
    let start = row / size * size;
    let left = start.saturating_sub(size);
    if level.index == 0 {
        let end = if causal { row + 1 } else { (start + 2 * size).min(level.rows) };
        return [left..end, 0..0];
    }
    let second_half = row - start >= size / 2;
    let before = match (start, second_half) {
        (0, _) => 0..0,
        (_, true) => left..start,
        (_, false) => left..left + size / 2,
    };
    let right = start + size;
    let after = if second_half { right + size / 2..right + size } else { right..right + size };
    let after = after.start.min(level.rows)..after.end.min(level.rows);
    [before, if causal { 0..0 } else { after }]
}

/// Tokens that are not masked.
#[derive(Clone, Copy)]
struct Mask<'a> {
    visible: &'a [u16],
    tokens: usize,
    /// No token is masked.
    full: bool,
}

impl<'a> Mask<'a> {
    fn new(visible: &'a [u16], tokens: usize) -> Self {
        let mask = Self { visible, tokens, full: false };
        Self { full: mask.count(0..tokens) == tokens, ..mask }
    }

    /// How many of a range.
    fn count(self, range: Range<usize>) -> usize {
        let end = range.end.min(self.tokens);
        if self.full {
            return end.saturating_sub(range.start);
        }
        let mut count = 0;
        let mut from = range.start;
        while from < end {
            let length = KEY_TILE.min(end - from);
            count += bits(self.visible, from, length).count_ones() as usize;
            from += length;
        }
        count
    }

    /// How many of either half of row `row` of a level from 1 on.
    fn halves(self, level: usize, row: usize) -> [usize; 2] {
        let (first, half) = (row << level, 1 << (level - 1));
        [self.count(first..first + half), self.count(first + half..first + 2 * half)]
    }
}

/// How two rows become one.
#[derive(Clone, Copy, PartialEq)]
enum Mean {
    /// Children count equally, whatever they stand for; one without tokens does not count.
    OfChildren,
    /// Every token counts equally.
    OfTokens,
}

/// Most levels of a sequence.
const LEVELS: usize = MAX_TOKENS.ilog2() as usize;
/// Fractional bits that the rows of each level have more than the tokens'.
type Extra = [u32; LEVELS];

/// Which levels keep a further bit: means of noise shrink from level to level, and their rounding would not.
#[derive(Clone, Copy)]
enum Bits<'a> {
    /// None.
    None,
    /// Those whose means leave the upper half of [`VALUE_LIMIT`] free.
    Found,
    /// Those of the model file; what does not fit saturates.
    Fixed(&'a [i8]),
}

/// Fills all levels above the tokens with means.
fn build(
    tokens: &[i16],
    coarse: &mut [i16],
    shape: (usize, usize),
    mask: Mask<'_>,
    mean: Mean,
    kept: Bits<'_>,
) -> Extra {
    let limit = i32::from(VALUE_LIMIT);
    let (width, block) = shape;
    let width = width.max(1);
    let mut extra = [0; LEVELS];
    let mut level = Level { index: 0, rows: mask.tokens, offset: 0 };
    let mut bits = 0;
    while let Some(above) = level.above(block) {
        let (finer, here) = coarse.split_at_mut((above.offset * width).min(coarse.len()));
        let children = match level.index {
            0 => tokens,
            _ => finer.get(level.offset * width..).unwrap_or_default(),
        };
        let children = children.get(..level.rows * width).unwrap_or_default();
        // Twice a value fits into 16 bits.
        let mut drop = match kept {
            Bits::None => 1,
            Bits::Found => 0,
            Bits::Fixed(extra) => {
                let fixed = extra.get(level.index as usize).copied().unwrap_or_default();
                i32::from(u32::from(fixed.unsigned_abs()) <= bits)
            }
        };
        let fixed = matches!(kept, Bits::Fixed(_));
        let mut peak = 0;
        for ((row, pair), out) in
            children.chunks((2 * width).max(1)).enumerate().zip(here.chunks_exact_mut(width))
        {
            twice_mean(pair, out, mask.halves(above.index as usize, row), mean, |twice| {
                peak = peak.max(twice.abs());
                match drop {
                    0 if fixed => twice.clamp(-limit, limit) as i16,
                    0 => twice as i16,
                    _ => half(twice, row),
                }
            });
        }
        if drop == 0 && peak > limit && !fixed {
            drop = 1;
            for (row, out) in here.chunks_exact_mut(width).enumerate().take(above.rows) {
                out.iter_mut().for_each(|out| *out = half(i32::from(*out), row));
            }
        }
        bits += 1 - drop as u32;
        if let Some(extra) = extra.get_mut(above.index as usize) {
            *extra = bits;
        }
        level = above;
    }
    extra
}

/// Half of a value of row `row`. Half of all sums are odd: rounded up they would all lean one way, and further at each
/// level. Odd rows round up, even rows down.
const fn half(twice: i32, row: usize) -> i16 {
    ((twice + (row as i32 & 1)) >> 1) as i16
}

/// Twice the mean of a pair of rows that stand for `counts` tokens, as `round` has it; zero if there are none.
fn twice_mean(
    pair: &[i16],
    out: &mut [i16],
    counts: [usize; 2],
    mean: Mean,
    mut round: impl FnMut(i32) -> i16,
) {
    let (left, right) = pair.split_at_checked(out.len()).unwrap_or((pair, &[]));
    let [a, b] = match mean {
        Mean::OfChildren => counts.map(|count| i32::from(count > 0)),
        Mean::OfTokens => counts.map(|count| count as i32),
    };
    if a == b && a > 0 && left.len() == right.len() {
        for (out, (&x, &y)) in out.iter_mut().zip(left.iter().zip(right)) {
            *out = round(i32::from(x) + i32::from(y));
        }
        return;
    }
    let (total, right) = ((a + b).max(1), right.iter().copied().chain(core::iter::repeat(0)));
    for (out, (&x, y)) in out.iter_mut().zip(left.iter().zip(right)) {
        let sum = a * i32::from(x) + b * i32::from(y);
        *out = round((4 * sum + total).div_euclid(2 * total));
    }
}

#[derive(Clone, Copy)]
struct Pyramid<'a> {
    tokens: &'a [i16],
    coarse: &'a [i16],
}

impl<'a> Pyramid<'a> {
    /// Rows of a level.
    fn count(self, level: Level, width: usize) -> usize {
        if level.index == 0 { self.tokens.len() / width.max(1) } else { level.rows }
    }

    fn rows(self, level: Level, range: Range<usize>, width: usize) -> &'a [i16] {
        match level.index {
            0 => part(self.tokens, range.start * width, range.len() * width),
            _ => part(self.coarse, (level.offset + range.start) * width, range.len() * width),
        }
    }
}

struct View<'a> {
    keys: Pyramid<'a>,
    values: Pyramid<'a>,
    mask: Mask<'a>,
    width: usize,
    block: usize,
    bias: Option<&'a [i16]>,
    extra: Extra,
    scale: Requant,
}

impl View<'_> {
    /// The keys `range` of a level for the query row `row` of the same level. An empty `q` is a row of zeros.
    fn absorb(
        &self,
        accumulator: &mut Accumulator<'_>,
        q: &[i16],
        row: usize,
        level: Level,
        range: Range<usize>,
    ) {
        let mut from = range.start;
        while from < range.end {
            // A tile begins with a whole pair, of which the first may not be meant.
            let skipped = from % 2;
            let start = from - skipped;
            let to = range.end.min(start + KEY_TILE);
            let whole = self.mask.full && to << level.index <= self.mask.tokens;
            let mut visible = u64::MAX >> (KEY_TILE - (to - start)) >> skipped << skipped;
            let counts = (!whole).then(|| {
                let mut counts = [0; KEY_TILE];
                for (j, count) in counts.iter_mut().enumerate().take(to - start).skip(skipped) {
                    let first = (start + j) << level.index;
                    *count = self.mask.count(first..first + (1 << level.index)) as u16;
                    if *count == 0 {
                        visible &= !(1 << j);
                    }
                }
                counts
            });
            // table[(key row - query row) + 2 Nr - 1]
            let bias = self.bias.and_then(|table| table.get(from + 2 * self.block - 1 - row..));
            let extra = self.extra.get(level.index as usize).copied().unwrap_or_default();
            let paired = start..to.next_multiple_of(2).min(self.values.count(level, self.width));
            let tile = KeyTile {
                keys: self.keys.rows(level, start..to, self.width),
                values: self.values.rows(level, paired, self.width),
                visible,
                weight: Weight::Coarse {
                    level: level.index,
                    counts: counts.as_ref(),
                    bias: bias.map(|bias| (skipped, bias)),
                    extra,
                },
            };
            if visible != 0 {
                accumulator.absorb(q, tile, self.scale);
            }
            from = to;
        }
    }
}

fn part(rows: &[i16], start: usize, length: usize) -> &[i16] {
    rows.get(start..start + length).unwrap_or_default()
}
