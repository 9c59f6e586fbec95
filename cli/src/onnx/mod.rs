//! ONNX graphs: read, placed on what the engine runs, and compared with the graph as it is.
//!
//! [`read`](read::read) follows a graph from its input and says what it computes, whatever its exporter made of the
//! layout; [`place`](place::place) finds the parts of a network in that; [`compare`] runs the user's graph by itself and
//! the network beside it. What the first two cannot tell is an error that names the node; where they are wrong, the
//! third fails.

use std::path::{Path, PathBuf};

use fixformer::host::file;
use fixformer::host::import::Precision;
use fixformer::host::reference::{Network, Positions};
use fixformer::host::scale::SampleScale;
use tract_onnx::pb::ModelProto;
use tract_onnx::prelude::Framework;

use compare::Oracle;
use error::Problem;
use graph::{Graph, Port};
use read::Reading;

pub(crate) use error::OnnxError;

mod array;
mod chain;
mod compare;
mod constant;
mod curve;
mod elementwise;
mod error;
mod expression;
mod graph;
mod layout;
mod place;
mod read;
#[cfg(test)]
mod remedies;
#[cfg(test)]
mod tests;

/// A graph that was placed, with what it takes to compare it.
pub(crate) struct Imported {
    path: PathBuf,
    pub(crate) network: Network,
    /// The narrowest format of its weights.
    pub(crate) precision: Precision,
    oracle: Oracle,
}

/// What comparing came to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Agreement {
    /// Recordings that both ran.
    pub(crate) recordings: usize,
    /// Relative L2 difference of all their scores.
    pub(crate) difference: f64,
}

/// What the file leaves open.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Open<'a> {
    /// Real value of one raw unit of samples.
    pub(crate) scale: &'a SampleScale,
    /// Values of the longest recording, for inputs of any length.
    pub(crate) values: usize,
    /// Most tokens, in place of what the graph takes.
    pub(crate) max_tokens: Option<usize>,
}

/// Reads and places the graph at `path`.
///
/// # Errors
/// [`OnnxError`] names the file and the node.
pub(crate) fn import(path: &Path, open: Open<'_>) -> Result<Imported, OnnxError> {
    let file = |problem: String| OnnxError::File { path: path.to_owned(), problem };
    placed(path, parsed(path).map_err(file)?, open)
}

/// The graph `model`, which is of the file at `path`.
fn placed(path: &Path, model: ModelProto, open: Open<'_>) -> Result<Imported, OnnxError> {
    let folder = path.parent().unwrap_or(Path::new(""));
    let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let problem = |problem: Problem| problem.of_file(path);

    let graph = Graph::of(&model, folder).map_err(problem)?;
    let port = input(&graph).map_err(problem)?;
    let mut furthest: Option<(usize, Problem)> = None;
    for reading in readings(port, open.values).map_err(problem)? {
        let placed = read::read(&graph, port, &reading).and_then(|computed| {
            place::place(&computed, &reading, &name, open.scale).map_err(|problem| (usize::MAX, problem))
        });
        match placed {
            Ok(mut placed) => {
                lengthen(&mut placed.network, open.max_tokens).map_err(problem)?;
                let oracle = Oracle::new(model, folder, &graph, reading, placed.tensors);
                let precision = graph.precision;
                return Ok(Imported { path: path.to_owned(), network: placed.network, precision, oracle });
            }
            // The axes that were taken for the right ones longer are the right ones.
            Err((at, problem)) if furthest.as_ref().is_none_or(|(other, _)| at > *other) => {
                furthest = Some((at, problem));
            }
            Err(_) => {}
        }
    }
    let (_, found) =
        furthest.unwrap_or_else(|| (0, Problem::of_graph("has no input that the engine could take")));
    Err(problem(with_batch_norm(found, &graph)))
}

/// The graph at `path` and the files beside it that have its weights; it alone where it cannot be read.
pub(crate) fn files(path: &Path) -> Vec<PathBuf> {
    let folder = path.parent().unwrap_or(Path::new(""));
    let beside = parsed(path).map(|model| graph::locations(&model)).unwrap_or_default();
    [path.to_owned()].into_iter().chain(beside.into_iter().map(|name| folder.join(name))).collect()
}

/// What is in the file, or what is wrong with it.
fn parsed(path: &Path) -> Result<ModelProto, String> {
    let bytes = file::read(path, file::MOST_BYTES)
        .map_err(|error| format!("cannot be read: {error}{}", file::advice(&error)))?;
    let model = tract_onnx::onnx().proto_model_for_read(&mut bytes.as_slice());
    model.map_err(|error| format!("not an ONNX file ({error:#}); export the model again"))
}

impl Imported {
    /// Runs the graph and the network on some of `rows`, which are raw.
    ///
    /// # Errors
    /// [`OnnxError`] names the first tensor of the graph in which they differ.
    pub(crate) fn compare(&self, rows: &[Vec<i16>]) -> Result<Agreement, OnnxError> {
        self.oracle
            .compare(&self.network, rows)
            .map_err(|problem| OnnxError::Different { path: self.path.clone(), problem })
    }
}

/// The one input of a graph.
fn input(graph: &Graph) -> Result<&Port, Problem> {
    match &graph.inputs[..] {
        [port] => Ok(port),
        inputs => {
            let names: Vec<String> = inputs.iter().map(|port| format!("`{}`", port.name)).collect();
            Err(Problem::of_graph(format!(
                "has {} inputs ({}); expected one, the recordings: export the model without masks and further inputs \
                 (the engine masks padding on its own)",
                inputs.len(),
                names.join(", ")
            )))
        }
    }
}

/// The ways in which the axes of an input can be meant, `values` of which a recording has.
fn readings(port: &Port, values: usize) -> Result<Vec<Reading>, Problem> {
    let batch = port.shape.first().copied().flatten().unwrap_or(1);
    let axes = |steps: usize, channels: Option<usize>| {
        let channel_count = match channels {
            Some(axis) => port.shape[axis]?,
            None => 1,
        };
        let step_count = port.shape[steps].unwrap_or(values / channel_count.max(1));
        let mut shape = vec![batch; port.shape.len()];
        shape[steps] = step_count;
        if let Some(axis) = channels {
            shape[axis] = channel_count;
        }
        let open = port.shape[steps].is_none();
        let fits = array::count(&shape).is_some_and(|values| values > 0);
        fits.then_some(Reading { shape, steps, channels, open })
    };
    let found: Vec<Reading> = match port.shape.len() {
        2 => [axes(1, None)].into_iter().flatten().collect(),
        3 => [axes(1, Some(2)), axes(2, Some(1))].into_iter().flatten().collect(),
        rank => {
            return Err(Problem::of_graph(format!(
                "input `{}` has {rank} axes; expected [batch, steps], [batch, steps, channels] or [batch, channels, \
                 steps]",
                port.name
            )));
        }
    };
    if found.is_empty() {
        return Err(Problem::of_graph(format!(
            "input `{}` leaves its channels open, or is longer than any recording; export it with a fixed number of them, and \
             with a length that can be run",
            port.name
        )));
    }
    Ok(found)
}

/// More or fewer tokens, where positions allow it.
fn lengthen(network: &mut Network, max_tokens: Option<usize>) -> Result<(), Problem> {
    let Some(tokens) = max_tokens else { return Ok(()) };
    if tokens > network.max_tokens && matches!(network.positions, Positions::Learned(_)) {
        return Err(Problem::of_graph(format!(
            "has positions for {} tokens, fewer than the {tokens} of --max-tokens; lower or remove it",
            network.max_tokens
        )));
    }
    network.max_tokens = tokens;
    Ok(())
}

/// Says so where a batch norm is among what found no place.
fn with_batch_norm(mut problem: Problem, graph: &Graph) -> Problem {
    let norm = graph.nodes.iter().find(|node| node.operator == "BatchNormalization").map(graph::Node::place);
    if let Some(norm) = norm.filter(|norm| problem.place.as_ref() != Some(norm)) {
        problem.text +=
            &format!(" ({norm} folds into a linear map beside it, and has no place without that one)");
    }
    problem
}
