//! Why a recording cannot be run.

use core::fmt;

/// Why a recording was not classified. Nothing is left in the session that could disturb the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum InputError {
    /// No values at all.
    Empty,
    /// The number of values is not a multiple of the model's channels.
    Channels {
        /// Values given.
        found: usize,
        /// Channels of the model.
        channels: usize,
    },
    /// Fewer steps than one window.
    TooShort {
        /// Steps given.
        steps: usize,
        /// Steps of a window.
        window: usize,
    },
    /// More tokens than the model was made for.
    TooLong {
        /// Tokens given.
        tokens: usize,
        /// Most tokens of the model.
        max: usize,
    },
    /// A token or symbol that the model does not know.
    Token {
        /// Index in the input.
        position: usize,
        /// The value.
        found: i16,
        /// Largest value allowed.
        last: usize,
    },
    /// The mask has another length than the sequence has tokens.
    MaskLength {
        /// Elements of the mask.
        found: usize,
        /// Tokens of the sequence.
        tokens: usize,
    },
    /// The mask hides every token.
    AllMasked,
    /// The mask hides every token of the window that is pooled; tokens before it count for attention alone.
    WindowMasked {
        /// First token of the window.
        first: usize,
    },
}

impl core::error::Error for InputError {}

impl fmt::Display for InputError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => write!(f, "the input is empty; at least one token is needed"),
            Self::Channels { found, channels } => {
                write!(f, "{found} values are not a multiple of the model's {channels} channels")
            }
            Self::TooShort { steps, window } => {
                write!(f, "{steps} steps are fewer than one window of {window}")
            }
            Self::TooLong { tokens, max } => {
                write!(f, "{tokens} tokens are more than the model's maximum of {max}")
            }
            Self::Token { position, found, last } => {
                write!(f, "value {found} at position {position} is outside 0 ..= {last}")
            }
            Self::MaskLength { found, tokens } => {
                write!(f, "the mask has {found} elements, the sequence {tokens} tokens")
            }
            Self::AllMasked => write!(f, "the mask hides every token"),
            Self::WindowMasked { .. } => write!(f, "the mask hides every token of the pooling window"),
        }
    }
}
