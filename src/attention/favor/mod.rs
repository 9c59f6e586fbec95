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
//! [`running`] does that. Where all keys come before all queries nothing has to run: [`means`].
//!
//! ReLU features have no offset; their products are integers, with the same running power of two.

mod features;
mod means;
mod power;
mod running;

use super::Head;
use super::life;
use crate::model::{AttentionKind, Favor, FavorInput, Features};

/// Words that a head keeps.
pub(super) const fn memory(parameters: &Favor<'_>, tokens: usize, width: usize, causal: bool) -> usize {
    if all_at_once(parameters, causal) {
        means::memory(parameters, tokens, width)
    } else {
        running::memory(parameters, width)
    }
}

/// Working memory.
pub(super) const fn scratch(parameters: &Favor<'_>, width: usize, causal: bool) -> usize {
    if all_at_once(parameters, causal) { means::scratch(width) } else { running::scratch(parameters) }
}

/// Whether features are powers and no key comes after a query.
pub(super) const fn all_at_once(parameters: &Favor<'_>, causal: bool) -> bool {
    !causal && !matches!(parameters.features, Features::Relu)
}

/// Features that are powers, where no key comes after a query.
pub(super) struct AllAtOnce;

impl life::Mechanism for AllAtOnce {
    type Memory<'m> = means::Means<'m>;

    fn carve<'m>(
        head: &'m Head<'m>,
        words: &'m mut [u32],
        scratch: &'m mut [u32],
    ) -> Option<Self::Memory<'m>> {
        let AttentionKind::Favor(parameters) = head.kind else { return None };
        Some(means::Means::new(parameters, head, words, scratch))
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
