//! The mechanism of attention.

use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

use serde::Deserialize;

use super::{Problem, Tensors, positive};
use crate::host::draw::bigbird_plan;
use crate::host::reference::AttentionKind;
use crate::host::reference::bigbird::{BigBird, Pattern};
use crate::host::reference::hierarchical::{Hierarchical, Interpolation};

/// `encoder.attention`, by its `kind`.
///
/// ```toml
/// attention = { kind = "exact" }
/// attention = { kind = "hierarchical", block = 8 }   # block: rows, even
/// attention = { kind = "bigbird", block = 16, random = 2, plan = "drawn", seed = 7, dense_up_to = 144 }
/// ```
///
/// Each takes `causal` (default: `false`): a token sees itself and the past only. Of `bigbird`, `random` (default: 0)
/// blocks of each query block are those of the `plan`: `"zero"` is the first block over and over, as in the
/// evaluation mode of the Hugging Face model; `"drawn"` takes them [at random](bigbird_plan), the same ones for the
/// same `seed` (default: 0). An input of at most `dense_up_to` tokens (default: 0; a multiple of the block) is
/// attended to in full.
#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
#[expect(missing_docs, reason = "the text above says what the keys mean")]
pub enum Attention {
    Exact {
        #[serde(default)]
        causal: bool,
    },
    Hierarchical {
        #[serde(default)]
        causal: bool,
        block: usize,
    },
    #[serde(rename = "bigbird")]
    BigBird {
        #[serde(default)]
        causal: bool,
        block: usize,
        #[serde(default)]
        random: usize,
        #[serde(default)]
        dense_up_to: usize,
        plan: Option<Plan>,
        seed: Option<u64>,
    },
}

/// Where random blocks come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Plan {
    /// All are the first block.
    Zero,
    /// Drawn when the checkpoint is imported.
    Drawn,
}

impl Default for Attention {
    fn default() -> Self {
        Attention::Exact { causal: false }
    }
}

// What a model file has room for.
const MOST_BLOCK: usize = 1024;
const MOST_RANDOM: usize = 64;

impl Attention {
    /// Whether a token sees itself and the past only.
    pub fn causal(&self) -> bool {
        match *self {
            Attention::Exact { causal }
            | Attention::Hierarchical { causal, .. }
            | Attention::BigBird { causal, .. } => causal,
        }
    }

    /// Rows of the relative position bias, if the mechanism takes one.
    pub(in crate::host::import) fn bias_rows(&self) -> Option<usize> {
        match self {
            Attention::Hierarchical { block, .. } => Some(4 * block - 1),
            _ => None,
        }
    }

    /// Refuses parameters that contradict each other.
    pub(super) fn check(&self, tensors: &Tensors) -> Result<(), Problem> {
        if tensors.position_bias.is_some() && self.bias_rows().is_none() {
            let problem = "is given, but only attention of the kind `hierarchical` has one; remove it";
            return Err(Problem::Field {
                field: "tensors.position_bias".to_string(),
                problem: problem.to_string(),
            });
        }
        match *self {
            Attention::Exact { .. } => {}
            Attention::Hierarchical { block, .. } => {
                positive("encoder.attention.block", block)?;
                at_most("block", MOST_BLOCK, block)?;
                if !block.is_multiple_of(2) {
                    return Err(problem("block", format!("is {block}; a block has an even number of rows")));
                }
            }
            Attention::BigBird { block, random, dense_up_to, plan, seed, .. } => {
                positive("encoder.attention.block", block)?;
                at_most("block", MOST_BLOCK, block)?;
                at_most("random", MOST_RANDOM, random)?;
                if !dense_up_to.is_multiple_of(block) {
                    let what = format!("is {dense_up_to}; give a multiple of the block of {block} tokens");
                    return Err(problem("dense_up_to", what));
                }
                if plan.is_none() && random > 0 {
                    let what = format!("is missing, for {random} random blocks; give \"zero\" or \"drawn\"");
                    return Err(problem("plan", what));
                }
                if plan.is_some() && random == 0 {
                    return Err(problem(
                        "plan",
                        "is given, but `random` is 0; remove one of them".to_string(),
                    ));
                }
                if seed.is_some() && plan != Some(Plan::Drawn) {
                    return Err(problem(
                        "seed",
                        "is given, but `plan` is not \"drawn\"; remove it".to_string(),
                    ));
                }
            }
        }
        Ok(())
    }

    /// The mechanism of layer `layer` of a network of `heads` heads and at most `tokens` tokens. `bias` is
    /// `[bias rows, heads]`, or empty.
    pub(in crate::host::import) fn kind(
        &self,
        layer: usize,
        heads: usize,
        tokens: usize,
        bias: &[f64],
    ) -> Result<AttentionKind, Problem> {
        Ok(match *self {
            Attention::Exact { .. } => AttentionKind::Exact,
            Attention::Hierarchical { causal, block } => {
                let interpolation = Interpolation::Constant;
                let table = |head| bias.iter().skip(head).step_by(heads).copied().collect();
                let tables = if bias.is_empty() { 0 } else { heads };
                AttentionKind::Hierarchical {
                    parameters: Hierarchical { block, causal, interpolation, temperature: 1.0, guard: None },
                    bias: (0..tables).map(table).collect(),
                }
            }
            Attention::BigBird { causal, block, random, dense_up_to, plan, seed } => {
                let pattern = Pattern::Internal;
                let blocks = tokens.div_ceil(block);
                let head_plan = |head| match plan {
                    Some(Plan::Drawn) => bigbird_plan(blocks, random, seed.unwrap_or(0), layer, head),
                    _ => Some(std::vec![std::vec![0; random]; blocks.saturating_sub(2)]),
                };
                let heads = if random > 0 { heads } else { 0 };
                let plans: Option<Vec<_>> = (0..heads).map(head_plan).collect();
                let plans = plans.ok_or_else(|| {
                    let free = blocks.saturating_sub(5);
                    let what = format!(
                        "is {random}, but {tokens} tokens are {blocks} blocks, and some see all but {free} of them \
                         anyway; lower `random` or `block`, or give plan = \"zero\""
                    );
                    problem("random", what)
                })?;
                AttentionKind::BigBird {
                    parameters: BigBird { block, random, pattern, causal, dense_up_to },
                    plans,
                }
            }
        })
    }
}

fn at_most(key: &str, most: usize, value: usize) -> Result<(), Problem> {
    match value <= most {
        true => Ok(()),
        false => Err(problem(key, format!("is {value}; a model file takes at most {most}"))),
    }
}

fn problem(key: &str, problem: String) -> Problem {
    Problem::Field { field: format!("encoder.attention.{key}"), problem }
}
