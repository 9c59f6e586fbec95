//! How much memory a model needs, and where each buffer lies in it.

use crate::arena::Carver;
use crate::attention::scratch;
use crate::layers::{KEYS_PER_WORD, ROW_TILE, Workspace};
use crate::model::{Input, Level, Model};

/// Length of every buffer of a forward pass, in elements. Linear in `max_tokens`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// `[max_tokens, width]` of i16: residual stream.
    pub stream: usize,
    /// `[max_tokens, width]` of i16: the second stream of reversible blocks, else nothing.
    pub second: usize,
    /// `[heads, max_tokens, head width]` of i16: queries of the block at work, then what they attended to.
    pub attended: usize,
    /// `[max_tokens, head width]` of i16: keys of the head at work.
    pub keys: usize,
    /// `[max_tokens, head width]` of i16, and another row where that is odd: values of the head at work.
    pub values: usize,
    /// Bit map of the tokens that are not masked, in u16.
    pub visible: usize,
    /// A tile of rows of the model's width or of all heads, i16.
    pub narrow: usize,
    /// A tile of the widest rows, i16.
    pub wide: usize,
    /// Working memory of one head's attention, in words.
    pub scratch: usize,
    /// Column totals, or statistics of the channels, i32.
    pub totals: usize,
    /// `[output width]` of i16.
    pub pooled: usize,
    /// `[classes]` of i16.
    pub scores: usize,
}

impl Plan {
    /// The plan of a model.
    pub const fn of(model: &Model<'_>) -> Self {
        let statistics = match &model.input {
            Input::Samples { channels, level: Level::Standardized, .. } => 3 * *channels,
            Input::Samples { channels, .. } => *channels,
            Input::OneHot { .. } | Input::Tokens { .. } => 0,
        };
        Self {
            stream: model.max_tokens * model.width,
            second: if model.reversible { model.max_tokens * model.width } else { 0 },
            attended: model.max_tokens * model.attention_width(),
            keys: model.max_tokens * model.head_width,
            values: model.max_tokens.next_multiple_of(2) * model.head_width,
            visible: model.max_tokens.div_ceil(KEYS_PER_WORD),
            narrow: ROW_TILE * max(model.width, model.attention_width()),
            wide: ROW_TILE * max(model.hidden, model.input.stem_inputs()),
            scratch: attention_scratch(model),
            totals: max(model.output_width(), statistics),
            pooled: model.output_width(),
            scores: model.classes,
        }
    }

    /// 32-bit words of the arena.
    pub const fn words(&self) -> usize {
        halves(self.stream)
            + halves(self.second)
            + halves(self.attended)
            + halves(self.keys)
            + halves(self.values)
            + halves(self.visible)
            + halves(self.narrow)
            + halves(self.wide)
            + self.scratch
            + self.totals
            + halves(self.pooled)
            + halves(self.scores)
    }

    /// Bytes of the arena.
    pub const fn bytes(&self) -> usize {
        self.words() * 4
    }

    pub(super) fn carve<'m>(&self, memory: &'m mut [u32]) -> Workspace<'m> {
        let mut carver = Carver::new(memory);
        Workspace {
            stream: carver.i16s(self.stream),
            second: carver.i16s(self.second),
            attended: carver.i16s(self.attended),
            keys: carver.i16s(self.keys),
            values: carver.i16s(self.values),
            visible: carver.u16s(self.visible),
            narrow: carver.i16s(self.narrow),
            wide: carver.i16s(self.wide),
            scratch: carver.words(self.scratch),
            totals: carver.i32s(self.totals),
            pooled: carver.i16s(self.pooled),
            scores: carver.i16s(self.scores),
        }
    }
}

/// The most that the attention of any block asks for.
const fn attention_scratch(model: &Model<'_>) -> usize {
    let mut most = 0;
    let mut blocks = model.blocks();
    while let Some(block) = blocks.take_next() {
        let attention = &block.attention;
        most = max(most, scratch(&attention.kind, model.max_tokens, model.head_width, attention.causal));
    }
    most
}

/// Words that hold `count` 16-bit elements.
const fn halves(count: usize) -> usize {
    count.div_ceil(2)
}

const fn max(a: usize, b: usize) -> usize {
    if a > b { a } else { b }
}
