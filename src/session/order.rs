//! In which order the parts of a run follow each other.

use super::Manner;
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
    /// In passes: the recording begins anew.
    Turn,
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
    /// A tile of rows is pooled.
    Pool,
    /// The scores.
    Head,
    Done,
}

impl Task {
    pub(super) const fn stage(self) -> Stage {
        match self {
            Self::Check | Self::Measure | Self::Embed | Self::Turn => Stage::Embed,
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
    /// Tokens that a head has room for, where it keeps them all.
    pub(super) capacity: usize,
    /// Tokens that pass all layers before the next ones: all of them, or a tile.
    pub(super) span: usize,
    pub(super) heads: usize,
    pub(super) blocks: usize,
    /// How the heads of the block at work take in their keys.
    pub(super) order: Order,
    /// All heads go through the tokens side by side; otherwise one comes after the other, in the same memory.
    pub(super) side_by_side: bool,
    /// In passes: the block that takes in its keys, which all before it have done.
    pub(super) open: Option<usize>,
}

impl Course {
    /// Whether a block has taken in its keys in a pass before.
    pub(super) fn is_closed(self, block: usize) -> bool {
        self.order == Order::KeysFirst && self.open.is_some_and(|open| block < open)
    }
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
    /// The next token of a tile that is embedded or pooled; of a recording that is checked or measured, the next value.
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

    /// Of a stream: a token that is embedded.
    pub(super) const fn of_token(token: usize) -> Self {
        Self { task: Task::Begin, span: token, tile: token, ..Self::start() }
    }

    /// Of a stream: a token that has passed all blocks.
    pub(super) const fn of_passed(token: usize) -> Self {
        Self { task: Task::Pool, ..Self::of_token(token) }
    }

    /// Whether the task is one of a block.
    pub(super) fn is_in_block(self, block: usize) -> bool {
        self.task.is_of_block() && self.block == block
    }

    /// Token after the last one of the span.
    const fn span_end(self, course: Course) -> usize {
        let end = self.span + course.span;
        if end < course.tokens { end } else { course.tokens }
    }

    /// Token after the last one of the tile.
    #[inline(never)]
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

    /// Moves on, where the task is done.
    #[inline(never)]
    pub(super) fn advance<W: Manner>(&mut self, course: Course) {
        self.resumed = false;
        let task = self.task;
        match task {
            Task::Check => (self.task, self.row) = (Task::Measure, 0),
            Task::Measure => (self.task, self.row) = (Task::Embed, 0),
            Task::Embed if self.next_tile(course) => {}
            Task::Embed => self.begin_block(0),
            Task::Begin if self.next_of_group(course) => {}
            Task::Begin => {
                self.sweep = match course.order {
                    Order::Together => Sweep::Both,
                    _ if W::PASSES && course.is_closed(self.block) => Sweep::Queries,
                    _ => Sweep::Keys,
                };
                self.tile = self.span;
                self.begin_tile();
            }
            Task::Project if self.sweep == Sweep::Keys => self.task = Task::Absorb,
            Task::Project | Task::Query => {
                let token = if self.backwards(course) { self.tile_end(course) - 1 } else { self.tile };
                self.answers = Progress { token, absorbs: self.sweep == Sweep::Both, resumed: false };
                self.task = Task::Answer;
            }
            Task::Absorb | Task::Answer if self.next_of_group(course) => {
                self.task = if self.sweep == Sweep::Queries { Task::Query } else { Task::Project };
            }
            Task::Answer if self.is_last_group(course) => self.task = Task::Join,
            Task::Absorb | Task::Answer | Task::Join => self.after_tile_of_heads::<W>(course),
            Task::Close if self.next_of_group(course) => {}
            Task::Close if W::PASSES => self.task = Task::Turn,
            Task::Turn if W::PASSES => (self.task, self.span, self.tile) = (Task::Embed, 0, 0),
            Task::Close => {
                self.sweep = if course.order == Order::Twice { Sweep::Both } else { Sweep::Queries };
                let last = self.span_end(course).saturating_sub(1);
                self.tile = if self.backwards(course) { last / ROW_TILE * ROW_TILE } else { self.span };
                self.begin_tile();
            }
            Task::Expand => self.task = Task::Activate,
            Task::Activate => self.task = Task::Contract,
            Task::Contract if self.next_tile(course) => self.task = Task::Expand,
            Task::Contract if self.block + 1 < course.blocks => self.begin_block(self.block + 1),
            Task::Contract => (self.task, self.tile) = (Task::Pool, self.span),
            Task::Pool if self.next_tile(course) => {}
            Task::Pool if self.span_end(course) == course.tokens => self.task = Task::Head,
            Task::Pool => self.next_span(course),
            Task::Head | Task::Turn | Task::Done => self.task = Task::Done,
        }
    }

    /// Moves on to the next tokens that pass the layers together.
    fn next_span(&mut self, course: Course) {
        self.span = self.span_end(course);
        (self.task, self.tile) = (Task::Embed, self.span);
    }

    /// Moves on to the next tile of the span, if there is one.
    fn next_tile(&mut self, course: Course) -> bool {
        let next = self.tile + ROW_TILE;
        let more = next < self.span_end(course);
        if more {
            self.tile = next;
        }
        more
    }

    /// Moves on to the next head of the group, if there is one.
    fn next_of_group(&mut self, course: Course) -> bool {
        let more = self.head + 1 < self.group_end(course);
        if more {
            self.head += 1;
        }
        more
    }

    /// Begins a block; its heads forget everything only before the first token.
    fn begin_block(&mut self, block: usize) {
        self.block = block;
        self.begin_group(0);
    }

    fn begin_group(&mut self, group: usize) {
        (self.task, self.group, self.head) = (Task::Begin, group, group);
    }

    /// The first head of the group at the tile.
    fn begin_tile(&mut self) {
        self.task = if self.sweep == Sweep::Queries { Task::Query } else { Task::Project };
        self.head = self.group;
    }

    /// Whether the sweep goes from the last token to the first.
    pub(super) fn backwards(&self, course: Course) -> bool {
        self.sweep == Sweep::Queries && course.order == Order::Backwards
    }

    /// The next tile of the sweep, or what comes after it.
    fn after_tile_of_heads<W: Manner>(&mut self, course: Course) {
        let more = if self.backwards(course) {
            let more = self.tile > self.span;
            self.tile -= if more { ROW_TILE } else { 0 };
            more
        } else {
            self.next_tile(course)
        };
        if more {
            self.begin_tile();
        } else if W::PASSES && self.sweep == Sweep::Keys && self.span_end(course) < course.tokens {
            // In passes no later layer has what it needs yet.
            self.next_span(course);
        } else if self.sweep == Sweep::Keys {
            (self.task, self.head) = (Task::Close, self.group);
        } else if self.is_last_group(course) {
            (self.task, self.tile) = (Task::Expand, self.span);
        } else {
            self.begin_group(self.group + 1);
        }
    }
}
