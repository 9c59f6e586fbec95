//! The engine on a host: a model with memory of its own, for one recording at a time or for many on every core.

use std::vec;
use std::vec::Vec;

use super::judge::Judge;
use super::parallel;
use crate::model::Model;
use crate::session::{
    InputError, PassError, Passes, PassesError, Plan, Scores, Session, Stream, StreamError,
};

/// A model and the memory that it works in.
#[derive(Clone, Debug)]
pub struct Engine<'m> {
    model: Model<'m>,
    memory: Vec<u32>,
}

impl<'m> Engine<'m> {
    /// The engine of `model`, with as much memory as its plan asks for.
    pub fn new(model: Model<'m>) -> Self {
        Self { model, memory: vec![0; Plan::of(&model).words()] }
    }

    /// The session that runs the model in this memory.
    pub fn session(&mut self) -> Session<'_> {
        let Ok(session) = Session::new(self.model, &mut self.memory) else {
            unreachable!("the memory is as large as the plan");
        };
        session
    }
}

/// Runs a model over many recordings. Whatever does it, the scores are the same bits.
pub trait Runner {
    /// Runs `recordings`, raw values each, and makes `scores` theirs: `[recordings, outputs]`, integers with the fractional bits
    /// of the model's head, or those of their tokens one after the other where each has scores of its own.
    ///
    /// # Errors
    /// [`RowError`] names the first recording that the model cannot take; then `scores` stay as they are.
    fn run(&mut self, recordings: &[&[i16]], scores: &mut Vec<i16>) -> Result<(), RowError>;

    /// How many values of each recording of the last run were beyond the range that calibration has seen; empty if that is
    /// not counted.
    fn saturated(&self) -> &[u32] {
        &[]
    }
}

/// A recording that the model cannot take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("row {row}: {problem}")]
pub struct RowError {
    /// Its index.
    pub row: usize,
    /// What is wrong with it.
    pub problem: InputError,
}

/// The [`Runner`] that shares the recordings among the cores of the host.
#[derive(Clone)]
pub struct Cores<'m> {
    model: Model<'m>,
    progress: &'m (dyn Fn() + Sync),
    saturated: Vec<u32>,
}

impl<'m> Cores<'m> {
    /// Runs `model`, and calls `progress` after every recording, from several threads.
    pub fn new(model: Model<'m>, progress: &'m (dyn Fn() + Sync)) -> Self {
        Self { model, progress, saturated: Vec::new() }
    }
}

impl Runner for Cores<'_> {
    fn run(&mut self, recordings: &[&[i16]], scores: &mut Vec<i16>) -> Result<(), RowError> {
        let shares = parallel::shares(recordings, |first, recordings| {
            let mut engine = Engine::new(self.model);
            let mut session = engine.session();
            let one = |(index, recording): (usize, &&[i16])| {
                let found = session.run(recording);
                (self.progress)();
                found.map(|found| Ran::of(&found)).map_err(|problem| RowError { row: first + index, problem })
            };
            recordings.iter().enumerate().map(one).collect()
        });
        self.saturated = Ran::join(shares, scores)?;
        Ok(())
    }

    fn saturated(&self) -> &[u32] {
        &self.saturated
    }
}

/// What a recording gave.
struct Ran {
    scores: Vec<i16>,
    saturated: u32,
}

impl Ran {
    fn of(scores: &Scores<'_>) -> Self {
        Self { scores: scores.raw().to_vec(), saturated: scores.saturated() }
    }

    /// All scores, and what was saturated in each recording. In row order, so that the first error is the first row's.
    fn join(shares: Vec<Result<Vec<Self>, RowError>>, scores: &mut Vec<i16>) -> Result<Vec<u32>, RowError> {
        let all = shares.into_iter().collect::<Result<Vec<_>, _>>()?;
        let (found, saturated): (Vec<_>, Vec<_>) =
            all.into_iter().flatten().map(|ran| (ran.scores, ran.saturated)).unzip();
        *scores = found.concat();
        Ok(saturated)
    }
}

/// The [`Runner`] that pushes the recordings step by step through a [`Stream`] that begins anew for each. They may be
/// longer than the model's maximum.
#[derive(Clone)]
pub struct Streams<'m> {
    model: Model<'m>,
    progress: &'m (dyn Fn() + Sync),
    judge: Judge,
    decided: Vec<Decided>,
    saturated: Vec<u32>,
}

/// When a stream decided what it said at the end of a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decided {
    /// Token from which on the class was that of the end, counted from 1.
    pub token: usize,
    /// Tokens of the recording.
    pub tokens: usize,
}

impl<'m> Streams<'m> {
    /// Runs `model`, which answers as `judge` has it, and calls `progress` after every recording, from several threads.
    ///
    /// # Errors
    /// [`StreamError`] if the model cannot run as a stream.
    pub fn new(model: Model<'m>, judge: Judge, progress: &'m (dyn Fn() + Sync)) -> Result<Self, StreamError> {
        Plan::of_stream(&model)?;
        Ok(Self { model, progress, judge, decided: Vec::new(), saturated: Vec::new() })
    }

    /// When the recordings of the last run were decided.
    pub fn decided(&self) -> &[Decided] {
        &self.decided
    }

    /// The last scores of a recording, or those of each of its tokens; and when they were decided.
    fn one(stream: &mut Stream<'_>, judge: &Judge, recording: &[i16]) -> Result<(Ran, Decided), InputError> {
        let (channels, keeps) = (stream.model().input.step_values(), stream.model().is_per_token());
        let (mut last, mut class, mut token) = (Ran { scores: Vec::new(), saturated: 0 }, None, 0);
        stream.reset();
        for step in recording.chunks(channels) {
            let Some(scores) = stream.push(step)? else { continue };
            let answer = judge.answer(&scores.to_f64().collect::<Vec<_>>());
            if !keeps {
                last.scores.clear();
            }
            last.scores.extend_from_slice(scores.raw());
            last.saturated = scores.saturated();
            let changed = class.as_ref() != Some(&answer);
            class = Some(answer);
            token = if changed { stream.tokens() } else { token };
        }
        if last.scores.is_empty() {
            let (steps, window) = (recording.len() / channels, stream.model().input.window().width);
            return Err(if steps == 0 { InputError::Empty } else { InputError::TooShort { steps, window } });
        }
        Ok((last, Decided { token, tokens: stream.tokens() }))
    }
}

impl Runner for Streams<'_> {
    fn run(&mut self, recordings: &[&[i16]], scores: &mut Vec<i16>) -> Result<(), RowError> {
        let shares = parallel::shares(recordings, |first, recordings| {
            let words = Plan::of_stream(&self.model).map_or(0, |plan| plan.words());
            let mut memory = vec![0; words];
            let Ok(mut stream) = Stream::new(self.model, &mut memory) else {
                unreachable!("the model streams and the memory is as large as its plan");
            };
            let judge = &self.judge;
            let one = |(index, recording): (usize, &&[i16])| {
                let found = Self::one(&mut stream, judge, recording);
                (self.progress)();
                found.map_err(|problem| RowError { row: first + index, problem })
            };
            recordings.iter().enumerate().map(one).collect::<Result<Vec<_>, _>>()
        });
        let apart = |share: Result<Vec<_>, _>| share.map(|share| share.into_iter().unzip());
        let shares = shares.into_iter().map(apart).collect::<Result<Vec<(Vec<_>, Vec<_>)>, _>>()?;
        let (found, decided): (Vec<_>, Vec<_>) = shares.into_iter().unzip();
        self.decided = decided.concat();
        self.saturated = Ran::join(found.into_iter().map(Ok).collect(), scores)?;
        Ok(())
    }

    fn saturated(&self) -> &[u32] {
        &self.saturated
    }
}

/// The [`Runner`] that reads every recording again and again, as [`Passes`] do. They may be longer than the model's maximum.
#[derive(Clone)]
pub struct Rereads<'m> {
    model: Model<'m>,
    progress: &'m (dyn Fn() + Sync),
    saturated: Vec<u32>,
}

impl<'m> Rereads<'m> {
    /// Runs `model`, and calls `progress` after every recording, from several threads.
    ///
    /// # Errors
    /// [`PassesError`] if the model cannot run in passes.
    pub fn new(model: Model<'m>, progress: &'m (dyn Fn() + Sync)) -> Result<Self, PassesError> {
        Plan::of_passes(&model).map(|_| Self { model, progress, saturated: Vec::new() })
    }
}

impl Runner for Rereads<'_> {
    fn run(&mut self, recordings: &[&[i16]], scores: &mut Vec<i16>) -> Result<(), RowError> {
        let shares = parallel::shares(recordings, |first, recordings| {
            let words = Plan::of_passes(&self.model).map_or(0, |plan| plan.words());
            let mut memory = vec![0; words];
            let Ok(mut passes) = Passes::new(self.model, &mut memory) else {
                unreachable!("the model runs in passes and the memory is as large as its plan");
            };
            let one = |(index, recording): (usize, &&[i16])| {
                let found = passes.run(&mut &**recording);
                (self.progress)();
                found.map(|found| Ran::of(&found)).map_err(|error| match error {
                    PassError::Input(problem) => RowError { row: first + index, problem },
                    PassError::Recording(_) => unreachable!("all values are in memory"),
                })
            };
            recordings.iter().enumerate().map(one).collect()
        });
        self.saturated = Ran::join(shares, scores)?;
        Ok(())
    }

    fn saturated(&self) -> &[u32] {
        &self.saturated
    }
}
