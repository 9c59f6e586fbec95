//! Which models can run as streams.

use core::fmt;

use super::ArenaError;
use crate::attention::{Order, Way};
use crate::model::{Input, Level, Model};

/// Why a model cannot run as a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Unstreamable {
    /// A layer attends to later tokens.
    Bidirectional {
        /// Number of its block, from 0.
        block: usize,
    },
    /// What a causal layer says of a token depends on later ones all the same, in who attends to whom or in its last bits.
    Later {
        /// Number of its block, from 0.
        block: usize,
        /// Its mechanism.
        kind: &'static str,
    },
    /// Channels are freed of their mean over the whole recording.
    Level,
    /// A learned token stands before those of the input.
    ClassToken,
}

impl Unstreamable {
    /// Why a model cannot run as a stream; `None` if it can.
    pub const fn of(model: &Model<'_>) -> Option<Self> {
        if let Input::Samples { level: Level::Centred | Level::Standardized, .. } = model.input {
            return Some(Self::Level);
        }
        if model.class_token.is_some() {
            return Some(Self::ClassToken);
        }
        let mut blocks = model.blocks();
        let mut block = 0;
        while let Some(read) = blocks.take_next() {
            let attention = &read.attention;
            if !attention.causal {
                return Some(Self::Bidirectional { block });
            }
            if !matches!(Way::of(&attention.kind, true).order, Order::Together) {
                return Some(Self::Later { block, kind: attention.kind.name() });
            }
            block += 1;
        }
        None
    }

    /// The sentence with which a model of this kind does not compile as a stream.
    pub(super) const fn message(self) -> &'static str {
        match self {
            Self::Bidirectional { .. } => {
                "a layer attends to later tokens, which a stream does not have; train with `causal = true`"
            }
            Self::Later { .. } => {
                "what a layer says of a token depends on later ones, which a stream does not have; take exact, \
                 hierarchical, FAVOR+ (without the authors' whole-sequence epsilon) or local attention, or \
                 BigBird windows without global tokens and random blocks"
            }
            Self::Level => {
                "channels are centred or standardized over the whole recording, which a stream does not have; train with \
                 the running form: `running = { memory = 1024, floor = 0.01 }` under `[input]` (`floor` only with \
                 `standardize`)"
            }
            Self::ClassToken => {
                "a class token stands before the first step of a stream and sees none of them; train without it and pool \
                 the mean, the maximum or the last token"
            }
        }
    }
}

impl fmt::Display for Unstreamable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bidirectional { block } => write!(f, "block {block}: ")?,
            Self::Later { block, kind } => write!(f, "block {block} ({kind}): ")?,
            Self::Level | Self::ClassToken => {}
        }
        f.write_str(self.message())
    }
}

/// Why there is no stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum StreamError {
    /// The model cannot run as one.
    Unstreamable(Unstreamable),
    /// The buffer is not one for it.
    Arena(ArenaError),
}

impl core::error::Error for StreamError {}

impl fmt::Display for StreamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unstreamable(reason) => reason.fmt(f),
            Self::Arena(error) => error.fmt(f),
        }
    }
}
