//! What a model asks of its plan.

use super::plan::Passage;
use crate::attention::{Way, memory, scratch};
use crate::memory::halves;
use crate::model::{AttentionKind, Block, Model, Positions};

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
}

impl Attention {
    /// The most that any block asks for; where tiles pass all layers, for every block.
    // Here and below: a block on the stack is gone before anything else is called.
    #[inline(never)]
    pub(super) const fn of(model: &Model<'_>, passage: Passage) -> Self {
        let together = !matches!(passage, Passage::Whole);
        let side_by_side = together || constant_heads_are_small(model);
        let mut most = Self { memory: 0, scratch: 0, slots: 0, side_by_side };
        let mut blocks = model.blocks();
        while let Some(block) = blocks.take_next() {
            let attention = &block.attention;
            let words = head_memory(&block, model);
            let constant = Way::of(&attention.kind, attention.causal).constant;
            if side_by_side && constant || matches!(passage, Passage::Stream) {
                most.memory = max(most.memory, model.heads * words);
            } else {
                most.memory = max(most.memory, words);
                most.slots = model.heads - 1;
            }
            most.scratch = max(most.scratch, scratch(&attention.kind, model.head_width, attention.causal));
        }
        if together {
            most.memory *= model.block_count;
        }
        most
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
const ENDLESS: usize = i32::MAX as usize;

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

pub(super) const fn max(a: usize, b: usize) -> usize {
    if a > b { a } else { b }
}
