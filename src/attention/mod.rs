//! One head: query, key and value rows in, rows out.
//!
//! Every mechanism of the softmax family is a pattern of (query, key tile, mask) over one [`Accumulator`].

mod accumulator;
mod bigbird;
mod bigbird_extended;
mod exact;
mod favor;
mod hierarchical;
mod local;
pub mod lsh;

pub use accumulator::{Accumulator, KEY_TILE, KeyTile, TileBuffer, Weight};

use crate::model::{AttentionKind, Model};
use crate::num::Requant;

/// One head at work. All rows are `[tokens, width]`.
pub struct Head<'a> {
    /// Which head, from 0.
    pub index: usize,
    /// Width of a row.
    pub width: usize,
    /// Queries in, magnitudes up to [`crate::kernels::dot_limit`]; outputs out, with `gain` more
    /// fractional bits than the values.
    pub rows: &'a mut [i16],
    /// Keys, magnitudes up to [`crate::kernels::dot_limit`]. LSH attention writes them itself.
    pub keys: &'a mut [i16],
    /// Values, magnitudes up to [`crate::kernels::VALUE_LIMIT`]. A mechanism may change their order. With a row of
    /// zeros after an odd number of tokens it is faster: kernels take them in pairs.
    pub values: &'a mut [i16],
    /// Bit `j` of element `i`: token `16 i + j` is not masked.
    pub visible: &'a [u16],
    /// A token attends to itself and to earlier ones only.
    pub causal: bool,
    /// From a product of query and key to a score in units of log2.
    pub scale: Requant,
    /// An average needs less range than what it is of: fractional bits that outputs have more than values.
    pub gain: u32,
}

impl Head<'_> {
    /// Number of tokens.
    pub fn tokens(&self) -> usize {
        self.rows.len() / self.width.max(1)
    }
}

/// Attends in place. `scratch` has at least [`scratch`] words.
type Attend = fn(AttentionKind<'_>, Head<'_>, &mut [u32]);

/// Every mechanism, by [`AttentionKind::index`].
const ALL: [Attend; AttentionKind::COUNT] = [
    |_, head, scratch| exact::attend(head, scratch),
    |kind, head, scratch| {
        if let AttentionKind::Hierarchical(parameters) = kind {
            hierarchical::attend(parameters, head, scratch);
        }
    },
    |kind, head, scratch| {
        if let AttentionKind::BigBird(parameters) = kind {
            bigbird::attend(parameters, head, scratch);
        }
    },
    |kind, head, scratch| {
        if let AttentionKind::Favor(parameters) = kind {
            favor::attend(parameters, head, scratch);
        }
    },
    |kind, head, scratch| {
        if let AttentionKind::Lsh(parameters) = kind {
            lsh::attend(parameters, head, scratch);
        }
    },
    |kind, head, scratch| {
        if let AttentionKind::Local(parameters) = kind {
            local::attend(parameters, head, scratch);
        }
    },
    |kind, head, scratch| {
        if let AttentionKind::BigBirdExtended(parameters) = kind {
            bigbird_extended::attend(parameters, head, scratch);
        }
    },
];

/// The mechanisms that a program links: all, or those of a model known at compile time.
#[derive(Clone, Copy, Debug)]
pub struct Mechanisms([Option<Attend>; AttentionKind::COUNT]);

impl Mechanisms {
    /// All, for a model known at run time.
    pub const fn all() -> Self {
        let mut mechanisms = [None; AttentionKind::COUNT];
        let mut index = 0;
        while index < AttentionKind::COUNT {
            mechanisms[index] = Some(ALL[index]);
            index += 1;
        }
        Self(mechanisms)
    }

    /// Those that the blocks of `model` use: what no block names is not linked.
    pub const fn of(model: &Model<'_>) -> Self {
        let mut mechanisms = [None; AttentionKind::COUNT];
        let mut blocks = model.blocks();
        while let Some(block) = blocks.take_next() {
            let kind = block.attention.kind.index();
            mechanisms[kind] = Some(ALL[kind]);
        }
        Self(mechanisms)
    }

    /// Attends in place. `scratch` has at least [`scratch`] words.
    pub fn attend(&self, kind: AttentionKind<'_>, head: Head<'_>, scratch: &mut [u32]) {
        if let Some(Some(attend)) = self.0.get(kind.index()) {
            attend(kind, head, scratch);
        }
    }
}

/// [`Mechanisms::attend`] with every mechanism there is.
pub fn attend(kind: AttentionKind<'_>, head: Head<'_>, scratch: &mut [u32]) {
    Mechanisms::all().attend(kind, head, scratch);
}

/// Words of working memory for up to `tokens` tokens of `width` columns.
pub const fn scratch(kind: &AttentionKind<'_>, tokens: usize, width: usize, causal: bool) -> usize {
    match kind {
        AttentionKind::Exact | AttentionKind::BigBird(_) => width,
        AttentionKind::Hierarchical(parameters) => {
            hierarchical::scratch(parameters.block, tokens, width, causal)
        }
        AttentionKind::Favor(parameters) => favor::scratch(parameters, width, causal),
        AttentionKind::Lsh(parameters) => lsh::scratch(parameters, tokens, width),
        AttentionKind::Local(_) | AttentionKind::BigBirdExtended(_) => width,
    }
}

/// Zips the rows of each pair, as [`KeyTile::values`] has them. `row` has room for a row.
fn zip_pairs(values: &mut [i16], width: usize, row: &mut [i32]) {
    for pair in values.chunks_exact_mut((2 * width).max(1)) {
        let Some((first, second)) = pair.split_at_checked(width) else { return };
        for (both, (&a, &b)) in row.iter_mut().zip(first.iter().zip(second)) {
            *both = i32::from(b) << 16 | i32::from(a as u16);
        }
        for (slot, &both) in pair.chunks_exact_mut(2).zip(&*row) {
            slot.copy_from_slice(&[both as i16, (both >> 16) as i16]);
        }
    }
}

/// Keys in `range`, read where they lie, a tile at a time. The values are zipped.
fn absorb_range(
    accumulator: &mut Accumulator<'_>,
    q: &[i16],
    keys: &[i16],
    values: &[i16],
    visible: &[u16],
    range: core::ops::Range<usize>,
    scale: Requant,
) {
    let width = q.len();
    let rows = values.len() / width.max(1);
    let mut from = range.start;
    while from < range.end {
        // A tile begins with a whole pair, of which the first may not be meant.
        let skipped = from % 2;
        let start = from - skipped;
        let to = range.end.min(start + KEY_TILE);
        let tile = KeyTile {
            keys: keys.get(start * width..to * width).unwrap_or_default(),
            values: values.get(start * width..to.next_multiple_of(2).min(rows) * width).unwrap_or_default(),
            visible: bits(visible, from, to - from) << skipped,
            weight: Weight::One,
        };
        if tile.visible != 0 {
            accumulator.absorb(q, tile, scale);
        }
        from = to;
    }
}

/// Tokens of an element of [`Head::visible`].
pub(crate) const MASK_BITS: usize = u16::BITS as usize;

/// Bits `from .. from + count` of the map, `count <= 64`.
fn bits(visible: &[u16], from: usize, count: usize) -> u64 {
    let (first, shift) = (from / MASK_BITS, from % MASK_BITS);
    let words = visible.get(first..).unwrap_or_default();
    let word = |index: usize| u32::from(words.get(index).copied().unwrap_or_default());
    let mut bits =
        u64::from(word(0) | word(1) << MASK_BITS) | u64::from(word(2) | word(3) << MASK_BITS) << 32;
    if shift > 0 {
        bits = bits >> shift | u64::from(word(4)) << (64 - shift);
    }
    if count < 64 { bits & ((1 << count) - 1) } else { bits }
}

/// Whether a token is not masked.
fn is_visible(visible: &[u16], token: usize) -> bool {
    visible.get(token / MASK_BITS).copied().unwrap_or_default() >> (token % MASK_BITS) & 1 == 1
}
