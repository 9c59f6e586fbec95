//! How much may be done before a pause.

use super::KEY_TILE;

/// Work that is left until a pause, in units of about one instruction of a Cortex-M4. What is done costs what it is
/// charged, and a pause comes when nothing is left: the last piece may exceed the budget.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    left: usize,
    /// A pause comes where a stage ends, too.
    by_stage: bool,
}

impl Budget {
    /// No pause before as much work as a word counts.
    pub const UNLIMITED: Self = Self { left: usize::MAX, by_stage: false };

    /// A pause after this much work.
    pub const fn new(work: usize) -> Self {
        Self { left: work, by_stage: false }
    }

    /// A pause where the stage ends.
    pub const fn of_a_stage() -> Self {
        Self { left: usize::MAX, by_stage: true }
    }

    /// Whether it is time for a pause, where a stage may just have ended.
    pub(crate) const fn is_over(self, stage_ended: bool) -> bool {
        self.is_spent() || self.by_stage && stage_ended
    }

    /// Takes off what was done.
    pub(crate) fn charge(&mut self, work: usize) {
        self.left = self.left.saturating_sub(work);
    }

    /// Whether this much work may be done at a time.
    pub(crate) const fn allows(self, work: usize) -> bool {
        work <= self.left
    }

    /// Takes off the work of `keys` keys of `width` columns: a few cost little less than many.
    pub(crate) fn charge_keys(&mut self, keys: usize, width: usize) {
        self.charge(keys * (2 * width + 16) + 400);
    }

    /// Takes off the work of `keys` keys, [`KEY_TILE`] at a time.
    pub(crate) fn charge_tiles(&mut self, keys: usize, width: usize) {
        self.charge(keys * (2 * width + 16) + keys.div_ceil(KEY_TILE) * 400);
    }

    /// Whether whole tiles of keys may be done at a time.
    pub(crate) const fn allows_tiles(self, tiles: usize, width: usize) -> bool {
        self.allows(tiles * (KEY_TILE * (2 * width + 16) + 400))
    }

    /// Whether it is time for a pause.
    pub(crate) const fn is_spent(self) -> bool {
        self.left == 0
    }
}
