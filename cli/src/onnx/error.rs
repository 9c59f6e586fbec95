//! Why an ONNX graph is no network that the engine runs.

use std::path::PathBuf;

use super::graph::Node;

/// What is wrong, for the person who exported the graph.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OnnxError {
    /// The file, or one beside it, cannot be read as ONNX.
    #[error("{}: {problem}", path.display())]
    File { path: PathBuf, problem: String },
    /// A node that has no place in a network that the engine runs.
    #[error("{}: {place}: {problem}", path.display())]
    Node { path: PathBuf, place: String, problem: String },
    /// The graph and the network that it was taken for give other scores.
    #[error("{}: {problem}", path.display())]
    Different { path: PathBuf, problem: String },
}

/// A problem at a node, before the file is known.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Problem {
    /// Operator and name of the node; none where the graph as a whole is at fault.
    pub(super) place: Option<String>,
    /// What was expected there, and what to do.
    pub(super) text: String,
}

impl Problem {
    pub(super) fn at(node: &Node, text: impl Into<String>) -> Self {
        Self { place: Some(node.place()), text: text.into() }
    }

    pub(super) fn of_graph(text: impl Into<String>) -> Self {
        Self { place: None, text: text.into() }
    }

    pub(super) fn of_file(self, path: &std::path::Path) -> OnnxError {
        let path = path.to_owned();
        match self.place {
            Some(place) => OnnxError::Node { path, place, problem: self.text },
            None => OnnxError::File { path, problem: self.text },
        }
    }
}
