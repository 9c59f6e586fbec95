//! What of the engine a program links.

use crate::attention::Mechanisms;
use crate::layers::Rare;
use crate::model::Model;

/// The parts of the engine that not every model uses: all, or those of a model known at compile time.
#[derive(Clone, Copy, Debug)]
pub struct Links {
    pub(super) mechanisms: Mechanisms,
    pub(super) rare: Rare,
}

impl Links {
    /// All, for a model known at run time.
    pub const fn all() -> Self {
        Self { mechanisms: Mechanisms::all(), rare: Rare::ALL }
    }

    /// Those that `model` uses: nothing else is linked.
    pub const fn of(model: &Model<'_>) -> Self {
        Self { mechanisms: Mechanisms::of(model), rare: Rare::of(model) }
    }
}
