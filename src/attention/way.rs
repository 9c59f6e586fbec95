//! In which order a mechanism wants its keys and queries.

use super::{extended, local};
use crate::model::{AttentionKind, Epsilon};

/// How the sequence passes a mechanism.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// All keys, then all queries.
    KeysFirst,
    /// All keys with their queries, which the mechanism keeps, then the answers from the last token to the first.
    Backwards,
    /// A token at a time: its key, then its query. No answer depends on what follows.
    Together,
    /// All keys for a look at them, then as [`Order::Together`].
    Twice,
}

/// How a block goes through the sequence with a mechanism.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Way {
    /// The order of the calls.
    pub order: Order,
    /// The memory of a head does not grow with the sequence, so that all heads can go through it side by side.
    pub constant: bool,
}

impl Way {
    /// The way of a mechanism.
    pub const fn of(kind: &AttentionKind<'_>, causal: bool) -> Self {
        let (order, constant) = match kind {
            AttentionKind::Exact if causal => (Order::Together, false),
            AttentionKind::Hierarchical(_) if causal => (Order::Together, true),
            AttentionKind::Hierarchical(_) => (Order::Backwards, false),
            AttentionKind::Favor(parameters) => match (causal, parameters.epsilon) {
                (false, _) => (Order::KeysFirst, true),
                (true, Epsilon::Sequence) => (Order::Twice, true),
                (true, _) => (Order::Together, true),
            },
            AttentionKind::Local(parameters) if local::window(parameters, causal).is_some() => {
                (Order::Together, true)
            }
            AttentionKind::BigBirdExtended(parameters) if extended::window(parameters, causal).is_some() => {
                (Order::Together, true)
            }
            AttentionKind::Exact
            | AttentionKind::BigBird(_)
            | AttentionKind::Lsh(_)
            | AttentionKind::Local(_)
            | AttentionKind::BigBirdExtended(_) => (Order::KeysFirst, false),
        };
        Self { order, constant }
    }

    /// Nothing of the length is kept and nothing later is seen: the tokens can pass one at a time, without end.
    pub const fn passes(self) -> bool {
        self.constant && matches!(self.order, Order::Together)
    }
}
