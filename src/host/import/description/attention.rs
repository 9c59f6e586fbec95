//! The mechanism of attention.

use std::format;
use std::string::String;
use std::vec::Vec;

use serde::Deserialize;

use super::super::checkpoint::Extent::{self, Exactly, Free};
use super::{Problem, Tensors, positive};
use crate::host::reference::AttentionKind;
use crate::host::reference::attention::hierarchical::{Hierarchical, Interpolation};
use crate::host::reference::attention::local as float;

mod bigbird;
mod favor;
mod layers;
mod lsh;

pub use bigbird::{BigBird, Plan};
pub use favor::{Favor, Features, Offset, Scaling};
pub use layers::Attentions;
pub use lsh::{Buckets, Lsh, Scale};

/// `encoder.attention`, by its `kind`; or a list of them, one for each layer.
///
/// ```toml
/// attention = { kind = "exact" }
/// attention = { kind = "hierarchical", block = 8 }   # block: rows, even
/// attention = { kind = "bigbird", block = 16, random = 2, plan = "drawn", seed = 7, dense_up_to = 144 }
/// attention = { kind = "bigbird", block = 16, global = 4 }   # extended: global tokens of their own
/// attention = { kind = "favor", directions = 64, features = "hyperbolic", scaling = "sqrt-width", seed = 7 }
/// attention = { kind = "lsh", buckets = 16, rounds = 2, chunk = 32 }   # or factors: buckets = [4, 4]
/// attention = { kind = "local", chunk = 32 }
/// attention = [{ kind = "local", chunk = 32 }, { kind = "exact" }]   # of a model with two layers
/// ```
///
/// Each takes `causal` (default: `false`): a token sees itself and the past only. Of `bigbird`, `random` (default: 0)
/// blocks of each query block are those of the `plan`: `"zero"` is the first block over and over, as in the
/// evaluation mode of the Hugging Face model; `"drawn"` takes them [at random](crate::host::draw::bigbird_plan), the
/// same ones for the same `seed` (default: 0); or `tensors.plan` names them. An input of at most `dense_up_to` tokens
/// (default: 0; a multiple of the block) is attended to in full. With `global`, the first tokens are global instead
/// of the first and the last block, and each key counts once; `radius` makes the window this many tokens on either
/// side instead of three blocks.
///
/// Of `favor`, `features` are `"exponential"` (default), `"hyperbolic"` or `"relu"`. The random projection is
/// `tensors.projection`, or [drawn](crate::host::draw::favor_projection) for every layer: `directions` orthogonal
/// rows of the `scaling` `"gaussian"` (default: as long as normal vectors) or `"sqrt-width"`, the same ones for the
/// same `seed` (default: 0). ReLU features with neither work on queries and keys themselves. `epsilon` (default: 0)
/// is added to every feature as in the authors' code: to exponentials relative to the largest exponent of the keys. Of
/// causal attention, `offset` says of which: `"seen"` (default: those up to the query, so that nothing depends on what
/// follows) or `"sequence"` (all, as the authors have it: every output depends on what follows by that much). `tile` keys are
/// added to the sums together (of causal attention 1 to 64, default: 16; of bidirectional attention a multiple of 4 up to 64,
/// the default): more take less time and more memory.
///
/// Of `lsh`, a query sees its own chunk and `before` (default: 1) and `after` (default: 0) others of each round; with
/// `in_bucket` (default: `false`) only the keys of its bucket, with `skip_duplicates` (default: `false`) each key
/// once, which across buckets takes a single round. Scores have the `scale` `"unit"` (default: those of trax and
/// Hugging Face) or `"sqrt-width"`. Query and key are one vector: the checkpoint has no tensors for `key`. The
/// rotations that hash are `tensors.rotations`, or signs [drawn](crate::host::draw::lsh_signs) for every layer and
/// head, the same ones for the same `seed` (default: 0). Masked tokens have a bucket of their own.
///
/// Of `local`, the same chunks in the order of time, those at the ends beside each other (Reformer).
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
    BigBird(BigBird),
    Favor(Favor),
    Lsh(Lsh),
    Local {
        #[serde(default)]
        causal: bool,
        chunk: usize,
        #[serde(default = "one")]
        before: usize,
        #[serde(default)]
        after: usize,
    },
}

/// Which block of which network an attention is for.
#[derive(Debug, Clone, Copy)]
pub(in crate::host::import) struct Place {
    pub(in crate::host::import) layer: usize,
    pub(in crate::host::import) heads: usize,
    pub(in crate::host::import) head_width: usize,
    /// At most.
    pub(in crate::host::import) tokens: usize,
    /// What all chunks of the network divide.
    pub(in crate::host::import) multiple: usize,
}

/// What the checkpoint has for a mechanism.
#[derive(Debug)]
pub(in crate::host::import) struct Stored<'a> {
    /// Key of the description that names it.
    pub(in crate::host::import) key: &'static str,
    /// Name, `{layer}` for the layer.
    pub(in crate::host::import) name: &'a str,
    pub(in crate::host::import) shape: Vec<Extent>,
}

impl Default for Attention {
    fn default() -> Self {
        Attention::Exact { causal: false }
    }
}

fn one() -> usize {
    1
}

// What a model file has room for.
const MOST_BLOCK: usize = 1024;
const MOST_CHUNKS: usize = 255;

impl Attention {
    /// Whether a token sees itself and the past only.
    pub fn causal(&self) -> bool {
        match *self {
            Attention::Exact { causal }
            | Attention::Hierarchical { causal, .. }
            | Attention::BigBird(BigBird { causal, .. })
            | Attention::Favor(Favor { causal, .. })
            | Attention::Lsh(Lsh { causal, .. })
            | Attention::Local { causal, .. } => causal,
        }
    }

    /// Whether queries are keys too: then there is no projection for keys.
    pub fn shares_query(&self) -> bool {
        matches!(self, Attention::Lsh(_))
    }

    /// Tokens of a chunk, if the mechanism has chunks.
    pub(super) fn chunk(&self) -> Option<usize> {
        match *self {
            Attention::Lsh(Lsh { chunk, .. }) | Attention::Local { chunk, .. } => Some(chunk),
            _ => None,
        }
    }

    /// The tensor that the description names for it, if it does.
    pub(in crate::host::import) fn stored<'t>(
        &self,
        tensors: &'t Tensors,
        place: Place,
    ) -> Option<Stored<'t>> {
        let Place { heads, head_width, .. } = place;
        let (key, name, shape) = match self {
            Attention::Hierarchical { block, .. } => {
                let shape = Vec::from([Exactly(4 * block - 1), Exactly(heads)]);
                ("tensors.position_bias", tensors.position_bias.as_deref()?, shape)
            }
            Attention::Favor(favor) => {
                let directions = favor.directions.map_or(Free("directions"), Exactly);
                let shape = Vec::from([directions, Exactly(head_width)]);
                ("tensors.projection", tensors.projection.as_deref()?, shape)
            }
            Attention::BigBird(bigbird) if bigbird.random > 0 => {
                let shape = [heads, bigbird.rows(place), bigbird.random].map(Exactly);
                ("tensors.plan", tensors.plan.as_deref()?, Vec::from(shape))
            }
            Attention::Lsh(lsh) => {
                let rotation = [head_width, lsh.rounds, lsh.columns()].map(Exactly);
                let shape = std::iter::once(Free("1 or heads")).chain(rotation);
                ("tensors.rotations", tensors.rotations.as_deref()?, shape.collect())
            }
            Attention::Exact { .. } | Attention::BigBird(_) | Attention::Local { .. } => return None,
        };
        Some(Stored { key, name, shape })
    }

    /// Refuses parameters that contradict each other.
    pub(super) fn check(&self, tensors: &Tensors) -> Result<(), Problem> {
        match *self {
            Attention::Exact { .. } => {}
            Attention::BigBird(ref bigbird) => bigbird.check(tensors)?,
            Attention::Favor(ref favor) => favor.check(tensors)?,
            Attention::Lsh(ref lsh) => lsh.check(tensors)?,
            Attention::Hierarchical { block, .. } => {
                check_block(block)?;
                if !block.is_multiple_of(2) {
                    return Err(problem("block", format!("is {block}; give an even number of rows")));
                }
            }
            Attention::Local { chunk, before, after, .. } => check_chunks(chunk, before, after)?,
        }
        Ok(())
    }

    /// The mechanism of one block; `stored` are the values of its tensor.
    pub(in crate::host::import) fn kind(
        &self,
        place: Place,
        stored: Option<Vec<f64>>,
    ) -> Result<AttentionKind, Problem> {
        let heads = place.heads;
        Ok(match *self {
            Attention::Exact { .. } => AttentionKind::Exact,
            Attention::BigBird(ref bigbird) => bigbird.kind(place, stored)?,
            Attention::Favor(ref favor) => favor.kind(place, stored),
            Attention::Lsh(ref lsh) => lsh.kind(place, stored)?,
            Attention::Local { causal, chunk, before, after } => {
                AttentionKind::Local(float::Local { chunk, before, after, multiple: place.multiple, causal })
            }
            Attention::Hierarchical { causal, block } => {
                let interpolation = Interpolation::Constant;
                let table = |bias: &Vec<f64>, head| bias.iter().skip(head).step_by(heads).copied().collect();
                let tables = |bias| (0..heads).map(|head| table(&bias, head)).collect();
                AttentionKind::Hierarchical {
                    parameters: Hierarchical { block, causal, interpolation, temperature: 1.0, guard: None },
                    bias: stored.map(tables).unwrap_or_default(),
                }
            }
        })
    }
}

fn check_block(block: usize) -> Result<(), Problem> {
    positive("encoder.attention.block", block)?;
    at_most("block", MOST_BLOCK, block)
}

fn check_chunks(chunk: usize, before: usize, after: usize) -> Result<(), Problem> {
    positive("encoder.attention.chunk", chunk)?;
    at_most("chunk", crate::model::MAX_TOKENS as usize, chunk)?;
    at_most("before", MOST_CHUNKS, before)?;
    at_most("after", MOST_CHUNKS, after)
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

/// That `key` cannot stand beside what makes it meaningless.
fn unused(key: &str, why: &str) -> Problem {
    problem(key, format!("is given, but {why}; remove one of them"))
}
