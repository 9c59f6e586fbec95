//! Why there is no session.

use core::fmt;

/// Why there is no session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum ArenaError {
    /// The arena was taken before.
    Taken,
    /// The buffer is smaller than the model's plan.
    TooSmall {
        /// Words of the buffer.
        found: usize,
        /// Words of the plan.
        needed: usize,
    },
}

impl core::error::Error for ArenaError {}

impl fmt::Display for ArenaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Taken => write!(f, "the arena was taken before; keep the session it gave"),
            Self::TooSmall { found, needed } => {
                write!(f, "the buffer has {found} words of 32 bits, the model needs {needed}")
            }
        }
    }
}
