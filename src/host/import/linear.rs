//! Linear maps and vectors, from the shapes in which frameworks keep them.

use std::format;
use std::vec;
use std::vec::Vec;

use super::checkpoint::Extent::{Exactly, Free};
use super::description::{AffineNames, BiasName, Layout, in_layer};
use super::fused::Part;
use super::{ImportError, Importer};
use crate::host::reference::Linear;

impl Importer<'_> {
    /// The stem, from windows of `steps` steps: a linear map, or a convolution over the steps.
    pub(super) fn stem(
        &mut self,
        names: &AffineNames,
        inputs: usize,
        steps: usize,
        width: usize,
    ) -> Result<Linear, ImportError> {
        let channels = inputs / steps;
        let shape = self.checkpoint.shape(&names.weight).unwrap_or_default();
        // Keras has [steps, channels, width], which is the linear map as it is; where both fit, the layout says.
        let as_it_is = shape == [steps, channels, width] && self.description.tensors.layout == Layout::InOut;
        let torch = shape == [width, channels, steps] && !as_it_is;
        if !torch || names.rows.is_some() {
            return self.linear("stem", names, 0, inputs, Some(width));
        }
        let shape = [width, channels, steps].map(Exactly);
        let (_, kernel) = self.checkpoint.tensor("tensors.stem.weight", &names.weight, &shape)?;
        // A window is flattened step by step.
        let order = (0..steps).flat_map(|step| (0..channels).map(move |channel| channel * steps + step));
        let weights = order.flat_map(|input| kernel.iter().skip(input).step_by(inputs)).copied().collect();
        let bias = self.bias("stem", &names.bias, 0, width, Part::WHOLE)?;
        Ok(Linear { inputs, outputs: width, weights, bias })
    }

    /// `maps[at]` of query, key and value, to `outputs` columns; those that name one tensor share it.
    pub(super) fn projection(
        &mut self,
        key: &str,
        maps: [Option<&AffineNames>; 3],
        at: usize,
        layer: usize,
        outputs: usize,
    ) -> Result<Linear, ImportError> {
        let (encoder, tensors) = (&self.description.encoder, &self.description.tensors);
        let weights = maps.map(|names| names.map(|names| names.weight.as_str()));
        let biases = maps.map(|names| match names.map(|names| &names.bias) {
            Some(BiasName::Tensor(name)) => Some(name.as_str()),
            _ => None,
        });
        let part = |names: [Option<&str>; 3]| Part::of(&names, at, tensors.fused, encoder.heads);
        let (width, parts) = (encoder.width, [part(weights), part(biases)]);
        let Some(names) = maps[at] else { unreachable!("only projections that there are") };
        match names.rows {
            Some(_) => self.linear(key, names, layer, width, Some(outputs)),
            None => self.part(key, names, layer, [width, outputs], parts),
        }
    }

    /// A linear map of the `[inputs, outputs]`, which has parts of what the weight and the bias have.
    fn part(
        &mut self,
        key: &str,
        names: &AffineNames,
        layer: usize,
        [inputs, outputs]: [usize; 2],
        [of_weight, of_bias]: [Part; 2],
    ) -> Result<Linear, ImportError> {
        let name = in_layer(&names.weight, layer);
        let shape = self.checkpoint.shape(&name).unwrap_or_default();
        let axis =
            if self.description.tensors.layout == Layout::OutIn { shape.first() } else { shape.last() };
        // One tensor that has no room for all of them is that of each: their weights are tied.
        let part = if axis == Some(&outputs) { Part::WHOLE } else { of_weight };
        let (_, weights) = self.matrix(key, &name, inputs, Some(part.count * outputs))?;
        let weights = part.columns(&weights, outputs);
        let bias = self.bias(key, &names.bias, layer, outputs, of_bias)?;
        Ok(Linear { inputs, outputs, weights, bias })
    }

    /// A linear map; `outputs` is taken from the file when it is not given.
    pub(super) fn linear(
        &mut self,
        key: &str,
        names: &AffineNames,
        layer: usize,
        inputs: usize,
        outputs: Option<usize>,
    ) -> Result<Linear, ImportError> {
        let name = in_layer(&names.weight, layer);
        let Some([from, to]) = names.rows else {
            let (outputs, weights) = self.matrix(key, &name, inputs, outputs)?;
            let bias = self.bias(key, &names.bias, layer, outputs, Part::WHOLE)?;
            return Ok(Linear { inputs, outputs, weights, bias });
        };
        let (all, weights) = self.matrix(key, &name, inputs, None)?;
        let taken = to.saturating_sub(from);
        let problem = if taken == 0 || to > all {
            format!(
                "is [{from}, {to}], but the tensor `{name}` has {all} outputs; give two numbers from 0 to {all}"
            )
        } else if outputs.is_some_and(|outputs| outputs != taken) {
            format!("takes {taken} outputs, expected {}; correct them or the sizes", outputs.unwrap_or(taken))
        } else {
            let rows = weights.chunks_exact(all).flat_map(|row| &row[from..to]);
            let (outputs, weights) = (taken, rows.copied().collect());
            let bias = match &names.bias {
                BiasName::Tensor(bias) if self.length(bias, layer) == Some(all) => {
                    self.bias(key, &names.bias, layer, all, Part::WHOLE)?[from..to].to_vec()
                }
                _ => self.bias(key, &names.bias, layer, outputs, Part::WHOLE)?,
            };
            return Ok(Linear { inputs, outputs, weights, bias });
        };
        let field = format!("tensors.{key}.rows");
        Err(ImportError::Field { path: self.path.into(), field, problem })
    }

    /// The number of outputs and the weights, `[inputs, outputs]`.
    fn matrix(
        &mut self,
        key: &str,
        name: &str,
        inputs: usize,
        outputs: Option<usize>,
    ) -> Result<(usize, Vec<f64>), ImportError> {
        let key = format!("tensors.{key}.weight");
        let (rows, columns) = (Exactly(inputs), outputs.map_or(Free("outputs"), Exactly));
        if self.description.tensors.layout == Layout::OutIn {
            let (shape, weights) = self.checkpoint.tensor(&key, name, &[columns, rows])?;
            return Ok((shape[0], transposed(&weights, inputs)));
        }
        // Keras: [inputs, heads, head width] and [heads, head width, outputs], or [steps, channels, outputs].
        let shape = match self.checkpoint.shape(name).unwrap_or_default()[..] {
            [a, b, c] if a > 1 && a == inputs && outputs.is_none_or(|outputs| b * c == outputs) => {
                vec![a, b, c]
            }
            [a, b, c] if c > 1 && a * b == inputs && outputs.is_none_or(|outputs| c == outputs) => {
                vec![a, b, c]
            }
            _ => {
                let (shape, weights) = self.checkpoint.tensor(&key, name, &[rows, columns])?;
                return Ok((shape[1], weights));
            }
        };
        let exact: Vec<_> = shape.iter().map(|&length| Exactly(length)).collect();
        let (_, weights) = self.checkpoint.tensor(&key, name, &exact)?;
        Ok((weights.len() / inputs, weights))
    }

    /// A bias of `length` values, or a part of one that several share.
    pub(super) fn bias(
        &mut self,
        key: &str,
        name: &BiasName,
        layer: usize,
        length: usize,
        part: Part,
    ) -> Result<Vec<f64>, ImportError> {
        let BiasName::Tensor(name) = name else { return Ok(vec![0.0; length]) };
        let part = if self.length(name, layer) == Some(length) { Part::WHOLE } else { part };
        let name = in_layer(name, layer);
        let values = self.vector(&format!("{key}.bias"), &name, part.count * length)?;
        Ok(part.columns(&values, length))
    }

    /// Values of a tensor, if it is there.
    fn length(&self, name: &str, layer: usize) -> Option<usize> {
        let name = in_layer(name, layer);
        Some(self.checkpoint.shape(&name)?.iter().product())
    }

    /// A vector; one that Keras keeps as `[heads, head width]` is taken end to end.
    pub(super) fn vector(&mut self, key: &str, name: &str, length: usize) -> Result<Vec<f64>, ImportError> {
        let key = format!("tensors.{key}");
        let found = self.checkpoint.shape(name).unwrap_or_default();
        let exact = match found[..] {
            [a, b] if a * b == length => vec![Exactly(a), Exactly(b)],
            _ => vec![Exactly(length)],
        };
        Ok(self.checkpoint.tensor(&key, name, &exact)?.1)
    }
}

/// `[outputs, inputs]` to `[inputs, outputs]`.
fn transposed(weights: &[f64], inputs: usize) -> Vec<f64> {
    (0..inputs).flat_map(|i| weights.iter().skip(i).step_by(inputs)).copied().collect()
}
