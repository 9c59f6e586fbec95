//! When scores become an event.

use core::fmt;
use fixformer::num::Probability;

/// When scores become an event, in decisions: one for each time that the model gave its scores.
///
/// A wake word, a decision each 20 ms, with class 0 for everything else:
///
/// ```
/// use fixformer_sensors::{Probability, Settings};
///
/// const WAKE: Settings = Settings {
///     smoothing: 3,                       // over about 8 decisions, 160 ms
///     enter: Probability::lit("0.8"),
///     leave: Probability::lit("0.5"),
///     duration: 2,                        // not on a single one
///     refractory: 50,                     // at most once a second
///     background: &[0],
///     ..Settings::DEFAULT
/// };
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings<'a> {
    /// The smoothing factor `k`, `0 ..= 15`: each new decision has the weight `2^-k` in the mean of each
    /// class' probability; the first `2^k` decisions weigh the same. Zero: no smoothing.
    pub smoothing: u8,
    /// An event begins where the smoothed probability of the best class is this or more; above 0, at most 1.
    pub enter: Probability,
    /// An event ends where the smoothed probability of its class is less than this; above 0, at most `enter`.
    /// The further below, the less an event is torn where the probability wavers.
    pub leave: Probability,
    /// An event begins with the last of so many decisions in a row that have the same best class, at `enter`
    /// or more; 1 or more.
    pub duration: u16,
    /// No event begins in so many decisions after the one that ended an event.
    pub refractory: u16,
    /// Where the best class has a smoothed probability below this, the class is unknown; at most `enter`, so
    /// that no event begins of what is unknown.
    pub confidence: Probability,
    /// Classes that mean that nothing is there (silence, noise, the normal beat): none of them begins an
    /// event, nor ends one by being the best.
    pub background: &'a [usize],
}

impl Settings<'_> {
    /// Events of every class at a probability of one half, at once, and nothing unknown.
    pub const DEFAULT: Self = Self {
        smoothing: 0,
        enter: Probability::lit("0.5"),
        leave: Probability::lit("0.5"),
        duration: 1,
        refractory: 0,
        confidence: Probability::ZERO,
        background: &[],
    };
}

impl Default for Settings<'_> {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// Which setting makes no sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum SettingsError {
    /// [`Settings::smoothing`] is too large.
    Smoothing {
        /// Its value.
        found: u8,
        /// Largest value allowed.
        most: u8,
    },
    /// [`Settings::enter`] is zero or above one.
    Enter {
        /// Its value.
        #[cfg_attr(feature = "defmt", defmt(Debug2Format))]
        found: Probability,
    },
    /// [`Settings::leave`] is zero or above `enter`.
    Leave {
        /// Its value.
        #[cfg_attr(feature = "defmt", defmt(Debug2Format))]
        found: Probability,
        /// Largest value allowed.
        #[cfg_attr(feature = "defmt", defmt(Debug2Format))]
        most: Probability,
    },
    /// [`Settings::duration`] is zero.
    Duration,
    /// [`Settings::confidence`] is above `enter`.
    Confidence {
        /// Its value.
        #[cfg_attr(feature = "defmt", defmt(Debug2Format))]
        found: Probability,
        /// Largest value allowed.
        #[cfg_attr(feature = "defmt", defmt(Debug2Format))]
        most: Probability,
    },
    /// [`Settings::background`] names a class that does not exist.
    Background {
        /// The class.
        found: usize,
        /// Classes that there are, from 0.
        classes: usize,
    },
}

impl core::error::Error for SettingsError {}

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Smoothing { found, most } => write!(f, "smoothing: {found} is outside 0 ..= {most}"),
            Self::Enter { found } => write!(f, "enter: {found} found, above 0 and at most 1 expected"),
            Self::Leave { found, most } => {
                write!(f, "leave: {found} found, above 0 and at most {most} expected, as enter is")
            }
            Self::Duration => write!(f, "duration: 0 found, at least 1 expected"),
            Self::Confidence { found, most } => {
                write!(f, "confidence: {found} found, at most {most} expected, as enter is")
            }
            Self::Background { found, classes } => {
                write!(f, "background: class {found} found, one of the {classes} classes from 0 expected")
            }
        }
    }
}
