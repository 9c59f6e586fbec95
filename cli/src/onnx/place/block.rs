//! Blocks, from the last to the first.

use fixformer::host::reference::{Attention, AttentionKind, Block, FeedForward, Norm, NormOrder};

use super::super::error::Problem;
use super::super::expression::{Expression, Id};
use super::Placer;

/// A sublayer: what its residual adds to, and where what it adds comes from.
struct Sublayer {
    stream: Id,
    change: Id,
}

/// A block that was found.
struct Found {
    block: Block,
    /// A norm after it that is not its own.
    after: Option<Id>,
    /// The tensor before it.
    below: Id,
}

impl Placer<'_> {
    /// All blocks below `stream`, the tensor before the first, and the norm after the last.
    pub(super) fn blocks(&mut self, stream: Id) -> Result<(Vec<Block>, Id, Option<Norm>), Problem> {
        let (mut blocks, mut at) = (Vec::new(), stream);
        let mut final_norm = None;
        while let Some(found) = self.block(at, blocks.len())? {
            if let Some(id) = found.after {
                if !blocks.is_empty() {
                    return Err(
                        self.problem(id, "stands between two blocks; expected a norm only after the last")
                    );
                }
                self.site(None, "normed", id);
                final_norm = self.norm(id).map(|(norm, _)| norm);
            }
            blocks.push(found.block);
            at = found.below;
        }
        if blocks.is_empty() {
            return Err(self.problem(
                at,
                "stands where the last block ends; expected the residual sum of a feed-forward layer, perhaps \
                 normalised: the engine runs blocks of attention and feed-forward, each with its residual and its norm",
            ));
        }
        blocks.reverse();
        Ok((blocks, at, final_norm))
    }

    /// The block that ends in `stream`, `index` blocks before the last; none if no residual sum is there.
    fn block(&mut self, stream: Id, index: usize) -> Result<Option<Found>, Problem> {
        // A norm after the sum is the block's own, in post-norm order, or that after the last block.
        let normed = |id: Id| self.norm(id).map(|(_, of)| of);
        let chain: Vec<Id> = std::iter::successors(Some(stream), |&id| normed(id)).collect();
        let (&sum, norms) = chain.split_last().unwrap_or((&stream, &[]));
        let Some(second) = self.sublayer(sum) else { return Ok(None) };
        let (feed_forward, source) = self.feed_forward(&second, index)?;
        self.block_site(index, "residual2", sum);
        let found = match (source == second.stream, norms) {
            (true, [before @ .., own]) if before.len() <= 1 => {
                self.post(feed_forward, &second, *own, index)?.followed_by(before.first())
            }
            (false, norms) if norms.len() <= 1 => {
                self.pre(feed_forward, &second, source, index)?.followed_by(norms.first())
            }
            (true, []) => {
                let batch_norm = self.batch_norm(self.expressions.base(second.change), source);
                return Err(batch_norm.unwrap_or_else(|| {
                    self.problem(sum, "ends a block of post-norm order; expected a norm after it")
                }));
            }
            _ => {
                return Err(
                    self.problem(stream, "normalises what was just normalised; expected one norm there")
                );
            }
        };
        Ok(Some(found))
    }

    /// y = norm1(x + attention(x)), norm2(y + feed_forward(y)).
    fn post(
        &mut self,
        feed_forward: FeedForward,
        second: &Sublayer,
        own: Id,
        index: usize,
    ) -> Result<Found, Problem> {
        let (norm2, _) = self.norm(own).ok_or_else(|| self.no_residual(own))?;
        self.block_site(index, "norm2", own);
        let Some((norm1, inner)) = self.norm(second.stream) else {
            return Err(self.problem(
                second.stream,
                "stands between attention and feed-forward of a post-norm block; expected a norm of the residual",
            ));
        };
        let first = self.sublayer(inner).ok_or_else(|| self.no_residual(inner))?;
        let attention = self.attention(&first, first.stream, index)?;
        self.block_site(index, "norm1", second.stream);
        self.block_site(index, "residual1", inner);
        let block = Block { order: NormOrder::Post, attention, norm1, feed_forward, norm2 };
        Ok(Found { block, after: None, below: first.stream })
    }

    /// y = x + attention(norm1(x)), y + feed_forward(norm2(y)).
    fn pre(
        &mut self,
        feed_forward: FeedForward,
        second: &Sublayer,
        source: Id,
        index: usize,
    ) -> Result<Found, Problem> {
        let norm2 = self.norm_of(source, second.stream)?;
        self.block_site(index, "norm2", source);
        self.block_site(index, "residual1", second.stream);
        let first = self.sublayer(second.stream).ok_or_else(|| self.no_residual(second.stream))?;
        let normed = self.attention_source(&first)?;
        let norm1 = self.norm_of(normed, first.stream)?;
        let attention = self.attention(&first, normed, index)?;
        self.block_site(index, "norm1", normed);
        let block = Block { order: NormOrder::Pre, attention, norm1, feed_forward, norm2 };
        Ok(Found { block, after: None, below: first.stream })
    }

    /// A batch norm where the norm of a sublayer, whose inner expression is `inner`, should stand.
    fn batch_norm(&self, inner: Id, source: Id) -> Option<Problem> {
        let mut at = self.expressions.sources(inner).first().copied();
        while let Some(id) = at.filter(|&id| id != source) {
            if self.expressions.entry(id).place.starts_with("BatchNormalization") {
                return Some(self.problem(
                    id,
                    "stands where the norm of a block does; expected LayerNorm there: a batch norm has a place only \
                     beside a linear map of the stem, of a block that has its norms, or of the head",
                ));
            }
            at = self.expressions.below(id);
        }
        None
    }

    fn no_residual(&self, id: Id) -> Problem {
        self.problem(id, "stands where the attention of a block ends; expected its residual sum")
    }

    /// A residual sum: the stream is what the change is computed from.
    fn sublayer(&self, id: Id) -> Option<Sublayer> {
        let Expression::Sum { a, b } = *self.expressions.get(id) else { return None };
        if self.expressions.depends(b, a) {
            Some(Sublayer { stream: a, change: b })
        } else if self.expressions.depends(a, b) {
            Some(Sublayer { stream: b, change: a })
        } else {
            None
        }
    }

    /// A feed-forward layer and what it is computed from.
    fn feed_forward(&mut self, layer: &Sublayer, index: usize) -> Result<(FeedForward, Id), Problem> {
        let (contract, inner) = self.down(layer.change);
        let (of, activation) = match *self.expressions.get(inner) {
            Expression::Activated { of, activation } => (of, activation),
            Expression::Attention { .. } => {
                return Err(self.problem(
                    inner,
                    "is the last sublayer of a block; expected a feed-forward layer after the attention",
                ));
            }
            _ => {
                return Err(self.problem(
                    inner,
                    "is added to the stream; expected two linear maps with ReLU, GELU or tanh between them, after \
                     attention",
                ));
            }
        };
        let contract = contract.ok_or_else(|| {
            self.problem(inner, "is added to the stream as it is; expected a linear map after the activation")
        })?;
        self.block_site(index, "hidden", inner);
        let source = self.source(of, layer.stream);
        let expand = self.expressions.map_from(source, of).filter(|_| source != of).ok_or_else(|| {
            self.problem(
                of,
                "is activated; expected a linear map before the activation of a feed-forward layer",
            )
        })?;
        Ok((FeedForward { expand, activation, contract }, source))
    }

    /// What maps that end in `id` begin with: `stream`, or the first expression that is no map.
    fn source(&self, mut id: Id, stream: Id) -> Id {
        while id != stream {
            match self.expressions.below(id) {
                Some(below) => id = below,
                None => break,
            }
        }
        id
    }

    /// The norm `id`, which has to be of `stream`.
    fn norm_of(&self, id: Id, stream: Id) -> Result<Norm, Problem> {
        match self.norm(id) {
            Some((norm, of)) if of == stream => Ok(norm),
            _ => Err(self.problem(
                id,
                "is where a sublayer reads the stream; expected a LayerNorm of the stream before it, or of the sum after it",
            )),
        }
    }

    /// What the attention of a layer is computed from.
    fn attention_source(&self, layer: &Sublayer) -> Result<Id, Problem> {
        let Expression::Attention { q, .. } = *self.expressions.get(self.expressions.base(layer.change))
        else {
            return Err(self.problem(
                self.expressions.base(layer.change),
                "is the first sublayer of a block; expected attention with a linear map after it",
            ));
        };
        Ok(self.source(q, layer.stream))
    }

    /// The attention of a layer, computed from `source`.
    fn attention(&mut self, layer: &Sublayer, source: Id, index: usize) -> Result<Attention, Problem> {
        let (output, inner) = self.down(layer.change);
        let Expression::Attention { q, k, v, heads, scale, causal } = *self.expressions.get(inner) else {
            return Err(self.problem(inner, "is the first sublayer of a block; expected attention"));
        };
        let width = self.expressions.entry(q).features / heads;
        if self.expressions.entry(v).features != heads * width {
            return Err(
                self.problem(inner, "has values of another width than its queries; expected one width")
            );
        }
        let project = |id: Id| {
            self.expressions.map_from(source, id).ok_or_else(|| {
                self.problem(
                    self.expressions.base(id),
                    "is what attention projects; expected the one tensor that queries, keys and values all come from",
                )
            })
        };
        let (mut query, key, value) = (project(q)?, project(k)?, project(v)?);
        // The engine divides by the root of the width; what the graph does besides goes into the weights.
        let factor = scale * (width as f64).sqrt();
        query.weights.iter_mut().chain(&mut query.bias).for_each(|w| *w *= factor);
        let output = output.unwrap_or_else(|| super::identity(heads * width));
        self.block_site(index, "attended", inner);
        Ok(Attention { heads, causal, kind: AttentionKind::Exact, query, key: Some(key), value, output })
    }

    fn block_site(&mut self, index: usize, tensor: &'static str, id: Id) {
        self.site(Some(index), tensor, id);
    }
}

impl Found {
    /// With a norm after it.
    fn followed_by(self, after: Option<&Id>) -> Self {
        Self { after: after.copied(), ..self }
    }
}
