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

mod favor;
mod lsh;

pub use favor::{Favor, Features, Scaling};
pub use lsh::{Buckets, Lsh, Scale};

/// `encoder.attention`, by its `kind`.
///
/// ```toml
/// attention = { kind = "exact" }
/// attention = { kind = "hierarchical", block = 8 }   # block: rows, even
/// attention = { kind = "bigbird", block = 16, random = 2, plan = "drawn", seed = 7, dense_up_to = 144 }
/// attention = { kind = "favor", directions = 64, features = "hyperbolic", scaling = "sqrt-width", seed = 7 }
/// attention = { kind = "lsh", buckets = 16, rounds = 2, chunk = 32 }   # or factors: buckets = [4, 4]
/// ```
///
/// Each takes `causal` (default: `false`): a token sees itself and the past only. Of `bigbird`, `random` (default: 0)
/// blocks of each query block are those of the `plan`: `"zero"` is the first block over and over, as in the
/// evaluation mode of the Hugging Face model; `"drawn"` takes them [at random](bigbird_plan), the same ones for the
/// same `seed` (default: 0). An input of at most `dense_up_to` tokens (default: 0; a multiple of the block) is
/// attended to in full.
///
/// Of `favor`, `features` are `"exponential"` (default), `"hyperbolic"` or `"relu"`. The random projection is
/// `tensors.projection`, or [drawn](crate::host::draw::favor_projection) for every layer: `directions` orthogonal
/// rows of the `scaling` `"gaussian"` (default: as long as normal vectors) or `"sqrt-width"`, the same ones for the
/// same `seed` (default: 0). ReLU features with neither work on queries and keys themselves. `epsilon` (default: 0)
/// is added to every feature as in the authors' code: to exponentials relative to the largest exponent of all keys,
/// so that causal attention depends on what follows by that much.
///
/// Of `lsh`, a query sees its own chunk and `before` (default: 1) and `after` (default: 0) others of each round; with
/// `in_bucket` (default: `false`) only the keys of its bucket, with `skip_duplicates` (default: `false`) each key
/// once, which across buckets takes a single round. Scores have the `scale` `"unit"` (default: those of trax and
/// Hugging Face) or `"sqrt-width"`. Query and key are one vector: the checkpoint has no tensors for `key`. The signs
/// that hash are [drawn](crate::host::draw::lsh_signs), for every layer and head, the same ones for the same `seed`
/// (default: 0). Masked tokens have a bucket of their own.
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
    Favor(Favor),
    Lsh(Lsh),
}

/// Which block of which network an attention is for.
#[derive(Debug, Clone, Copy)]
pub(in crate::host::import) struct Place {
    pub(in crate::host::import) layer: usize,
    pub(in crate::host::import) heads: usize,
    pub(in crate::host::import) head_width: usize,
    /// At most.
    pub(in crate::host::import) tokens: usize,
}

/// What the checkpoint has for one block's mechanism.
#[derive(Debug, Default)]
pub(in crate::host::import) struct Stored {
    /// `[bias rows, heads]`, or empty.
    pub(in crate::host::import) bias: Vec<f64>,
    /// `[directions, head width]`.
    pub(in crate::host::import) projection: Option<Vec<f64>>,
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
            | Attention::BigBird { causal, .. }
            | Attention::Favor(Favor { causal, .. })
            | Attention::Lsh(Lsh { causal, .. }) => causal,
        }
    }

    /// Rows of the relative position bias, if the mechanism takes one.
    pub(in crate::host::import) fn bias_rows(&self) -> Option<usize> {
        match self {
            Attention::Hierarchical { block, .. } => Some(4 * block - 1),
            _ => None,
        }
    }

    /// Whether queries are keys too: then there is no projection for keys.
    pub(in crate::host::import) fn shares_query(&self) -> bool {
        matches!(self, Attention::Lsh(_))
    }

    /// Rows of a random projection, if the mechanism takes one, and if the description says how many.
    pub(in crate::host::import) fn directions(&self) -> Option<Option<usize>> {
        match self {
            Attention::Favor(favor) => Some(favor.directions),
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
        if tensors.projection.is_some() && self.directions().is_none() {
            let problem = "is given, but only attention of the kind `favor` has one; remove it";
            return Err(Problem::Field {
                field: "tensors.projection".to_string(),
                problem: problem.to_string(),
            });
        }
        match *self {
            Attention::Exact { .. } => {}
            Attention::Favor(ref favor) => favor.check(tensors)?,
            Attention::Lsh(ref lsh) => lsh.check()?,
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

    /// The mechanism of one block.
    pub(in crate::host::import) fn kind(
        &self,
        place: Place,
        stored: Stored,
    ) -> Result<AttentionKind, Problem> {
        let Place { layer, heads, tokens, .. } = place;
        let Stored { bias, projection } = stored;
        Ok(match *self {
            Attention::Exact { .. } => AttentionKind::Exact,
            Attention::Favor(ref favor) => favor.kind(place, projection),
            Attention::Lsh(ref lsh) => lsh.kind(place),
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
