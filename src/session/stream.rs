//! A stream: a token at a time, in memory that does not depend on what has passed.

use super::order::Place;
use super::plan::Name;
use super::running::{Running, scores};
use super::unstreamable::StreamError;
use super::{ArenaError, Embedded, Links, Plan, Scores, Session, Streamed, blocks, gap};
use crate::attention::Budget;
use crate::layers::{InputError, embed};
use crate::memory::{Owner, Words, i16s_in, i32s_mut, move_down};
use crate::model::Model;
use crate::trace::Trace;

/// A causal model that takes one step of samples, or one token, at a time.
///
/// After every token its scores are those of the model on the whole sequence so far, bit by bit, and what it needs for a
/// token does not depend on how many there were.
///
/// ```
/// use fixformer::{Arena, Streamed};
///
/// fixformer::model! {
///     struct Needle = concat!(env!("CARGO_MANIFEST_DIR"), "/models/zoo/needle-hierarchical.fxm")
/// }
/// static STREAM: Arena<Needle, Streamed> = Arena::new(); // does not compile for a model that cannot stream
///
/// let mut stream = STREAM.take()?;
/// for symbol in (0..64).map(|step| step * 7 % 10) {
///     if let Some(scores) = stream.push(&[symbol])? {
///         println!("class {}", scores.best());
///     }
/// }
/// assert_eq!(stream.tokens(), 4);
/// # Ok::<(), Box<dyn core::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Stream<'a>(Session<'a>);

/// What a stream remembers of its place, a word each.
#[derive(Clone, Copy)]
enum At {
    /// Tokens that are complete.
    Tokens,
    /// Those of them that are pooled: of the window, where pooling has one.
    Pooled,
    /// Steps that wait for the rest of their window.
    Filled,
    /// Steps to come before the next window begins.
    Gap,
    /// Steps of the window up to the last one that is missing.
    Missing,
    /// Values that were outside the range of the model.
    Saturated,
}

impl<'a> Stream<'a> {
    /// Runs `model` in `memory`, which must have the words of [`Plan::of_stream`] and need not be cleared.
    ///
    /// # Errors
    /// [`StreamError`]: the model cannot run as a stream, and why; or the words needed.
    pub fn new(model: Model<'a>, memory: &'a mut [u32]) -> Result<Self, StreamError> {
        let plan = Plan::of_stream(&model)?;
        if !plan.fits(memory.len()) {
            let error = ArenaError::TooSmall { found: memory.len(), needed: plan.words() };
            return Err(StreamError::Arena(error));
        }
        let links = const { &Links::all() };
        let mut stream = Self(Session { model, plan, links, visit: blocks::read, memory });
        stream.reset();
        Ok(stream)
    }

    /// The stream of an embedded model: its memory has the right size, its links are known.
    pub(super) fn embedded<M: Embedded>(
        memory: &'static mut <M as Owner<Streamed>>::Memory,
    ) -> Stream<'static> {
        let plan = const {
            match Plan::of_stream(&M::MODEL) {
                Ok(plan) => {
                    let words = <M as Owner<Streamed>>::Memory::LENGTH;
                    assert!(plan.fits(words), "the memory is smaller than the plan");
                    plan
                }
                Err(StreamError::Unstreamable(reason)) => panic!("{}", reason.message()),
                Err(StreamError::Arena(_)) => panic!("there is no plan"),
            }
        };
        let links = const { &M::LINKS };
        let visit = blocks::placed::<M>;
        let mut stream = Stream(Session { model: M::MODEL, plan, links, visit, memory: memory.words() });
        stream.reset();
        stream
    }

    /// The model.
    pub fn model(&self) -> &Model<'a> {
        &self.0.model
    }

    /// How its memory is laid out.
    pub fn plan(&self) -> &Plan {
        &self.0.plan
    }

    /// Tokens that are complete.
    pub fn tokens(&self) -> usize {
        self.at(At::Tokens)
    }

    /// Most tokens until [`Stream::reset`]: the model's maximum where attention is exact or positions are learned, its
    /// horizon where attention is hierarchical, 2^31 - 1 otherwise.
    pub fn limit(&self) -> usize {
        self.0.plan.tokens()
    }

    /// Forgets everything.
    pub fn reset(&mut self) {
        self.state_mut().fill(0);
    }

    /// Takes one step of samples, a value for each channel, one symbol or one token id. Where a token is complete, gives
    /// the scores of all tokens so far, unless none of them counts; where pooling has a [window], unless none of those in the
    /// window does; where every token has scores of its own, those of this one.
    ///
    /// [window]: crate::model::PoolingWindow
    ///
    /// # Errors
    /// [`InputError`]: the wrong number of values, an unknown token, or a stream at its [limit](Stream::limit). The stream is
    /// as it was.
    pub fn push(&mut self, step: &[i16]) -> Result<Option<Scores<'_>>, InputError> {
        self.push_traced(step, &mut ())
    }

    /// [`Stream::push`], showing every tensor of a token to `trace`.
    ///
    /// # Errors
    /// As [`Stream::push`].
    pub fn push_traced(
        &mut self,
        step: &[i16],
        trace: &mut impl Trace,
    ) -> Result<Option<Scores<'_>>, InputError> {
        let channels = self.0.model.input.step_values();
        if step.len() != channels {
            return Err(InputError::Channels { found: step.len(), channels });
        }
        embed::check_ids(&self.0.model, step, 0..step.len())?;
        self.has_room()?;
        if self.collect(Some(step)) {
            self.token(trace)?;
            return Ok(self.scores());
        }
        Ok(None)
    }

    /// Notes that some steps are missing: tokens that they are part of are masked, neither attended to nor pooled, and the
    /// position goes on.
    ///
    /// # Errors
    /// [`InputError::TooLong`] at the stream's [limit](Stream::limit); steps up to there are noted.
    pub fn skip(&mut self, steps: usize) -> Result<(), InputError> {
        for _ in 0..steps {
            self.has_room()?;
            if self.collect(None) {
                self.token(&mut ())?;
            }
        }
        Ok(())
    }

    /// The scores of all tokens so far; `None` before the first one that counts, and where none of those that are pooled
    /// does. Where every token has scores of its own, those of the newest; `None` where it does not count.
    pub fn scores(&mut self) -> Option<Scores<'_>> {
        if self.at(At::Pooled) == 0 {
            return None;
        }
        let saturated = self.at(At::Saturated) as u32;
        let Session { model, plan, memory, .. } = &mut self.0;
        Some(scores(model, plan, memory, 1, saturated))
    }

    /// The arena, for a look at what is needed of it.
    #[doc(hidden)]
    pub fn memory_mut(&mut self) -> &mut [u32] {
        self.0.memory
    }

    fn has_room(&self) -> Result<(), InputError> {
        let max = self.limit();
        if self.tokens() < max { Ok(()) } else { Err(InputError::TooLong { tokens: self.tokens() + 1, max }) }
    }

    /// Puts a step, or that it is missing, where the window waits; whether the window is full.
    fn collect(&mut self, step: Option<&[i16]>) -> bool {
        let gap = self.at(At::Gap);
        if gap > 0 {
            self.put(At::Gap, gap - 1);
            return false;
        }
        let (values, filled) = (self.0.model.input.step_values(), self.at(At::Filled));
        let [samples] = self.0.plan.take(self.0.memory, [Name::Samples]);
        let place = i16s_in(samples, filled * values..(filled + 1) * values);
        match step {
            Some(step) => place.iter_mut().zip(step).for_each(|(place, &value)| *place = value),
            None => place.fill(0),
        }
        if step.is_none() {
            self.put(At::Missing, filled + 1);
        }
        self.put(At::Filled, filled + 1);
        filled + 1 == self.0.model.input.window().width
    }

    /// Takes the token of a full window through the model, and moves the window on.
    fn token(&mut self, trace: &mut impl Trace) -> Result<(), InputError> {
        let (token, pooled) = (self.at(At::Tokens), self.at(At::Pooled));
        let seen = [self.at(At::Missing) == 0];
        let frac = self.embed(token, seen, trace);
        let mut running = Running::<Streamed>::of_token(&mut self.0, token, &seen, frac, pooled);
        if !seen[0] {
            gap::pass_blocks(&mut running);
            running.place = Place::of_passed(token);
        }
        while running.advance(&mut Budget::UNLIMITED.clone(), trace)?.is_pending() {}
        let pooled = running.pooled;
        self.put(At::Pooled, pooled);
        self.put(At::Tokens, token + 1);

        let (window, values) = (self.0.model.input.window(), self.0.model.input.step_values());
        let kept = window.width.saturating_sub(window.stride);
        let [samples] = self.0.plan.take(self.0.memory, [Name::Samples]);
        let samples = i16s_in(samples, 0..window.width * values);
        move_down(samples, window.stride * values, 0, kept * values);
        self.put(At::Filled, kept);
        self.put(At::Gap, window.stride.saturating_sub(window.width));
        self.put(At::Missing, self.at(At::Missing).saturating_sub(window.stride));
        Ok(())
    }

    /// What is kept from token to token.
    pub(super) fn state(&self) -> &[u32] {
        self.0.memory.get(self.0.plan.state()).unwrap_or_default()
    }

    pub(super) fn state_mut(&mut self) -> &mut [u32] {
        self.0.memory.get_mut(self.0.plan.state()).unwrap_or_default()
    }

    /// Makes a row of the window; returns its fractional bits.
    fn embed(&mut self, token: usize, seen: [bool; 1], trace: &mut impl Trace) -> i32 {
        let Session { model, plan, links, memory, .. } = &mut self.0;
        let names =
            [Name::Residual, Name::Second, Name::Samples, Name::Statistics, Name::Windows, Name::Normed];
        let [residual, second, samples, statistics, windows, work] = plan.take(memory, names);
        let row = i16s_in(residual, 0..model.width);
        let mut saturated = 0;
        let buffers = embed::Work {
            rare: &links.rare,
            statistics: i32s_mut(statistics),
            windows: i16s_in(windows, 0..model.input.stem_inputs()),
            rows: i16s_in(work, 0..model.width),
            saturated: &mut saturated,
        };
        let samples = i16s_in(samples, 0..model.input.window_values());
        let frac = embed::embed(model, samples, token, seen[0].into(), buffers, row, trace);
        let copy = i16s_in(second, 0..model.width);
        copy.iter_mut().zip(row.iter()).for_each(|(copy, &x)| *copy = x);
        let total = (self.at(At::Saturated) as u32).saturating_add(saturated);
        self.put(At::Saturated, total as usize);
        frac
    }

    fn position(&self) -> &[u32] {
        self.0.plan.view(self.0.memory, Name::Position)
    }

    fn at(&self, at: At) -> usize {
        self.position().get(at as usize).copied().unwrap_or_default() as usize
    }

    fn put(&mut self, at: At, value: usize) {
        let [position] = self.0.plan.take(self.0.memory, [Name::Position]);
        if let Some(word) = position.get_mut(at as usize) {
            *word = value as u32;
        }
    }
}
