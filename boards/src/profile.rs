//! Executed instructions by stage.

use crate::counter;
use core::fmt;
use fixformer::attention::Budget;
use fixformer::session::{Running, Stage};
use fixformer::{InputError, Scores};

/// A stage, of a block if it belongs to one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Part {
    /// Block, from 0.
    pub block: Option<usize>,
    /// Stage.
    pub stage: Stage,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(block) = self.block {
            write!(f, "block{block}.")?;
        }
        self.stage.fmt(f)
    }
}

const STAGES: usize = Stage::ALL.len();

/// Instructions by stage, for each of `BLOCKS` blocks and for what lies around them.
pub struct Profile<const BLOCKS: usize> {
    blocks: [[u64; STAGES]; BLOCKS],
    around: [u64; STAGES],
}

impl<const BLOCKS: usize> Profile<BLOCKS> {
    /// Nothing yet.
    #[expect(clippy::new_without_default, reason = "made in a `static`")]
    pub const fn new() -> Self {
        Self { blocks: [[0; STAGES]; BLOCKS], around: [0; STAGES] }
    }

    /// Runs to the end, and counts.
    pub fn run<'s>(&mut self, mut running: Running<'s>) -> Result<Option<Scores<'s>>, InputError> {
        loop {
            let (block, stage) = (running.block(), running.stage() as usize);
            let (ready, instructions) =
                counter::measure(|| running.advance(&mut Budget::of_a_stage(), &mut ()));
            let stages = match block {
                Some(block) => self.blocks.get_mut(block),
                None => Some(&mut self.around),
            };
            if let Some(sum) = stages.and_then(|stages| stages.get_mut(stage)) {
                *sum += instructions;
            }
            if ready?.is_ready() {
                return Ok(running.scores());
            }
        }
    }

    /// What each part took, in their order.
    pub fn each(&self, mut show: impl FnMut(Part, u64)) {
        let mut stage = |block, stage, instructions| {
            if instructions > 0 {
                show(Part { block, stage }, instructions);
            }
        };
        let [embed, .., pool, head] = self.around;
        stage(None, Stage::Embed, embed);
        for (block, stages) in self.blocks.iter().enumerate() {
            for (&of, &instructions) in Stage::ALL.iter().zip(stages) {
                stage(Some(block), of, instructions);
            }
        }
        stage(None, Stage::Pool, pool);
        stage(None, Stage::Head, head);
    }
}
