//! A model in its arena.

mod embedded;
mod error;
mod plan;
mod scores;

pub use crate::layers::InputError;
pub use embedded::{Arena, Embedded, blocks, words};
pub use error::ArenaError;
pub use plan::Plan;
pub use scores::Scores;

use crate::arena::Words;
use crate::attention::Mechanisms;
use crate::layers::{KEYS_PER_WORD, Shape, check_input, embed, head, pool, run_block};
use crate::model::{Block, Model};
use crate::trace::Trace;

/// A model and the memory it works in.
#[derive(Debug)]
pub struct Session<'a> {
    model: Model<'a>,
    plan: Plan,
    mechanisms: &'static Mechanisms,
    each_block: EachBlock,
    memory: &'a mut [u32],
}

/// Gives every block in turn to a function: read from the file as they are needed, or placed in flash by the compiler.
type EachBlock = for<'m> fn(&Model<'m>, &mut dyn FnMut(&Block<'m>));

impl<'a> Session<'a> {
    /// Runs `model` in `memory`, which must have [`Plan::words`] words and need not be cleared.
    ///
    /// # Errors
    /// [`ArenaError::TooSmall`] with the words needed.
    pub fn new(model: Model<'a>, memory: &'a mut [u32]) -> Result<Self, ArenaError> {
        let plan = Plan::of(&model);
        if memory.len() < plan.words() {
            return Err(ArenaError::TooSmall { found: memory.len(), needed: plan.words() });
        }
        let mechanisms = const { &Mechanisms::all() };
        // By reference: a block moved is a block more on the stack.
        let each_block: EachBlock = |model, give| {
            let mut blocks = model.blocks();
            while let Some(block) = &blocks.next() {
                give(block);
            }
        };
        Ok(Self { model, plan, mechanisms, each_block, memory })
    }

    /// The session of an embedded model: its memory has the right size, its mechanisms are known.
    fn embedded<M: Embedded>(memory: &'static mut M::Memory) -> Session<'static> {
        const { assert!(M::Memory::LENGTH >= M::PLAN.words(), "the memory is smaller than the plan") };
        let memory = memory.words();
        let each_block: EachBlock = |_, give| M::BLOCKS.iter().for_each(give);
        let mechanisms = const { &M::MECHANISMS };
        Session { model: M::MODEL, plan: M::PLAN, mechanisms, each_block, memory }
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
        let model = &self.model;
        let tokens = check_input(model, input)?;
        check_mask(mask, tokens)?;
        let shape = Shape::new(model, tokens, self.mechanisms);
        let mut work = self.plan.carve(self.memory);
        show_visible(mask, tokens, work.visible);

        let mut fracs = [embed(model, shape, input, &mut work, trace); 2];
        let mut index = 0;
        (self.each_block)(model, &mut |block| {
            fracs = run_block(block, index, shape, fracs, &mut work, trace);
            index += 1;
        });
        pool(model, shape, fracs, &mut work, trace);
        head(model, &mut work, trace);
        Ok(Scores::new(work.scores, model.head.frac))
    }
}

fn check_mask(mask: Option<&[bool]>, tokens: usize) -> Result<(), InputError> {
    match mask {
        Some(mask) if mask.len() != tokens => Err(InputError::MaskLength { found: mask.len(), tokens }),
        Some(mask) if !mask.contains(&true) => Err(InputError::AllMasked),
        _ => Ok(()),
    }
}

/// The bit map of tokens that count.
fn show_visible(mask: Option<&[bool]>, tokens: usize, visible: &mut [u16]) {
    for (index, word) in visible.iter_mut().enumerate() {
        let first = index * KEYS_PER_WORD;
        *word = match mask {
            Some(mask) => mask
                .iter()
                .skip(first)
                .take(KEYS_PER_WORD)
                .enumerate()
                .fold(0, |word, (bit, &seen)| word | u16::from(seen) << bit),
            None => match tokens.saturating_sub(first) {
                0 => 0,
                left if left < KEYS_PER_WORD => (1 << left) - 1,
                _ => u16::MAX,
            },
        };
    }
}
