//! What a graph computes, as rows of tokens: the operations of a transformer without the layout of their tensors.

use std::collections::HashMap;
use std::rc::Rc;

use fixformer::host::reference::{Activation, Linear};

use super::array::Array;
use super::curve::Curve;

/// Index of an expression.
pub(super) type Id = usize;

/// Which number of an expression an element of a tensor is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Element {
    /// Recording.
    pub(super) batch: u32,
    /// Row.
    pub(super) token: u32,
    /// Column.
    pub(super) feature: u32,
}

/// A tensor of the graph: where each of its elements stands in an expression, and what is done to it on its own.
#[derive(Debug, Clone)]
pub(super) struct Rows {
    pub(super) id: Id,
    pub(super) at: Rc<Array<Element>>,
    /// A function of single values that is not yet known to be an activation.
    pub(super) curve: Curve,
    /// Name of the tensor.
    pub(super) name: String,
    /// The node that made it, in words.
    pub(super) place: String,
}

/// One operation, on `[tokens, features]` of every recording.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Expression {
    /// The values of the recording, `[steps, channels]`.
    Samples,
    /// Unit vectors of token ids.
    Symbols,
    /// x W + b of each row.
    Affine { of: Id, map: Linear },
    /// x · factor + shift, by column.
    Scaled { of: Id, factor: Vec<f64>, shift: Vec<f64> },
    /// Some of the columns, in an order.
    Selected { of: Id, features: Vec<usize> },
    /// An affine map of `width` rows laid end to end, then of those `stride` further on.
    Windows { of: Id, width: usize, stride: usize, map: Linear },
    /// A table, `[tokens, features]`, is added.
    Positioned { of: Id, table: Vec<f64> },
    /// A row before all others.
    Prefixed { of: Id, row: Vec<f64> },
    /// Layer normalisation of each row.
    Norm { of: Id, gain: Vec<f64>, bias: Vec<f64>, epsilon: f64 },
    /// Mean of each row.
    Mean { of: Id },
    /// Each row without its mean.
    Centered { of: Id },
    /// Mean square of the centred row.
    Variance { of: Id },
    /// An activation of every value.
    Activated { of: Id, activation: Activation },
    /// Two streams.
    Sum { a: Id, b: Id },
    /// Rows of q times rows of k, by head: columns are head · tokens + key.
    Scores { q: Id, k: Id, heads: usize, scale: f64, causal: bool },
    /// Softmax of scores over the keys.
    Weights { of: Id },
    /// Attention, heads side by side.
    Attention { q: Id, k: Id, v: Id, heads: usize, scale: f64, causal: bool },
    /// One row of all.
    Pooled { of: Id, pooling: Pool },
}

/// How rows become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pool {
    Mean,
    Max,
    First,
    Last,
}

/// An expression and what is known of it.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) expression: Expression,
    pub(super) tokens: usize,
    pub(super) features: usize,
    /// The node that made it, in words.
    pub(super) place: String,
}

/// The tensor of the graph that holds an expression.
#[derive(Debug, Clone)]
pub(super) struct Tensor {
    pub(super) name: String,
    pub(super) at: Rc<Array<Element>>,
}

/// All expressions of a graph; one that is made twice is there once.
#[derive(Debug, Default)]
pub(super) struct Expressions {
    entries: Vec<Entry>,
    /// Those whose values are compared where a comparison fails.
    pub(super) tensors: HashMap<Id, Tensor>,
}

impl Expressions {
    pub(super) fn get(&self, id: Id) -> &Expression {
        &self.entries[id].expression
    }

    pub(super) fn entry(&self, id: Id) -> &Entry {
        &self.entries[id]
    }

    /// Adds an expression, or finds the same one.
    pub(super) fn add(&mut self, expression: Expression, tokens: usize, features: usize, place: &str) -> Id {
        // What came last is asked for again, if anything is: by the two or three that read a tensor.
        let known = self.entries.iter().rposition(|entry| entry.expression == expression);
        known.unwrap_or_else(|| {
            self.entries.push(Entry { expression, tokens, features, place: place.to_owned() });
            self.entries.len() - 1
        })
    }

    /// The columns `features` of `id`.
    pub(super) fn selected(&mut self, id: Id, features: Vec<usize>, place: &str) -> Id {
        let Entry { tokens, features: all, .. } = self.entries[id];
        if features.iter().copied().eq(0..all) {
            return id;
        }
        let count = features.len();
        self.add(Expression::Selected { of: id, features }, tokens, count, place)
    }

    /// What an expression is computed from.
    pub(super) fn sources(&self, id: Id) -> Vec<Id> {
        use Expression::*;
        match self.get(id) {
            Samples | Symbols => vec![],
            Affine { of, .. } | Scaled { of, .. } | Selected { of, .. } | Windows { of, .. } => vec![*of],
            Positioned { of, .. } | Prefixed { of, .. } | Norm { of, .. } | Mean { of } => vec![*of],
            Centered { of } | Variance { of } | Activated { of, .. } | Weights { of } => vec![*of],
            Pooled { of, .. } => vec![*of],
            Sum { a, b } => vec![*a, *b],
            Scores { q, k, .. } => vec![*q, *k],
            Attention { q, k, v, .. } => vec![*q, *k, *v],
        }
    }

    /// Whether `id` is computed from `source`, or is it.
    pub(super) fn depends(&self, id: Id, source: Id) -> bool {
        // Sources come before what is computed from them.
        id == source || (id > source && self.sources(id).into_iter().any(|from| self.depends(from, source)))
    }
}
