//! The user's graph itself, run by tract, beside the network that it was taken for.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::path::{Path, PathBuf};

use fixformer::host::reference::{Input, Network, Site};
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{ModelProto, TensorProto, attribute_proto::AttributeType, type_proto};
use tract_onnx::prelude::*;
use tract_onnx::tract_hir::infer::Factoid;

use super::Agreement;
use super::expression::Tensor as Found;
use super::graph::{Constant, Graph};
use super::read::Reading;

/// Relative difference of the scores up to which the network is the graph. The rounding of 32-bit floats makes about
/// 1e-7; the other GELU, or another epsilon, 2e-5 and more. Weights of 16 bits are widened before the graph is run, so
/// that it is the same for them.
pub(super) const LIMIT: f64 = 1e-5;

/// Most recordings that are compared.
const RECORDINGS: usize = 16;

/// A graph that can be run.
pub(super) struct Oracle {
    model: ModelProto,
    folder: PathBuf,
    output: String,
    reading: Reading,
    /// Which tensors of the graph are which of the network, blocks counted from the last.
    tensors: HashMap<Site, Found>,
}

impl Oracle {
    pub(super) fn new(
        mut model: ModelProto,
        folder: &Path,
        graph: &Graph,
        reading: Reading,
        tensors: HashMap<Site, Found>,
    ) -> Self {
        widen(&mut model, graph);
        let output = graph.outputs.first().cloned().unwrap_or_default();
        Self { model, folder: folder.to_owned(), output, reading, tensors }
    }

    /// Runs both on some of `rows`; else says what differs.
    pub(super) fn compare(&self, network: &Network, rows: &[Vec<i16>]) -> Result<Agreement, String> {
        let length = self.reading.step_count() * self.reading.channel_count();
        let fitting: Vec<&Vec<i16>> =
            rows.iter().filter(|row| self.reading.open || row.len() == length).collect();
        if fitting.is_empty() {
            return Err(format!(
                "takes {length} values ({} steps of {}), and no recording has as many: it cannot be compared with the \
                 network that it was taken for; give recordings of this length",
                self.reading.step_count(),
                self.reading.channel_count()
            ));
        }
        let count = fitting.len().min(RECORDINGS);
        let rows: Vec<&[i16]> = (0..count).map(|index| &fitting[index * fitting.len() / count][..]).collect();
        let wanted = self.run(network, &rows, &[&self.output])?;
        let (mut error, mut norm) = (0.0, 0.0);
        for (row, wanted) in rows.iter().zip(&wanted) {
            let scores = network.forward(row, None, &mut |_, _| {}).map_err(|error| error.to_string())?;
            if scores.len() != wanted[0].len() {
                return Err(format!("gives {} scores, the network {}", wanted[0].len(), scores.len()));
            }
            for (a, b) in scores.iter().zip(&wanted[0]) {
                error += (a - b) * (a - b);
                norm += b * b;
            }
        }
        let difference = (error / f64::max(norm, f64::MIN_POSITIVE)).sqrt();
        if difference <= LIMIT {
            return Ok(Agreement { recordings: count, difference });
        }
        let first = match rows.iter().find(|row| row.len() == length) {
            Some(row) => self.first_difference(network, row)?,
            None => format!("for recordings of another length than {length} values"),
        };
        Err(format!(
            "its scores and those of the network that it was taken for differ by {difference:.1e} (relative, {count} \
             recordings; at most {LIMIT:.0e} is rounding): {first}. The network is not this graph; please report the \
             file"
        ))
    }

    /// The first tensor in which graph and network differ.
    fn first_difference(&self, network: &Network, row: &[i16]) -> Result<String, String> {
        let mut seen: Vec<(Site, Vec<f64>)> = Vec::new();
        let blocks = network.blocks.len();
        let mut note = |site: Site, values: &[f64]| {
            let site = Site { block: site.block.map(|block| blocks - 1 - block), ..site };
            if self.tensors.contains_key(&site) {
                seen.push((site, values.to_vec()));
            }
        };
        network.forward(row, None, &mut note).map_err(|error| error.to_string())?;
        let names: Vec<&String> = seen.iter().map(|(site, _)| &self.tensors[site].name).collect();
        let values = self.run(network, &[row], &names)?;
        for ((site, found), wanted) in seen.iter().zip(&values[0]) {
            let tensor = &self.tensors[site];
            let features =
                found.len() / tensor.at.data.iter().map(|e| e.token as usize + 1).max().unwrap_or(1);
            let (mut error, mut norm) = (0.0, 0.0);
            for (element, b) in tensor.at.data.iter().filter(|element| element.batch == 0).zip(wanted) {
                let a = found[element.token as usize * features + element.feature as usize];
                error += (a - b) * (a - b);
                norm += b * b;
            }
            let difference = (error / f64::max(norm, f64::MIN_POSITIVE)).sqrt();
            // NaN is no agreement.
            if difference > LIMIT || difference.is_nan() {
                let place = match site.block {
                    Some(block) => format!("{} of block {}", site.tensor, blocks - 1 - block),
                    None => site.tensor.to_owned(),
                };
                return Ok(format!("first in tensor `{}` ({place}), by {difference:.1e}", tensor.name));
            }
        }
        Ok(format!("only in the output `{}`", self.output))
    }

    /// The tensors `names` of each row: the elements of that recording, in the order of the tensor.
    fn run(
        &self,
        network: &Network,
        rows: &[&[i16]],
        names: &[&String],
    ) -> Result<Vec<Vec<Vec<f64>>>, String> {
        let failed = |error: TractError| format!("cannot be run, to compare it with its network: {error:#}");
        self.run_graph(network, rows, names).map_err(failed)
    }

    fn run_graph(
        &self,
        network: &Network,
        rows: &[&[i16]],
        names: &[&String],
    ) -> TractResult<Vec<Vec<Vec<f64>>>> {
        let folder = if self.folder.as_os_str().is_empty() { Path::new(".") } else { &self.folder };
        let onnx = tract_onnx::onnx().with_ignore_value_info(true).with_ignore_output_types(true);
        let parsed = onnx.parse(&self.model, folder.to_str())?;
        let mut model = parsed.model;
        let outlets: Option<Vec<OutletId>> =
            names.iter().map(|name| parsed.outlets_by_name.get(*name).copied()).collect();
        model.select_output_outlets(&outlets.ok_or_else(|| TractError::msg("an output is missing"))?)?;
        let kind = model.input_fact(0)?.datum_type.concretize().unwrap_or(f32::datum_type());
        let template = model;
        let runnable = |reading: &Reading| {
            let mut model = template.clone();
            model.set_input_fact(0, InferenceFact::dt_shape(kind, &reading.shape))?;
            model.into_optimized()?.into_runnable()
        };

        let scale = |channel: u32| match &network.input {
            Input::Samples { scale, .. } => scale[channel as usize],
            _ => 1.0,
        };
        let (batch, channels) = (self.reading.batch(), self.reading.channel_count());
        let mut of_length: HashMap<usize, _> = HashMap::new();
        let mut results = Vec::with_capacity(rows.len());
        // Recordings of other lengths come one by one.
        for rows in rows.chunks(if self.reading.open { 1 } else { batch }) {
            let length = rows[0].len();
            let (model, elements) = match of_length.entry(length) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(new) => {
                    let reading = self.reading.of_length(length);
                    new.insert((runnable(&reading)?, reading.elements()))
                }
            };
            let value = |element: &super::expression::Element| {
                // Where rows are missing, the last one again.
                let row = rows[(element.batch as usize).min(rows.len() - 1)];
                f64::from(row[element.token as usize * channels + element.feature as usize])
                    * scale(element.feature)
            };
            let values: Vec<f64> = elements.data.iter().map(value).collect();
            let input = Tensor::from_shape(&elements.shape, &values)?.cast_to_dt(kind)?.into_owned();
            let outputs = model.run(tvec!(input.into_tvalue()))?;
            let outputs: Vec<Vec<f64>> = outputs
                .iter()
                .map(|output| {
                    let output = output.cast_to::<f64>()?;
                    Ok(output.try_as_plain_ram()?.as_slice::<f64>()?.to_vec())
                })
                .collect::<TractResult<_>>()?;
            for index in 0..rows.len() {
                let own = |(name, output): (&&String, &Vec<f64>)| self.of_recording(name, output, index);
                results.push(names.iter().zip(&outputs).map(own).collect());
            }
        }
        Ok(results)
    }

    /// The elements of recording `index`.
    fn of_recording(&self, name: &str, values: &[f64], index: usize) -> Vec<f64> {
        let known =
            self.tensors.values().find(|tensor| tensor.name == name && tensor.at.data.len() == values.len());
        match known {
            Some(tensor) => {
                let own =
                    tensor.at.data.iter().zip(values).filter(|(element, _)| element.batch as usize == index);
                own.map(|(_, &value)| value).collect()
            }
            None => {
                let size = values.len() / self.reading.batch();
                values[index * size..][..size].to_vec()
            }
        }
    }
}

/// Makes 32-bit floats of all 16-bit ones, so that rounding does not hide a difference.
fn widen(model: &mut ModelProto, graph: &Graph) {
    let narrow = |element: i32| [DataType::Float16 as i32, DataType::Bfloat16 as i32].contains(&element);
    let float = DataType::Float as i32;
    let wide = |tensor: &mut TensorProto, constant: Option<&Constant>| {
        if let Some(constant) = constant.filter(|_| narrow(tensor.data_type)) {
            let bytes = constant.array.data.iter().flat_map(|&value| (value as f32).to_le_bytes());
            tensor.raw_data = bytes.collect();
            tensor.data_type = float;
            tensor.data_location = None;
            tensor.external_data.clear();
            tensor.int32_data.clear();
        }
    };
    let Some(proto) = &mut model.graph else { return };
    for tensor in &mut proto.initializer {
        let constant = graph.constants.get(&tensor.name);
        wide(tensor, constant);
    }
    for port in proto.input.iter_mut().chain(&mut proto.output) {
        if let Some(type_proto::Value::TensorType(tensor)) =
            port.r#type.as_mut().and_then(|kind| kind.value.as_mut())
            && narrow(tensor.elem_type)
        {
            tensor.elem_type = float;
        }
    }
    for (node, read) in proto.node.iter_mut().zip(&graph.nodes) {
        for attribute in &mut node.attribute {
            if node.op_type == "Cast" && attribute.name == "to" && narrow(attribute.i as i32) {
                attribute.i = float.into();
            }
            if attribute.r#type == AttributeType::Tensor as i32
                && let (Some(tensor), Some(super::graph::Attribute::Tensor(constant))) =
                    (&mut attribute.t, read.attributes.get(&attribute.name))
            {
                wide(tensor, Some(constant));
            }
        }
    }
}
