//! The model of this build: as a whole, and layer by layer.

use crate::workload::Source;
use fixformer::model::{Block, Input, NormOrder};
use fixformer::trace::{Site, Tensor, Tile, Trace};
use fixformer::{Arena, Embedded, InputError, arena::Once};
use fixformer_boards::{counter, println};

fixformer::model! {
    /// The model of this build.
    struct Net = env!("FIXFORMER_MODEL")
}

static ARENA: Arena<Net> = Arena::new();
static INPUT: Once<[i16; Net::MAX_INPUT]> = Once::new([0; Net::MAX_INPUT]);
static PROFILE: Once<Profile> = Once::new(Profile::NEW);

/// A drawn recording as long as the model takes.
pub(crate) fn measure() -> Result<(), InputError> {
    let (Ok(mut net), Some(input), Some(profile)) = (ARENA.take(), INPUT.take(), PROFILE.take()) else {
        return Ok(());
    };
    let mut source = Source::new(3);
    let ids = match Net::MODEL.input {
        Input::Samples { .. } => 16,
        Input::OneHot { symbols, .. } => symbols,
        Input::Tokens { table } => table.rows,
    };
    input.iter_mut().for_each(|x| *x = source.next().rem_euclid(ids as i16));

    let name = Net::NAME;
    let (result, instructions) = counter::measure(|| net.run(input).map(|_| ()));
    result?;
    println!("model {name} instructions {instructions}");

    profile.last = counter::now();
    net.run_traced(input, None, profile)?;
    println!("layer {name} layer embedding instructions {}", profile.embedding);
    for (index, layers) in profile.blocks.iter().enumerate() {
        for (layer, instructions) in BLOCK_LAYERS.iter().zip(layers) {
            println!("layer {name} layer block{index}.{layer} instructions {instructions}");
        }
    }
    println!("layer {name} layer pooling instructions {}", profile.pooling);
    println!("layer {name} layer head instructions {}", profile.head);
    Ok(())
}

const BLOCK_LAYERS: [&str; 4] = ["projections", "attention", "output", "feed_forward"];

/// Instructions by layer: those between two tiles belong to the later one.
struct Profile {
    embedding: u64,
    /// By [`BLOCK_LAYERS`].
    blocks: [[u64; BLOCK_LAYERS.len()]; Net::BLOCKS.len()],
    pooling: u64,
    head: u64,
    last: u64,
    /// Up to the first query of a head but the first: the attention of the head before, and this tile.
    mixed: Option<u64>,
}

impl Profile {
    const NEW: Self =
        Self { embedding: 0, blocks: [[0; 4]; Net::BLOCKS.len()], pooling: 0, head: 0, last: 0, mixed: None };

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

impl Trace for Profile {
    fn tile(&mut self, site: Site, tile: Tile<'_>) {
        let spent = counter::now() - self.last;
        let blocks = site.block.and_then(|index| self.blocks.get_mut(index).zip(Net::BLOCKS.get(index)));
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
