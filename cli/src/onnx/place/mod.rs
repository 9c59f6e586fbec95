//! From what a graph computes to a network of the engine, from the scores back to the input.

use std::collections::HashMap;

use fixformer::host::reference::{Answers, Hidden, Linear, Network, Norm, Pooling, Site};
use fixformer::host::scale::SampleScale;

use super::chain::{composed, identity};
use super::error::Problem;
use super::expression::{Expression, Expressions, Id, Pool, Tensor};
use super::read::{Computed, Reading};

mod block;
mod embedding;

/// A network, and where its tensors are in the graph.
pub(super) struct Placed {
    pub(super) network: Network,
    /// Blocks are counted from the last.
    pub(super) tensors: HashMap<Site, Tensor>,
}

/// The network that `computed` is.
pub(super) fn place(
    computed: &Computed,
    reading: &Reading,
    name: &str,
    scale: &SampleScale,
) -> Result<Placed, Problem> {
    let mut placer = Placer { expressions: &computed.expressions, sites: HashMap::new() };
    let expressions = placer.expressions;
    let output = &computed.output;
    let entry = expressions.entry(output.id);
    let order: Vec<u32> = output.at.data.iter().map(|element| element.feature).collect();
    let rows = reading.batch();
    let straight = order.iter().copied().eq((0..rows).flat_map(|_| 0..entry.features as u32));
    if entry.tokens != 1 || !straight {
        return Err(
            placer.problem(output.id, "ends the graph; expected one row of scores for each recording")
        );
    }

    let (map, below) = placer.down(output.id);
    let mut head = map.ok_or_else(|| placer.problem(output.id, "ends the graph; expected a linear head"))?;
    placer.site(None, "scores", output.id);
    let (hidden, below) = match expressions.get(below) {
        Expression::Activated { of, activation } => {
            placer.site(None, "hidden", below);
            let (map, further) = placer.down(*of);
            let map = map.unwrap_or_else(|| identity(expressions.entry(*of).features));
            (Some(Hidden { map, activation: *activation }), further)
        }
        _ => (None, below),
    };
    let (pooled_norm, below) = match placer.norm(below) {
        Some((norm, of)) if expressions.entry(below).tokens == 1 => {
            placer.site(None, "pooled_norm", below);
            (Some(norm), of)
        }
        _ => (None, below),
    };
    let Expression::Pooled { of, pooling } = expressions.get(below) else {
        return Err(placer.problem(
            below,
            "stands where the head begins; expected the pooled tokens, then at most one norm and one hidden layer",
        ));
    };
    // A map of each token may as well follow the mean, the first or the last of them.
    let (moved, stream) = placer.down(*of);
    let mut hidden = hidden;
    match moved {
        None => placer.site(None, "pooled", below),
        Some(map) if *pooling != Pool::Max && pooled_norm.is_none() => match &mut hidden {
            Some(hidden) => hidden.map = composed(&map, &hidden.map),
            None => head = composed(&map, &head),
        },
        Some(_) => {
            return Err(placer.problem(
                *of,
                "stands between the last block and the pooling; expected a norm there, or nothing",
            ));
        }
    }
    let pooling = match pooling {
        Pool::Mean => Pooling::Mean,
        Pool::Max => Pooling::Max,
        Pool::First => Pooling::First,
        Pool::Last => Pooling::Last,
    };

    let (blocks, stream, final_norm) = placer.blocks(stream)?;
    let embedding = placer.embedding(stream, reading, scale)?;
    let network = Network {
        name: name.to_owned(),
        input: embedding.input,
        class_token: embedding.class_token,
        positions: embedding.positions,
        embedding_norm: embedding.norm,
        blocks,
        final_norm,
        pooling,
        pooled_norm,
        hidden,
        answers: Answers::of(head.outputs),
        head,
        max_tokens: embedding.tokens,
        horizon: None,
    };
    Ok(Placed { network, tensors: placer.sites })
}

struct Placer<'a> {
    expressions: &'a Expressions,
    sites: HashMap<Site, Tensor>,
}

impl Placer<'_> {
    /// A problem at the node that made an expression.
    fn problem(&self, id: Id, text: &str) -> Problem {
        Problem { place: Some(self.expressions.entry(id).place.clone()), text: text.to_owned() }
    }

    /// The affine maps that end in `id`, if there are any, and what they are maps of.
    fn down(&self, id: Id) -> (Option<Linear>, Id) {
        let base = self.expressions.base(id);
        let map = (base != id).then(|| self.expressions.map_from(base, id)).flatten();
        (map, base)
    }

    /// A normalisation and what it normalises.
    fn norm(&self, id: Id) -> Option<(Norm, Id)> {
        match self.expressions.get(id) {
            Expression::Norm { of, gain, bias, epsilon } => {
                Some((Norm { gain: gain.clone(), bias: bias.clone(), epsilon: *epsilon }, *of))
            }
            _ => None,
        }
    }

    /// Notes which tensor of the graph a tensor of the network is.
    fn site(&mut self, block: Option<usize>, tensor: &'static str, id: Id) {
        if let Some(found) = self.expressions.tensors.get(&id) {
            self.sites.insert(Site { block, tensor }, found.clone());
        }
    }
}
