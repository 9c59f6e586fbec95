//! What is done at each place of a block.

use core::ops::Range;

use super::Manner;
use super::needs::Parts;
use super::order::{Place, Sweep, Task};
use super::plan::Name;
use super::running::Running;
use crate::attention::{Answers, Budget, Head, Life, Order, Way, closed};
use crate::kernels::VALUE_LIMIT;
use crate::layers::block::{Projection, Rows, put_head};
use crate::memory::{i16s_in, move_down};
use crate::model::{Attention, Block, NormOrder};
use crate::trace::{Tensor, Trace};

/// Does the work of a block, as far as it goes; whether it is time for a pause.
pub(super) fn block<W: Manner, T: Trace>(
    run: &mut Running<'_, W>,
    block: &Block<'_>,
    budget: &mut Budget,
    trace: &mut T,
) -> bool {
    let attention = &block.attention;
    let Some((head, life)) = head(run, attention) else { return false };
    let way = Way::of(&attention.kind, attention.causal);
    run.course.order = way.order;
    run.course.side_by_side = W::STREAMS || way.constant && run.plan.is_side_by_side();
    let index = run.place.block;
    let (attention_width, rare) = (run.model.attention_width(), &run.links.rare);
    let rows = Rows { block, index, attention_width, rare, trace, budget };
    let of_heads = Memory::of(run, index);
    let limit = run.model.dot_limit();
    let mut pauses = false;
    let mut work = Work { run, head, life, of_heads, limit, rows };
    while !pauses && work.run.place.is_in_block(index) {
        let done = work.at_place();
        pauses = work.run.moves_on(done, *work.rows.budget);
    }
    if !run.place.is_in_block(index) {
        run.fracs = block.fed(block.attended(run.fracs));
    }
    pauses
}

/// The first head of a block, and what its mechanism does.
#[inline(always)]
pub(super) fn head<'b, W: Manner>(
    run: &Running<'_, W>,
    attention: &'b Attention<'b>,
) -> Option<(Head<'b>, &'static Life)> {
    let life = run.links.mechanisms.life(&attention.kind, attention.causal)?;
    let head = Head {
        kind: &attention.kind,
        index: 0,
        width: run.model.head_width,
        tokens: run.course.capacity,
        causal: attention.causal,
        scale: attention.scale,
        gain: attention.gain,
    };
    Some((head, life))
}

/// A block at work.
struct Work<'w, 's, 'b, W, T> {
    run: &'w mut Running<'s, W>,
    /// The head at work, but for its number.
    head: Head<'b>,
    life: &'static Life,
    of_heads: Memory,
    /// Largest magnitude of queries and keys.
    limit: i16,
    rows: Rows<'w, T>,
}

/// How the memory of the heads is divided: into equal parts for all that are at work at a time. In passes those of a block
/// that takes in its keys are larger than those of the blocks before it.
pub(super) struct Memory {
    /// First word of the first head of the block.
    start: usize,
    /// Words of a part.
    words: usize,
}

impl Memory {
    pub(super) fn of<W: Manner>(run: &Running<'_, W>, block: usize) -> Self {
        if W::PASSES {
            let Parts { open, closed, .. } = run.plan.parts();
            let takes_keys = run.course.order == Order::KeysFirst && !run.course.is_closed(block);
            let words = if takes_keys { open } else { closed };
            return Self { start: block * run.course.heads * closed, words };
        }
        let heads = if run.course.side_by_side { run.course.heads } else { 1 };
        let blocks = if run.plan.is_tile_by_tile() { run.course.blocks } else { 1 };
        let first = if run.plan.is_tile_by_tile() { block * heads } else { 0 };
        let words = run.plan.memory_words() / (blocks * heads).max(1);
        Self { start: first * words, words }
    }

    /// First and last word of the part of one of the heads at work.
    #[inline(always)]
    pub(super) fn of_head(&self, number: usize) -> Range<usize> {
        let start = self.start + number * self.words;
        start..start + self.words
    }
}

impl<'b, W: Manner, T: Trace> Work<'_, '_, 'b, W, T> {
    /// Does what is to be done at the place of the run; whether it is done.
    fn at_place(&mut self) -> bool {
        self.head.index = self.run.place.head;
        match self.run.place.task {
            Task::Begin => self.begin(),
            Task::Project | Task::Query => self.project(),
            Task::Absorb => return self.absorb(),
            Task::Close => return self.close(),
            Task::Answer => return self.answer(),
            Task::Join => self.join(),
            Task::Expand => self.expand(),
            Task::Activate => self.activate(),
            _ => self.contract(),
        }
        true
    }

    /// First and last word of the memory of the head at work.
    #[inline(never)]
    fn words(&self) -> Range<usize> {
        self.of_heads.of_head(self.run.place.head - self.run.place.group)
    }

    /// Before the first token every head forgets what was.
    fn begin(&mut self) {
        if self.run.place.span > 0 || self.run.course.is_closed(self.run.place.block) {
            return;
        }
        let words = self.words();
        let [memory, scratch] = self.run.plan.take(self.run.memory, [Name::Memory, Name::Scratch]);
        (self.life.begin)(&self.head, memory.get_mut(words).unwrap_or_default(), scratch);
        self.rows.budget.charge(500);
    }

    /// The name of the residual that attention sees.
    fn source(&self) -> Name {
        if self.rows.block.order == NormOrder::Reversible { Name::Second } else { Name::Residual }
    }

    /// Tokens of the tile, and where its rows are in a residual.
    #[inline(never)]
    fn tile(&self) -> (Range<usize>, Range<usize>) {
        let tokens = self.run.place.tile..self.run.place.tile_end(self.run.course);
        let at = self.run.residual_row(tokens.start) * self.run.model.width;
        let elements = tokens.len() * self.run.model.width;
        (tokens, at..at + elements)
    }

    /// Elements of the head's rows that wait for those of the last head.
    fn slot(&self) -> Range<usize> {
        let (tokens, width) = (self.tile().0, self.head.width);
        let first = (self.run.place.head * self.run.course.tokens + tokens.start) * width;
        first..first + tokens.len() * width
    }

    /// Queries, keys and values of a tile of one head; or its queries alone, where the keys came first, unless they are there
    /// since then.
    #[inline(never)]
    fn project(&mut self) {
        let Place { task, group, sweep, .. } = self.run.place;
        let waits = !self.run.place.is_last_group(self.run.course);
        if task == Task::Query && (waits || self.run.course.order == Order::Backwards) {
            return;
        }
        let ((tokens, elements), slot, words) = (self.tile(), self.slot(), self.words());
        let names = [
            self.source(),
            Name::Memory,
            Name::Attended,
            Name::Joined,
            Name::Scratch,
            Name::Normed,
            Name::Query,
        ];
        let [source, memory, attended, joined, scratch, normed, query] =
            self.run.plan.take(self.run.memory, names);
        let (rows, limit, head) = (&mut self.rows, self.limit, &self.head);
        let (block, attention_width) = (rows.block, rows.attention_width);
        let attention = &block.attention;
        let (length, width, first) = (elements.len(), head.width, tokens.start);
        let source = &*i16s_in(source, elements);
        let x = if head.index == group || block.order == NormOrder::Post {
            rows.source(source, i16s_in(normed, 0..length))
        } else {
            i16s_in(normed, 0..length)
        };
        let of =
            |tensor, layer, limit| Projection { tensor, layer, head: head.index, head_width: width, limit };
        let of_query = of(Tensor::Query, &attention.query, limit);
        let mut own = &mut *i16s_in(query, 0..tokens.len() * width);
        if task == Task::Project {
            if head.index == 0 {
                rows.show_source(first, x);
            }
            let memory = memory.get_mut(words).unwrap_or_default();
            let room = (self.life.room)(head, memory, scratch, tokens.clone());
            let waiting = i16s_in(attended, slot);
            if !room.queries.is_empty() {
                rows.project(of_query, first, x, room.queries);
                waiting.iter_mut().zip(room.queries.iter()).for_each(|(to, &from)| *to = from);
                own = &mut [];
            } else if waits {
                rows.project(of_query, first, x, waiting);
                own = &mut [];
            } else if sweep != Sweep::Both {
                own = &mut [];
            }
            if let Some(key) = &attention.key {
                rows.project(of(Tensor::Key, key, limit), first, x, room.keys);
            }
            rows.project(of(Tensor::Value, &attention.value, VALUE_LIMIT), first, x, room.values);
        }
        if !own.is_empty() {
            rows.project(of_query, first, x, own);
            put_head(
                i16s_in(joined, 0..tokens.len() * attention_width),
                attention_width,
                head.index,
                own,
                width,
            );
        }
    }

    /// A head takes in a tile of keys.
    #[inline(never)]
    fn absorb(&mut self) -> bool {
        let (tokens, words, resumed) = (self.tile().0, self.words(), self.run.place.resumed);
        let visible = self.run.visible(tokens.clone());
        let [memory, scratch] = self.run.plan.take(self.run.memory, [Name::Memory, Name::Scratch]);
        let memory = memory.get_mut(words).unwrap_or_default();
        (self.life.absorb)(&self.head, memory, scratch, tokens, visible, resumed, self.rows.budget)
    }

    fn close(&mut self) -> bool {
        let (words, resumed) = (self.words(), self.run.place.resumed);
        let [memory, scratch] = self.run.plan.take(self.run.memory, [Name::Memory, Name::Scratch]);
        let of_head = memory.get_mut(words.clone()).unwrap_or_default();
        let done = (self.life.close)(&self.head, of_head, scratch, resumed, self.rows.budget);
        if done && W::PASSES {
            // What answers need moves beside that of the heads before.
            let to = self.of_heads.start + self.head.index * self.run.plan.parts().closed;
            move_down(memory, words.start, to, closed(self.head.kind, self.head.width));
        }
        done
    }

    /// A tile of queries becomes what it attends to.
    #[inline(never)]
    fn answer(&mut self) -> bool {
        let (tokens, words, width) = (self.tile().0, self.words(), self.head.width);
        let mut progress = self.run.place.answers;
        let absorbs = self.run.place.sweep == Sweep::Both;
        let visible = if absorbs { self.run.visible(tokens.clone()) } else { 0 };
        let backwards = self.run.place.backwards(self.run.course);
        let of_last = self.run.place.is_last_group(self.run.course);
        let (at, stride) = if of_last {
            (self.head.index * width, self.rows.attention_width)
        } else {
            (self.slot().start, width)
        };
        let length = at + (tokens.len() - 1) * stride + width;
        let names = [Name::Memory, if of_last { Name::Joined } else { Name::Attended }, Name::Scratch];
        let [memory, rows, scratch] = self.run.plan.take(self.run.memory, names);
        let rows = i16s_in(rows, at..length);
        let memory = memory.get_mut(words).unwrap_or_default();
        let answers = Answers { tokens, rows, stride, backwards, absorbs, visible };
        let done = (self.life.answer)(&self.head, memory, scratch, answers, &mut progress, self.rows.budget);
        self.run.place.answers = progress;
        done
    }

    /// The heads of a tile meet and are added to the residual.
    #[inline(never)]
    fn join(&mut self) {
        let ((tokens, elements), frac) = (self.tile(), self.run.fracs[0]);
        let (width, group, all) = (self.head.width, self.run.place.group, self.run.course.tokens);
        let names = [Name::Residual, Name::Attended, Name::Joined, Name::Change];
        let [residual, attended, joined, change] = self.run.plan.take(self.run.memory, names);
        let attention_width = self.rows.attention_width;
        let joined = i16s_in(joined, 0..tokens.len() * attention_width);
        for head in 0..group {
            let first = (head * all + tokens.start) * width;
            let rows = i16s_in(attended, 0..first + tokens.len() * width).get(first..).unwrap_or_default();
            put_head(joined, attention_width, head, rows, width);
        }
        let change = i16s_in(change, 0..elements.len());
        let rows = i16s_in(residual, elements);
        self.rows.attended(tokens.start, joined, frac, change, rows);
    }

    #[inline(never)]
    fn expand(&mut self) {
        let (tokens, elements) = self.tile();
        let hidden_width = self.rows.block.feed_forward.expand.outputs;
        let [residual, normed, hidden] =
            self.run.plan.take(self.run.memory, [Name::Residual, Name::Input, Name::Hidden]);
        let (normed, hidden) =
            (i16s_in(normed, 0..elements.len()), i16s_in(hidden, 0..tokens.len() * hidden_width));
        let rows = i16s_in(residual, elements);
        self.rows.expand(tokens.start, rows, normed, hidden);
    }

    fn activate(&mut self) {
        let (tokens, _) = self.tile();
        let [hidden] = self.run.plan.take(self.run.memory, [Name::Hidden]);
        let hidden = i16s_in(hidden, 0..tokens.len() * self.rows.block.feed_forward.expand.outputs);
        self.rows.activate(tokens.start, hidden);
    }

    #[inline(never)]
    fn contract(&mut self) {
        let (tokens, elements) = self.tile();
        let (block, [first, second]) = (self.rows.block, self.rows.block.attended(self.run.fracs));
        let (name, frac) = match block.order {
            NormOrder::Reversible => (Name::Second, second),
            NormOrder::Pre | NormOrder::Post => (Name::Residual, first),
        };
        let [residual, change, hidden] =
            self.run.plan.take(self.run.memory, [name, Name::Output, Name::Hidden]);
        let hidden = i16s_in(hidden, 0..tokens.len() * block.feed_forward.expand.outputs);
        let change = i16s_in(change, 0..elements.len());
        let rows = i16s_in(residual, elements);
        self.rows.fed(tokens.start, hidden, frac, change, rows);
    }
}
