//! From a graph to what it computes: each node in order, on tensors whose elements know where they come from.
//!
//! A tensor that depends on the recording is an array of [`Element`]s: which recording, which token, which column of
//! which expression. Operators that move elements (reshape, transpose, split, gather ...) move these, whatever chain an
//! exporter makes of them; those that compute look at what stands beside what. So it does not matter how a projection
//! is cut into heads, which axis has the tokens, or whether a class token was expanded by one operator or nine.

use std::collections::HashMap;
use std::rc::Rc;

use super::array::Array;
use super::constant::{folded, lengths, limits};
use super::elementwise::{binary, unary};
use super::error::Problem;
use super::expression::{Element, Expression, Expressions, Id, Rows, Tensor};
use super::graph::{Constant, Graph, Kind, Node, Port};
use super::layout::{Parameters, moved};

mod attention;
mod concat;
mod linear;
mod mask;
mod pointwise;
mod reduce;
mod symbols;

/// How the input of a graph is read.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Reading {
    /// Length of each axis, open ones decided.
    pub(super) shape: Vec<usize>,
    /// The axis of steps.
    pub(super) steps: usize,
    /// The axis of channels, if there is one.
    pub(super) channels: Option<usize>,
    /// Whether the graph takes recordings of any length.
    pub(super) open: bool,
}

impl Reading {
    /// Recordings at a time.
    pub(super) fn batch(&self) -> usize {
        self.shape[0]
    }

    /// Steps of a recording.
    pub(super) fn step_count(&self) -> usize {
        self.shape[self.steps]
    }

    /// Values of a step.
    pub(super) fn channel_count(&self) -> usize {
        self.channels.map_or(1, |axis| self.shape[axis])
    }

    /// The same for recordings of another length.
    pub(super) fn of_length(&self, values: usize) -> Self {
        let mut shape = self.shape.clone();
        shape[self.steps] = values / self.channel_count();
        Self { shape, ..self.clone() }
    }

    /// Where each element of the input stands.
    pub(super) fn elements(&self) -> Array<Element> {
        let strides = super::array::strides(&self.shape);
        let total = self.shape.iter().product();
        let index = |flat: usize, axis: usize| (flat / strides[axis] % self.shape[axis]) as u32;
        let element = |flat| Element {
            batch: index(flat, 0),
            token: index(flat, self.steps),
            feature: self.channels.map_or(0, |axis| index(flat, axis)),
        };
        Array::new(self.shape.clone(), (0..total).map(element).collect())
    }
}

/// What a graph computes.
#[derive(Debug)]
pub(super) struct Computed {
    pub(super) expressions: Expressions,
    /// The scores.
    pub(super) output: Rows,
}

/// A tensor of the graph.
#[derive(Debug, Clone)]
enum Value {
    Constant(Rc<Constant>),
    Rows(Rows),
}

/// Reads `graph`; a problem comes with how many nodes were read before it.
pub(super) fn read(graph: &Graph, port: &Port, reading: &Reading) -> Result<Computed, (usize, Problem)> {
    let mut reader = Reader { graph, values: HashMap::new(), expressions: Expressions::default() };
    reader.begin(port, reading);
    let mut left: HashMap<&str, usize> = graph.outputs.iter().map(|name| (&**name, 1)).collect();
    // What nothing reads is not looked at: weights of attention that a caller did not ask for, for instance.
    let mut needed = vec![false; graph.nodes.len()];
    for (node, needed) in graph.nodes.iter().zip(&mut needed).rev() {
        *needed = node.outputs.iter().any(|name| left.contains_key(&**name));
        if *needed {
            node.inputs.iter().for_each(|name| *left.entry(name).or_default() += 1);
        }
    }
    for (index, (node, _)) in graph.nodes.iter().zip(needed).enumerate().filter(|(_, (_, needed))| *needed) {
        let outputs = reader.node(node).map_err(|problem| (index, problem))?;
        for (name, value) in node.outputs.iter().zip(outputs) {
            reader.values.insert(name, value.named(name, node));
        }
        // Masks and scores are large: none is kept longer than it is read.
        for name in &node.inputs {
            if let Some(count) = left.get_mut(&**name) {
                *count -= 1;
                if *count == 0 {
                    reader.values.remove(&**name);
                }
            }
        }
    }
    let count = graph.nodes.len();
    reader.finish().map_err(|problem| (count, problem))
}

struct Reader<'a> {
    graph: &'a Graph,
    values: HashMap<&'a str, Value>,
    expressions: Expressions,
}

impl Value {
    /// With the name of the tensor; the node is the maker only where it computes something.
    fn named(self, name: &str, node: &Node) -> Self {
        match self {
            Self::Rows(rows) if rows.place.is_empty() => {
                Self::Rows(Rows { name: name.to_owned(), place: node.place(), ..rows })
            }
            Self::Rows(rows) => Self::Rows(Rows { name: name.to_owned(), ..rows }),
            constant => constant,
        }
    }
}

impl<'a> Reader<'a> {
    fn begin(&mut self, port: &'a Port, reading: &Reading) {
        for (name, constant) in &self.graph.constants {
            self.values.insert(name, Value::Constant(Rc::new(constant.clone())));
        }
        let (tokens, features) = (reading.step_count(), reading.channel_count());
        let expression = match port.kind {
            Kind::Whole if features == 1 => Expression::Symbols,
            _ => Expression::Samples,
        };
        let place = format!("input `{}`", port.name);
        let id = self.expressions.add(expression, tokens, features, &place);
        let (name, at) = (port.name.clone(), Rc::new(reading.elements()));
        let curve = super::curve::Curve::default();
        self.values.insert(&port.name, Value::Rows(Rows { id, at, curve, name, place }));
    }

    fn finish(mut self) -> Result<Computed, Problem> {
        let [output] = &self.graph.outputs[..] else {
            let outputs = self.graph.outputs.join("`, `");
            return Err(Problem::of_graph(format!(
                "has the outputs `{outputs}`; expected one, the scores: export the model with that output alone"
            )));
        };
        match self.values.get(&**output).cloned() {
            Some(Value::Rows(rows)) => {
                let output = self.settled(&rows)?;
                Ok(Computed { expressions: self.expressions, output })
            }
            _ => Err(Problem::of_graph(format!("output `{output}` does not depend on the input"))),
        }
    }

    fn value(&self, node: &Node, index: usize) -> Result<Option<Value>, Problem> {
        match node.inputs.get(index).map(String::as_str) {
            None | Some("") => Ok(None),
            Some(name) => match self.values.get(name) {
                Some(value) => Ok(Some(value.clone())),
                None => Err(Problem::at(node, format!("no node before it gives its input `{name}`"))),
            },
        }
    }

    fn node(&mut self, node: &Node) -> Result<Vec<Value>, Problem> {
        let values: Vec<Option<Value>> =
            (0..node.inputs.len()).map(|index| self.value(node, index)).collect::<Result<_, _>>()?;
        if let ("Shape", Some(Some(value))) = (&*node.operator, values.first()) {
            let shape = match value {
                Value::Constant(constant) => &constant.array.shape,
                Value::Rows(rows) => &rows.at.shape,
            };
            return Ok(vec![Value::Constant(Rc::new(lengths(node, shape)))]);
        }
        let constants = values.iter().map(|value| match value {
            Some(Value::Constant(constant)) => Some(&**constant),
            _ => None,
        });
        let parameters = Parameters { node, opset: self.graph.opset, constants: constants.collect() };
        if !values.iter().flatten().any(|value| matches!(value, Value::Rows(_))) {
            let constants = folded(&parameters)?.ok_or_else(|| unknown(node))?;
            return Ok(constants.into_iter().map(|constant| Value::Constant(Rc::new(constant))).collect());
        }
        let rows = |index: usize| match values.get(index) {
            Some(Some(Value::Rows(rows))) => Some(rows),
            _ => None,
        };
        if let Some(rows) = rows(0)
            && let Some(arrays) = moved(&rows.at, &parameters)?
        {
            let with = |at| Value::Rows(Rows { at: Rc::new(at), ..rows.clone() });
            return Ok(arrays.into_iter().map(with).collect());
        }
        let one = match (&*node.operator, rows(0), rows(1)) {
            ("Cast" | "CastLike", Some(rows), _) => self.cast(node, rows)?,
            ("Gather", None, Some(indices)) => self.embedded(&parameters, indices)?,
            ("OneHot", Some(indices), _) => self.one_hot(&parameters, indices)?,
            ("Concat", ..) => self.concatenated(&parameters, &values)?,
            ("Where", ..) => return self.chosen(&parameters, &values).map(|value| vec![value]),
            ("IsNaN", Some(rows), _) => {
                // Weights of a softmax are numbers wherever a token sees at least itself.
                let array = rows.at.map(|_| 0.0);
                return Ok(vec![Value::Constant(Rc::new(Constant { array, kind: Kind::Flag }))]);
            }
            ("Clip", Some(rows), _) => {
                let (low, high) = limits(&parameters);
                rows.then(|x| x.max(low).min(high))
            }
            ("MatMul", ..) => {
                let [a, b] = self.two(&parameters, &values)?;
                self.product(node, &a, &b)?
            }
            ("Gemm", Some(_), _) => self.gemm(&parameters, &values)?,
            ("Einsum", ..) => self.einsum(&parameters, &values)?,
            ("Conv", Some(rows), None) => self.convolution(&parameters, rows)?,
            ("BatchNormalization", Some(rows), None) => self.batch_norm(&parameters, rows)?,
            ("LayerNormalization", Some(rows), None) => self.layer_norm(&parameters, rows)?,
            ("Softmax", Some(rows), _) => self.softmax(&parameters, rows)?,
            ("Attention", Some(_), Some(_)) => self.attention(&parameters, &values)?,
            ("ReduceMean" | "ReduceMax" | "ReduceSum", Some(rows), _) => self.reduced(&parameters, rows)?,
            ("GlobalAveragePool" | "GlobalMaxPool", Some(rows), _) => self.reduced(&parameters, rows)?,
            _ => return self.pointwise(&parameters, &values).map(|rows| vec![Value::Rows(rows)]),
        };
        Ok(vec![Value::Rows(one)])
    }

    /// Both inputs of an operator that has two.
    fn two(&self, parameters: &Parameters<'_>, values: &[Option<Value>]) -> Result<[Value; 2], Problem> {
        match values {
            [Some(a), Some(b), ..] => Ok([a.clone(), b.clone()]),
            _ => Err(parameters.problem("has not its two inputs; the file is damaged")),
        }
    }

    /// Operators of one and of two values.
    fn pointwise(&mut self, parameters: &Parameters<'_>, values: &[Option<Value>]) -> Result<Rows, Problem> {
        let node = parameters.node;
        if let ([Some(Value::Rows(rows))], Some((function, _))) = (values, unary(node, Kind::Real)) {
            return Ok(rows.then(function));
        }
        let Some((function, _)) = binary(node, Kind::Real) else { return Err(unknown(node)) };
        let mut values = values.iter().flatten();
        let mut result = values.next().cloned().ok_or_else(|| unknown(node))?;
        for value in values {
            result = Value::Rows(match (&result, value) {
                (Value::Rows(a), Value::Rows(b)) => self.both(node, a, b, &function)?,
                (Value::Rows(a), Value::Constant(b)) => {
                    self.with_constant(node, &node.operator, a, b, false, &function)?
                }
                (Value::Constant(a), Value::Rows(b)) => {
                    self.with_constant(node, &node.operator, b, a, true, &function)?
                }
                (Value::Constant(_), Value::Constant(_)) => {
                    return Err(parameters.problem("adds constants to one another before the input"));
                }
            });
        }
        match result {
            Value::Rows(rows) => Ok(rows),
            Value::Constant(_) => Err(unknown(node)),
        }
    }

    /// What is at hand under `id`, as a tensor that `at` says the order of.
    fn rows(&self, id: Id, at: Array<Element>) -> Rows {
        let (curve, name, place) = (super::curve::Curve::default(), String::new(), String::new());
        Rows { id, at: Rc::new(at), curve, name, place }
    }

    /// Keeps the name of the tensor that holds all of an expression.
    fn keep(&mut self, id: Id, rows: &Rows) {
        let entry = self.expressions.entry(id);
        let large = matches!(entry.expression, Expression::Scores { .. } | Expression::Weights { .. });
        if !large && rows.curve.is_identity() && !rows.name.is_empty() {
            let tensor = || Tensor { name: rows.name.clone(), at: Rc::clone(&rows.at) };
            self.expressions.tensors.entry(id).or_insert_with(tensor);
        }
    }
}

impl Rows {
    /// A function of each value more.
    fn then(&self, function: impl Fn(f64) -> f64) -> Self {
        Self { curve: self.curve.then(function), name: String::new(), place: String::new(), ..self.clone() }
    }
}

/// An operator that nothing of the engine corresponds to.
fn unknown(node: &Node) -> Problem {
    let advice = match &*node.operator {
        "Sigmoid" | "LogSoftmax" | "ArgMax" | "TopK" => {
            "if it ends the model, export the scores before it: the class is the same"
        }
        "LSTM" | "GRU" | "RNN" => "the engine runs transformers, no recurrent networks",
        "If" | "Loop" | "Scan" => "export the model for one path, with example inputs",
        "MaxPool" | "AveragePool" => "only a stem of one convolution has a place before the blocks",
        "QuantizeLinear" | "DequantizeLinear" | "DynamicQuantizeLinear" => {
            "export the float model; `fixformer quantize` quantizes it"
        }
        _ => "expected an operator of a transformer encoder",
    };
    Problem::at(node, format!("has no counterpart in the engine; {advice}"))
}
