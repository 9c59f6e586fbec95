//! A run on its way.

use core::marker::PhantomData;
use core::ops::Range;
use core::task::Poll;

use super::blocks::{Position, Visit};
use super::needs::ENDLESS;
use super::order::{Course, Place, Task};
use super::plan::{Name, Plan};
use super::{Links, Manner, Scores, Session, Stage, Whole, around, whole};
use crate::attention::{Budget, Order, ROW_TILE, Way};
use crate::layers::{InputError, embed};
use crate::memory::i16s_mut;
use crate::model::Model;
use crate::trace::Trace;

/// Work of a step.
pub(super) const STEP: usize = 7_000;

/// A run of a session, done in steps. The session waits for it, so that no second one can begin.
#[derive(Debug)]
pub struct Running<'s, W = Whole> {
    pub(super) model: &'s Model<'s>,
    pub(super) plan: &'s Plan,
    pub(super) links: &'static Links,
    pub(super) visit: Visit,
    position: Position<'s>,
    pub(super) memory: &'s mut [u32],
    pub(super) input: &'s [i16],
    /// Which tokens of the input count, from `origin` on.
    pub(super) mask: Option<&'s [bool]>,
    pub(super) origin: usize,
    pub(super) course: Course,
    pub(super) place: Place,
    /// Fractional bits of the residuals before the block at work.
    pub(super) fracs: [i32; 2],
    /// Tokens that were pooled.
    pub(super) pooled: usize,
    /// Values of the recording that are outside the range of the model.
    pub(super) saturated: u32,
    /// In passes: which tokens of the tile count.
    pub(super) seen: u32,
    pub(super) manner: PhantomData<W>,
}

impl<'s, W: Manner> Running<'s, W> {
    /// A run of a whole recording.
    pub(super) fn new(
        session: &'s mut Session<'_>,
        input: &'s [i16],
        mask: Option<&'s [bool]>,
    ) -> Result<Self, InputError> {
        let tokens = embed::check(&session.model, input.len(), session.model.max_tokens)?;
        let of_input = tokens - session.model.tokens_before();
        if let Some(mask) = mask
            && mask.len() != of_input
        {
            return Err(InputError::MaskLength { found: mask.len(), tokens: of_input });
        }
        let span = if session.plan.is_tile_by_tile() { ROW_TILE } else { tokens };
        Ok(Self { input, mask, ..Self::of(session, tokens, span) })
    }

    /// The run of one token of a stream, the row of which is embedded; before it, `pooled` tokens were pooled.
    pub(super) fn of_token(
        session: &'s mut Session<'_>,
        token: usize,
        seen: &'s [bool],
        frac: i32,
        pooled: usize,
    ) -> Self {
        let (place, capacity) = (Place::of_token(token), session.model.max_tokens);
        let mut run = Self::of(session, token + 1, 1);
        run.course.capacity = capacity;
        Self { mask: Some(seen), origin: token, place, fracs: [frac; 2], pooled, ..run }
    }

    /// The run of a recording of `tokens` tokens in passes: what it needs of it is there after each [`Running::waits`].
    pub(super) fn in_passes(session: &'s mut Session<'_>, tokens: usize) -> Self {
        let mut run = Self::of(session, tokens, ROW_TILE);
        run.course.capacity = ENDLESS;
        Self { place: Place { task: Task::Measure, ..Place::start() }, ..run }
    }

    fn of(session: &'s mut Session<'_>, tokens: usize, span: usize) -> Self {
        let Session { model, plan, links, visit, memory } = session;
        let (heads, blocks, order) = (model.heads, model.block_count, Order::KeysFirst);
        Self {
            model,
            plan,
            links,
            visit: *visit,
            position: Position::default(),
            memory,
            input: &[],
            mask: None,
            origin: 0,
            course: Course {
                tokens,
                capacity: tokens,
                span,
                heads,
                blocks,
                order,
                side_by_side: false,
                open: None,
            },
            place: Place::start(),
            fracs: [0; 2],
            pooled: 0,
            saturated: 0,
            seen: 0,
            manner: PhantomData,
        }
    }

    /// Does a piece of the work, of a size that does not depend on the length of the sequence. The results are those of
    /// [`super::Session::run`], bit by bit.
    ///
    /// # Errors
    /// [`InputError`] in one of the first steps if the recording has a value that the model does not know, or its mask
    /// hides every token. The session stays usable.
    pub fn step(&mut self) -> Result<Poll<()>, InputError> {
        self.advance(&mut Budget::new(STEP), &mut ())
    }

    /// What the next step does.
    pub fn stage(&self) -> Stage {
        self.place.task.stage()
    }

    /// The block at work, if the next step is part of one.
    pub fn block(&self) -> Option<usize> {
        self.place.task.is_of_block().then_some(self.place.block)
    }

    /// The scores, once a step was [`Poll::Ready`].
    pub fn scores(self) -> Option<Scores<'s>> {
        let (tokens, saturated) = self.said();
        (self.place.task == Task::Done).then(|| scores(self.model, self.plan, self.memory, tokens, saturated))
    }

    /// How many tokens have scores, and the values that were outside the range.
    pub(super) fn said(&self) -> (usize, u32) {
        (if self.model.is_per_token() { self.course.tokens } else { 1 }, self.saturated)
    }

    /// The arena, for a look at what is needed of it.
    #[doc(hidden)]
    pub fn memory_mut(&mut self) -> &mut [u32] {
        self.memory
    }

    /// Works until the budget is spent.
    #[doc(hidden)]
    pub fn advance(&mut self, budget: &mut Budget, trace: &mut impl Trace) -> Result<Poll<()>, InputError> {
        while self.place.task != Task::Done {
            if self.waits() {
                return Ok(Poll::Pending);
            }
            let mut pauses = false;
            if self.place.task.is_of_block() {
                let (visit, model, mut position) = (self.visit, self.model, self.position);
                let index = self.place.block;
                visit(model, &mut position, index, &mut |block| {
                    pauses = whole::block(self, block, budget, trace)
                });
                self.position = position;
            } else {
                let done = around::around_blocks(self, budget, trace)?;
                pauses = self.moves_on(done, *budget);
            }
            if pauses && self.place.task != Task::Done {
                return Ok(Poll::Pending);
            }
        }
        Ok(Poll::Ready(()))
    }

    /// Moves on where the task at work is `done`; whether it is time for a pause.
    #[inline(never)]
    pub(super) fn moves_on(&mut self, done: bool, budget: Budget) -> bool {
        let before = self.stage();
        self.place.resumed = true;
        if done {
            self.place.advance::<W>(self.course);
        }
        budget.is_over(self.stage() != before)
    }

    /// In passes: whether it waits for a part of the recording.
    pub(super) fn waits(&self) -> bool {
        let asks = matches!(self.place.task, Task::Measure | Task::Embed | Task::Turn);
        W::PASSES && asks && !self.place.resumed
    }

    /// In passes: the recording begins anew for the next block that takes in its keys before its queries, or for the last
    /// time.
    pub(super) fn turn(&mut self) {
        let (visit, model) = (self.visit, self.model);
        let mut open = self.course.open.map_or(0, |open| open + 1);
        let mut found = false;
        while open < self.course.blocks && !found {
            visit(model, &mut Position::default(), open, &mut |block| {
                let attention = &block.attention;
                found = Way::of(&attention.kind, attention.causal).order == Order::KeysFirst;
            });
            open += usize::from(!found);
        }
        self.course.open = Some(open);
        self.place = Place { task: Task::Turn, ..Place::start() };
        self.place.advance::<W>(self.course);
    }

    /// First row in the residuals of a token.
    pub(super) fn residual_row(&self, token: usize) -> usize {
        if self.plan.is_tile_by_tile() { token - self.place.span } else { token }
    }

    /// Which of some tokens count.
    #[inline(never)]
    pub(super) fn visible(&self, tokens: Range<usize>) -> u32 {
        if W::PASSES {
            return self.seen >> (tokens.start - self.place.span);
        }
        let before = self.model.tokens_before();
        // A class token, at the front, counts always: it has no flag.
        let sees = |token: usize| match token.checked_sub(before + self.origin) {
            Some(flag) => self.mask.is_none_or(|mask| mask.get(flag).copied().unwrap_or_default()),
            None => true,
        };
        tokens.rev().fold(0, |bits, token| bits << 1 | u32::from(sees(token)))
    }
}

/// The scores of the last run, of so many tokens or of all together.
pub(super) fn scores<'s>(
    model: &'s Model<'_>,
    plan: &Plan,
    memory: &'s mut [u32],
    tokens: usize,
    saturated: u32,
) -> Scores<'s> {
    let [scores] = plan.take(memory, [Name::Scores]);
    let raw = i16s_mut(scores, tokens * model.outputs());
    Scores { raw, frac: model.head.frac, saturated, answers: &model.answers }
}
