//! Float checkpoints: a TOML description of the architecture and a safetensors file of weights.
//!
//! The description of a small model (every key that is left out has the default shown in
//! [`description`]):
//!
//! ```toml
//! name = "heartbeat"
//!
//! [input]                            # "samples", "one-hot" or "tokens"
//! kind = "samples"
//! channels = 1
//! scale = 0.005                      # real value of one raw unit
//! window = { width = 16, stride = 8 }
//!
//! [encoder]
//! layers = 2
//! width = 32
//! heads = 2
//! hidden = 64
//! ```
//!
//! Weights may be F64, F32, F16 or BF16. Every tensor of the file has to be used, or named under
//! `tensors.ignore`: a forgotten bias or layer is an error, not a slightly wrong model.

use std::borrow::ToOwned;
use std::format;
use std::path::Path;
use std::string::{String, ToString};
use std::vec;
use std::vec::Vec;

use super::reference::{
    Attention, AttentionKind, Block, FeedForward, Input, Linear, Network, Norm, Positions, Window,
};
use checkpoint::Checkpoint;
use checkpoint::Extent::{Exactly, Free};
use description::{AffineNames, Description, InputKind, Layout, NormNames, Place, PositionKind, Stored};

pub use error::ImportError;

mod checkpoint;
pub mod description;
mod error;

/// Reads the network that `description` (TOML) and `weights` (safetensors) define together.
pub fn network(description: &Path, weights: &Path) -> Result<Network, ImportError> {
    let parsed = read(description)?;
    let bytes = bytes(weights)?;
    let checkpoint = Checkpoint::parse(weights, &bytes, &parsed.tensors)?;
    Importer { path: description, description: &parsed, checkpoint }.network()
}

/// Reads a description alone.
pub fn read(description: &Path) -> Result<Description, ImportError> {
    let text = String::from_utf8_lossy(&bytes(description)?).into_owned();
    description::parse(&text).map_err(|problem| problem.of(description))
}

fn bytes(path: &Path) -> Result<Vec<u8>, ImportError> {
    std::fs::read(path).map_err(|source| ImportError::Read { path: path.to_owned(), source })
}

impl description::Problem {
    /// As an error of the description at `path`.
    fn of(self, path: &Path) -> ImportError {
        match self {
            description::Problem::Syntax(message) => {
                ImportError::Description { path: path.to_owned(), message }
            }
            description::Problem::Field { field, problem } => {
                ImportError::Field { path: path.to_owned(), field, problem }
            }
        }
    }
}

/// Assembles a network; fields are read in the order of the computation.
struct Importer<'a> {
    path: &'a Path,
    description: &'a Description,
    checkpoint: Checkpoint<'a>,
}

impl Importer<'_> {
    fn network(mut self) -> Result<Network, ImportError> {
        let description = self.description;
        let (encoder, names) = (&description.encoder, &description.tensors);
        let input = self.input()?;
        let (positions, max_tokens) = self.positions()?;
        let norm = |this: &mut Self, on: bool, key: &str, names: &NormNames| {
            on.then(|| this.norm(key, names, 0)).transpose()
        };
        let embedding_norm =
            norm(&mut self, encoder.embedding_norm, "embedding_norm", &names.embedding_norm)?;
        let blocks = (0..encoder.layers).map(|layer| self.block(layer, max_tokens));
        let blocks = blocks.collect::<Result<_, _>>()?;
        let final_norm = norm(&mut self, encoder.final_norm, "final_norm", &names.final_norm)?;
        let head = self.linear("head", &names.head, 0, encoder.width, None)?;
        self.checkpoint.finish(&names.ignore)?;
        Ok(Network {
            name: description.name.clone(),
            input,
            positions,
            embedding_norm,
            blocks,
            final_norm,
            pooling: description.pooling.kind.into(),
            head,
            max_tokens,
        })
    }

    fn input(&mut self) -> Result<Input, ImportError> {
        let names = &self.description.tensors;
        let width = self.description.encoder.width;
        let stem = |this: &mut Self, window: &description::Window, values: usize| {
            // Saturation is safe: no tensor is that long, so the shape check refuses it.
            let inputs = window.width.saturating_mul(values);
            let window = Window { width: window.width, stride: window.stride };
            Ok((window, this.linear("stem", &names.stem, 0, inputs, Some(width))?))
        };
        Ok(match &self.description.input {
            InputKind::Samples { channels, scale, remove_mean, normalize, window } => {
                // First, so that the number of channels is known to fit in memory.
                let (window, stem) = stem(self, window, *channels)?;
                let (mean, deviation) = match normalize {
                    true => {
                        let mean = self.vector("mean", &names.mean, *channels)?;
                        let deviation = self.vector("deviation", &names.deviation, *channels)?;
                        self.checkpoint.all_positive(&names.deviation, &deviation)?;
                        (mean, deviation)
                    }
                    false => (vec![0.0; *channels], vec![1.0; *channels]),
                };
                Input::Samples {
                    channels: *channels,
                    window,
                    scale: *scale,
                    remove_mean: *remove_mean,
                    mean,
                    deviation,
                    stem,
                }
            }
            InputKind::OneHot { symbols, window } => {
                let (window, stem) = stem(self, window, *symbols)?;
                Input::OneHot { symbols: *symbols, window, stem }
            }
            InputKind::Tokens {} => {
                let shape = [Free("vocabulary"), Exactly(width)];
                let (shape, table) = self.checkpoint.tensor("tensors.table", &names.table, &shape)?;
                Input::Tokens { vocabulary: shape[0], table }
            }
        })
    }

    /// The positions and the largest number of tokens.
    fn positions(&mut self) -> Result<(Positions, usize), ImportError> {
        let given = self.description.max_tokens;
        let error = |this: &Self, problem: String| ImportError::Field {
            path: this.path.to_owned(),
            field: "max_tokens".to_string(),
            problem,
        };
        let positions = match self.description.positions.kind {
            PositionKind::Learned => {
                let shape = [Free("max_tokens"), Exactly(self.description.encoder.width)];
                let name = &self.description.tensors.positions;
                let (shape, table) = self.checkpoint.tensor("tensors.positions", name, &shape)?;
                return match given {
                    Some(given) if given > shape[0] => Err(error(
                        self,
                        format!(
                            "is {given}, but the position table `{name}` has {} rows; lower or remove it",
                            shape[0]
                        ),
                    )),
                    given => Ok((Positions::Learned(table), given.unwrap_or(shape[0]))),
                };
            }
            PositionKind::None => Positions::None,
            PositionKind::Sinusoidal => Positions::Sinusoidal,
        };
        let problem = "is missing; without a position table it says how much memory to plan for";
        let max_tokens = given.ok_or_else(|| error(self, problem.to_string()))?;
        Ok((positions, max_tokens))
    }

    fn block(&mut self, layer: usize, max_tokens: usize) -> Result<Block, ImportError> {
        let names = &self.description.tensors;
        let encoder = &self.description.encoder;
        let (width, hidden) = (encoder.width, Some(encoder.hidden));
        let norm1 = self.norm("norm1", &names.norm1, layer)?;
        let kind = self.attention_kind(layer, max_tokens)?;
        let mut square = |key, names| self.linear(key, names, layer, width, Some(width));
        let query = square("query", &names.query)?;
        let key = match encoder.attention.shares_query() {
            true => Linear::zero(width, width),
            false => square("key", &names.key)?,
        };
        let attention = Attention {
            heads: encoder.heads,
            causal: encoder.attention.causal(),
            kind,
            query,
            key,
            value: square("value", &names.value)?,
            output: square("output", &names.output)?,
        };
        let norm2 = self.norm("norm2", &names.norm2, layer)?;
        let feed_forward = FeedForward {
            expand: self.linear("expand", &names.expand, layer, width, hidden)?,
            activation: encoder.activation.into(),
            contract: self.linear("contract", &names.contract, layer, encoder.hidden, Some(width))?,
        };
        Ok(Block { order: encoder.norm.into(), attention, norm1, feed_forward, norm2 })
    }

    fn attention_kind(&mut self, layer: usize, max_tokens: usize) -> Result<AttentionKind, ImportError> {
        let encoder = &self.description.encoder;
        let (heads, head_width) = (encoder.heads, encoder.width / encoder.heads);
        let names = &self.description.tensors;
        let mut stored = Stored::default();
        if let (Some(name), Some(rows)) = (&names.position_bias, encoder.attention.bias_rows()) {
            let shape = [Exactly(rows), Exactly(heads)];
            stored.bias = self.checkpoint.tensor("tensors.position_bias", &in_layer(name, layer), &shape)?.1;
        }
        if let (Some(name), Some(directions)) = (&names.projection, encoder.attention.directions()) {
            let shape = [directions.map_or(Free("directions"), Exactly), Exactly(head_width)];
            let tensor = self.checkpoint.tensor("tensors.projection", &in_layer(name, layer), &shape)?;
            stored.projection = Some(tensor.1);
        }
        let place = Place { layer, heads, head_width, tokens: max_tokens };
        encoder.attention.kind(place, stored).map_err(|problem| problem.of(self.path))
    }

    /// A linear map; `outputs` is taken from the file when it is not given.
    fn linear(
        &mut self,
        key: &str,
        names: &AffineNames,
        layer: usize,
        inputs: usize,
        outputs: Option<usize>,
    ) -> Result<Linear, ImportError> {
        let rows = Exactly(inputs);
        let columns = outputs.map_or(Free("outputs"), Exactly);
        let weight = format!("tensors.{key}.weight");
        let name = in_layer(&names.weight, layer);
        let (outputs, weights) = match self.description.tensors.layout {
            Layout::InOut => {
                let (shape, weights) = self.checkpoint.tensor(&weight, &name, &[rows, columns])?;
                (shape[1], weights)
            }
            Layout::OutIn => {
                let (shape, weights) = self.checkpoint.tensor(&weight, &name, &[columns, rows])?;
                (shape[0], transposed(&weights, inputs))
            }
        };
        let bias = self.bias(key, &names.bias, layer, outputs)?;
        Ok(Linear { inputs, outputs, weights, bias })
    }

    fn norm(&mut self, key: &str, names: &NormNames, layer: usize) -> Result<Norm, ImportError> {
        let width = self.description.encoder.width;
        let gain = self.vector(&format!("{key}.gain"), &in_layer(&names.gain, layer), width)?;
        let bias = self.bias(key, &names.bias, layer, width)?;
        Ok(Norm { gain, bias, epsilon: self.description.encoder.epsilon })
    }

    fn bias(
        &mut self,
        key: &str,
        name: &description::BiasName,
        layer: usize,
        length: usize,
    ) -> Result<Vec<f64>, ImportError> {
        match name {
            description::BiasName::Absent => Ok(vec![0.0; length]),
            description::BiasName::Tensor(name) => {
                self.vector(&format!("{key}.bias"), &in_layer(name, layer), length)
            }
        }
    }

    fn vector(&mut self, key: &str, name: &str, length: usize) -> Result<Vec<f64>, ImportError> {
        let key = format!("tensors.{key}");
        Ok(self.checkpoint.tensor(&key, name, &[Exactly(length)])?.1)
    }
}

/// The name of a layer's tensor.
fn in_layer(pattern: &str, layer: usize) -> String {
    pattern.replace("{layer}", &layer.to_string())
}

/// `[outputs, inputs]` to `[inputs, outputs]`.
fn transposed(weights: &[f64], inputs: usize) -> Vec<f64> {
    (0..inputs).flat_map(|i| weights.iter().skip(i).step_by(inputs)).copied().collect()
}
