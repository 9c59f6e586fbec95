//! BigBird attention.

use std::format;
use std::string::ToString;
use std::vec;
use std::vec::Vec;

use serde::Deserialize;

use super::{MOST_BLOCK, Place, Problem, Tensors, at_most, check_block, problem, unused};
use crate::host::draw::{bigbird_plan, bigbird_plan_extended};
use crate::host::reference::AttentionKind;
use crate::host::reference::attention::bigbird::{self as float, Pattern, Window};
use crate::model;

/// `encoder.attention` of the kind `bigbird`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the text of `Attention` says what the keys mean")]
pub struct BigBird {
    #[serde(default)]
    pub causal: bool,
    pub block: usize,
    #[serde(default)]
    pub random: usize,
    #[serde(default)]
    pub dense_up_to: usize,
    pub plan: Option<Plan>,
    pub seed: Option<u64>,
    pub global: Option<usize>,
    pub radius: Option<usize>,
}

/// Where random blocks come from, if the checkpoint has none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Plan {
    /// All are the first block.
    #[default]
    Zero,
    /// Drawn when the checkpoint is imported.
    Drawn,
}

/// What a model file has room for.
const MOST_RANDOM: usize = 64;
const MOST_DENSE: usize = (5 + 2 * MOST_RANDOM) * MOST_BLOCK;

impl BigBird {
    /// Refuses parameters that contradict each other.
    pub(super) fn check(&self, tensors: &Tensors) -> Result<(), Problem> {
        let BigBird { block, random, dense_up_to, plan, .. } = *self;
        check_block(block)?;
        at_most("random", MOST_RANDOM, random)?;
        at_most("dense_up_to", MOST_DENSE, dense_up_to)?;
        for (key, given) in [("global", self.global), ("radius", self.radius)] {
            at_most(key, model::MAX_TOKENS as usize, given.unwrap_or(0))?;
        }
        if self.global.is_none() && !dense_up_to.is_multiple_of(block) {
            let what = format!("is {dense_up_to}; give a multiple of the block of {block} tokens");
            return Err(problem("dense_up_to", what));
        }
        if self.global.is_none() && self.radius.is_some() {
            let what = "is given without `global`; a window of tokens takes global tokens";
            return Err(problem("radius", what.to_string()));
        }
        let stored = tensors.plan.is_some();
        match plan {
            None if random > 0 && !stored => {
                let what = format!("is missing, for {random} random blocks; give \"zero\" or \"drawn\"");
                Err(problem("plan", what))
            }
            Some(_) if random == 0 => Err(unused("plan", "`random` is 0")),
            Some(_) if stored => Err(unused("plan", "`tensors.plan` names the blocks")),
            _ if self.seed.is_some() && plan != Some(Plan::Drawn) => {
                Err(unused("seed", "`plan` is not \"drawn\""))
            }
            _ => Ok(()),
        }
    }

    fn pattern(&self) -> Pattern {
        match self.global {
            None => Pattern::Internal,
            Some(global) => {
                let window = self.radius.map_or(Window::Blocks, Window::Tokens);
                Pattern::Extended { global, window }
            }
        }
    }

    /// Blocks of the longest input.
    fn blocks(&self, place: Place) -> usize {
        place.tokens.saturating_sub(self.global.unwrap_or(0)).div_ceil(self.block)
    }

    /// Query blocks that have random ones: the global blocks of the internal form have none.
    pub(super) fn rows(&self, place: Place) -> usize {
        match self.global {
            None => self.blocks(place).saturating_sub(2),
            Some(_) => self.blocks(place),
        }
    }

    /// `stored` is `[heads, rows, random]`.
    pub(super) fn kind(&self, place: Place, stored: Option<Vec<f64>>) -> Result<AttentionKind, Problem> {
        let Place { layer, heads, tokens, .. } = place;
        let BigBird { block, random, dense_up_to, causal, plan, .. } = *self;
        let (blocks, rows, seed) = (self.blocks(place), self.rows(place), self.seed.unwrap_or(0));
        if self.global.is_some_and(|global| global >= tokens) {
            let what = format!("is {}, of {tokens} tokens; give fewer", self.global.unwrap_or(0));
            return Err(problem("global", what));
        }
        let plans = if random == 0 {
            Some(Vec::new())
        } else if let Some(ids) = stored {
            Some(split(&ids, rows, random, blocks)?)
        } else if plan == Some(Plan::Drawn) {
            let draw = if self.global.is_some() { bigbird_plan_extended } else { bigbird_plan };
            (0..heads).map(|head| draw(blocks, random, seed, layer, head)).collect()
        } else {
            Some(vec![vec![vec![0; random]; rows]; heads])
        };
        let plans = plans.ok_or_else(|| {
            let free = blocks.saturating_sub(if self.global.is_some() { 3 } else { 5 });
            let what = format!(
                "is {random}, but {tokens} tokens are {blocks} blocks, and some see all but {free} of them \
                 anyway; lower `random` or `block`, or give plan = \"zero\""
            );
            problem("random", what)
        })?;
        let parameters = float::BigBird { block, random, pattern: self.pattern(), causal, dense_up_to };
        Ok(AttentionKind::BigBird { parameters, plans })
    }
}

/// `[heads, rows, random]` to a plan for each head.
fn split(ids: &[f64], rows: usize, random: usize, blocks: usize) -> Result<Vec<Vec<Vec<usize>>>, Problem> {
    if let Some(id) = ids.iter().find(|&&id| id.fract() != 0.0 || id < 0.0 || id >= blocks as f64) {
        let last = blocks - 1;
        let problem =
            format!("has the block {id}; give whole numbers from 0 to {last}, the last of the longest input");
        return Err(Problem::Field { field: "tensors.plan".to_string(), problem });
    }
    let row = |row: &[f64]| row.iter().map(|&id| id as usize).collect();
    let head = |head: &[f64]| head.chunks_exact(random).map(row).collect();
    Ok(ids.chunks_exact((rows * random).max(1)).map(head).collect())
}
