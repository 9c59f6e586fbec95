//! Which tokens count: a bit each.

use core::ops::Range;

/// Tokens of a word of the map.
const BITS: usize = u32::BITS as usize;

/// Words of a map of `tokens` tokens.
pub(crate) const fn words(tokens: usize) -> usize {
    tokens.div_ceil(BITS)
}

/// A map of tokens: bit `t % 32` of word `t / 32` says whether token `t` counts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Visible<'a>(pub(crate) &'a [u32]);

impl Visible<'_> {
    /// Whether a token counts.
    pub(crate) fn contains(self, token: usize) -> bool {
        self.0.get(token / BITS).copied().unwrap_or_default() >> (token % BITS) & 1 == 1
    }

    /// Bits `from .. from + count`, `count <= 64`.
    pub(crate) fn bits(self, from: usize, count: usize) -> u64 {
        let (first, shift) = (from / BITS, from % BITS);
        let words = self.0.get(first..).unwrap_or_default();
        let word = |index: usize| u64::from(words.get(index).copied().unwrap_or_default());
        let mut bits = word(0) | word(1) << BITS;
        if shift > 0 {
            bits = bits >> shift | word(2) << (2 * BITS - shift);
        }
        if count < 2 * BITS { bits & ((1 << count) - 1) } else { bits }
    }

    /// Whether all of `count` tokens from one on count, whole words of the map.
    pub(crate) fn all(self, from: usize, count: usize) -> bool {
        let words = from / BITS..(from + count) / BITS;
        from.is_multiple_of(BITS)
            && self.0.get(words).is_some_and(|words| words.iter().all(|&word| word == !0))
    }

    /// How many tokens of a range count.
    pub(crate) fn count(self, range: Range<usize>) -> usize {
        let (mut count, mut from) = (0, range.start);
        while from < range.end {
            let length = (range.end - from).min(2 * BITS);
            count += self.bits(from, length).count_ones() as usize;
            from += length;
        }
        count
    }
}

/// Notes whether a token counts.
pub(crate) fn set(map: &mut [u32], token: usize, counts: bool) {
    if let Some(word) = map.get_mut(token / BITS) {
        *word = *word & !(1 << (token % BITS)) | u32::from(counts) << (token % BITS);
    }
}

/// Forgets the first `tokens` tokens: the map begins with the one after them.
pub(crate) fn forget(map: &mut [u32], tokens: usize) {
    for index in 0..map.len() {
        let bits = Visible(map).bits(index * BITS + tokens, BITS);
        if let Some(word) = map.get_mut(index) {
            *word = bits as u32;
        }
    }
}
