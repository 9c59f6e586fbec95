//! Whether a model fits a microcontroller, and what to change if it does not.

mod boards;
pub mod cost;

pub use boards::{BOARDS, Board, Family, Program};

use std::vec::Vec;

use crate::model::{Block, Model, Weights};
use crate::session::Plan;

/// What a model and the program around it need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Need {
    /// Bytes of the arena, the [window](window_bytes), the variables and the stack.
    pub ram: usize,
    /// Bytes of the model file and the code.
    pub flash: usize,
}

impl Need {
    /// Of a model in a program that waits for a whole recording.
    pub fn of(model: &Model<'_>, program: &Program) -> Self {
        let beside = program.stack + program.variables;
        Self {
            ram: Plan::of(model).bytes() + window_bytes(model) + beside,
            flash: model.bytes() + program.flash(model),
        }
    }

    /// Of a model that reads its recording in passes, which is outside the RAM; none where it cannot.
    pub fn in_passes(model: &Model<'_>, program: &Program) -> Option<Self> {
        let arena = Plan::of_passes(model).ok()?.bytes();
        Some(Self { ram: arena + program.stack + program.variables, ..Self::of(model, program) })
    }

    /// Whether `flash` and `ram` bytes suffice.
    pub const fn fits(self, flash: usize, ram: usize) -> bool {
        self.ram <= ram && self.flash <= flash
    }
}

/// Bytes of the longest recording, which a program collects before the model sees it: 16-bit values, to a whole word.
pub const fn window_bytes(model: &Model<'_>) -> usize {
    (size_of::<i16>() * model.max_input()).next_multiple_of(4)
}

/// What to turn so that a model fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Knob {
    /// Most tokens with which the arena fits.
    MaxTokens(usize),
    /// Largest width, a multiple of the heads, with which the arena fits; hidden width in proportion. An estimate: what
    /// does not grow with the width is small.
    ArenaWidth(usize),
    /// Largest width, a multiple of the heads, with which the weights fit in flash; hidden width in proportion.
    /// An estimate: the share of 16-bit layers may change.
    FlashWidth(usize),
}

/// The knobs that make `model` fit with `program` into `flash` and `ram` bytes; empty if it fits, or if none helps.
pub fn knobs(model: &Model<'_>, program: &Program, flash: usize, ram: usize) -> Vec<Knob> {
    let need = Need::of(model, program);
    let mut knobs = Vec::new();
    if need.ram > ram {
        let suffices = |model: &Model<'_>| Need::of(model, program).ram <= ram;
        knobs.extend(max_tokens(model, suffices).map(Knob::MaxTokens));
        let arena = Plan::of(model).bytes();
        let beside = need.ram - arena;
        // Rows are as wide as the model.
        let fits = |ratio: f64| arena as f64 * ratio + beside as f64 <= ram as f64;
        knobs.extend(width(model, fits).map(Knob::ArenaWidth));
    }
    if need.flash > flash {
        let blocks: usize = model.blocks().map(|block| weight_bytes(&block)).sum();
        let (linear, code) = (model.bytes() - blocks, program.flash(model));
        // Weights between tokens grow with the square of the width, the rest with the width.
        let fits =
            |ratio: f64| blocks as f64 * ratio * ratio + linear as f64 * ratio + code as f64 <= flash as f64;
        knobs.extend(width(model, fits).map(Knob::FlashWidth));
    }
    knobs
}

/// Most tokens for which the model `fits`; its arena grows with them, so halving finds it.
fn max_tokens<'m>(model: &Model<'m>, fits: impl Fn(&Model<'m>) -> bool) -> Option<usize> {
    let fits = |tokens| {
        let mut shorter = *model;
        shorter.max_tokens = tokens;
        fits(&shorter)
    };
    if !fits(1) {
        return None;
    }
    let (mut low, mut high) = (1, model.max_tokens);
    while high - low > 1 {
        let middle = low.midpoint(high);
        if fits(middle) { low = middle } else { high = middle }
    }
    Some(low)
}

/// Largest smaller width whose ratio to that of the model `fits`.
fn width(model: &Model<'_>, fits: impl Fn(f64) -> bool) -> Option<usize> {
    let mut widths = (1..model.width.div_ceil(model.heads)).rev().map(|per_head| per_head * model.heads);
    widths.find(|&width| fits(width as f64 / model.width as f64))
}

/// Bytes of the matrices of a block.
fn weight_bytes(block: &Block<'_>) -> usize {
    let (attention, network) = (&block.attention, &block.feed_forward);
    [attention.query, attention.value, attention.output, network.expand, network.contract]
        .into_iter()
        .chain(attention.key)
        .map(|linear| match linear.weights {
            Weights::Int8(values) => size_of_val(values),
            Weights::Int16(values) => size_of_val(values),
        })
        .sum()
}
