//! The engine on a host: a model with memory of its own, for one recording at a time or for many on every core.

use std::vec;
use std::vec::Vec;

use super::parallel;
use crate::model::Model;
use crate::session::{InputError, Plan, Session};

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
    /// Classifies `recordings`, raw values each, and makes `scores` theirs: `[recordings, classes]`, integers with the
    /// fractional bits of the model's head.
    ///
    /// # Errors
    /// [`RowError`] names the first recording that the model cannot take; then `scores` stay as they are.
    fn run(&mut self, recordings: &[&[i16]], scores: &mut Vec<i16>) -> Result<(), RowError>;
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
#[derive(Clone, Copy)]
pub struct Cores<'m> {
    model: Model<'m>,
    progress: &'m (dyn Fn() + Sync),
}

impl<'m> Cores<'m> {
    /// Runs `model`, and calls `progress` after every recording, from several threads.
    pub fn new(model: Model<'m>, progress: &'m (dyn Fn() + Sync)) -> Self {
        Self { model, progress }
    }
}

impl Runner for Cores<'_> {
    fn run(&mut self, recordings: &[&[i16]], scores: &mut Vec<i16>) -> Result<(), RowError> {
        let shares = parallel::shares(recordings, |first, recordings| {
            let mut engine = Engine::new(self.model);
            let mut session = engine.session();
            let mut scores = Vec::with_capacity(recordings.len() * self.model.classes);
            for (index, recording) in recordings.iter().enumerate() {
                let found = session.run(recording);
                let found = found.map_err(|problem| RowError { row: first + index, problem })?;
                scores.extend_from_slice(found.raw());
                (self.progress)();
            }
            Ok(scores)
        });
        // In row order, so that the first error is the first row's.
        let shares = shares.into_iter().collect::<Result<Vec<_>, _>>()?;
        *scores = shares.concat();
        Ok(())
    }
}
