//! Which models can run in passes.

use core::fmt;

use super::ArenaError;
use crate::attention::{Order, Way};
use crate::model::Model;

/// Why a model cannot run in passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Impassable {
    /// What a layer keeps grows with the length of the recording.
    Grows {
        /// Number of its block, from 0.
        block: usize,
        /// Its mechanism.
        kind: &'static str,
    },
    /// A causal layer looks at all keys before it takes in the first one.
    LooksAhead {
        /// Number of its block, from 0.
        block: usize,
        /// Its mechanism.
        kind: &'static str,
    },
    /// A learned token stands before those of the input.
    ClassToken,
    /// Every token has scores of its own.
    PerToken,
}

impl Impassable {
    /// Why a model cannot run in passes; `None` if it can.
    pub const fn of(model: &Model<'_>) -> Option<Self> {
        if model.class_token.is_some() {
            return Some(Self::ClassToken);
        }
        if model.is_per_token() {
            return Some(Self::PerToken);
        }
        let mut blocks = model.blocks();
        let mut block = 0;
        while let Some(read) = blocks.take_next() {
            let attention = &read.attention;
            let (way, kind) = (Way::of(&attention.kind, attention.causal), attention.kind.name());
            if !way.constant {
                return Some(Self::Grows { block, kind });
            }
            if !matches!(way.order, Order::KeysFirst | Order::Together) {
                return Some(Self::LooksAhead { block, kind });
            }
            block += 1;
        }
        None
    }

    /// The sentence with which a model of this kind does not compile in passes.
    pub(super) const fn message(self) -> &'static str {
        match self {
            Self::Grows { .. } => {
                "what a layer keeps grows with the length of the recording; take bidirectional FAVOR+ attention, or \
                 causal attention that keeps nothing of the length"
            }
            Self::LooksAhead { .. } => {
                "a causal layer looks at all keys before it takes in the first one; take FAVOR+ without the authors' \
                 whole-sequence epsilon"
            }
            Self::ClassToken => {
                "a class token stands before those of the recording, which passes do not have; run the recording whole, or \
                 train without it and pool the mean or the maximum"
            }
            Self::PerToken => {
                "every token has scores of its own, and so many would not fit the memory; run the recording whole, or a causal \
                 model as a stream"
            }
        }
    }
}

impl fmt::Display for Impassable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Self::Grows { block, kind } | Self::LooksAhead { block, kind } = self {
            write!(f, "block {block} ({kind}): ")?;
        }
        f.write_str(self.message())
    }
}

/// Why a model has no [`super::Passes`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum PassesError {
    /// The model cannot run in passes.
    Impassable(Impassable),
    /// The buffer is not one for it.
    Arena(ArenaError),
}

impl core::error::Error for PassesError {}

impl fmt::Display for PassesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Impassable(reason) => reason.fmt(f),
            Self::Arena(error) => error.fmt(f),
        }
    }
}
