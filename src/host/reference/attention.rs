//! The mechanisms of attention, one head at a time.

use std::vec::Vec;

use bigbird::BigBird;
pub use exact::exact;
use favor::Favor;
use hierarchical::{Hierarchical, Masks};
use local::Local;
use lsh::Lsh;

pub mod bigbird;
mod candidates;
mod exact;
pub mod favor;
pub mod hierarchical;
pub mod local;
pub mod lsh;

/// The mechanism of a block's heads. `causal` among its parameters is not read: that of [`Attention`](super::Attention) is.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum AttentionKind {
    /// Softmax over every key: [`exact`](exact()).
    Exact,
    /// Near keys one by one, far keys as means of runs: H-Transformer-1D.
    Hierarchical {
        /// Shared by the heads.
        parameters: Hierarchical,
        /// Relative position bias of each head, `[4 Nr - 1]`; empty without.
        bias: Vec<Vec<f64>>,
    },
    /// Global, window and random blocks.
    BigBird {
        /// Shared by the heads.
        parameters: BigBird,
        /// The [plan](bigbird::Plan) of each head, for the longest input; empty without random blocks.
        plans: Vec<Vec<Vec<usize>>>,
    },
    /// Kernel features: FAVOR+, shared by the heads.
    Favor(Favor),
    /// Hashed to buckets: Reformer. Queries are keys too.
    Lsh {
        /// Shared by the heads.
        parameters: Lsh,
        /// Rotations of each head, `[d, rounds, columns]`; a single one is shared.
        rotations: Vec<Vec<f64>>,
    },
    /// A window of chunks: the other layers of Reformer models.
    Local(Local),
}

impl AttentionKind {
    /// Whether queries are keys too.
    pub fn shares_query(&self) -> bool {
        matches!(self, Self::Lsh { .. })
    }

    /// One head; `q`, `k`, `v` and the result are `[tokens, d]`, q unscaled.
    pub(super) fn attend(
        &self,
        head: usize,
        [q, k, v]: [&[f64]; 3],
        d: usize,
        Visible { causal, keys }: Visible<'_>,
    ) -> Vec<f64> {
        match self {
            Self::Exact => exact(q, k, v, d, Visible { causal, keys }),
            Self::Hierarchical { parameters, bias } => {
                let bias = bias.get(head).map(Vec::as_slice);
                let masks = Masks { queries: keys, keys };
                Hierarchical { causal, ..*parameters }.attend(q, k, v, d, bias, masks)
            }
            Self::BigBird { parameters, plans } => {
                let plan = plans.get(head).map_or(&[][..], Vec::as_slice);
                BigBird { causal, ..*parameters }.attend(q, k, v, d, plan, keys)
            }
            Self::Favor(parameters) => Favor { causal, ..parameters.clone() }.attend(q, k, v, d, keys, None),
            Self::Lsh { parameters, rotations } => {
                let lsh = Lsh { causal, ..parameters.clone() };
                let rotations = &rotations[head % rotations.len()];
                lsh.attend(q, v, d, &lsh.hash(q, d, rotations, keys), keys)
            }
            Self::Local(parameters) => Local { causal, ..*parameters }.attend(q, k, v, d, keys),
        }
    }
}

/// The keys a query may see.
#[derive(Debug, Clone, Copy, Default)]
pub struct Visible<'a> {
    /// Only keys at or before the query's own position.
    pub causal: bool,
    /// One flag per key, false: never a key. Every key when absent.
    pub keys: Option<&'a [bool]>,
}
