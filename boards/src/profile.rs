//! Executed instructions by layer.

use crate::counter;
use core::fmt;
use fixformer::model::{Block, NormOrder};
use fixformer::trace::{Site, Tensor, Tile, Trace};

/// A layer, or a part of a block.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Layer {
    /// Block, from 0.
    pub block: Option<usize>,
    /// `embedding`, `projections`, `attention`, `output`, `feed_forward`, `pooling` or `head`.
    pub name: &'static str,
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(block) = self.block {
            write!(f, "block{block}.")?;
        }
        f.write_str(self.name)
    }
}

const BLOCK_LAYERS: [&str; 4] = ["projections", "attention", "output", "feed_forward"];

/// Instructions by layer: those between two tiles belong to the later one.
pub struct Profile<const BLOCKS: usize> {
    model: &'static [Block<'static>],
    embedding: u64,
    /// By [`BLOCK_LAYERS`].
    blocks: [[u64; BLOCK_LAYERS.len()]; BLOCKS],
    pooling: u64,
    head: u64,
    last: u64,
    /// Up to the first query of a head but the first: the attention of the head before, and this tile.
    mixed: Option<u64>,
}

impl<const BLOCKS: usize> Profile<BLOCKS> {
    /// Of a model with these blocks.
    pub const fn new(model: &'static [Block<'static>]) -> Self {
        Self { model, embedding: 0, blocks: [[0; 4]; BLOCKS], pooling: 0, head: 0, last: 0, mixed: None }
    }

    /// Counts from here on.
    pub fn start(&mut self) {
        self.last = counter::now();
    }

    /// What each layer took, in their order.
    pub fn each(&self, mut show: impl FnMut(Layer, u64)) {
        let alone = |name| Layer { block: None, name };
        show(alone("embedding"), self.embedding);
        for (block, layers) in self.blocks.iter().enumerate() {
            for (name, &instructions) in BLOCK_LAYERS.iter().zip(layers) {
                show(Layer { block: Some(block), name }, instructions);
            }
        }
        show(alone("pooling"), self.pooling);
        show(alone("head"), self.head);
    }

    /// The layer in a block that a tensor belongs to.
    fn layer(block: &Block<'_>, tensor: Tensor) -> usize {
        match tensor {
            Tensor::Query | Tensor::Key | Tensor::Value => 0,
            Tensor::Norm1 if block.order == NormOrder::Pre => 0,
            Tensor::Attended => 1,
            Tensor::Norm1 | Tensor::Residual1 => 2,
            _ => 3,
        }
    }
}

impl<const BLOCKS: usize> Trace for Profile<BLOCKS> {
    fn tile(&mut self, site: Site, tile: Tile<'_>) {
        let spent = counter::now() - self.last;
        let blocks = site.block.and_then(|index| self.blocks.get_mut(index).zip(self.model.get(index)));
        match (blocks, site.tensor) {
            (Some(_), Tensor::Query) if tile.column > 0 && tile.row == 0 => self.mixed = Some(spent),
            (Some((layers, block)), tensor) => {
                // The second tile of queries tells what the first took; no second, nearly nothing.
                if matches!(tensor, Tensor::Query | Tensor::Attended) {
                    let query = if tensor == Tensor::Query { spent } else { 0 };
                    if let Some(mixed) = self.mixed.take() {
                        layers[0] += query;
                        layers[1] += mixed.saturating_sub(query);
                    }
                }
                layers[Self::layer(block, tensor)] += spent;
            }
            (None, Tensor::Embedding) => self.embedding += spent,
            (None, Tensor::Scores) => self.head += spent,
            (None, _) => self.pooling += spent,
        }
        self.last = counter::now();
    }
}
