//! A model over a recording that fits no memory: once a layer, and once more.

use core::fmt;
use core::task::Poll;

use super::around::{self, nothing_counts};
use super::impassable::PassesError;
use super::order::Task;
use super::plan::Name;
use super::recording::Recording;
use super::running::{Running, STEP, scores};
use super::{ArenaError, Embedded, InPasses, Links, Plan, Scores, Session, blocks};
use crate::attention::{Budget, ROW_TILE};
use crate::layers::{InputError, embed, statistics};
use crate::memory::{Owner, Words, i16s_in, i32s_mut, move_down};
use crate::model::Model;

/// A model of bidirectional FAVOR+ layers that reads a recording again and again, in memory that does not depend on its
/// length.
///
/// A query of such a layer needs the sums over all keys, but no key. So the first pass over the recording makes the sums of the
/// first layer; the second one takes every tile of tokens through the first layer again, now to its end, and makes the sums of
/// the second; the last one pools. Causal layers that keep nothing of the length may stand between them and ask for no pass.
/// Where a channel is centred or standardized, one or two passes over the samples alone come before.
///
/// **What it costs.** With `l` layers a recording is read `l + 1` times. A layer takes in its keys once, as in
/// [`Session::run`], but answers and feeds its rows in every pass after that: `l (l + 1) / 2` layers instead of `l`, half as much
/// again with two layers, twice as much with three. `fixformer fit` estimates both beside the RAM.
///
/// The scores are those of [`Session::run`], bit by bit.
///
/// ```
/// use fixformer::{Arena, InPasses};
///
/// fixformer::model! { struct Ecg = concat!(env!("CARGO_MANIFEST_DIR"), "/models/zoo/ecg5000-favor.fxm") }
/// static PASSES: Arena<Ecg, InPasses> = Arena::new(); // does not compile for a model that cannot run in passes
///
/// static FLASH: [i16; 140] = [0; 140];
/// let mut passes = PASSES.take()?;
/// let scores = passes.run(&mut &FLASH[..])?; // or whatever is a `Recording`
/// assert!(scores.best() < Ecg::CLASSES);
/// # Ok::<(), Box<dyn core::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Passes<'a>(Session<'a>);

impl<'a> Passes<'a> {
    /// Runs `model` in `memory`, which must have the words of [`Plan::of_passes`] and need not be cleared.
    ///
    /// # Errors
    /// [`PassesError`]: the model cannot run in passes, and why; or the words needed.
    pub fn new(model: Model<'a>, memory: &'a mut [u32]) -> Result<Self, PassesError> {
        let plan = Plan::of_passes(&model)?;
        if !plan.fits(memory.len()) {
            let error = ArenaError::TooSmall { found: memory.len(), needed: plan.words() };
            return Err(PassesError::Arena(error));
        }
        let links = const { &Links::all() };
        Ok(Self(Session { model, plan, links, visit: blocks::read, memory }))
    }

    /// That of an embedded model: its memory has the right size, its links are known.
    pub(super) fn embedded<M: Embedded>(
        memory: &'static mut <M as Owner<InPasses>>::Memory,
    ) -> Passes<'static> {
        let plan = const {
            match Plan::of_passes(&M::MODEL) {
                Ok(plan) => {
                    let words = <M as Owner<InPasses>>::Memory::LENGTH;
                    assert!(plan.fits(words), "the memory is smaller than the plan");
                    plan
                }
                Err(PassesError::Impassable(reason)) => panic!("{}", reason.message()),
                Err(PassesError::Arena(_)) => panic!("there is no plan"),
            }
        };
        let links = const { &M::LINKS };
        let visit = blocks::placed::<M>;
        Passes(Session { model: M::MODEL, plan, links, visit, memory: memory.words() })
    }

    /// The model.
    pub fn model(&self) -> &Model<'a> {
        &self.0.model
    }

    /// How its memory is laid out.
    pub fn plan(&self) -> &Plan {
        &self.0.plan
    }

    /// Most tokens of a recording: 1,048,576; the model's maximum where positions are learned; as many as 262,144 steps make
    /// where samples are standardized.
    pub fn limit(&self) -> usize {
        self.0.plan.tokens()
    }

    /// Classifies one recording, of any length up to the [limit](Passes::limit).
    ///
    /// # Errors
    /// [`PassError`]: the recording could not be read, or the model cannot take it. The next run begins anew.
    // Here and below: what is not inlined does not lie on the stack beside what runs deeper.
    #[inline(never)]
    pub fn run<R: Recording>(&mut self, recording: &mut R) -> Result<Scores<'_>, PassError<R::Error>> {
        let saturated = {
            let mut passing = self.start(recording)?;
            while passing.advance(&mut Budget::UNLIMITED.clone())?.is_pending() {}
            passing.running.saturated
        };
        let Session { model, plan, memory, .. } = &mut self.0;
        Ok(scores(model, plan, memory, 1, saturated))
    }

    /// Begins a run that is done in steps of bounded work, with other work between them.
    ///
    /// # Errors
    /// [`PassError`]: its length could not be read, or the model cannot take so many values.
    pub fn start<'s, R: Recording>(
        &'s mut self,
        recording: &'s mut R,
    ) -> Result<Passing<'s, R>, PassError<R::Error>> {
        let values = recording.values().map_err(PassError::Recording)?;
        let tokens = embed::check(&self.0.model, values, self.limit()).map_err(PassError::Input)?;
        let running = Running::in_passes(&mut self.0, tokens);
        Ok(Passing { running, recording, values, measured: 0, front: 0, pass: 0 })
    }
}

/// A run in passes on its way.
#[derive(Debug)]
pub struct Passing<'s, R> {
    running: Running<'s, InPasses>,
    recording: &'s mut R,
    /// Values of the recording.
    values: usize,
    /// How often the samples were measured.
    measured: usize,
    /// Token with which the samples in memory begin.
    front: usize,
    /// The pass at work, from 1; 0 while samples are measured.
    pass: usize,
}

impl<'s, R: Recording> Passing<'s, R> {
    /// Does a piece of the work, of a size that does not depend on the length of the recording. The results are those of
    /// [`Passes::run`], bit by bit.
    ///
    /// # Errors
    /// [`PassError`]: the recording could not be read, or has a value that the model does not know, or every token of it is
    /// masked. Called again it goes on where it was.
    pub fn step(&mut self) -> Result<Poll<()>, PassError<R::Error>> {
        self.advance(&mut Budget::new(STEP))
    }

    /// Which pass it is, from 1; 0 while samples are measured.
    pub fn pass(&self) -> usize {
        self.pass
    }

    /// Tokens of this pass that are done.
    pub fn tokens(&self) -> usize {
        self.running.place.span
    }

    /// The scores, once a step was [`Poll::Ready`].
    pub fn scores(self) -> Option<Scores<'s>> {
        self.running.scores()
    }

    /// The arena, for a look at what is needed of it.
    #[doc(hidden)]
    pub fn memory_mut(&mut self) -> &mut [u32] {
        self.running.memory_mut()
    }

    /// Works until the budget is spent.
    #[doc(hidden)]
    pub fn advance(&mut self, budget: &mut Budget) -> Result<Poll<()>, PassError<R::Error>> {
        loop {
            if self.running.waits() {
                match self.running.place.task {
                    Task::Measure => self.measure(budget)?,
                    Task::Turn => self.turn(),
                    _ => self.load(budget)?,
                }
                if budget.is_spent() {
                    return Ok(Poll::Pending);
                }
            } else if self.running.advance(budget, &mut ()).map_err(PassError::Input)?.is_ready() {
                // There are scores only of tokens that count.
                return if self.running.pooled > 0 {
                    Ok(Poll::Ready(()))
                } else {
                    Err(PassError::Input(nothing_counts(around::first_pooled(&self.running))))
                };
            } else if !self.running.waits() {
                return Ok(Poll::Pending);
            }
        }
    }

    /// The recording begins anew.
    fn turn(&mut self) {
        self.pass += 1;
        // They are counted in every pass.
        self.running.saturated = 0;
        let Running { model, plan, memory, .. } = &mut self.running;
        if model.input.is_running() {
            let [of_channels] = plan.take(memory, [Name::Statistics]);
            of_channels.fill(0);
        }
        self.running.turn();
    }

    /// Takes some samples into the statistics of their channels.
    #[inline(never)]
    fn measure(&mut self, budget: &mut Budget) -> Result<(), PassError<R::Error>> {
        let Self { running: run, recording, values, measured, .. } = self;
        let (input, first) = (&run.model.input, run.place.row);
        let [samples, of_channels] = run.plan.take(run.memory, [Name::Samples, Name::Statistics]);
        let (count, of_channels) = (input.values_of(ROW_TILE).min(*values - first), i32s_mut(of_channels));
        if *measured == 0 && first == 0 {
            of_channels.fill(0);
        }
        let passes = statistics::passes(run.model);
        let Some(measure) = run.links.rare.measure.filter(|_| *measured < passes) else {
            run.place.task = Task::Turn;
            return Ok(());
        };
        let samples = i16s_in(samples, 0..count);
        recording.read(first, samples).map_err(PassError::Recording)?;
        measure(run.model, samples, *measured, (first..first + count, *values), of_channels);
        run.place.row += count;
        if run.place.row == *values {
            (*measured, run.place.row) = (*measured + 1, 0);
        }
        budget.charge(40 * count);
        Ok(())
    }

    /// Brings the values of a tile; of windows that overlap, some are there.
    #[inline(never)]
    fn load(&mut self, budget: &mut Budget) -> Result<(), PassError<R::Error>> {
        let Self { running: run, recording, front, .. } = self;
        let (model, tokens) = (run.model, run.place.span..run.place.tile_end(run.course));
        let (input, of_token) = (&model.input, model.input.token_values());
        let overlap = if tokens.start == 0 { 0 } else { input.window_values().saturating_sub(of_token) };
        let [samples] = run.plan.take(run.memory, [Name::Samples]);
        let samples = i16s_in(samples, 0..input.values_of(ROW_TILE));
        run.seen = 0;
        for (bit, token) in tokens.clone().enumerate() {
            run.seen |= u32::from(recording.counts(token).map_err(PassError::Recording)?) << bit;
        }
        // Once, also where reading fails and is tried again.
        if *front != tokens.start {
            move_down(samples, ROW_TILE * of_token, 0, overlap);
            *front = tokens.start;
        }
        let first = tokens.start * of_token + overlap;
        let fresh = samples.get_mut(overlap..input.values_of(tokens.len())).unwrap_or_default();
        recording.read(first, fresh).map_err(PassError::Recording)?;
        embed::check_ids(model, fresh, 0..fresh.len()).map_err(|error| {
            PassError::Input(match error {
                InputError::Token { position, found, last } => {
                    InputError::Token { position: first + position, found, last }
                }
                other => other,
            })
        })?;
        budget.charge(20 * fresh.len());
        (run.place.row, run.place.resumed) = (run.place.tile, true);
        Ok(())
    }
}

/// Why a recording was not classified in passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum PassError<E> {
    /// It could not be read.
    Recording(E),
    /// The model cannot take it.
    Input(InputError),
}

impl<E: fmt::Debug + fmt::Display> core::error::Error for PassError<E> {}

impl<E: fmt::Display> fmt::Display for PassError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Recording(error) => error.fmt(f),
            Self::Input(error) => error.fmt(f),
        }
    }
}
