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
//! A Hugging Face BigBird or Reformer needs none: its configuration is enough ([`Source`]). For other checkpoints
//! [`describe`](super::describe) writes one, and [`expect`](super::expect) holds the network against the scores of the
//! framework that it comes from.
//!
//! Weights may be F64, F32, F16 or BF16. Every tensor of the file has to be used, or named under
//! `tensors.ignore`: a forgotten bias or layer is an error, not a slightly wrong model.

use std::borrow::ToOwned;
use std::format;
use std::path::Path;
use std::string::ToString;
use std::vec;
use std::vec::Vec;

use super::reference::{
    Attention, AttentionKind, Axial, Block, FeedForward, Hidden, Input, Network, Norm, Positions, Task,
    Window,
};
use checkpoint::Checkpoint;
use checkpoint::Extent::{Exactly, Free};
use description::{Description, Encoder, InputKind, NormNames, Place, PoolingKind, PositionKind, in_layer};

pub use checkpoint::Precision;
pub(in crate::host) use checkpoint::half;
pub use error::ImportError;
pub use source::Source;

mod checkpoint;
pub mod description;
mod error;
mod fused;
mod hugging_face;
mod linear;
mod names;
mod remedy;
mod source;
mod weights;

pub(in crate::host) use source::shapes;

/// Reads the network that `description` (TOML) and `weights` (safetensors) define together.
///
/// # Errors
/// [`ImportError`] names the file, and the key or the tensor.
pub fn network(description: &Path, weights: &Path) -> Result<Network, ImportError> {
    let (description, weights) = (Some(description.to_owned()), weights.to_owned());
    Source { description, weights, ..Source::default() }.network()
}

/// Reads a description (TOML) alone.
///
/// # Errors
/// [`ImportError`] names the file and the key.
pub fn read(description: &Path) -> Result<Description, ImportError> {
    let text = source::text(description)?;
    description::parse(&text).map_err(|problem| problem.of(description))
}

/// How each block of `description`, read from `path`, attends where a checkpoint stores nothing for it: what
/// mechanisms draw is drawn, a position bias is empty. `table` is the number of rows of the position table, if there is
/// one.
///
/// # Errors
/// [`ImportError`] names the key: the number of tokens is missing, or does not fit the mechanism.
pub fn attentions(
    path: &Path,
    description: &Description,
    table: Option<usize>,
) -> Result<Vec<AttentionKind>, ImportError> {
    let encoder = &description.encoder;
    let tokens = description.tokens(table).map_err(|problem| problem.of(path))?;
    let kind = |layer| encoder.attention.of(layer).kind(place(encoder, layer, tokens), None);
    (0..encoder.layers).map(|layer| kind(layer).map_err(|problem| problem.of(path))).collect()
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
        let class_token = self.class_token()?;
        let (positions, max_tokens) = self.positions()?;
        let norm = |this: &mut Self, on: bool, key: &str, names: &NormNames, width, epsilon: Option<f64>| {
            let norm = on.then(|| this.norm(key, names, 0, width)).transpose()?;
            Ok(norm.map(|norm| Norm { epsilon: epsilon.unwrap_or(norm.epsilon), ..norm }))
        };
        let (on, epsilon) = (encoder.embedding_norm, encoder.embedding_epsilon);
        let embedding_norm =
            norm(&mut self, on, "embedding_norm", &names.embedding_norm, encoder.width, epsilon)?;
        let blocks = (0..encoder.layers).map(|layer| self.block(layer, max_tokens));
        let blocks = blocks.collect::<Result<_, _>>()?;
        let output_width = encoder.output_width();
        let (on, epsilon) = (encoder.final_norm, encoder.final_epsilon);
        let final_norm = norm(&mut self, on, "final_norm", &names.final_norm, output_width, epsilon)?;
        let (on, epsilon) = (description.pooling.norm, description.pooling.epsilon);
        let pooled_norm = norm(&mut self, on, "pooled_norm", &names.pooled_norm, output_width, epsilon)?;
        let hidden = match description.head.hidden {
            Some(activation) => {
                let map = self.linear("hidden", &names.hidden, 0, output_width, None)?;
                Some(Hidden { map, activation: activation.into() })
            }
            None => None,
        };
        let inputs = hidden.as_ref().map_or(output_width, |hidden| hidden.map.outputs);
        let head = self.linear("head", &names.head, 0, inputs, None)?;
        let (mut answers, head) = description.head.answers(head).map_err(|problem| problem.of(self.path))?;
        if let InputKind::Samples { channels, unit: Some(unit), .. } = &description.input {
            answers.input_units = unit.of_channels(*channels).map_err(|problem| problem.of(self.path))?;
        }
        let of_token = answers.task == Task::Multiclass || answers.classes(head.outputs) == 2;
        if description.pooling.kind == PoolingKind::None && !of_token {
            let problem = "is of each token with `pooling.kind` = \"none\", of which a model file takes `multiclass` and \
                           `binary`; pool the tokens, or change one of them"
                .to_string();
            let field = "head.task".to_string();
            return Err(ImportError::Field { path: self.path.to_owned(), field, problem });
        }
        if class_token.is_some() && description.pooling.kind == PoolingKind::None {
            let problem = "is `none`, but no token of the input would have the scores of the class token; pool `first`, or \
                           remove `tensors.class_token`"
                .to_string();
            let field = "pooling.kind".to_string();
            return Err(ImportError::Field { path: self.path.to_owned(), field, problem });
        }
        self.checkpoint.finish(&names.ignore)?;
        Ok(Network {
            name: description.name.clone(),
            input,
            class_token,
            positions,
            embedding_norm,
            blocks,
            final_norm,
            pooling: description.pooling.reference(),
            pooled_norm,
            hidden,
            head,
            answers,
            max_tokens,
            horizon: description.horizon,
        })
    }

    fn input(&mut self) -> Result<Input, ImportError> {
        let names = &self.description.tensors;
        let width = self.description.encoder.width;
        let stem = |this: &mut Self, window: &description::Window, values: usize| {
            // Saturation is safe: no tensor is that long, so the shape check refuses it.
            let inputs = window.width.saturating_mul(values);
            let window = Window { width: window.width, stride: window.stride };
            Ok((window, this.stem(&names.stem, inputs, window.width, width)?))
        };
        Ok(match &self.description.input {
            InputKind::Samples { channels, scale, normalize, window, .. } => {
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
                    scale: scale.each(*channels),
                    level: self.description.input.level(),
                    mean,
                    deviation,
                    stem,
                }
            }
            InputKind::OneHot { symbols, window } => {
                let (window, stem) = stem(self, window, *symbols)?;
                Input::OneHot { symbols: *symbols, window, stem }
            }
            InputKind::Tokens { scale } => {
                let shape = [Free("vocabulary"), Exactly(width)];
                let (shape, mut table) = self.checkpoint.tensor("tensors.table", &names.table, &shape)?;
                table.iter_mut().for_each(|x| *x *= scale);
                if let Some(name) = &names.token_type {
                    let shape = [Free("types"), Exactly(width)];
                    let (_, types) = self.checkpoint.tensor("tensors.token_type", name, &shape)?;
                    table
                        .chunks_exact_mut(width)
                        .flat_map(|row| row.iter_mut().zip(&types))
                        .for_each(|(x, kind)| *x += kind);
                }
                Input::Tokens { vocabulary: shape[0], table }
            }
        })
    }

    /// The token before those of the input, where the description names one.
    fn class_token(&mut self) -> Result<Option<Vec<f64>>, ImportError> {
        let Some(name) = &self.description.tensors.class_token else { return Ok(None) };
        let width = self.description.encoder.width;
        // However many axes of length 1 the framework needs to add it to a batch.
        let mut shape = vec![Exactly(1); self.checkpoint.rank(name).unwrap_or(1).clamp(1, 3)];
        *shape.last_mut().expect("one axis at least") = Exactly(width);
        Ok(Some(self.checkpoint.tensor("tensors.class_token", name, &shape)?.1))
    }

    /// The positions and the largest number of tokens.
    fn positions(&mut self) -> Result<(Positions, usize), ImportError> {
        let (positions, rows) = match self.description.positions.kind {
            PositionKind::Learned => {
                let shape = [Free("max_tokens"), Exactly(self.description.encoder.width)];
                let name = &self.description.tensors.positions;
                let (shape, table) = self.checkpoint.tensor("tensors.positions", name, &shape)?;
                (Positions::Learned(table), Some((shape[0], format!("the position table `{name}` has"))))
            }
            PositionKind::Axial => {
                let axial = self.axial()?;
                let rows = axial.shape[0] * axial.shape[1];
                (Positions::Axial(axial), Some((rows, "the two position tables together have".to_string())))
            }
            PositionKind::None => (Positions::None, None),
            PositionKind::Sinusoidal => (Positions::Sinusoidal, None),
        };
        let table = rows.as_ref().map(|(rows, _)| *rows);
        let max_tokens = self.description.tokens(table).map_err(|problem| problem.of(self.path))?;
        if let Some((rows, tables)) = rows.filter(|(rows, _)| max_tokens > *rows) {
            let problem = format!("is {max_tokens}, but {tables} {rows} rows; lower or remove it");
            let field = "max_tokens".to_string();
            return Err(ImportError::Field { path: self.path.to_owned(), field, problem });
        }
        let problem = match self.description.horizon {
            Some(horizon) if horizon < max_tokens => {
                format!("is {horizon}, shorter than a sequence of {max_tokens} tokens; raise or remove it")
            }
            Some(horizon) if table.is_some_and(|rows| horizon > rows) => format!(
                "is {horizon}, but positions from a table end after {max_tokens} tokens, and so does a stream: train \
                 with `positions.kind` = \"none\" or \"sinusoidal\", or remove `horizon`"
            ),
            _ => return Ok((positions, max_tokens)),
        };
        let (path, field) = (self.path.to_owned(), "horizon".to_string());
        Err(ImportError::Field { path, field, problem })
    }

    /// Two tables, `[A, D1]` and `[B, D2]`, or `[A, 1, D1]` and `[1, B, D2]`, whose widths add up to that of the model.
    fn axial(&mut self) -> Result<Axial, ImportError> {
        let names = &self.description.tensors.axial;
        let mut table = |axis: usize| {
            let (rows, columns, one) = (Free("positions"), Free("columns"), Exactly(1));
            let shape = match (self.checkpoint.rank(&names[axis]), axis) {
                (Some(3), 0) => Vec::from([rows, one, columns]),
                (Some(3), _) => Vec::from([one, rows, columns]),
                _ => Vec::from([rows, columns]),
            };
            let (shape, values) =
                self.checkpoint.tensor(&format!("tensors.axial[{axis}]"), &names[axis], &shape)?;
            let columns = shape[shape.len() - 1];
            Ok((values.len() / columns, columns, values))
        };
        let ((a, first, rows), (b, second, columns)) = (table(0)?, table(1)?);
        let width = self.description.encoder.width;
        if first + second != width {
            let problem = format!(
                "have {first} and {second} columns, together not the width of {width}; correct it, or name other tables"
            );
            let field = "tensors.axial".to_string();
            return Err(ImportError::Field { path: self.path.to_owned(), field, problem });
        }
        Ok(Axial { shape: [a, b], tables: [rows, columns] })
    }

    fn block(&mut self, layer: usize, max_tokens: usize) -> Result<Block, ImportError> {
        let names = &self.description.tensors;
        let encoder = &self.description.encoder;
        let (width, hidden) = (encoder.width, Some(encoder.hidden));
        let heads = encoder.heads * encoder.head_width();
        let described = encoder.attention.of(layer);
        let norm1 = self.norm("norm1", &names.norm1, layer, width)?;
        let kind = self.attention_kind(layer, max_tokens)?;
        let both = described.shares_query();
        let (query, of_query) = match &names.query_key {
            Some(names) if both => ("query_key", names),
            _ => ("query", &names.query),
        };
        let maps = [Some(of_query), (!both).then_some(&names.key), Some(&names.value)];
        let mut project = |key: &str, at: usize| self.projection(key, maps, at, layer, heads);
        let query = project(query, 0)?;
        let key = (!both).then(|| project("key", 1)).transpose()?;
        let value = project("value", 2)?;
        let attention = Attention {
            heads: encoder.heads,
            causal: described.causal(),
            kind,
            query,
            key,
            value,
            output: self.linear("output", &names.output, layer, heads, Some(width))?,
        };
        let norm2 = self.norm("norm2", &names.norm2, layer, width)?;
        let feed_forward = FeedForward {
            expand: self.linear("expand", &names.expand, layer, width, hidden)?,
            activation: encoder.activation.into(),
            contract: self.linear("contract", &names.contract, layer, encoder.hidden, Some(width))?,
        };
        Ok(Block { order: encoder.norm.into(), attention, norm1, feed_forward, norm2 })
    }

    fn attention_kind(&mut self, layer: usize, max_tokens: usize) -> Result<AttentionKind, ImportError> {
        let encoder = &self.description.encoder;
        let attention = encoder.attention.of(layer);
        let place = place(encoder, layer, max_tokens);
        let stored = match attention.stored(&self.description.tensors, place) {
            Some(stored) => {
                let name = in_layer(stored.name, layer);
                Some(self.checkpoint.tensor(stored.key, &name, &stored.shape)?.1)
            }
            None => None,
        };
        attention.kind(place, stored).map_err(|problem| problem.of(self.path))
    }

    fn norm(
        &mut self,
        key: &str,
        names: &NormNames,
        layer: usize,
        width: usize,
    ) -> Result<Norm, ImportError> {
        let gain = self.vector(&format!("{key}.gain"), &in_layer(&names.gain, layer), width)?;
        let bias = self.bias(key, &names.bias, layer, width, fused::Part::WHOLE)?;
        Ok(Norm { gain, bias, epsilon: self.description.encoder.epsilon })
    }
}

/// What the attention of a layer has to know of a network whose inputs have at most so many `tokens`.
fn place(encoder: &Encoder, layer: usize, tokens: usize) -> Place {
    let (head_width, multiple) = (encoder.head_width(), encoder.attention.multiple());
    Place { layer, heads: encoder.heads, head_width, tokens, multiple }
}
