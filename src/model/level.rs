//! What each channel of a recording is freed of.

use super::ModelError;
use super::read::{Reader, tri};

/// What each channel of a recording is freed of before anything else (instance normalisation: Ulyanov, Vedaldi and
/// Lempitsky 2016).
///
/// The running forms depend on no later sample, so a stream has them. Their mean `m` and variance `v` forget exponentially: a
/// sample `x` of weight `a = 2^-j` makes of them `m + a (x - m)` and `(1 - a) (v + a (x - m)^2)`. Warm-up: sample number `n` of
/// a channel, from 1, has `j = min(forgetting, floor(log2 n))`, so that the first ones weigh about as much as each other. A
/// token is freed of the statistics after the last step of its window. Each step enters them once, however many windows it is
/// part of, with the first of its tokens that is not masked; steps that are part of masked tokens alone, or of none, do not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Nothing.
    Raw,
    /// Its mean over the recording.
    Centred,
    /// Its mean, and its standard deviation over the recording is made 1. A channel that never changes is zero.
    Standardized,
    /// Its running mean.
    RunningCentred {
        /// A sample weighs `2^-forgetting`, `1 ..=` [`Level::MAX_FORGETTING`].
        forgetting: u32,
    },
    /// Its running mean, and its running standard deviation is made 1, or the floor where that is larger.
    RunningStandardized {
        /// A sample weighs `2^-forgetting`, `1 ..=` [`Level::MAX_FORGETTING`].
        forgetting: u32,
        /// Smallest standard deviation, in 1/256 of a raw unit, `1 ..=` [`Level::MAX_FLOOR`].
        floor: u32,
    },
}

impl Level {
    /// Steps of a recording that can be standardized; the running forms take any number.
    pub const MAX_STEPS: usize = 1 << 18;
    /// Largest exponent of the weight of a sample: about a million of them are remembered.
    pub const MAX_FORGETTING: u32 = 20;
    /// Largest floor: no deviation of 16-bit samples is above it.
    pub const MAX_FLOOR: u32 = 1 << 23;

    /// Whether it depends on no later sample than those of a token.
    pub const fn is_running(self) -> bool {
        matches!(self, Self::RunningCentred { .. } | Self::RunningStandardized { .. })
    }

    /// A kind, and the fields of the running ones.
    pub(super) const fn read(reader: &mut Reader<'_>) -> Result<Self, ModelError> {
        Ok(match tri!(reader.field("input.level", 0, 4)) {
            0 => Self::Raw,
            1 => Self::Centred,
            2 => Self::Standardized,
            3 => Self::RunningCentred { forgetting: tri!(Self::read_forgetting(reader)) },
            _ => {
                let forgetting = tri!(Self::read_forgetting(reader));
                let floor = tri!(reader.field("input.level.floor", 1, Self::MAX_FLOOR)) as u32;
                Self::RunningStandardized { forgetting, floor }
            }
        })
    }

    const fn read_forgetting(reader: &mut Reader<'_>) -> Result<u32, ModelError> {
        Ok(tri!(reader.field("input.level.forgetting", 1, Self::MAX_FORGETTING)) as u32)
    }

    /// As [`Level::read`] takes it.
    #[cfg(feature = "std")]
    pub(super) fn write(self, out: &mut super::write::Words) {
        match self {
            Self::Raw => out.words(&[0]),
            Self::Centred => out.words(&[1]),
            Self::Standardized => out.words(&[2]),
            Self::RunningCentred { forgetting } => out.words(&[3, forgetting]),
            Self::RunningStandardized { forgetting, floor } => out.words(&[4, forgetting, floor]),
        }
    }
}
