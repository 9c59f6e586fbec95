//! What a model asks of its plan.

use super::plan::{Passage, Plan};
use crate::attention::{Order, ROW_TILE, Way, closed, memory, scratch};
use crate::kernels::{SUM_SHIFT, VALUE_LIMIT, WEIGHT_FRAC};
use crate::memory::halves;
use crate::model::{AttentionKind, Block, Input, Level, MAX_TOKENS, Model, Positions};

/// What the attention of a model needs.
pub(super) struct Attention {
    /// Words of the heads that are at work at a time.
    pub(super) memory: usize,
    /// Words of a head at work beside them.
    pub(super) scratch: usize,
    /// Heads whose rows wait for the last one.
    pub(super) slots: usize,
    /// Heads whose memory does not grow with the length are at work side by side.
    pub(super) side_by_side: bool,
    /// Words of a head in passes.
    pub(super) parts: Parts,
}

impl Attention {
    /// The most that any block asks for; where tiles pass all layers, for every block.
    // Here and below: a block on the stack is gone before anything else is called.
    #[inline(never)]
    pub(super) const fn of(model: &Model<'_>, passage: Passage) -> Self {
        let together = !matches!(passage, Passage::Whole);
        let side_by_side = together || constant_heads_are_small(model);
        let parts = Parts::of(model, passage);
        let mut most = Self { memory: 0, scratch: 0, slots: 0, side_by_side, parts };
        let mut blocks = model.blocks();
        while let Some(block) = blocks.take_next() {
            let attention = &block.attention;
            let words = head_memory(&block, model);
            let constant = Way::of(&attention.kind, attention.causal).constant;
            if side_by_side && constant || matches!(passage, Passage::Stream) {
                most.memory = max(most.memory, times(model.heads, words));
            } else {
                most.memory = max(most.memory, words);
                most.slots = model.heads - 1;
            }
            most.scratch = max(most.scratch, scratch(&attention.kind, model.head_width, attention.causal));
        }
        match passage {
            Passage::Whole => {}
            Passage::Tiles | Passage::Stream => most.memory = times(most.memory, model.block_count),
            Passage::Passes => most.memory = times(model.heads, parts.all),
        }
        most
    }
}

/// Words of a head in passes: while it takes in its keys, and from then on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Parts {
    /// Of the layer that takes in its keys.
    pub(super) open: usize,
    /// Of every layer before it, and of those in which no query sees a later key.
    pub(super) closed: usize,
    /// The most that one head of each layer takes together in any pass.
    all: usize,
}

impl Parts {
    #[inline(never)]
    const fn of(model: &Model<'_>, passage: Passage) -> Self {
        let mut parts = Self { open: 0, closed: 0, all: 0 };
        if !matches!(passage, Passage::Passes) {
            return parts;
        }
        let (mut last, mut index) = (0, 0);
        let mut blocks = model.blocks();
        while let Some(block) = blocks.take_next() {
            let attention = &block.attention;
            let words = memory(&attention.kind, ENDLESS, model.head_width, attention.causal);
            let mut kept = words;
            if matches!(Way::of(&attention.kind, attention.causal).order, Order::KeysFirst) {
                kept = closed(&attention.kind, model.head_width);
                parts.open = max(parts.open, words);
                last = index;
            }
            parts.closed = max(parts.closed, kept);
            index += 1;
        }
        // So that nothing is overwritten where a head moves down.
        parts.open = max(parts.open, parts.closed);
        parts.all = max(last * parts.closed + parts.open, index * parts.closed);
        parts
    }
}

/// Whether no head whose memory does not grow with the length takes more than its rows would, which would have to wait for
/// those of the others.
#[inline(never)]
const fn constant_heads_are_small(model: &Model<'_>) -> bool {
    let rows = halves(model.max_tokens * model.head_width);
    let mut blocks = model.blocks();
    while let Some(block) = blocks.take_next() {
        let constant = Way::of(&block.attention.kind, block.attention.causal).constant;
        if constant && head_memory(&block, model) > rows {
            return false;
        }
    }
    true
}

/// Words of a head of a block.
const fn head_memory(block: &Block<'_>, model: &Model<'_>) -> usize {
    memory(&block.attention.kind, model.max_tokens, model.head_width, block.attention.causal)
}

/// Whether the tokens can pass all layers one at a time.
#[inline(never)]
pub(super) const fn passes(model: &Model<'_>) -> bool {
    let mut blocks = model.blocks();
    while let Some(block) = blocks.take_next() {
        if !Way::of(&block.attention.kind, block.attention.causal).passes() {
            return false;
        }
    }
    true
}

/// Most tokens of a stream that has no other end: its counters have 32 bits.
pub(super) const ENDLESS: usize = i32::MAX as usize;

/// Most tokens of a stream: the model's maximum where attention is exact or positions are learned, its horizon where
/// attention is hierarchical.
#[inline(never)]
pub(super) const fn longest_stream(model: &Model<'_>) -> usize {
    let mut tokens = match model.positions {
        Positions::Learned(_) | Positions::Axial(_) => model.max_tokens,
        Positions::None | Positions::Sinusoidal(_) => ENDLESS,
    };
    let mut blocks = model.blocks();
    while let Some(block) = blocks.take_next() {
        let most = match block.attention.kind {
            AttentionKind::Exact => model.max_tokens,
            AttentionKind::Hierarchical(_) => model.horizon,
            _ => ENDLESS,
        };
        tokens = if most < tokens { most } else { tokens };
    }
    tokens
}

/// Most tokens of a recording in passes.
const LONGEST: usize = 1 << 20;
// A tile of keys rounds every sum by half a unit at most, which does not add up to what its keys leave of 32 bits.
const _: () = {
    let keys = (((MAX_TOKENS as u64) << WEIGHT_FRAC) * VALUE_LIMIT as u64) >> SUM_SHIFT;
    assert!((LONGEST / ROW_TILE / 2) as u64 + keys < 1 << 31);
};

/// Most tokens of a recording in passes: the model's maximum where positions are learned; no more than can be standardized.
#[inline(never)]
pub(super) const fn most_in_passes(model: &Model<'_>) -> usize {
    let most = match model.positions {
        Positions::Learned(_) | Positions::Axial(_) => model.max_tokens,
        Positions::None | Positions::Sinusoidal(_) => LONGEST,
    };
    match &model.input {
        Input::Samples { window, level: Level::Standardized, .. } => {
            let standardized = window.tokens(Level::MAX_STEPS);
            if standardized < most { standardized } else { most }
        }
        _ => most,
    }
}

/// A product, or [`Plan::MOST_WORDS`] where it is more.
const fn times(a: usize, b: usize) -> usize {
    let product = a as u64 * b as u64;
    if product < Plan::MOST_WORDS as u64 { product as usize } else { Plan::MOST_WORDS }
}

pub(super) const fn max(a: usize, b: usize) -> usize {
    if a > b { a } else { b }
}
