//! How much memory a model needs, where each buffer lies in it, and while which stages it holds something.

use super::stage::Stage;
use crate::attention::{ROW_TILE, Way, memory, scratch};
use crate::layers::statistics;
use crate::memory::halves;
use crate::model::{Block, Model};

/// What the elements of a buffer are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Element {
    /// 16-bit integers.
    I16,
    /// 32-bit integers.
    I32,
    /// 32-bit words that a mechanism divides itself.
    Word,
}

impl Element {
    /// `i16`, `i32` or `u32`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::I16 => "i16",
            Self::I32 => "i32",
            Self::Word => "u32",
        }
    }
}

/// A line of the table of buffers.
struct Line {
    name: &'static str,
    element: Element,
    /// The first and the last stage that need what is in it. In all others something else may lie there.
    lives: [Stage; 2],
    /// It is kept from tile to tile where tiles of tokens pass all layers one after the other.
    is_state: bool,
    about: &'static str,
}

const fn line(name: &'static str, element: Element, lives: [Stage; 2], about: &'static str) -> Line {
    Line { name, element, lives, is_state: false, about }
}

const fn state(name: &'static str, element: Element, lives: [Stage; 2], about: &'static str) -> Line {
    Line { name, element, lives, is_state: true, about }
}

/// Every buffer: each begins where the last of those before it that live beside it ends.
const TABLE: [Line; Plan::COUNT] = {
    use Element::{I16, I32, Word};
    use Stage::{Attend, Embed, Feed, Head, Join, Pool, Project};
    [
        line("residual", I16, [Embed, Pool], "tokens x width"),
        line("second", I16, [Embed, Pool], "tokens x width, second residual of reversible blocks"),
        state(
            "memory",
            Word,
            [Project, Join],
            "keys and values of the heads at work, or what is kept of them",
        ),
        state("statistics", I32, [Embed, Embed], "mean and deviation of each channel"),
        state("totals", I32, [Pool, Pool], "output width, sums of the columns"),
        state("pooled", I16, [Pool, Head], "output width"),
        line("attended", I16, [Project, Join], "tokens x heads but one, queries, then what they attended to"),
        line("joined", I16, [Project, Join], "4 x all heads"),
        line("change", I16, [Join, Join], "4 x width"),
        line("windows", I16, [Embed, Embed], "4 x stem inputs"),
        line("scratch", Word, [Project, Attend], "of the head at work"),
        line("normed", I16, [Embed, Attend], "4 x width"),
        line("query", I16, [Project, Attend], "4 x head width"),
        line("row", I16, [Pool, Pool], "2 x output width"),
        line("input", I16, [Feed, Feed], "4 x width, of the feed-forward network"),
        line("output", I16, [Feed, Feed], "4 x width"),
        line("hidden", I16, [Feed, Head], "4 x hidden"),
        line("scores", I16, [Head, Head], "classes"),
    ]
};

/// Which line of the table is which.
#[derive(Clone, Copy)]
pub(super) enum Name {
    Residual,
    Second,
    Memory,
    Statistics,
    Totals,
    Pooled,
    Attended,
    Joined,
    Change,
    Windows,
    Scratch,
    Normed,
    Query,
    Row,
    Input,
    Output,
    Hidden,
    Scores,
}

/// A buffer of the arena.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Buffer {
    /// Name: `residual`.
    pub name: &'static str,
    /// What its elements are.
    pub element: Element,
    /// Number of elements that it has room for.
    pub length: usize,
    /// First and last stage that need what is in it.
    pub lives: [Stage; 2],
    /// First word of the arena that it takes.
    pub start: usize,
    /// Words that it takes.
    pub words: usize,
    /// Its shape and what it holds.
    pub about: &'static str,
}

/// Where every buffer of a run lies. Linear in `max_tokens`, or independent of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    starts: [usize; Self::COUNT],
    words: [usize; Self::COUNT],
    total: usize,
    tile_by_tile: bool,
    side_by_side: bool,
}

impl Plan {
    /// Number of buffers.
    pub const COUNT: usize = 18;

    /// The plan of a model: layer by layer, or tile by tile where nothing of the length is kept and that takes less.
    pub const fn of(model: &Model<'_>) -> Self {
        let by_layer = Self::with(model, false);
        if passes(model) {
            let by_tile = Self::with(model, true);
            if by_tile.total < by_layer.total {
                return by_tile;
            }
        }
        by_layer
    }

    #[inline(never)]
    const fn with(model: &Model<'_>, tile_by_tile: bool) -> Self {
        let Model { width, max_tokens, head_width, .. } = *model;
        let rows = if tile_by_tile { ROW_TILE } else { max_tokens };
        let attention = Attention::of(model, tile_by_tile);
        let lengths = [
            rows * width,
            if model.reversible { rows * width } else { 0 },
            attention.memory,
            statistics::length(model),
            model.output_width(),
            model.output_width(),
            attention.slots * max_tokens * head_width,
            ROW_TILE * model.attention_width(),
            ROW_TILE * width,
            ROW_TILE * model.input.stem_inputs(),
            attention.scratch,
            ROW_TILE * width,
            ROW_TILE * head_width,
            2 * model.output_width(),
            ROW_TILE * width,
            ROW_TILE * width,
            ROW_TILE * model.hidden,
            model.classes,
        ];
        let side_by_side = attention.side_by_side;
        let zeros = [0; Self::COUNT];
        let mut plan = Self { starts: zeros, words: zeros, total: 0, tile_by_tile, side_by_side };
        let mut index = 0;
        while index < Self::COUNT {
            plan.words[index] = match TABLE[index].element {
                Element::I16 => halves(lengths[index]),
                Element::I32 | Element::Word => lengths[index],
            };
            plan.starts[index] = plan.first_free(index);
            plan.total = max(plan.total, plan.starts[index] + plan.words[index]);
            index += 1;
        }
        plan
    }

    /// The end of the last buffer before `index` in the table that is needed beside it: so those that are needed at the same
    /// time lie in the order of the table.
    const fn first_free(&self, index: usize) -> usize {
        let (mut start, mut other) = (0, 0);
        while other < index {
            let end = self.starts[other] + self.words[other];
            if self.meet(index, other) && end > start {
                start = end;
            }
            other += 1;
        }
        start
    }

    /// Whether two buffers are needed at the same time.
    const fn meet(&self, a: usize, b: usize) -> bool {
        let ([from, to], [other_from, other_to]) = (self.lives(a), self.lives(b));
        from as u8 <= other_to as u8 && other_from as u8 <= to as u8
    }

    const fn lives(&self, index: usize) -> [Stage; 2] {
        let index = if index < Self::COUNT { index } else { 0 };
        if self.tile_by_tile && TABLE[index].is_state {
            let [_, last] = TABLE[index].lives;
            return [Stage::Embed, if last as u8 > Stage::Pool as u8 { last } else { Stage::Pool }];
        }
        TABLE[index].lives
    }

    /// 32-bit words of the arena.
    pub const fn words(&self) -> usize {
        self.total
    }

    /// Bytes of the arena.
    pub const fn bytes(&self) -> usize {
        self.total * 4
    }

    /// Whether a tile of tokens passes all layers before the next one: then nothing of the length is kept.
    pub const fn is_tile_by_tile(&self) -> bool {
        self.tile_by_tile
    }

    /// Whether heads whose memory does not grow with the length go through the tokens side by side, or one after the other.
    pub(crate) const fn is_side_by_side(&self) -> bool {
        self.side_by_side
    }

    /// Words of the memory of the heads at work.
    pub(super) const fn memory_words(&self) -> usize {
        self.words[Name::Memory as usize]
    }

    /// Every buffer, in the order of the table; empty ones too.
    pub fn buffers(&self) -> impl Iterator<Item = Buffer> {
        TABLE.iter().enumerate().map(|(index, line)| Buffer {
            name: line.name,
            element: line.element,
            length: if line.element.name().ends_with("16") { 2 } else { 1 } * self.words[index],
            lives: self.lives(index),
            start: self.starts[index],
            words: self.words[index],
            about: line.about,
        })
    }

    /// The largest sum of words that are needed in one stage: no plan can do with less.
    pub fn largest_stage(&self) -> usize {
        let needed = |stage: &Stage| {
            let alive =
                self.buffers().filter(|buffer| buffer.lives[0] <= *stage && *stage <= buffer.lives[1]);
            alive.map(|buffer| buffer.words).sum()
        };
        Stage::ALL.iter().map(needed).max().unwrap_or_default()
    }

    /// The words of some buffers that live at the same time, in the order of the table.
    pub(super) fn take<'m, const N: usize>(
        &self,
        memory: &'m mut [u32],
        names: [Name; N],
    ) -> [&'m mut [u32]; N] {
        let mut rest = Rest { memory, at: 0 };
        names.map(|name| self.take_next(&mut rest, name))
    }

    /// One function for all: inlined, it would be a large part of the program.
    #[inline(never)]
    fn take_next<'m>(&self, rest: &mut Rest<'m>, name: Name) -> &'m mut [u32] {
        let index = name as usize;
        let start = self.starts.get(index).copied().unwrap_or_default();
        let words = self.words.get(index).copied().unwrap_or_default();
        let memory = core::mem::take(&mut rest.memory);
        let (_, memory) = memory.split_at_mut_checked(start - rest.at).unwrap_or_default();
        let (taken, after) = memory.split_at_mut_checked(words).unwrap_or_default();
        *rest = Rest { memory: after, at: start + words };
        taken
    }
}

/// What was not taken, and the number of its first word.
struct Rest<'m> {
    memory: &'m mut [u32],
    at: usize,
}

/// What the attention of a model needs.
struct Attention {
    /// Words of the heads that are at work at a time.
    memory: usize,
    /// Words of a head at work beside them.
    scratch: usize,
    /// Heads whose rows wait for the last one.
    slots: usize,
    /// Heads whose memory does not grow with the length are at work side by side.
    side_by_side: bool,
}

impl Attention {
    /// The most that any block asks for; tile by tile, for every block.
    // Here and below: a block on the stack is gone before anything else is called.
    #[inline(never)]
    const fn of(model: &Model<'_>, tile_by_tile: bool) -> Self {
        let side_by_side = tile_by_tile || constant_heads_are_small(model);
        let mut most = Self { memory: 0, scratch: 0, slots: 0, side_by_side };
        let mut blocks = model.blocks();
        while let Some(block) = blocks.take_next() {
            let attention = &block.attention;
            let words = head_memory(&block, model);
            if side_by_side && Way::of(&attention.kind, attention.causal).constant {
                most.memory = max(most.memory, model.heads * words);
            } else {
                most.memory = max(most.memory, words);
                most.slots = model.heads - 1;
            }
            most.scratch = max(most.scratch, scratch(&attention.kind, model.head_width, attention.causal));
        }
        if tile_by_tile {
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
const fn passes(model: &Model<'_>) -> bool {
    let mut blocks = model.blocks();
    while let Some(block) = blocks.take_next() {
        if !Way::of(&block.attention.kind, block.attention.causal).passes() {
            return false;
        }
    }
    true
}

const fn max(a: usize, b: usize) -> usize {
    if a > b { a } else { b }
}
