//! A graph as the file has it: nodes in order, constants as numbers.

use std::collections::HashMap;
use std::path::Path;

use fixformer::host::file;
use fixformer::host::import::Precision;
use tract_onnx::pb::tensor_proto::{DataLocation, DataType};
use tract_onnx::pb::tensor_shape_proto::dimension::Value as Dimension;
use tract_onnx::pb::{AttributeProto, ModelProto, NodeProto, TensorProto, ValueInfoProto, type_proto};

use super::array::Array;
use super::error::Problem;

/// One graph.
#[derive(Debug)]
pub(super) struct Graph {
    /// Version of the operators.
    pub(super) opset: i64,
    /// What a caller gives.
    pub(super) inputs: Vec<Port>,
    /// Names of what comes out.
    pub(super) outputs: Vec<String>,
    /// The narrowest format of real numbers among the initializers.
    pub(super) precision: Precision,
    /// Initializers by name.
    pub(super) constants: HashMap<String, Constant>,
    /// In an order in which they can be computed.
    pub(super) nodes: Vec<Node>,
}

/// An input.
#[derive(Debug, Clone)]
pub(super) struct Port {
    pub(super) name: String,
    pub(super) kind: Kind,
    /// None where a length is left open.
    pub(super) shape: Vec<Option<usize>>,
}

/// One operation.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) name: String,
    pub(super) operator: String,
    /// An empty name where an optional one is left out.
    pub(super) inputs: Vec<String>,
    pub(super) outputs: Vec<String>,
    pub(super) attributes: HashMap<String, Attribute>,
}

/// An attribute of a node.
#[derive(Debug)]
pub(super) enum Attribute {
    Float(f64),
    Int(i64),
    Text(String),
    Floats(Vec<f64>),
    Ints(Vec<i64>),
    Tensor(Constant),
}

/// Numbers that do not depend on the input. 64-bit indices beyond 2^53 only ever mean "to the end".
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Constant {
    pub(super) array: Array<f64>,
    pub(super) kind: Kind,
}

/// What the numbers are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Real,
    Whole,
    Flag,
}

impl Kind {
    /// The kind of an element type of ONNX.
    pub(super) fn of(element: i32) -> Option<Self> {
        Some(match DataType::try_from(element).ok()? {
            DataType::Float | DataType::Double | DataType::Float16 | DataType::Bfloat16 => Self::Real,
            DataType::Bool => Self::Flag,
            DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64 => Self::Whole,
            DataType::Uint8 | DataType::Uint16 | DataType::Uint32 | DataType::Uint64 => Self::Whole,
            _ => return None,
        })
    }
}

impl Constant {
    /// Whole numbers, `[length]`.
    pub(super) fn whole(values: impl IntoIterator<Item = usize>) -> Self {
        let data: Vec<f64> = values.into_iter().map(|value| value as f64).collect();
        Self { array: Array::new(vec![data.len()], data), kind: Kind::Whole }
    }

    pub(super) fn integers(&self) -> Vec<i64> {
        self.array.data.iter().map(|&value| value as i64).collect()
    }

    /// The value that all elements have.
    pub(super) fn uniform(&self) -> Option<f64> {
        let first = *self.array.data.first()?;
        self.array.data.iter().all(|&value| value == first).then_some(first)
    }
}

impl Node {
    /// How messages name it: operator and name, or what it computes where it has none.
    pub(super) fn place(&self) -> String {
        let name = if self.name.is_empty() { self.outputs.first() } else { Some(&self.name) };
        format!("{} `{}`", self.operator, name.map_or("", String::as_str))
    }

    pub(super) fn int(&self, name: &str) -> Option<i64> {
        match self.attributes.get(name) {
            Some(Attribute::Int(value)) => Some(*value),
            _ => None,
        }
    }

    pub(super) fn ints(&self, name: &str) -> Option<&[i64]> {
        match self.attributes.get(name) {
            Some(Attribute::Ints(values)) => Some(values),
            _ => None,
        }
    }

    pub(super) fn float(&self, name: &str) -> Option<f64> {
        match self.attributes.get(name) {
            Some(Attribute::Float(value)) => Some(*value),
            _ => None,
        }
    }

    pub(super) fn text(&self, name: &str) -> Option<&str> {
        match self.attributes.get(name) {
            Some(Attribute::Text(value)) => Some(value),
            _ => None,
        }
    }
}

impl Graph {
    /// The graph of `model`; `folder` has the files that it names.
    pub(super) fn of(model: &ModelProto, folder: &Path) -> Result<Self, Problem> {
        let graph =
            model.graph.as_ref().ok_or_else(|| Problem::of_graph("has no graph; export the model again"))?;
        let own = |import: &&tract_onnx::pb::OperatorSetIdProto| ["", "ai.onnx"].contains(&&*import.domain);
        let opset = model.opset_import.iter().find(own).map_or(1, |import| import.version);
        let mut files = Files { folder, read: HashMap::new() };
        let mut constants = HashMap::new();
        for tensor in &graph.initializer {
            constants.insert(tensor.name.clone(), files.constant(tensor)?);
        }
        let precision = graph.initializer.iter().map(|tensor| match DataType::try_from(tensor.data_type) {
            Ok(DataType::Bfloat16) => Precision::BF16,
            Ok(DataType::Float16) => Precision::F16,
            _ => Precision::F32,
        });
        let precision = precision.max().unwrap_or(Precision::F32);
        let nodes = graph.node.iter().map(|node| read_node(node, &mut files)).collect::<Result<_, _>>()?;
        let inputs = graph.input.iter().filter(|input| !constants.contains_key(&input.name));
        let inputs = inputs.map(port).collect::<Result<_, _>>()?;
        let outputs = graph.output.iter().map(|output| output.name.clone()).collect();
        Ok(Self { opset, inputs, outputs, precision, constants, nodes })
    }
}

fn port(info: &ValueInfoProto) -> Result<Port, Problem> {
    let wrong = |what: &str| {
        Problem::of_graph(format!("input `{}` {what}; export it with one tensor of known rank", info.name))
    };
    let Some(type_proto::Value::TensorType(tensor)) =
        info.r#type.as_ref().and_then(|kind| kind.value.as_ref())
    else {
        return Err(wrong("is no tensor"));
    };
    let kind = Kind::of(tensor.elem_type).ok_or_else(|| wrong("has elements that are no numbers"))?;
    let shape = tensor.shape.as_ref().ok_or_else(|| wrong("has no shape"))?;
    let length = |dimension: &tract_onnx::pb::tensor_shape_proto::Dimension| match dimension.value {
        Some(Dimension::DimValue(length)) => usize::try_from(length).ok().filter(|&length| length > 0),
        _ => None,
    };
    Ok(Port { name: info.name.clone(), kind, shape: shape.dim.iter().map(length).collect() })
}

fn read_node(node: &NodeProto, files: &mut Files<'_>) -> Result<Node, Problem> {
    let operator = match &*node.domain {
        "" | "ai.onnx" => node.op_type.clone(),
        domain => format!("{domain}.{}", node.op_type),
    };
    let attribute = |attribute: &AttributeProto, files: &mut Files<'_>| {
        use tract_onnx::pb::attribute_proto::AttributeType;
        Ok(match AttributeType::try_from(attribute.r#type) {
            Ok(AttributeType::Float) => Attribute::Float(decimal(attribute.f)),
            Ok(AttributeType::Int) => Attribute::Int(attribute.i),
            Ok(AttributeType::String) => Attribute::Text(String::from_utf8_lossy(&attribute.s).into_owned()),
            Ok(AttributeType::Floats) => {
                Attribute::Floats(attribute.floats.iter().copied().map(decimal).collect())
            }
            Ok(AttributeType::Ints) => Attribute::Ints(attribute.ints.clone()),
            Ok(AttributeType::Tensor) => match &attribute.t {
                Some(tensor) => Attribute::Tensor(files.constant(tensor)?),
                None => return Ok(None),
            },
            // Graphs and lists of text: of operators that have no place anyway.
            _ => return Ok(None),
        }
        .into())
    };
    let mut attributes = HashMap::new();
    for one in &node.attribute {
        if let Some(value) = attribute(one, files)? {
            attributes.insert(one.name.clone(), value);
        }
    }
    let (inputs, outputs) = (node.input.clone(), node.output.clone());
    Ok(Node { name: node.name.clone(), operator, inputs, outputs, attributes })
}

/// By its decimal text: an epsilon of 1e-5 as an f32 is to be 1e-5, not 9.99999975e-6.
fn decimal(value: f32) -> f64 {
    value.to_string().parse().unwrap_or(f64::from(value))
}

/// The files of weights beside the graph, each read once.
struct Files<'a> {
    folder: &'a Path,
    read: HashMap<String, Vec<u8>>,
}

impl Files<'_> {
    fn constant(&mut self, tensor: &TensorProto) -> Result<Constant, Problem> {
        let name = &tensor.name;
        let wrong = |what: String| Problem::of_graph(format!("tensor `{name}` {what}"));
        let kind = Kind::of(tensor.data_type).ok_or_else(|| {
            wrong("has elements that are no numbers; export the model in 32-bit floats".to_owned())
        })?;
        let shape: Option<Vec<usize>> =
            tensor.dims.iter().map(|&length| usize::try_from(length).ok()).collect();
        let shape = shape.ok_or_else(|| wrong("has a negative length".to_owned()))?;
        let outside = tensor.data_location == Some(DataLocation::External as i32);
        let data = match (outside, tensor.raw_data.is_empty()) {
            (true, _) => decoded(tensor.data_type, self.outside(tensor).map_err(wrong)?),
            (false, false) => decoded(tensor.data_type, &tensor.raw_data),
            (false, true) => listed(tensor),
        };
        let expected = shape.iter().try_fold(1_usize, |count, &length| count.checked_mul(length));
        match data {
            Some(data) if expected == Some(data.len()) => {
                Ok(Constant { array: Array::new(shape, data), kind })
            }
            _ => Err(wrong(format!(
                "has not the values that its shape {shape:?} asks for; the file is damaged"
            ))),
        }
    }

    /// Bytes of a file beside the graph.
    fn outside(&mut self, tensor: &TensorProto) -> Result<&[u8], String> {
        let entry =
            |key: &str| tensor.external_data.iter().find(|entry| entry.key == key).map(|entry| &*entry.value);
        let location = entry("location").ok_or("is in another file, but the graph does not say in which")?;
        let path = Path::new(location);
        let plain = |part: std::path::Component<'_>| {
            matches!(part, std::path::Component::Normal(_) | std::path::Component::CurDir)
        };
        if !path.components().all(plain) {
            return Err(format!(
                "is in `{location}`, which is not beside the graph; put both into one folder"
            ));
        }
        if !self.read.contains_key(location) {
            let path = self.folder.join(path);
            let bytes = file::read(&path, file::MOST_BYTES).map_err(|error| {
                format!("is in {}, which cannot be read: {error}; put it beside the graph", path.display())
            })?;
            self.read.insert(location.to_owned(), bytes);
        }
        let bytes = &self.read[location];
        let number = |key: &str, default: usize| match entry(key) {
            Some(text) => text.parse().map_err(|_| format!("has `{text}` for its {key} in {location}")),
            None => Ok(default),
        };
        let offset = number("offset", 0)?;
        let length = number("length", bytes.len().saturating_sub(offset))?;
        let end = offset.checked_add(length).filter(|&end| end <= bytes.len());
        let end = end.ok_or_else(|| {
            format!("is at byte {offset} of {location}, which has {} bytes; export both again", bytes.len())
        })?;
        Ok(&bytes[offset..end])
    }
}

/// The files beside a graph that have tensors of it, as it names them.
pub(super) fn locations(model: &ModelProto) -> Vec<String> {
    let Some(graph) = &model.graph else { return Vec::new() };
    let attributes =
        graph.node.iter().flat_map(|node| &node.attribute).filter_map(|attribute| attribute.t.as_ref());
    let entries = graph.initializer.iter().chain(attributes).flat_map(|tensor| &tensor.external_data);
    let mut names: Vec<String> =
        entries.filter(|entry| entry.key == "location").map(|entry| entry.value.clone()).collect();
    names.sort();
    names.dedup();
    names
}

/// Values from their bytes.
fn decoded(element: i32, bytes: &[u8]) -> Option<Vec<f64>> {
    fn values<const N: usize>(bytes: &[u8], value: impl Fn([u8; N]) -> f64) -> Option<Vec<f64>> {
        let (chunks, rest) = bytes.as_chunks::<N>();
        rest.is_empty().then(|| chunks.iter().map(|&chunk| value(chunk)).collect())
    }
    match DataType::try_from(element).ok()? {
        DataType::Float => values(bytes, |b| f32::from_le_bytes(b).into()),
        DataType::Double => values(bytes, f64::from_le_bytes),
        DataType::Float16 => values(bytes, |b| half::f16::from_le_bytes(b).into()),
        DataType::Bfloat16 => values(bytes, |b| half::bf16::from_le_bytes(b).into()),
        DataType::Bool => values(bytes, |[b]| f64::from(u8::from(b != 0))),
        DataType::Int8 => values(bytes, |b| i8::from_le_bytes(b).into()),
        DataType::Int16 => values(bytes, |b| i16::from_le_bytes(b).into()),
        DataType::Int32 => values(bytes, |b| i32::from_le_bytes(b).into()),
        DataType::Int64 => values(bytes, |b| i64::from_le_bytes(b) as f64),
        DataType::Uint8 => values(bytes, |[b]| b.into()),
        DataType::Uint16 => values(bytes, |b| u16::from_le_bytes(b).into()),
        DataType::Uint32 => values(bytes, |b| u32::from_le_bytes(b).into()),
        DataType::Uint64 => values(bytes, |b| u64::from_le_bytes(b) as f64),
        _ => None,
    }
}

/// Values that stand in the typed lists of the message.
fn listed(tensor: &TensorProto) -> Option<Vec<f64>> {
    let bits = |bits: &i32| u16::try_from(*bits).ok();
    Some(match DataType::try_from(tensor.data_type).ok()? {
        DataType::Float => tensor.float_data.iter().map(|&value| value.into()).collect(),
        DataType::Double => tensor.double_data.clone(),
        DataType::Float16 => {
            let values = tensor.int32_data.iter().map(|b| Some(half::f16::from_bits(bits(b)?).into()));
            values.collect::<Option<_>>()?
        }
        DataType::Bfloat16 => {
            let values = tensor.int32_data.iter().map(|b| Some(half::bf16::from_bits(bits(b)?).into()));
            values.collect::<Option<_>>()?
        }
        DataType::Int64 => tensor.int64_data.iter().map(|&value| value as f64).collect(),
        DataType::Uint32 | DataType::Uint64 => tensor.uint64_data.iter().map(|&value| value as f64).collect(),
        _ => tensor.int32_data.iter().map(|&value| value.into()).collect(),
    })
}
