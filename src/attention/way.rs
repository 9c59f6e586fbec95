//! In which order a mechanism wants its keys and queries.

use crate::model::AttentionKind;

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
        let strict = causal && kind.can_be_strict();
        let (order, constant) = match kind {
            AttentionKind::Exact if strict => (Order::Together, false),
            AttentionKind::Favor(_) if strict => (Order::Together, true),
            AttentionKind::Favor(_) if causal => (Order::Twice, true),
            AttentionKind::Favor(_) => (Order::KeysFirst, true),
            AttentionKind::Hierarchical(_) if strict => (Order::Together, true),
            AttentionKind::Hierarchical(_) => (Order::Backwards, false),
            AttentionKind::Local(_) | AttentionKind::BigBirdExtended(_) if strict => (Order::Together, true),
            _ => (Order::KeysFirst, false),
        };
        Self { order, constant }
    }

    /// Nothing of the length is kept and nothing later is seen: the tokens can pass one at a time, without end.
    pub const fn passes(self) -> bool {
        self.constant && matches!(self.order, Order::Together)
    }
}
