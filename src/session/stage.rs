//! The parts of a run, in their order.

use core::fmt;

/// A part of a run. The stages from [`Stage::Project`] to [`Stage::Feed`] come once for every block; where tiles of tokens
/// pass all layers one after the other, those up to [`Stage::Pool`] come once for every tile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Stage {
    /// The recording is checked and measured; samples become tokens.
    Embed,
    /// Queries, keys and values; the keys are taken in.
    Project,
    /// Queries become what they attend to.
    Attend,
    /// The heads meet and are added to the residual.
    Join,
    /// The feed-forward network.
    Feed,
    /// Tokens become one row.
    Pool,
    /// The row becomes scores.
    Head,
}

impl Stage {
    /// Every stage, in order.
    pub const ALL: [Self; 7] =
        [Self::Embed, Self::Project, Self::Attend, Self::Join, Self::Feed, Self::Pool, Self::Head];

    /// Name in reports: `project`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Embed => "embed",
            Self::Project => "project",
            Self::Attend => "attend",
            Self::Join => "join",
            Self::Feed => "feed",
            Self::Pool => "pool",
            Self::Head => "head",
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
