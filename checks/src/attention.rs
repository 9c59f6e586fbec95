//! One head of each mechanism of the softmax family. Queries of zeros see every key alike: what comes out is a mean of
//! the values, and says which keys were seen.

use crate::checks;
use crate::outcome::rows;
use fixformer::attention::{Given, attend};
use fixformer::model::{AttentionKind, BigBird, BigBirdExtended, Hierarchical, Local};
use fixformer::num::Requant;

pub(crate) const TOKENS: usize = 10;
pub(crate) const WIDTH: usize = 4;
const SIZE: usize = TOKENS * WIDTH;
/// Every token is seen.
const ALL_SEEN: [u16; 1] = [(1 << TOKENS) - 1];

/// Rows of one head.
#[derive(Clone, Copy)]
pub(crate) struct Rows {
    pub(crate) queries: [i16; SIZE],
    pub(crate) keys: [i16; SIZE],
    pub(crate) visible: [u16; 1],
    pub(crate) causal: bool,
}

impl Rows {
    /// Queries and keys of zeros.
    pub(crate) const EQUAL: Self =
        Self { queries: [0; SIZE], keys: [0; SIZE], visible: ALL_SEEN, causal: false };

    /// Queries and keys of many sizes.
    const MIXED: Self = Self { queries: mixed(37), keys: mixed(91), ..Self::EQUAL };

    /// What a head makes of them and of the values `100 t + c`, with so many words of working memory.
    #[inline(never)]
    pub(crate) fn attended<const WORDS: usize>(mut self, kind: AttentionKind<'_>) -> [i16; SIZE] {
        let mut values = [0; SIZE];
        values.iter_mut().enumerate().for_each(|(i, v)| *v = value(i / WIDTH, i % WIDTH));
        let given = Given {
            index: 0,
            width: WIDTH,
            rows: &mut self.queries,
            keys: &self.keys,
            values: &values,
            visible: &self.visible,
            causal: self.causal,
            scale: Requant { multiplier: 1 << 14, shift: 10 },
            gain: 0,
        };
        attend(kind, given, &mut [0; WORDS]);
        self.queries
    }
}

const fn value(token: usize, column: usize) -> i16 {
    (100 * token + column) as i16
}

const fn mixed(step: usize) -> [i16; SIZE] {
    let mut rows = [0; SIZE];
    let mut i = 0;
    while i < SIZE {
        rows[i] = (i * step * step % 601) as i16 - 300;
        i += 1;
    }
    rows
}

/// The mean of the values of some tokens.
pub(crate) fn mean(tokens: &[usize]) -> [i16; WIDTH] {
    let (count, sum) = (tokens.len().max(1), tokens.iter().sum::<usize>());
    core::array::from_fn(|column| ((100 * sum + count / 2) / count + column) as i16)
}

pub(crate) fn row(attended: &[i16; SIZE], token: usize) -> &[i16] {
    attended.get(token * WIDTH..(token + 1) * WIDTH).unwrap_or_default()
}

const EVERY: [usize; TOKENS] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9];
const BIGBIRD: BigBird<'_> = BigBird { block: 1, dense_blocks: 0, random: 0, rows: TOKENS - 2, plan: &[] };
const EXTENDED: BigBirdExtended<'_> =
    BigBirdExtended { block: 2, dense_tokens: 0, global: 2, radius: None, random: 0, rows: 4, plan: &[] };
const LOCAL: Local = Local { chunk: 2, before: 1, after: 0, multiple: 2 };
const HIERARCHICAL: Hierarchical<'_> = Hierarchical { block: 2, bias: &[], extra: &[0; 3] };

checks! { "attention", 3584,
    fn exact_sees_every_key() {
        let attended = Rows::EQUAL.attended::<288>(AttentionKind::Exact);
        for token in EVERY {
            rows(row(&attended, token), &mean(&EVERY), 0)?;
        }
    }

    fn exact_causal_sees_no_later_key() {
        let attended = Rows { causal: true, ..Rows::EQUAL }.attended::<288>(AttentionKind::Exact);
        for token in EVERY {
            rows(row(&attended, token), &mean(EVERY.get(..=token).unwrap_or_default()), 1)?;
        }
    }

    fn exact_leaves_masked_keys_out() {
        let attended = Rows { visible: [0b10_0000_0101], ..Rows::MIXED }.attended::<288>(AttentionKind::Exact);
        let only = Rows { visible: [0b10_0000_0101], ..Rows::EQUAL }.attended::<288>(AttentionKind::Exact);
        rows(row(&only, 5), &mean(&[0, 2, 9]), 1)?;
        for token in EVERY {
            // Between the least and the most of what is seen.
            let first = row(&attended, token).first().copied().unwrap_or_default();
            crate::outcome::holds((0..=900).contains(&first))?;
        }
        let none = Rows { visible: [0], ..Rows::MIXED }.attended::<288>(AttentionKind::Exact);
        rows(&none, &[0; SIZE], 0)?;
    }

    /// Where there are few tokens the sparse mechanisms see all of them: the same bits.
    fn few_tokens_are_seen_exactly() {
        for causal in [false, true] {
            let case = Rows { causal, ..Rows::MIXED };
            let exact = case.attended::<288>(AttentionKind::Exact);
            let local = Local { chunk: 16, multiple: 16, ..LOCAL };
            rows(&case.attended::<288>(AttentionKind::Local(local)), &exact, 0)?;
            let dense = BigBird { dense_blocks: 16, ..BIGBIRD };
            rows(&case.attended::<288>(AttentionKind::BigBird(dense)), &exact, 0)?;
            let dense = BigBirdExtended { dense_tokens: 16, ..EXTENDED };
            rows(&case.attended::<288>(AttentionKind::BigBirdExtended(dense)), &exact, 0)?;
            let whole = Hierarchical { block: 6, ..HIERARCHICAL };
            rows(&case.attended::<288>(AttentionKind::Hierarchical(whole)), &exact, 0)?;
        }
    }

    /// First and last block, the window, and the random block.
    fn bigbird_sees_its_blocks() {
        let attended = Rows::EQUAL.attended::<288>(AttentionKind::BigBird(BIGBIRD));
        rows(row(&attended, 5), &mean(&[0, 4, 5, 6, 9]), 1)?;
        rows(row(&attended, 1), &mean(&[0, 1, 2, 9]), 1)?;
        rows(row(&attended, 0), &mean(&EVERY), 1)?;
        let random = BigBird { random: 1, plan: &[7, 7, 7, 7, 2, 7, 7, 7], ..BIGBIRD };
        let attended = Rows::EQUAL.attended::<288>(AttentionKind::BigBird(random));
        rows(row(&attended, 5), &mean(&[0, 2, 4, 5, 6, 9]), 1)?;
        // A block that is listed twice counts twice.
        rows(row(&attended, 7), &mean(&[0, 6, 7, 7, 8, 9]), 1)?;
    }

    fn bigbird_extended_sees_each_key_once() {
        let random = BigBirdExtended { random: 1, plan: &[0, 3, 2, -1], ..EXTENDED };
        let attended = Rows::EQUAL.attended::<288>(AttentionKind::BigBirdExtended(random));
        rows(row(&attended, 0), &mean(&EVERY), 1)?;
        // Global tokens, its block and the ones beside it, which the random block is one of.
        rows(row(&attended, 2), &mean(&[0, 1, 2, 3, 4, 5]), 1)?;
        rows(row(&attended, 5), &mean(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]), 1)?;
        rows(row(&attended, 9), &mean(&[0, 1, 6, 7, 8, 9]), 1)?;
    }

    fn local_window_is_circular() {
        let attended = Rows::EQUAL.attended::<288>(AttentionKind::Local(LOCAL));
        rows(row(&attended, 5), &mean(&[2, 3, 4, 5]), 1)?;
        rows(row(&attended, 0), &mean(&[8, 9, 0, 1]), 1)?;
    }

    /// Every key counts once, at whatever level it is seen.
    fn hierarchical_levels_cover_every_key() {
        let attended = Rows::EQUAL.attended::<288>(AttentionKind::Hierarchical(HIERARCHICAL));
        for token in EVERY {
            rows(row(&attended, token), &mean(&EVERY), 2)?;
        }
    }

    fn hierarchical_causal_sees_no_later_key() {
        let case = Rows { causal: true, ..Rows::EQUAL };
        let attended = case.attended::<288>(AttentionKind::Hierarchical(HIERARCHICAL));
        for token in EVERY {
            rows(row(&attended, token), &mean(EVERY.get(..=token).unwrap_or_default()), 2)?;
        }
    }

    /// Masked tokens are in no mean of a coarse level.
    fn hierarchical_levels_leave_masked_keys_out() {
        let case = Rows { visible: [0b11_1010_0111], ..Rows::EQUAL };
        let attended = case.attended::<288>(AttentionKind::Hierarchical(HIERARCHICAL));
        for token in EVERY {
            rows(row(&attended, token), &mean(&[0, 1, 2, 5, 7, 8, 9]), 2)?;
        }
    }
}
