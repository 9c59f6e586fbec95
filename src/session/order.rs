//! In which order the parts of a run follow each other.

use super::stage::Stage;
use crate::attention::{Order, Progress, ROW_TILE};

/// A piece of work: what is done to one tile of rows, one head or one row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Task {
    /// Ids and mask are checked.
    Check,
    /// Mean and deviation of the channels.
    Measure,
    /// A tile of samples becomes tokens.
    Embed,
    /// A head forgets everything.
    Begin,
    /// A tile of queries, keys and values of a head.
    Project,
    /// A head takes in a tile of keys.
    Absorb,
    /// No key of a head follows.
    Close,
    /// A tile of queries of a head, where its keys came first.
    Query,
    /// A tile of queries of a head becomes what it attends to.
    Answer,
    /// The heads of a tile meet.
    Join,
    /// A tile of hidden rows, their activation, and what they come to.
    Expand,
    Activate,
    Contract,
    /// A row is pooled.
    Pool,
    /// The scores.
    Head,
    Done,
}

impl Task {
    pub(super) const fn stage(self) -> Stage {
        match self {
            Self::Check | Self::Measure | Self::Embed => Stage::Embed,
            Self::Begin | Self::Project | Self::Absorb => Stage::Project,
            Self::Close | Self::Query | Self::Answer => Stage::Attend,
            Self::Join => Stage::Join,
            Self::Expand | Self::Activate | Self::Contract => Stage::Feed,
            Self::Pool => Stage::Pool,
            Self::Head | Self::Done => Stage::Head,
        }
    }

    /// Whether it is done to a block.
    pub(super) const fn is_of_block(self) -> bool {
        matches!(self.stage(), Stage::Project | Stage::Attend | Stage::Join | Stage::Feed)
    }
}

/// How a block's attention goes through the tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sweep {
    /// The keys.
    Keys,
    /// The queries.
    Queries,
    /// A key and its query, token by token.
    Both,
}

/// What the order depends on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Course {
    pub(super) tokens: usize,
    /// Tokens that pass all layers before the next ones: all of them, or a tile.
    pub(super) span: usize,
    pub(super) heads: usize,
    pub(super) blocks: usize,
    /// How the heads of the block at work take in their keys.
    pub(super) order: Order,
    /// All heads go through the tokens side by side; otherwise one comes after the other, in the same memory.
    pub(super) side_by_side: bool,
}

/// Where a run is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) task: Task,
    pub(super) block: usize,
    pub(super) sweep: Sweep,
    /// First of the heads that go through the tokens side by side.
    pub(super) group: usize,
    pub(super) head: usize,
    /// First token of the span.
    pub(super) span: usize,
    /// First token of the tile.
    pub(super) tile: usize,
    /// The token that is pooled; of a recording that is checked or measured, the next value.
    pub(super) row: usize,
    /// The task was begun before.
    pub(super) resumed: bool,
    /// How far the answers of the tile are.
    pub(super) answers: Progress,
}

impl Place {
    pub(super) const fn start() -> Self {
        Self {
            task: Task::Check,
            block: 0,
            sweep: Sweep::Keys,
            group: 0,
            head: 0,
            span: 0,
            tile: 0,
            row: 0,
            resumed: false,
            answers: Progress { token: 0, absorbs: false, resumed: false },
        }
    }

    /// Token after the last one of the span.
    const fn span_end(self, course: Course) -> usize {
        let end = self.span + course.span;
        if end < course.tokens { end } else { course.tokens }
    }

    /// Token after the last one of the tile.
    pub(super) const fn tile_end(self, course: Course) -> usize {
        let (tile, span) = (self.tile + ROW_TILE, self.span_end(course));
        if tile < span { tile } else { span }
    }

    /// Head after the last one of the group.
    const fn group_end(self, course: Course) -> usize {
        if course.side_by_side { course.heads } else { self.group + 1 }
    }

    /// Whether the heads of the group are the last ones.
    pub(super) const fn is_last_group(self, course: Course) -> bool {
        self.group_end(course) == course.heads
    }

    /// The place after this one, where the task is done.
    #[inline(never)]
    pub(super) fn next(self, course: Course) -> Self {
        let here = Self { resumed: false, ..self };
        match self.task {
            Task::Check => Self { task: Task::Measure, row: 0, ..here },
            Task::Measure => Self { task: Task::Embed, row: 0, ..here },
            Task::Embed => match self.next_tile(course) {
                Some(tile) => Self { tile, ..here },
                None => here.begin_block(0),
            },
            Task::Begin if self.head + 1 < self.group_end(course) => Self { head: self.head + 1, ..here },
            Task::Begin => {
                let sweep = if course.order == Order::Together { Sweep::Both } else { Sweep::Keys };
                here.begin_sweep(sweep, self.span)
            }
            Task::Project if self.sweep == Sweep::Keys => Self { task: Task::Absorb, ..here },
            Task::Project | Task::Query => here.first_answer(course),
            Task::Absorb => here.next_head(course),
            Task::Close if self.head + 1 < self.group_end(course) => Self { head: self.head + 1, ..here },
            Task::Close => match course.order {
                Order::Twice => here.begin_sweep(Sweep::Both, self.span),
                Order::Backwards => {
                    let last = self.span_end(course).saturating_sub(1);
                    here.begin_sweep(Sweep::Queries, last / ROW_TILE * ROW_TILE)
                }
                Order::KeysFirst | Order::Together => here.begin_sweep(Sweep::Queries, self.span),
            },
            Task::Answer => here.next_head(course),
            Task::Join => here.next_tile_of_heads(course),
            Task::Expand => Self { task: Task::Activate, ..here },
            Task::Activate => Self { task: Task::Contract, ..here },
            Task::Contract => match self.next_tile(course) {
                Some(tile) => Self { task: Task::Expand, tile, ..here },
                None if self.block + 1 < course.blocks => here.begin_block(self.block + 1),
                None => Self { task: Task::Pool, row: self.span, ..here },
            },
            Task::Pool if self.row + 1 < self.span_end(course) => Self { row: self.row + 1, ..here },
            Task::Pool if self.row + 1 < course.tokens => {
                Self { task: Task::Embed, span: self.row + 1, tile: self.row + 1, ..here }
            }
            Task::Pool => Self { task: Task::Head, ..here },
            Task::Head | Task::Done => Self { task: Task::Done, ..here },
        }
    }

    fn next_tile(self, course: Course) -> Option<usize> {
        let next = self.tile + ROW_TILE;
        (next < self.span_end(course)).then_some(next)
    }

    /// Begins a block; its heads forget everything only before the first token.
    fn begin_block(self, block: usize) -> Self {
        self.begin_group(block, 0)
    }

    fn begin_group(self, block: usize, group: usize) -> Self {
        Self { task: Task::Begin, block, group, head: group, tile: self.span, ..self }
    }

    fn begin_sweep(self, sweep: Sweep, tile: usize) -> Self {
        let task = if sweep == Sweep::Queries { Task::Query } else { Task::Project };
        Self { task, sweep, tile, head: self.group, ..self }
    }

    fn first_answer(self, course: Course) -> Self {
        let token = if self.backwards(course) { self.tile_end(course) - 1 } else { self.tile };
        let answers = Progress { token, absorbs: self.sweep == Sweep::Both, resumed: false };
        Self { task: Task::Answer, answers, ..self }
    }

    /// Whether the sweep goes from the last token to the first.
    pub(super) fn backwards(self, course: Course) -> bool {
        self.sweep == Sweep::Queries && course.order == Order::Backwards
    }

    /// The same tile of the next head.
    fn next_head(self, course: Course) -> Self {
        if self.head + 1 < self.group_end(course) {
            let head = self.head + 1;
            let task = if self.sweep == Sweep::Queries { Task::Query } else { Task::Project };
            return Self { task, head, ..self };
        }
        if self.sweep != Sweep::Keys && self.is_last_group(course) {
            return Self { task: Task::Join, ..self };
        }
        self.next_tile_of_heads(course)
    }

    /// The next tile of the sweep, or what comes after it.
    fn next_tile_of_heads(self, course: Course) -> Self {
        let next = if self.backwards(course) {
            (self.tile > self.span).then(|| self.tile - ROW_TILE)
        } else {
            self.next_tile(course)
        };
        match next {
            Some(tile) => self.begin_sweep(self.sweep, tile),
            None if self.sweep == Sweep::Keys => Self { task: Task::Close, head: self.group, ..self },
            None if self.is_last_group(course) => Self { task: Task::Expand, tile: self.span, ..self },
            None => self.begin_group(self.block, self.group + 1),
        }
    }
}
