//! How much memory a model needs, where each buffer lies in it, and while which stages it holds something.

use core::ops::Range;

use super::impassable::{Impassable, PassesError};
use super::needs::{Attention, Parts, longest_stream, max, most_in_passes, passes};
use super::stage::Stage;
use super::unstreamable::{StreamError, Unstreamable};
use crate::attention::ROW_TILE;
use crate::layers::{recent, statistics};
use crate::memory::halves;
use crate::model::Model;

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
    /// It is kept from tile to tile where tiles of tokens pass all layers one after the other; it is the state of a stream.
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
        state("position", Word, [Embed, Embed], "of a stream: its tokens and steps, and what was pooled"),
        state("samples", I16, [Embed, Embed], "of a stream or of passes: steps of a tile x channels"),
        state("statistics", I32, [Embed, Embed], "mean and deviation of each channel"),
        state("totals", I32, [Pool, Pool], "2 x output width, sums of the columns"),
        state(
            "recent",
            Word,
            [Pool, Pool],
            "of a stream that pools a window: for each block, how many tokens count, and sums or maxima of its columns",
        ),
        state("pooled", I16, [Pool, Head], "output width"),
        state("scores", I16, [Pool, Head], "outputs, of each token where it has scores of its own"),
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
        line("pooled norm", I16, [Pool, Head], "output width, norm of the pooled row"),
    ]
};

/// Words of the position of a stream.
pub(super) const POSITION: usize = 8;

/// Which line of the table is which.
#[derive(Clone, Copy)]
pub(super) enum Name {
    Residual,
    Second,
    Memory,
    Position,
    Samples,
    Statistics,
    Totals,
    Recent,
    Pooled,
    Scores,
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
    PooledNorm,
}

// The states are those from the memory to the scores.
const _: () = {
    let mut index = 0;
    while index < Plan::COUNT {
        let among = index >= Name::Memory as usize && index <= Name::Scores as usize;
        assert!(TABLE[index].is_state == among);
        index += 1;
    }
};

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
    passage: Passage,
    side_by_side: bool,
    /// Words of a head in passes.
    parts: Parts,
    tokens: usize,
}

/// How the tokens pass the layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Passage {
    /// All of them one layer, then the next.
    Whole,
    /// A tile all layers, then the next tile.
    Tiles,
    /// A token at a time, without end.
    Stream,
    /// A tile as many layers as are closed, then the next tile; and all of them once more for every layer.
    Passes,
}

impl Plan {
    /// Number of buffers.
    pub const COUNT: usize = 22;

    /// So many words, or more, are no arena: its bytes would leave the 31 bits that a core of 32 has for them.
    pub const MOST_WORDS: usize = 1 << 29;

    /// The plan of a model: layer by layer, or tile by tile where nothing of the length is kept and that takes less.
    pub const fn of(model: &Model<'_>) -> Self {
        let whole = Self::with(model, Passage::Whole);
        if passes(model) {
            let tiles = Self::with(model, Passage::Tiles);
            if tiles.total < whole.total {
                return tiles;
            }
        }
        whole
    }

    /// The plan of a stream: independent of what has passed.
    ///
    /// # Errors
    /// [`StreamError::Unstreamable`] says why the model cannot run as a stream.
    pub const fn of_stream(model: &Model<'_>) -> Result<Self, StreamError> {
        match Unstreamable::of(model) {
            Some(reason) => Err(StreamError::Unstreamable(reason)),
            None => Ok(Self { tokens: longest_stream(model), ..Self::with(model, Passage::Stream) }),
        }
    }

    /// The plan of [`super::Passes`]: independent of the length of the recording.
    ///
    /// # Errors
    /// [`PassesError::Impassable`] says why the model cannot run that way.
    pub const fn of_passes(model: &Model<'_>) -> Result<Self, PassesError> {
        match Impassable::of(model) {
            Some(reason) => Err(PassesError::Impassable(reason)),
            None => Ok(Self { tokens: most_in_passes(model), ..Self::with(model, Passage::Passes) }),
        }
    }

    #[inline(never)]
    const fn with(model: &Model<'_>, passage: Passage) -> Self {
        let Model { width, max_tokens, head_width, .. } = *model;
        let (tile, rows) = match passage {
            Passage::Whole => (ROW_TILE, max_tokens),
            Passage::Tiles | Passage::Passes => (ROW_TILE, ROW_TILE),
            Passage::Stream => (1, 1),
        };
        let streams = matches!(passage, Passage::Stream) as usize;
        let samples = match passage {
            Passage::Whole | Passage::Tiles => 0,
            Passage::Stream | Passage::Passes => model.input.values_of(tile),
        };
        let attention = Attention::of(model, passage);
        let rows_of_scores = match passage {
            Passage::Whole | Passage::Tiles if model.is_per_token() => max_tokens,
            _ => 1,
        };
        let lengths = [
            rows * width,
            if model.reversible { rows * width } else { 0 },
            attention.memory,
            streams * POSITION,
            samples,
            statistics::length(model),
            2 * model.output_width(),
            streams * recent::length(model),
            model.output_width(),
            rows_of_scores * model.outputs(),
            attention.slots * max_tokens * head_width,
            tile * model.attention_width(),
            tile * width,
            tile * model.input.stem_inputs(),
            attention.scratch,
            tile * width,
            tile * head_width,
            2 * model.output_width(),
            tile * width,
            tile * width,
            tile * model.hidden,
            if model.pooled_norm.is_some() { model.output_width() } else { 0 },
        ];
        let side_by_side = attention.side_by_side;
        let zeros = [0; Self::COUNT];
        let parts = attention.parts;
        let mut plan =
            Self { starts: zeros, words: zeros, total: 0, passage, side_by_side, parts, tokens: max_tokens };
        let mut index = 0;
        while index < Self::COUNT {
            plan.words[index] = match TABLE[index].element {
                Element::I16 => halves(lengths[index]),
                Element::I32 | Element::Word => lengths[index],
            };
            plan.starts[index] = plan.first_free(index);
            // Neither is more than the most: their sum has 32 bits.
            plan.starts[index] =
                if plan.starts[index] < Self::MOST_WORDS { plan.starts[index] } else { Self::MOST_WORDS };
            plan.total = max(plan.total, plan.starts[index] + plan.words[index]);
            index += 1;
        }
        plan.total = if plan.total < Self::MOST_WORDS { plan.total } else { Self::MOST_WORDS };
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
        let [first, last] = TABLE[index].lives;
        match self.passage {
            Passage::Tiles | Passage::Passes if TABLE[index].is_state => {
                [Stage::Embed, if last as u8 > Stage::Pool as u8 { last } else { Stage::Pool }]
            }
            Passage::Stream if TABLE[index].is_state => [Stage::Embed, Stage::Head],
            _ => [first, last],
        }
    }

    /// 32-bit words of the arena; [`Plan::MOST_WORDS`] where there is none that is large enough.
    pub const fn words(&self) -> usize {
        self.total
    }

    /// Whether an arena of so many words is large enough.
    pub(super) const fn fits(&self, words: usize) -> bool {
        self.total < Self::MOST_WORDS && words >= self.total
    }

    /// Bytes of the arena.
    pub const fn bytes(&self) -> usize {
        self.total * 4
    }

    /// Whether a tile of tokens passes all layers before the next one: then nothing of the length is kept.
    pub const fn is_tile_by_tile(&self) -> bool {
        !matches!(self.passage, Passage::Whole)
    }

    /// Most tokens of a run or of a recording in passes, or of a stream until it is reset.
    pub const fn tokens(&self) -> usize {
        self.tokens
    }

    /// Whether it is the plan of a stream.
    pub const fn is_stream(&self) -> bool {
        matches!(self.passage, Passage::Stream)
    }

    /// Whether it is the plan of passes.
    pub const fn is_passes(&self) -> bool {
        matches!(self.passage, Passage::Passes)
    }

    /// Words of a head in passes.
    pub(super) const fn parts(&self) -> Parts {
        self.parts
    }

    /// Where the state of a stream lies: what has to be kept from token to token.
    pub(super) fn state(&self) -> Range<usize> {
        // They live side by side in the order of the table, and nothing lies between them.
        let [first, last] = [Name::Memory, Name::Scores].map(|name| self.place(name));
        first.start..last.end
    }

    /// Where a buffer lies.
    fn place(&self, name: Name) -> Range<usize> {
        let at = |words: &[usize; Self::COUNT]| words.get(name as usize).copied().unwrap_or_default();
        let start = at(&self.starts);
        start..start + at(&self.words)
    }

    /// Bytes of the state of a stream: what has to be kept from token to token.
    pub fn state_bytes(&self) -> usize {
        4 * self.state().len()
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

    /// The words of a buffer.
    pub(super) fn view<'m>(&self, memory: &'m [u32], name: Name) -> &'m [u32] {
        memory.get(self.place(name)).unwrap_or_default()
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
