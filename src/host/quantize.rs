//! From a float network to the integers of a model file.
//!
//! Activations get one power-of-two scale each, from their calibrated range. Weights get a free scale per
//! output channel, *derived from* the integer multiplier that undoes it, so that the scale itself has no
//! error. Weights have 8 bits; a layer in [`Precision`] has 16. The bias of a layer belongs to the weights as rounded: it
//! gives back what they lose of the mean of their inputs.

mod attention;
mod ends;
mod error;
mod extra;
pub mod favor;
mod linear;
pub mod lsh;
mod numbers;
mod precision;

pub use error::QuantizeError;
pub use extra::extra_bits;
pub(super) use extra::{Peaks, Runs};
pub use precision::{Progress, Promotion, Quantized, Settings, quantize};

use std::collections::BTreeSet;
use std::string::String;
use std::vec::Vec;

pub(super) use self::attention::{log_scores, score_scale};
use self::linear::{Columns, quantize_columns};
use super::calibrate::{Range, Ranges};
use super::reference as float;
use crate::kernels::{Activation, VALUE_LIMIT, dot_limit, normalised_frac};
use crate::model::write;
use crate::model::{Attention, NormOrder, Table};

/// Room above the calibrated peak of an activation, as a factor: recordings not seen may go higher.
pub const HEADROOM: f64 = 1.2;
/// Most fractional bits of an activation.
const MOST_FRAC: i32 = 24;
/// GELU is not flat before about minus four: its input must reach that far.
const GELU_REACH: f64 = 4.0;
/// From here on the hyperbolic tangent is 1 to 15 bits; with [`HEADROOM`] less than 8.
const TANH_REACH: f64 = 6.0;
/// Names of the two tables of axial positions.
const AXIAL: [&str; 2] = ["positions 0", "positions 1"];

/// The layers whose weights have 16 bits, by name: `stem`, `positions`, `block 0 query`, `head`, …
pub type Precision = BTreeSet<String>;

/// The integers of `network`, given the ranges of its tensors; causal hierarchical layers without extra bits.
///
/// # Errors
/// [`QuantizeError`] names the tensor for which no integers exist.
pub fn integers(
    network: &float::Network,
    ranges: &Ranges,
    precision: &Precision,
) -> Result<write::File, QuantizeError> {
    Builder { network, ranges, precision }.file()
}

struct Builder<'a> {
    network: &'a float::Network,
    ranges: &'a Ranges,
    precision: &'a Precision,
}

impl Builder<'_> {
    fn file(&self) -> Result<write::File, QuantizeError> {
        let (network, ranges) = (self.network, self.ranges);
        let heads = network.blocks.first().map_or(1, |block| block.attention.heads);
        // Stem, positions and their sum share a format.
        let peak = ["stem", "summed"].map(|tensor| ranges.tensor(None, tensor).peak());
        let position = match &network.positions {
            float::Positions::None => 0.0,
            float::Positions::Learned(table) => largest(table),
            float::Positions::Sinusoidal => 1.0,
            float::Positions::Axial(axial) => largest(&axial.tables.concat()),
        };
        let peak = peak.into_iter().fold(position, f64::max);
        let frac = fractional_bits(peak * HEADROOM, i16::MAX).clamp(0, 15);
        let input = self.input(frac)?;
        let mut frac = match &input {
            write::Input::Samples { stem, .. } | write::Input::OneHot { stem, .. } => stem.frac,
            write::Input::Tokens { table } => table.frac,
        };
        let positions = self.positions(frac)?;
        let embedding_norm = match &network.embedding_norm {
            Some(norm) => {
                Some(self.norm("embedding_norm", norm, frac, self.frac(None, "embedding", i16::MAX))?)
            }
            None => None,
        };
        let class_token = network.class_token.as_ref().map(|token| ends::class_token(token, frac));
        frac = embedding_norm.as_ref().map_or(frac, |norm| norm.frac);

        let mut blocks = Vec::new();
        let mut streams = [frac; 2];
        for (index, block) in network.blocks.iter().enumerate() {
            if block.attention.heads != heads {
                let found = block.attention.heads;
                return Err(QuantizeError::Heads { block: index, found, expected: heads });
            }
            let block = self.block(index, block, streams)?;
            streams = match block.order {
                NormOrder::Pre => [block.contract.frac, streams[1]],
                NormOrder::Post => [block.norm2.frac, streams[1]],
                NormOrder::Reversible => [block.output.frac, block.contract.frac],
            };
            blocks.push(block);
        }
        // Two streams side by side have the coarser of their formats.
        frac = if network.reversible() { streams[0].min(streams[1]) } else { streams[0] };
        let final_norm = match &network.final_norm {
            Some(norm) => Some(self.norm("final_norm", norm, frac, self.frac(None, "normed", i16::MAX))?),
            None => None,
        };
        frac = final_norm.as_ref().map_or(frac, |norm| norm.frac);
        let pooled_norm = match &network.pooled_norm {
            Some(norm) => {
                Some(self.norm("pooled_norm", norm, frac, self.frac(None, "pooled_norm", i16::MAX))?)
            }
            None => None,
        };
        frac = pooled_norm.as_ref().map_or(frac, |norm| norm.frac);
        let pooled = if network.pooled_norm.is_some() { "pooled_norm" } else { "pooled" };
        let head_hidden = match &network.hidden {
            Some(layer) => {
                let activation = engine_activation(layer.activation);
                let finer = self.activated_frac(None, layer.activation);
                let linear = self.linear("hidden", &layer.map, frac, finer, &ranges.means(None, pooled))?;
                frac = linear.frac;
                Some(write::Hidden { linear, activation })
            }
            None => None,
        };
        let before = if network.hidden.is_some() { "hidden" } else { pooled };
        let (head, numbers) = match network.answers.task {
            float::Task::Regression => self.numbers(frac, &ranges.means(None, before))?,
            float::Task::Multiclass | float::Task::Multilabel => {
                let scores = self.frac(None, "scores", i16::MAX);
                let head = self.linear("head", &network.head, frac, scores, &ranges.means(None, before))?;
                (head, Vec::new())
            }
        };
        let sample_scale = match &network.input {
            float::Input::Samples { scale, .. } if scale.windows(2).all(|pair| pair[0] == pair[1]) => {
                scale.iter().take(1).map(|&scale| scale as f32).collect()
            }
            float::Input::Samples { scale, .. } => scale.iter().map(|&scale| scale as f32).collect(),
            _ => Vec::new(),
        };
        Ok(write::File {
            name: network.name.clone(),
            max_tokens: network.max_tokens,
            horizon: network.horizon(),
            width: network.width(),
            heads,
            head_width: network.blocks.first().map_or(1, |block| block.attention.query.outputs / heads),
            pooling: ends::pooling(network.pooling),
            sample_scale,
            input,
            class_token,
            positions,
            embedding_norm,
            blocks,
            final_norm,
            pooled_norm,
            head_hidden,
            head,
            answers: write::Answers { numbers, ..ends::answers(&network.answers) },
            input_units: network.answers.input_units.clone(),
        })
    }

    fn positions(&self, frac: i32) -> Result<write::Positions, QuantizeError> {
        let width = self.network.width();
        Ok(match &self.network.positions {
            float::Positions::None => write::Positions::None,
            float::Positions::Learned(table) => {
                write::Positions::Learned(self.table("positions", table, width, frac)?)
            }
            float::Positions::Sinusoidal => write::Positions::Sinusoidal(angular_steps(width)),
            float::Positions::Axial(axial) => {
                let table = |axis: usize| {
                    let values = &axial.tables[axis];
                    self.table(AXIAL[axis], values, values.len() / axial.shape[axis], frac)
                };
                write::Positions::Axial([table(0)?, table(1)?])
            }
        })
    }

    fn block(
        &self,
        index: usize,
        block: &float::Block,
        streams: [i32; 2],
    ) -> Result<write::Block, QuantizeError> {
        let name = |tensor: &str| super::calibrate::site_name(Some(index), tensor);
        let frac = |tensor, limit| self.frac(Some(index), tensor, limit);
        let (attention, network) = (&block.attention, &block.feed_forward);
        let head_width = attention.query.outputs / attention.heads;
        let order = match block.order {
            float::NormOrder::Pre => NormOrder::Pre,
            float::NormOrder::Post => NormOrder::Post,
            float::NormOrder::Reversible => NormOrder::Reversible,
        };

        let means = |tensor| self.ranges.means(Some(index), tensor);
        let x = if order == NormOrder::Post { streams[0] } else { frac("norm1", i16::MAX) };
        let of_x = match (order, index.checked_sub(1)) {
            (NormOrder::Post, None) => self.ranges.means(None, "embedding"),
            (NormOrder::Post, before) => self.ranges.means(before, "norm2"),
            _ => means("norm1"),
        };
        let limit = dot_limit(head_width);
        let query = self.linear(&name("query"), &attention.query, x, frac("query", limit), &of_x)?;
        let key = match &attention.key {
            Some(key) if !attention.kind.shares_query() => {
                Some(self.linear(&name("key"), key, x, frac("key", limit), &of_x)?)
            }
            _ => None,
        };
        let key_frac = key.as_ref().map_or(query.frac, |key| key.frac);
        let value = self.linear(&name("value"), &attention.value, x, frac("value", VALUE_LIMIT), &of_x)?;
        let gain = (frac("attended", i16::MAX) - value.frac).clamp(0, Attention::MAX_GAIN as i32);
        let attended = value.frac + gain;
        let residual1 = frac("residual1", i16::MAX);
        let output =
            self.linear(&name("output"), &attention.output, attended, residual1, &means("attended"))?;
        let scale = match &attention.kind {
            float::AttentionKind::Lsh { parameters, .. } => {
                lsh::lsh_scale(parameters.scale, head_width, query.frac)
            }
            _ => score_scale(query.frac + key_frac, head_width),
        };
        let scale = scale.ok_or_else(|| QuantizeError::Scale {
            tensor: name("query"),
            weight: largest(&attention.query.weights),
        })?;
        let norm1_input = match order {
            NormOrder::Pre => streams[0],
            NormOrder::Post => output.frac,
            NormOrder::Reversible => streams[1],
        };
        let norm1 = self.norm(&name("norm1"), &block.norm1, norm1_input, frac("norm1", i16::MAX))?;

        let x = if order == NormOrder::Post { norm1.frac } else { frac("norm2", i16::MAX) };
        let hidden = self.activated_frac(Some(index), network.activation);
        let of_x = means(if order == NormOrder::Post { "norm1" } else { "norm2" });
        let expand = self.linear(&name("expand"), &network.expand, x, hidden, &of_x)?;
        let residual2 = frac("residual2", i16::MAX);
        let contract =
            self.linear(&name("contract"), &network.contract, expand.frac, residual2, &means("hidden"))?;
        let norm2_input = if order == NormOrder::Post { contract.frac } else { output.frac };
        let norm2 = self.norm(&name("norm2"), &block.norm2, norm2_input, frac("norm2", i16::MAX))?;
        Ok(write::Block {
            order,
            kind: attention::kind(index, attention, self.network, [query.frac, key_frac])?,
            causal: attention.causal,
            scale,
            gain: gain as u32,
            query,
            key,
            value,
            output,
            norm1,
            activation: engine_activation(network.activation),
            expand,
            contract,
            norm2,
        })
    }

    /// Fractional bits for a tensor, such that its calibrated range and some headroom stay within `limit`.
    fn frac(&self, block: Option<usize>, tensor: &'static str, limit: i16) -> i32 {
        let range: Range = self.ranges.tensor(block, tensor);
        fractional_bits(range.peak() * HEADROOM, limit)
    }

    /// Fractional bits of `hidden`, before and after its activation.
    fn activated_frac(&self, block: Option<usize>, activation: float::Activation) -> i32 {
        // What is negative becomes zero or nearly so: only the positive side needs room. The hyperbolic tangent's
        // own range does not show that of its argument.
        let reach = match activation {
            float::Activation::Relu => 0.0,
            float::Activation::GeluErf | float::Activation::GeluTanh => GELU_REACH,
            float::Activation::Tanh => TANH_REACH,
        };
        let peak = self.ranges.tensor(block, "hidden").high.max(reach);
        fractional_bits(peak * HEADROOM, i16::MAX).clamp(0, 15)
    }

    fn bits(&self, name: &str) -> u32 {
        if self.precision.contains(name) { 16 } else { 8 }
    }

    /// Integers of a layer whose inputs have these `means`.
    fn linear(
        &self,
        name: &str,
        linear: &float::Linear,
        input_frac: i32,
        output_frac: i32,
        means: &[f64],
    ) -> Result<write::Linear, QuantizeError> {
        finite(name, linear.weights.iter().chain(&linear.bias))?;
        let columns = Columns {
            weights: &linear.weights,
            bias: &linear.bias,
            means,
            bits: self.bits(name),
            input_frac,
            output_frac,
        };
        let integers = quantize_columns(columns).ok_or_else(|| QuantizeError::Scale {
            tensor: String::from(name),
            weight: largest(&linear.weights),
        })?;
        Ok(write::Linear { inputs: linear.inputs, ..integers })
    }

    fn table(
        &self,
        name: &str,
        values: &[f64],
        width: usize,
        frac: i32,
    ) -> Result<write::Table, QuantizeError> {
        finite(name, values)?;
        let none = std::vec![0.0; width];
        let columns = Columns {
            weights: values,
            bias: &none,
            means: &[],
            bits: self.bits(name),
            input_frac: Table::ONE_SHIFT as i32,
            output_frac: frac,
        };
        let integers = quantize_columns(columns)
            .filter(|integers| integers.frac == frac)
            .ok_or_else(|| QuantizeError::Scale { tensor: String::from(name), weight: largest(values) })?;
        // A row of a table is one row of the matrix, not one of its columns.
        let stored = &integers.weights.values;
        let rows = values.len() / width;
        let values = (0..rows * width).map(|i| stored[i % width * rows + i / width]).collect();
        Ok(write::Table {
            values: write::Matrix { values, bits: integers.weights.bits },
            multipliers: integers.multipliers,
            shift: integers.shift,
            frac,
        })
    }

    fn norm(
        &self,
        name: &str,
        norm: &float::Norm,
        input_frac: i32,
        output_frac: i32,
    ) -> Result<write::Norm, QuantizeError> {
        finite(name, norm.gain.iter().chain(&norm.bias))?;
        let width = norm.gain.len();
        let normalised = normalised_frac(width) as i32;
        let gain = largest(&norm.gain);
        let bias = largest(&norm.bias);
        // output = (normalised * gain * 2^scale + bias * 2^(output + shift)) >> shift
        let fits = |shift: i32| {
            let scale = output_frac - normalised + shift;
            gain * exp2(scale) <= f64::from(i16::MAX)
                && bias * exp2(output_frac + shift) <= f64::from(1 << 30)
        };
        let shift = (0..=30)
            .rev()
            .find(|&shift| fits(shift))
            .ok_or_else(|| QuantizeError::Scale { tensor: String::from(name), weight: gain.max(bias) })?;
        let scale = exp2(output_frac - normalised + shift);
        let n = width as f64;
        Ok(write::Norm {
            gain: norm.gain.iter().map(|gain| (gain * scale).round() as i16).collect(),
            bias: norm.bias.iter().map(|bias| (bias * exp2(output_frac + shift)).round() as i32).collect(),
            shift: shift as u32,
            epsilon: (norm.epsilon * n * n * exp2(2 * input_frac)).round() as u64,
            frac: output_frac,
        })
    }
}

fn engine_activation(activation: float::Activation) -> Activation {
    match activation {
        float::Activation::Relu => Activation::Relu,
        float::Activation::GeluErf => Activation::GeluErf,
        float::Activation::GeluTanh => Activation::GeluTanh,
        float::Activation::Tanh => Activation::Tanh,
    }
}

/// Turns of each sine and cosine pair from one position to the next, in units of 2^-32.
fn angular_steps(width: usize) -> Vec<u32> {
    (0..width.div_ceil(2))
        .map(|pair| {
            let radians = f64::powf(10_000.0, -2.0 * pair as f64 / width as f64);
            (radians / std::f64::consts::TAU * exp2(32)).round() as u32
        })
        .collect()
}

/// Most fractional bits with which `peak` stays within `limit`.
pub(super) fn fractional_bits(peak: f64, limit: i16) -> i32 {
    let most = f64::from(MOST_FRAC);
    if peak > 0.0 { (f64::from(limit) / peak).log2().floor().clamp(-15.0, most) as i32 } else { 15 }
}

fn finite<'v>(name: &str, values: impl IntoIterator<Item = &'v f64>) -> Result<(), QuantizeError> {
    if values.into_iter().all(|value| value.is_finite()) {
        Ok(())
    } else {
        Err(QuantizeError::NotFinite { tensor: String::from(name) })
    }
}

fn largest(values: &[f64]) -> f64 {
    values.iter().fold(0.0, |most: f64, value| most.max(value.abs()))
}

fn exp2(exponent: i32) -> f64 {
    f64::from(exponent).exp2()
}
