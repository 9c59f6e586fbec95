//! The mechanisms of attention. Each has a file with everything of its record: what the file stores, its number and
//! name, its limits, how it is read, what is checked once, and what writes it.

pub(super) mod bigbird;
pub(super) mod bigbird_extended;
pub(super) mod favor;
pub(super) mod hierarchical;
pub(super) mod local;
pub(super) mod lsh;

pub use bigbird::BigBird;
pub use bigbird_extended::BigBirdExtended;
pub use favor::{Epsilon, Favor, FavorInput, Features};
pub use hierarchical::Hierarchical;
pub use local::Local;
pub use lsh::{Lsh, Rotations};

use core::fmt;

use super::read::{Reader, tri};
use super::{ModelError, Shape};

/// Which mechanism a block's attention uses.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum AttentionKind<'a> {
    /// Every key. Causal in every bit.
    Exact,
    /// H-Transformer-1D.
    Hierarchical(Hierarchical<'a>),
    /// Global, window and random blocks.
    BigBird(BigBird<'a>),
    /// Random features, Performer.
    Favor(Favor<'a>),
    /// Locality-sensitive hashing, Reformer.
    Lsh(Lsh<'a>),
    /// A circular window of chunks.
    Local(Local),
    /// Global tokens, window and random blocks.
    BigBirdExtended(BigBirdExtended<'a>),
}

/// Whether an output depends on later tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Causality {
    /// A token attends to all tokens, later ones too.
    Bidirectional,
    /// A token attends to itself and to earlier ones only, but which of them it sees, or the rounding of what it sees,
    /// depends on the whole sequence. Such a layer cannot run on a stream.
    Masked,
    /// No bit of an output depends on a later token: every prefix of the input gives the prefix of the outputs.
    Strict,
}

impl Causality {
    /// In reports: `bidirectional`, `masked`, `strict`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bidirectional => "bidirectional",
            Self::Masked => "masked",
            Self::Strict => "strict",
        }
    }
}

impl<'a> AttentionKind<'a> {
    /// Number of mechanisms.
    pub const COUNT: usize = 7;

    /// Its `kind` in a description; both forms of BigBird have one.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Hierarchical(_) => hierarchical::NAME,
            Self::BigBird(_) => bigbird::NAME,
            Self::Favor(_) => favor::NAME,
            Self::Lsh(_) => lsh::NAME,
            Self::Local(_) => local::NAME,
            Self::BigBirdExtended(_) => bigbird_extended::NAME,
        }
    }

    /// Whether queries are keys too.
    pub const fn shares_query(&self) -> bool {
        matches!(self, Self::Lsh(_))
    }

    /// Whether a causal layer of it is [`Causality::Strict`].
    pub(crate) const fn can_be_strict(&self) -> bool {
        match self {
            Self::Exact | Self::Hierarchical(_) => true,
            Self::BigBird(_) | Self::Lsh(_) => false,
            Self::Favor(favor) => favor.can_be_strict(),
            Self::Local(local) => local.can_be_strict(),
            Self::BigBirdExtended(extended) => extended.can_be_strict(),
        }
    }

    /// Fields and slices; what is cheap to do again for every visit of a block.
    pub(super) const fn read(reader: &mut Reader<'a>, shape: Shape) -> Result<Self, ModelError> {
        Ok(match tri!(reader.field("block.attention.kind", 0, Self::COUNT as u32 - 1)) {
            hierarchical::NUMBER => Self::Hierarchical(tri!(Hierarchical::read(reader, shape))),
            bigbird::NUMBER => Self::BigBird(tri!(BigBird::read(reader, shape))),
            favor::NUMBER => Self::Favor(tri!(Favor::read(reader))),
            lsh::NUMBER => Self::Lsh(tri!(Lsh::read(reader))),
            local::NUMBER => Self::Local(tri!(Local::read(reader))),
            bigbird_extended::NUMBER => Self::BigBirdExtended(tri!(BigBirdExtended::read(reader, shape))),
            _ => Self::Exact,
        })
    }

    /// What has to be known once: that fields agree and that stored arrays hold nothing forbidden.
    pub(super) const fn check(&self, shape: Shape, causal: bool) -> Result<(), ModelError> {
        match self {
            Self::Exact => Ok(()),
            Self::Hierarchical(hierarchical) => hierarchical.check(shape, causal),
            Self::BigBird(bigbird) => bigbird.check(shape),
            Self::Favor(favor) => favor.check(shape),
            Self::Lsh(lsh) => lsh.check(shape),
            Self::Local(local) => local.check(shape, causal),
            Self::BigBirdExtended(extended) => extended.check(shape),
        }
    }
}

/// In words, with what tells one from another of its mechanism.
impl fmt::Display for AttentionKind<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact => f.write_str("exact"),
            Self::Hierarchical(Hierarchical { block, .. }) => write!(f, "hierarchical (blocks of {block})"),
            Self::BigBird(BigBird { block, random, .. }) => {
                write!(f, "BigBird (blocks of {block}, {random} random)")
            }
            Self::Favor(Favor { features, directions, .. }) => {
                write!(f, "FAVOR+ ({features:?} features, {directions} directions)")
            }
            Self::Lsh(lsh) => {
                let (buckets, rounds, chunk) = (lsh.bucket_count(), lsh.rounds, lsh.chunk);
                write!(f, "lsh ({rounds} rounds of {buckets} buckets, chunks of {chunk})")
            }
            Self::Local(Local { chunk, .. }) => write!(f, "local (chunks of {chunk})"),
            Self::BigBirdExtended(BigBirdExtended { block, global, random, .. }) => {
                write!(f, "bigbird (blocks of {block}, {global} global tokens, {random} random)")
            }
        }
    }
}

/// To write a file.
#[cfg(feature = "std")]
pub(super) mod write {
    use super::Local;
    pub use super::bigbird::write::BigBird;
    pub use super::bigbird_extended::write::BigBirdExtended;
    pub use super::favor::write::Favor;
    pub use super::hierarchical::write::Hierarchical;
    pub use super::lsh::write::{Lsh, Rotations};
    use crate::model::write::Words;

    /// Any number that no other mechanism has is read as exact attention; this one is written.
    const EXACT: usize = 0;

    /// A mechanism of attention; see [`super::AttentionKind`].
    #[derive(Clone, Debug)]
    #[allow(missing_docs)] // The variants are those of `super::AttentionKind`.
    pub enum AttentionKind {
        Exact,
        Hierarchical(Hierarchical),
        BigBird(BigBird),
        Favor(Favor),
        Lsh(Lsh),
        Local(Local),
        BigBirdExtended(BigBirdExtended),
    }

    impl AttentionKind {
        pub(in crate::model) fn write(&self, out: &mut Words) {
            match self {
                Self::Exact => out.sizes(&[EXACT]),
                Self::Hierarchical(hierarchical) => hierarchical.write(out),
                Self::BigBird(bigbird) => bigbird.write(out),
                Self::Favor(favor) => favor.write(out),
                Self::Lsh(lsh) => lsh.write(out),
                Self::Local(local) => local.write(out),
                Self::BigBirdExtended(extended) => extended.write(out),
            }
        }
    }
}
