//! A model in its arena.

mod around;
mod blocks;
mod embedded;
mod error;
mod gap;
mod impassable;
mod links;
mod needs;
mod order;
mod passes;
mod plan;
mod recording;
mod running;
mod scores;
mod stage;
mod state;
mod stream;
mod unstreamable;
mod whole;

pub use crate::layers::InputError;
pub use embedded::{
    Arena, Embedded, InPasses, Manner, Streamed, Whole, blocks, passes_words, stream_words, words,
};
pub use error::ArenaError;
pub use impassable::{Impassable, PassesError};
pub use links::Links;
pub use passes::{PassError, Passes, Passing};
pub use plan::{Buffer, Element, Plan};
pub use recording::{Recording, ShortRecording};
pub use running::Running;
pub use scores::Scores;
pub use stage::Stage;
pub use state::{ShortState, StateError, StateReader, StateWriter};
pub use stream::Stream;
pub use unstreamable::{StreamError, Unstreamable};

use crate::attention::Budget;
use crate::memory::{Owner, Words};
use crate::model::Model;
use crate::trace::Trace;
use blocks::Visit;

/// A model and the memory it works in.
#[derive(Debug)]
pub struct Session<'a> {
    model: Model<'a>,
    plan: Plan,
    links: &'static Links,
    visit: Visit,
    memory: &'a mut [u32],
}

impl<'a> Session<'a> {
    /// Runs `model` in `memory`, which must have [`Plan::words`] words and need not be cleared.
    ///
    /// # Errors
    /// [`ArenaError::TooSmall`] with the words needed.
    pub fn new(model: Model<'a>, memory: &'a mut [u32]) -> Result<Self, ArenaError> {
        let plan = Plan::of(&model);
        if !plan.fits(memory.len()) {
            return Err(ArenaError::TooSmall { found: memory.len(), needed: plan.words() });
        }
        let links = const { &Links::all() };
        Ok(Self { model, plan, links, visit: blocks::read, memory })
    }

    /// The session of an embedded model: its memory has the right size, its links are known.
    fn embedded<M: Embedded>(memory: &'static mut <M as Owner<Whole>>::Memory) -> Session<'static> {
        const {
            let words = <M as Owner<Whole>>::Memory::LENGTH;
            assert!(M::PLAN.fits(words), "the memory is smaller than the plan")
        };
        let links = const { &M::LINKS };
        let visit = blocks::placed::<M>;
        Session { model: M::MODEL, plan: M::PLAN, links, visit, memory: memory.words() }
    }

    /// The model.
    pub fn model(&self) -> &Model<'a> {
        &self.model
    }

    /// How its memory is laid out.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Classifies one recording: raw samples `[steps, channels]`, symbols or token ids, of any length up to the
    /// model's maximum.
    ///
    /// # Errors
    /// [`InputError`] if the model cannot take the input; the session stays usable.
    pub fn run(&mut self, input: &[i16]) -> Result<Scores<'_>, InputError> {
        self.run_traced(input, None, &mut ())
    }

    /// [`Session::run`] with a mask, one element a token: where it is false the token is not attended to and not
    /// pooled.
    ///
    /// # Errors
    /// As [`Session::run`]; also if the mask has another length or hides every token.
    pub fn run_masked(&mut self, input: &[i16], mask: &[bool]) -> Result<Scores<'_>, InputError> {
        self.run_traced(input, Some(mask), &mut ())
    }

    /// [`Session::run`], showing every tensor to `trace`.
    ///
    /// # Errors
    /// As [`Session::run_masked`].
    // Here and in the layers: what is not inlined does not lie on the stack beside what comes before and after it.
    #[inline(never)]
    pub fn run_traced(
        &mut self,
        input: &[i16],
        mask: Option<&[bool]>,
        trace: &mut impl Trace,
    ) -> Result<Scores<'_>, InputError> {
        let (tokens, saturated) = {
            let mut running = self.start_masked(input, mask)?;
            while running.advance(&mut Budget::UNLIMITED.clone(), trace)?.is_pending() {}
            running.said()
        };
        Ok(running::scores(&self.model, &self.plan, self.memory, tokens, saturated))
    }

    /// Begins a run that is done in steps of bounded work, with other work between them.
    ///
    /// ```
    /// # fixformer::model! { struct Digits = concat!(env!("CARGO_MANIFEST_DIR"), "/models/digits.fxm") }
    /// # static ARENA: fixformer::Arena<Digits> = fixformer::Arena::new();
    /// # fn feed_the_watchdog() {}
    /// let mut net = ARENA.take()?;
    /// let mut running = net.start(&[0; 64])?;
    /// while running.step()?.is_pending() {
    ///     feed_the_watchdog();
    /// }
    /// assert!(running.scores().is_some());
    /// # Ok::<(), Box<dyn core::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`InputError`] if the model cannot take so many values; what they are is looked at in the first steps.
    pub fn start<'s>(&'s mut self, input: &'s [i16]) -> Result<Running<'s>, InputError> {
        self.start_masked(input, None)
    }

    /// [`Session::start`] with a mask, one element a token, as [`Session::run_masked`] takes it.
    ///
    /// # Errors
    /// As [`Session::start`]; also if the mask has another length.
    pub fn start_masked<'s>(
        &'s mut self,
        input: &'s [i16],
        mask: Option<&'s [bool]>,
    ) -> Result<Running<'s>, InputError> {
        Running::new(self, input, mask)
    }
}
