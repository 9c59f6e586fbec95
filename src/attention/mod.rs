//! One head: its memory of keys and values, and what a query finds in it.
//!
//! Every mechanism has the same life. `begin` empties its memory; `room` says where the next rows of keys and values go,
//! and `absorb` takes them in; `close` says that no key follows; `answer` turns a query into what it attends to. Its
//! memory is words of the arena and nothing else. [`Way`] says in which order a mechanism wants these calls.
//!
//! Every mechanism of the softmax family is a pattern of (query, key tile, mask) over one [`Accumulator`].

mod accumulator;
mod bigbird;
mod budget;
mod exact;
mod extended;
mod favor;
mod given;
mod hierarchical;
mod kept;
mod life;
mod local;
pub mod lsh;
mod pairs;
mod way;

pub use accumulator::{Accumulator, KEY_TILE, KeyTile, TileBuffer, Weight};
pub use budget::Budget;
#[cfg(feature = "std")]
pub(crate) use extended::before_and_after;
pub use given::{Given, Passing, attend, words};
pub(crate) use life::{Answers, Life, Progress, Room};
pub use way::{Order, Way};

use crate::model::{AttentionKind, Model};
use crate::num::Requant;

/// Rows that pass through a layer together. A tile of rows begins at a multiple of it.
pub const ROW_TILE: usize = 4;

/// One head of a block.
#[derive(Clone, Copy, Debug)]
pub struct Head<'a> {
    /// The mechanism and its parameters.
    pub kind: &'a AttentionKind<'a>,
    /// Which head, from 0.
    pub index: usize,
    /// Columns of a query, a key and a value.
    pub width: usize,
    /// Tokens of the sequence; what keeps nothing of its length does not ask.
    pub tokens: usize,
    /// A token attends to itself and to earlier ones only.
    pub causal: bool,
    /// From a product of query and key to a score in units of log2.
    pub scale: Requant,
    /// An average needs less range than what it is of: fractional bits that outputs have more than values.
    pub gain: u32,
}

impl Head<'_> {
    /// Whether no bit of an answer depends on a later token.
    pub(crate) const fn is_strict(&self) -> bool {
        self.causal && self.kind.can_be_strict()
    }

    /// Words of memory for this head.
    pub(crate) const fn memory(&self) -> usize {
        memory(self.kind, self.tokens, self.width, self.causal)
    }
}

/// Words that a head keeps from its first key to its last query, for up to `tokens` tokens of `width` columns.
pub const fn memory(kind: &AttentionKind<'_>, tokens: usize, width: usize, causal: bool) -> usize {
    let strict = causal && kind.can_be_strict();
    match kind {
        AttentionKind::Local(parameters) if strict => kept::memory(local::window(parameters), width),
        AttentionKind::BigBirdExtended(parameters) if strict => {
            kept::memory(extended::window(parameters), width)
        }
        AttentionKind::Exact
        | AttentionKind::BigBird(_)
        | AttentionKind::Local(_)
        | AttentionKind::BigBirdExtended(_) => kept::memory(tokens, width),
        AttentionKind::Hierarchical(parameters) => hierarchical::memory(parameters, tokens, width, causal),
        AttentionKind::Favor(parameters) => favor::memory(parameters, tokens, width, causal),
        AttentionKind::Lsh(parameters) => lsh::memory(parameters, tokens, width),
    }
}

/// Words that a bidirectional head of a constant memory needs for its answers, the first of [`memory`]; all others can go when
/// it is closed.
pub const fn closed(kind: &AttentionKind<'_>, width: usize) -> usize {
    match kind {
        AttentionKind::Favor(parameters) => favor::closed(parameters, width),
        _ => memory(kind, 0, width, false),
    }
}

/// Words that a head needs while it takes in a tile of keys or answers a query: heads share them.
pub const fn scratch(kind: &AttentionKind<'_>, width: usize, causal: bool) -> usize {
    match kind {
        AttentionKind::Exact
        | AttentionKind::BigBird(_)
        | AttentionKind::Local(_)
        | AttentionKind::BigBirdExtended(_) => kept::scratch(width),
        AttentionKind::Hierarchical(parameters) => hierarchical::scratch(parameters, width, causal),
        AttentionKind::Favor(parameters) => favor::scratch(parameters, width, causal),
        AttentionKind::Lsh(_) => lsh::scratch(width),
    }
}

/// Every mechanism, those of two forms twice; see [`form`].
const ALL: [Life; FORMS] = [
    Life::of::<kept::Keeps<exact::Exact>>(),
    Life::of::<kept::Keeps<bigbird::Blocks>>(),
    Life::of::<kept::Keeps<extended::Blocks>>(),
    Life::of::<kept::Keeps<local::Chunks>>(),
    Life::of::<lsh::Mechanism>(),
    Life::of::<hierarchical::Whole>(),
    Life::of::<hierarchical::Causal>(),
    Life::of::<favor::AllAtOnce>(),
    Life::of::<favor::TileByTile>(),
    Life::of::<favor::KeyByKey>(),
];

const FORMS: usize = 10;

/// The form of a mechanism that a head takes: its place in [`ALL`].
const fn form(kind: &AttentionKind<'_>, causal: bool) -> usize {
    match kind {
        AttentionKind::Exact => 0,
        AttentionKind::BigBird(_) => 1,
        AttentionKind::BigBirdExtended(_) => 2,
        AttentionKind::Local(_) => 3,
        AttentionKind::Lsh(_) => 4,
        AttentionKind::Hierarchical(_) if !causal => 5,
        AttentionKind::Hierarchical(_) => 6,
        AttentionKind::Favor(parameters) => match favor::form(parameters, causal) {
            favor::Form::AllAtOnce => 7,
            favor::Form::TileByTile => 8,
            favor::Form::KeyByKey => 9,
        },
    }
}

/// The mechanisms that a program links: all, or those of a model known at compile time.
#[derive(Clone, Copy, Debug)]
pub struct Mechanisms([Option<Life>; FORMS]);

impl Mechanisms {
    /// All, for a model known at run time.
    pub const fn all() -> Self {
        let mut mechanisms = [None; FORMS];
        let mut form = 0;
        while form < FORMS {
            mechanisms[form] = Some(ALL[form]);
            form += 1;
        }
        Self(mechanisms)
    }

    /// Those that the blocks of `model` use: what no block names is not linked.
    pub const fn of(model: &Model<'_>) -> Self {
        let mut mechanisms = [None; FORMS];
        let mut blocks = model.blocks();
        while let Some(block) = blocks.take_next() {
            let form = form(&block.attention.kind, block.attention.causal);
            mechanisms[form] = Some(ALL[form]);
        }
        Self(mechanisms)
    }

    /// The life of a head with this mechanism.
    pub(crate) fn life(&self, kind: &AttentionKind<'_>, causal: bool) -> Option<&Life> {
        self.0.get(form(kind, causal)).and_then(Option::as_ref)
    }
}
