//! The online softmax that every mechanism of the softmax family shares.

#[cfg(feature = "std")]
mod together;

#[cfg(feature = "std")]
pub(super) use together::Places;

pub use crate::kernels::KEY_TILE;
use crate::kernels::{
    self, SAFE_KEYS, SUM_SHIFT, Tiles, VALUE_LIMIT, WEIGHT_FRAC, largest, offset_exponents,
};
use crate::memory::Carver;
use crate::model::{Favor, MAX_TOKENS};
use crate::num::{
    Factor, LogScore, Probability, Requant, exp2_neg, log2, recip, round_shift, round_shift_wide,
};

/// Whether whole tiles are absorbed together: where the loops are longer than what is around them, it is not worth its code.
pub(super) const TOGETHER: bool = cfg!(fixformer_dsp);

/// A softmax-weighted mean of value rows, built tile by tile (online softmax, Milakov and Gimelshein 2018).
///
/// The running maximum is a whole power of two, so that moving it is a shift.
pub struct Accumulator<'a> {
    /// `[width]`, weighted values; `WEIGHT_FRAC - SUM_SHIFT` fractional bits more than the values.
    sum: &'a mut [i32],
    state: State,
    buffer: TileBuffer<'a>,
}

/// What an accumulator needs while it absorbs a tile: products, then weights.
pub struct TileBuffer<'a> {
    /// `[KEY_TILE]`.
    dots: &'a mut [i32],
    /// `[KEY_TILE]`; two can be read as a word.
    weights: &'a mut [i16],
}

impl<'a> TileBuffer<'a> {
    /// Words of a buffer.
    pub const WORDS: usize = KEY_TILE + KEY_TILE / 2;

    /// A buffer in [`TileBuffer::WORDS`] words, which need not be cleared.
    pub fn new(words: &'a mut [u32]) -> Self {
        let mut carver = Carver::new(words);
        Self { dots: carver.i32s(KEY_TILE), weights: carver.i16s(KEY_TILE) }
    }

    /// The same buffer for a while.
    pub fn lend(&mut self) -> TileBuffer<'_> {
        TileBuffer { dots: self.dots, weights: self.weights }
    }
}

/// An accumulator without its sums.
#[derive(Clone, Copy, Debug, Default)]
pub struct State {
    /// Sum of the weights, [`WEIGHT_FRAC`] fractional bits.
    pub(super) total: u32,
    /// Weights are relative to `2^top`.
    pub(super) top: i32,
    /// Of powers of two: the fraction of an octave above `2^top`, [`Favor::LOG_FRAC`] fractional bits, to which weights are
    /// relative.
    pub(super) base: i32,
}

impl State {
    /// What [`State::words`] gave.
    pub(super) const fn of([total, top]: [u32; 2]) -> Self {
        Self { total, top: top as i32, base: 0 }
    }

    /// As two words of the arena, where keys are no powers of two.
    pub(super) const fn words(self) -> [u32; 2] {
        [self.total, self.top as u32]
    }

    /// Logarithm of the sum of the weights, [`Favor::LOG_FRAC`] fractional bits.
    pub(super) fn log2(self) -> i32 {
        (self.top << Favor::LOG_FRAC) + self.base + log2(self.total).to_bits()
            - ((WEIGHT_FRAC << Favor::LOG_FRAC) as i32)
    }

    /// Makes room for the `largest` of the products, which lies above, and weighs them.
    #[cfg_attr(all(fixformer_dsp, not(fixformer_mve)), inline(never))]
    #[cfg_attr(not(all(fixformer_dsp, not(fixformer_mve))), inline(always))]
    fn raised(&mut self, tiles: &mut Tiles<'_>, largest: i32, scale: Requant, level: i32) -> u32 {
        let limit = ceil(-scale.apply(-largest)) + level;
        raise(tiles.sums(), &mut self.total, &mut self.top, limit);
        tiles.weigh(scale, self.top - level, true).unwrap_or_default()
    }

    /// Makes weights relative to the `largest` of the exponents, which lies above, so that it has all the bits that there
    /// are.
    #[cfg_attr(all(fixformer_dsp, not(fixformer_mve)), inline(never))]
    #[cfg_attr(not(all(fixformer_dsp, not(fixformer_mve))), inline(always))]
    fn risen(mut self, tiles: &mut Tiles<'_>, largest: i32) -> Self {
        let (exponent, before) = (largest.saturating_add(self.base), self.base);
        const UNIT: u32 = Favor::LOG_FRAC - LogScore::FRAC_NBITS;
        const FRACTION: i32 = (1 << Favor::LOG_FRAC) - 1;
        /// The natural logarithm of 2, [`Favor::LOG_FRAC`] fractional bits.
        const LN_2: i64 = 11357;
        if self.total > 0 {
            let distance = exponent.saturating_sub((self.top << Favor::LOG_FRAC) | self.base);
            let octaves = (distance >> Favor::LOG_FRAC).clamp(0, 31) as u32;
            let coarse = i64::from(exp2_neg(LogScore::from_bits((distance & FRACTION) >> UNIT)).to_bits());
            // What lies between two entries of the table of powers is nearly linear.
            let fine = i64::from(distance & ((1 << UNIT) - 1)) * LN_2;
            let factor = coarse - ((coarse * fine) >> (2 * Favor::LOG_FRAC));
            let scaled = |x: i64| round_shift_wide(x * factor, Probability::FRAC_NBITS + octaves);
            tiles.sums().iter_mut().for_each(|sum| *sum = scaled((*sum).into()) as i32);
            self.total = scaled(self.total.into()) as u32;
        }
        (self.top, self.base) = (exponent >> Favor::LOG_FRAC, exponent & FRACTION);
        lower(tiles.tile().0, self.base - before);
        self
    }
}

/// Keys, mostly at most [`KEY_TILE`], and their values.
#[derive(Clone, Copy)]
pub struct KeyTile<'a> {
    /// `[count, width]`, magnitudes as [`dots`] takes them.
    pub keys: &'a [i16],
    /// Magnitudes up to [`VALUE_LIMIT`], rows zipped as [`weighted_sum`] takes them: as many as keys, or one more
    /// where it shares a pair with the last.
    pub values: &'a [i16],
    /// Number of keys.
    pub count: usize,
    /// Bit `j`: key `j` takes part.
    pub visible: u64,
    /// What each key stands for.
    pub weight: Weight<'a>,
}

/// The level up to which the tokens of a key are counted one by one.
pub(super) const MOST_COUNTED: u32 = 14;

/// How many tokens a key stands for.
#[derive(Clone, Copy)]
pub enum Weight<'a> {
    /// One.
    One,
    /// `2^level` tokens.
    Coarse {
        /// Level of the keys.
        level: u32,
        /// Tokens that are not masked, `count[j]` of `2^level`, where those are fewer for some key; a key with none
        /// must not be visible. Above level 14 they are counted in units, `2^14` a key.
        counts: Option<&'a [u16; KEY_TILE]>,
        /// Relative position bias: the first key that has one, and what is added to its score and to those of the
        /// keys after it, in units of log2.
        bias: Option<(usize, &'a [i16])>,
        /// Fractional bits that these values have more than those of the tokens.
        extra: u32,
    },
    /// A power of two: the scale gives exponents of [`Favor::LOG_FRAC`] fractional bits.
    Power {
        /// Of each key, what is added to its exponent.
        offsets: &'a [i32],
        /// Many tiles come, so that it pays to make weights relative to the largest exponent itself.
        is_summed: bool,
        /// Fractional bits that these values have more than those of the tokens.
        extra: u32,
    },
}

impl Weight<'_> {
    /// The level of the keys, and what is dropped of a sum before it is added.
    const fn level_and_shift(&self) -> (i32, u32) {
        match *self {
            Self::One => (0, SUM_SHIFT),
            Self::Coarse { level, extra, .. } => (level as i32, SUM_SHIFT + extra),
            Self::Power { extra, .. } => (0, SUM_SHIFT + extra),
        }
    }

    /// Whether the products with the keys are scores as they are, and their weights count in full.
    const fn is_plain(&self) -> bool {
        matches!(self, Self::One | Self::Coarse { counts: None, bias: None, .. })
    }
}

impl<'a> Accumulator<'a> {
    /// Empty; `sum` is scratch of the width of a value row.
    pub fn new(sum: &'a mut [i32], buffer: TileBuffer<'a>) -> Self {
        sum.fill(0);
        Self { sum, state: State::default(), buffer }
    }

    /// Goes on from `state` with the sums that it left in `sum`.
    pub fn resume(sum: &'a mut [i32], buffer: TileBuffer<'a>, state: State) -> Self {
        Self { sum, state, buffer }
    }

    /// What [`Accumulator::resume`] needs besides the sums.
    pub fn state(&self) -> State {
        self.state
    }

    /// Adds the visible keys of one tile, or of several whole ones, if all are visible and have no weights or biases of their
    /// own. An empty `q` is a row of zeros.
    pub fn absorb(&mut self, q: &[i16], tile: KeyTile<'_>, scale: Requant) {
        let (level, shift) = tile.weight.level_and_shift();
        let hidden = !tile.visible << KEY_TILE.saturating_sub(tile.count) != 0;
        let Self { sum, state, buffer: TileBuffer { dots, weights } } = self;
        let mut tiles = Tiles::new(q, (tile.count, tile.keys, tile.values), dots, weights, sum);
        if !TOGETHER || hidden || !tile.weight.is_plain() {
            tiles.dots(0, tile.count);
            if let Some(total) = weigh_any(state, &mut tiles, tile, hidden, scale, level) {
                state.total += total;
                tiles.add(run(total), shift);
            }
            return;
        }
        let mut first = 0;
        while first < tile.count {
            let count = (tile.count - first).min(KEY_TILE);
            tiles.dots(first, count);
            // A key of level `l` stands for `2^l` tokens: `l` in units of log2. Mostly no key lies above the top.
            let found = match state.total {
                0 => Err(largest(tiles.tile().0)),
                _ => tiles.weigh(scale, state.top - level, false),
            };
            let total = match found {
                Ok(total) => total,
                Err(largest) => state.raised(&mut tiles, largest, scale, level),
            };
            state.total += total;
            tiles.add(run(total), shift);
            first += count;
        }
    }

    /// Makes room for so many more keys, where there were more than in the longest whole run: the sums keep one bit less.
    pub(super) fn make_room(&mut self, keys: usize) {
        if self.state.total > (MAX_TOKENS - keys as u32) << WEIGHT_FRAC {
            let top = self.state.top + 1;
            raise(self.sum, &mut self.state.total, &mut self.state.top, top);
        }
    }

    /// Whether no key was visible.
    pub fn is_empty(&self) -> bool {
        self.state.total == 0
    }

    /// The weighted mean, with `gain` more fractional bits than the values; zero if nothing was visible.
    pub fn finish(self, gain: u32, out: &mut [i16]) {
        if self.is_empty() {
            return out.fill(0);
        }
        let reciprocal = recip(self.state.total);
        // No sum exceeds `VALUE_LIMIT total / 2^SUM_SHIFT` by much: there is room for what a short shift lacks.
        let factor = Factor::new(reciprocal.mantissa, reciprocal.exponent - SUM_SHIFT - gain);
        kernels::scale(self.sum, factor, out);
    }
}

/// The weights of any tile whose products are found; `None` if nothing is visible.
#[cfg_attr(not(all(fixformer_dsp, not(fixformer_mve))), inline(always))]
fn weigh_any(
    state: &mut State,
    tiles: &mut Tiles<'_>,
    tile: KeyTile<'_>,
    hidden: bool,
    scale: Requant,
    level: i32,
) -> Option<u32> {
    let Scored { scale, largest: found } = score(tiles.tile().0, tile, scale, state.base);
    let above = match found {
        _ if state.total == 0 => Some(found.unwrap_or_else(|| largest(tiles.tile().0))),
        _ => found.filter(|&largest| lies_above(largest, scale, state.top - level)),
    };
    let weighed = match above {
        None => tiles.weigh(scale, state.top - level, found.is_some()),
        Some(HIDDEN) => return None,
        Some(largest) => Err(largest),
    };
    let mut total = match weighed {
        Ok(total) => total,
        Err(largest) if matches!(tile.weight, Weight::Power { is_summed: true, .. }) => {
            *state = state.risen(tiles, largest);
            tiles.weigh(scale, state.top - level, true).unwrap_or_default()
        }
        Err(largest) => state.raised(tiles, largest, scale, level),
    };
    let (_, weights) = tiles.tile();
    if hidden {
        hide(weights, tile.visible, 0);
        total = weights.iter().map(|&weight| weight as u32).sum();
    }
    if let Weight::Coarse { level, counts: Some(counts), .. } = tile.weight {
        total = scale_by_counts(weights, counts, level.min(MOST_COUNTED));
    }
    Some(total)
}

/// Keys that are added up before bits are dropped, where the weights of a tile come to `total`.
const fn run(total: u32) -> usize {
    if total <= (SAFE_KEYS as u32) << WEIGHT_FRAC { KEY_TILE } else { SAFE_KEYS }
}

/// Makes room for weights up to `2^limit`: sums and total are relative to `2^top`, and a total of zero has no top yet.
pub(super) fn raise(sums: &mut [i32], total: &mut u32, top: &mut i32, limit: i32) {
    if *total == 0 {
        *top = limit;
    } else if limit > *top {
        let shift = (limit - *top).min(31) as u32;
        sums.iter_mut().for_each(|sum| *sum = round_shift(*sum, shift));
        *total = round_shift(*total as i32, shift) as u32;
        *top = limit;
    }
}

/// A product that no visible key has.
pub(super) const HIDDEN: i32 = -i32::MAX;

/// Subtracts from exponents that are not hidden.
fn lower(exponents: &mut [i32], amount: i32) {
    exponents.iter_mut().for_each(|exponent| *exponent = (*exponent).max(HIDDEN + amount.max(0)) - amount);
}

/// Puts `value` in the place of what is not visible.
fn hide<T: Copy>(items: &mut [T], visible: u64, value: T) {
    for (j, item) in items.iter_mut().enumerate() {
        if visible >> j & 1 == 0 {
            *item = value;
        }
    }
}

/// Products that a scale turns into scores.
struct Scored {
    scale: Requant,
    /// The largest product, where it is known.
    largest: Option<i32>,
}

/// Makes what is asked of the products of a tile, [`HIDDEN`] of what is not visible.
fn score(products: &mut [i32], tile: KeyTile<'_>, scale: Requant, base: i32) -> Scored {
    let mut scored = match tile.weight {
        Weight::Coarse { bias: Some((first, bias)), .. } => {
            let scale = add_bias(products.get_mut(first..).unwrap_or_default(), scale, bias);
            Scored { scale, largest: None }
        }
        Weight::Power { offsets, .. } => {
            let largest = offset_exponents(products, scale, offsets, base);
            Scored { scale: SIXTEENTH, largest: Some(largest) }
        }
        _ => Scored { scale, largest: None },
    };
    if !tile.visible << (KEY_TILE - products.len()) != 0 {
        hide(products, tile.visible, HIDDEN);
        scored.largest = None;
    }
    scored
}

/// Whether a product lies above the top.
fn lies_above(product: i32, scale: Requant, top: i32) -> bool {
    (top << LogScore::FRAC_NBITS) + scale.apply(-product) < 0
}

/// What makes scores of exponents.
const SIXTEENTH: Requant = Requant { multiplier: 1 << 13, shift: 1 };
const _: () = assert!(Favor::LOG_FRAC - LogScore::FRAC_NBITS == 4);

/// Adds to the scores of the products, which makes them products with another scale.
fn add_bias(products: &mut [i32], scale: Requant, bias: &[i16]) -> Requant {
    const EIGHTH: Requant = Requant { multiplier: 1 << 14, shift: 1 };
    for (product, &bias) in products.iter_mut().zip(bias) {
        let score = i32::from(bias) - scale.apply(-*product);
        // 2^17 octaves are further than any two weights can be apart.
        *product = score.clamp(-(1 << 27), 1 << 27) << 3;
    }
    EIGHTH
}

/// Where masked tokens or the end of the sequence leave less than `2^level` tokens; returns the new sum.
fn scale_by_counts(weights: &mut [i16], counts: &[u16; KEY_TILE], level: u32) -> u32 {
    for (weight, &count) in weights.iter_mut().zip(counts) {
        if u32::from(count) < 1 << level {
            *weight = round_shift(i32::from(*weight) * i32::from(count), level) as i16;
        }
    }
    weights.iter().map(|&weight| weight as u32).sum()
}

/// The whole units of log2 that a score does not exceed.
const fn ceil(score: i32) -> i32 {
    (score + (1 << LogScore::FRAC_NBITS) - 1) >> LogScore::FRAC_NBITS
}

const _: () = assert!((SAFE_KEYS as i64) << WEIGHT_FRAC < i32::MAX as i64 / VALUE_LIMIT as i64);
// The longest sequence fits, with every weight one and every value at its limit.
const _: () =
    assert!(((MAX_TOKENS as u64) << WEIGHT_FRAC) * (VALUE_LIMIT as u64 + 1) <= 1 << (31 + SUM_SHIFT));
