//! FAVOR+ (Choromanski et al. 2021, "Rethinking Attention with Performers"): `phi(q) S / phi(q) z` with
//! `S = sum phi(k) v` and `z = sum phi(k)`; work linear in the length, memory independent of it.
//!
//! **Offsets.** The original subtracts one offset from the exponents of all keys. Here every feature `i` has its
//! own, a whole power of two that rises as keys come in, with `S_i` and `z_i` shifted when it does (a running
//! maximum over the keys, of the whole exponent `u - n`). A query's weight of feature `i` is then
//! `2^(u_i + top_i)`, so that the offsets cancel exactly. No feature can vanish beside a larger one, whatever
//! the range of the inputs, and 16-bit features are enough.
//!
//! **Epsilon.** The originals add `epsilon` to every feature, relative to the largest `u`: of the row for a query, of
//! the sequence for the keys (`o_q`, `o_k`; both without `n`). Multiplied by `exp(n + o_q)` and `exp(o_k)`:
//!
//! `f_i = exp(u_i) + epsilon exp(n + o_q)`,
//! `out = sum_i f_i (S_i + epsilon exp(o_k) sum v) / sum_i f_i (z_i + epsilon exp(o_k) count)`.
//!
//! `S` and `z` stay free of it: `sum v` and `count` are one more feature, `o_k` is a maximum kept beside. That is
//! the original exactly, but for rounding, if `o_k` is ([`Epsilon::Sequence`], or a bidirectional head); where the
//! maximum runs ([`Epsilon::Seen`]) or is a constant ([`Epsilon::Fixed`]) the result differs from the original by
//! `O(epsilon)`: 8e-3 measured at 1e-6 on unit normal inputs, 3e-4 on correlated ones. The original's guard, `2 epsilon` more on a denominator below `epsilon`, does not exist here.
//!
//! Where all keys come before all queries nothing has to run: [`means`]. In causal attention [`tiles`] add keys to the sums
//! together, and [`query`] finds what is in the sums and in the keys that wait. [`running`] takes a key at a time: where keys
//! are looked at twice ([`Epsilon::Sequence`]), and ReLU features, which have no offset; their products are integers, with
//! the same running power of two.

mod blocks;
mod close;
mod features;
mod layout;
mod means;
mod power;
mod query;
mod running;
mod sums;
mod tiles;

use super::Head;
use super::life;
use crate::model::{AttentionKind, Epsilon, Favor, FavorInput, Features};
use crate::num::{LogScore, Requant};

/// Words that a head keeps.
pub(super) const fn memory(parameters: &Favor<'_>, tokens: usize, width: usize, causal: bool) -> usize {
    match form(parameters, causal) {
        Form::AllAtOnce => layout::memory(parameters, tokens, width),
        Form::TileByTile => tiles::memory(parameters, width),
        Form::KeyByKey => running::memory(parameters, width),
    }
}

/// The first words of a bidirectional head, those that it still needs when it is closed.
pub(super) const fn closed(parameters: &Favor<'_>, width: usize) -> usize {
    match form(parameters, false) {
        Form::AllAtOnce => layout::closed(parameters, width),
        Form::TileByTile | Form::KeyByKey => running::closed(parameters, width),
    }
}

/// Working memory.
pub(super) const fn scratch(parameters: &Favor<'_>, width: usize, causal: bool) -> usize {
    match form(parameters, causal) {
        Form::AllAtOnce => layout::scratch(width),
        Form::TileByTile => tiles::scratch(parameters, width),
        Form::KeyByKey => running::scratch(parameters),
    }
}

/// How a head takes in its keys.
#[derive(Clone, Copy)]
pub(super) enum Form {
    /// Features are powers, and no key comes after a query.
    AllAtOnce,
    /// Features are powers, and no answer depends on a later key.
    TileByTile,
    /// Any features, and [`Epsilon::Sequence`] in causal attention.
    KeyByKey,
}

pub(super) const fn form(parameters: &Favor<'_>, causal: bool) -> Form {
    match (parameters.features, parameters.epsilon) {
        (Features::Relu, _) => Form::KeyByKey,
        _ if !causal => Form::AllAtOnce,
        (_, Epsilon::Sequence) => Form::KeyByKey,
        _ => Form::TileByTile,
    }
}

/// Features that are powers, where no key comes after a query.
pub(super) struct AllAtOnce;

impl life::Mechanism for AllAtOnce {
    type Memory<'m> = layout::Means<'m>;

    fn carve<'m>(
        head: &'m Head<'m>,
        words: &'m mut [u32],
        scratch: &'m mut [u32],
    ) -> Option<Self::Memory<'m>> {
        let AttentionKind::Favor(parameters) = head.kind else { return None };
        Some(layout::Means::new(parameters, head, words, scratch))
    }
}

/// Features that are powers, a tile of keys at a time.
pub(super) struct TileByTile;

impl life::Mechanism for TileByTile {
    type Memory<'m> = tiles::Tiles<'m>;

    fn carve<'m>(
        head: &'m Head<'m>,
        words: &'m mut [u32],
        scratch: &'m mut [u32],
    ) -> Option<Self::Memory<'m>> {
        let AttentionKind::Favor(parameters) = head.kind else { return None };
        Some(tiles::Tiles::new(parameters, head, words, scratch))
    }
}

/// Any features, key by key.
pub(super) struct KeyByKey;

impl life::Mechanism for KeyByKey {
    type Memory<'m> = running::Running<'m>;

    fn carve<'m>(
        head: &'m Head<'m>,
        words: &'m mut [u32],
        scratch: &'m mut [u32],
    ) -> Option<Self::Memory<'m>> {
        let AttentionKind::Favor(parameters) = head.kind else { return None };
        Some(running::Running::new(parameters, head, words, scratch))
    }
}

/// `n` of a row.
fn norm(row: &[i16], input: FavorInput) -> i32 {
    input.norm.apply(row.iter().map(|&x| i32::from(x) * i32::from(x)).sum())
}

/// From exponents to scores.
const SIXTEENTH: Requant = Requant { multiplier: 1 << 13, shift: 1 };
const _: () = assert!(Favor::LOG_FRAC - LogScore::FRAC_NBITS == 4);
