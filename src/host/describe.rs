//! A description of the architecture from the names and shapes of a checkpoint's tensors.
//!
//! What the weights do not say (the number of heads, the activation, the stride, …) gets a value that is usual and a mark,
//! so that nobody takes a guess for knowledge: `heads = 4 # not in the weights: …`.

use std::borrow::ToOwned;
use std::collections::BTreeMap;
use std::format;
use std::path::{Path, PathBuf};
use std::string::{String, ToString};
use std::vec::Vec;

use super::import::{ImportError, shapes};
use around::Around;

mod around;
mod hugging_face;
mod keras;
mod own;
mod performer;
mod reformer;
mod text;
mod torch;

use text::Text;

/// Shapes of tensors by their names.
type Shapes = BTreeMap<String, Vec<usize>>;

/// A description that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Described {
    /// What it was recognised as.
    pub family: &'static str,
    /// The TOML.
    pub toml: String,
    /// How many of its values are marked as not in the weights.
    pub marked: usize,
}

/// Why there is no description.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DescribeError {
    /// The weights cannot be read.
    #[error(transparent)]
    Import(#[from] ImportError),
    /// None of the families.
    #[error(
        "{}: not recognised by the names of its tensors ({}); known are torch.nn.TransformerEncoder, Hugging Face's BERT, \
         DistilBERT, BigBird and Reformer, performer-pytorch, Keras' MultiHeadAttention and the names of docs/reference.md: export the model to ONNX, or \
         write a description by hand (models/*.toml are six to copy)", path.display(), names.join(", ")
    )]
    Unknown {
        /// The weights.
        path: PathBuf,
        /// The first few names.
        names: Vec<String>,
    },
    /// Of a family, but without a tensor that all of its models have.
    #[error(
        "{}: looks like {family}, but {problem}; write a description by hand (models/*.toml are six to copy)",
        path.display()
    )]
    Incomplete {
        /// The weights.
        path: PathBuf,
        /// The family.
        family: &'static str,
        /// What is missing.
        problem: String,
    },
}

/// A family: its name, and the description of weights that are of it.
type Family = (&'static str, fn(&Shapes) -> Option<Result<Text, String>>);

const FAMILIES: [Family; 7] = [
    ("a torch.nn.TransformerEncoder", torch::describe),
    ("a Hugging Face Reformer", reformer::describe),
    ("a Hugging Face BERT, BigBird or RoBERTa", hugging_face::bert),
    ("a Hugging Face DistilBERT", hugging_face::distilbert),
    ("a Performer of performer-pytorch", performer::describe),
    ("a Keras model with MultiHeadAttention", keras::describe),
    ("a model with the names of a description without `[tensors]`", own::describe),
];

/// The description of the weights at `path`: a safetensors file, the index of its shards, or the folder of either.
///
/// # Errors
/// [`DescribeError`]: they cannot be read, or are of no family that is known.
pub fn describe(path: &Path) -> Result<Described, DescribeError> {
    let shapes: Shapes = shapes(path)?;
    for (family, describe) in FAMILIES {
        match describe(&shapes) {
            None => {}
            Some(Ok(text)) => {
                let (toml, marked) = text.finish(family);
                return Ok(Described { family, toml, marked });
            }
            Some(Err(problem)) => {
                return Err(DescribeError::Incomplete { path: path.to_owned(), family, problem });
            }
        }
    }
    let names = shapes.keys().take(5).cloned().collect();
    Err(DescribeError::Unknown { path: path.to_owned(), names })
}

/// The layers of a model whose tensors are numbered: what stands before the number, and how many there are.
struct Layers {
    before: String,
    count: usize,
}

impl Layers {
    /// Those that have a tensor `{before}{number}.{suffix}` each.
    fn find(shapes: &Shapes, suffix: &str) -> Option<Self> {
        let ending = format!(".{suffix}");
        let before = shapes.keys().find_map(|name| {
            let numbered = name.strip_suffix(&ending)?;
            let digits = numbered.len() - numbered.trim_end_matches(|c: char| c.is_ascii_digit()).len();
            (digits > 0).then(|| numbered[..numbered.len() - digits].to_string())
        })?;
        let count = (0..).take_while(|i| shapes.contains_key(&format!("{before}{i}{ending}"))).count();
        (count > 0).then_some(Self { before, count })
    }

    /// The name of a tensor of every layer, as a description has it.
    fn pattern(&self, name: &str) -> String {
        format!("{}{{layer}}.{name}", self.before)
    }

    /// The shape of a tensor of the first layer.
    fn shape<'s>(&self, shapes: &'s Shapes, name: &str) -> Result<&'s [usize], String> {
        let name = format!("{}0.{name}", self.before);
        shapes.get(&name).map(Vec::as_slice).ok_or_else(|| format!("it has no `{name}`"))
    }

    /// Tensors that belong to no layer.
    fn others<'s>(&self, shapes: &'s Shapes) -> Vec<(&'s str, &'s [usize])> {
        let outside = |name: &&String| !name.starts_with(&self.before);
        shapes.keys().filter(outside).map(|name| (name.as_str(), shapes[name].as_slice())).collect()
    }
}

/// `{ weight = "NAME.weight", bias = "NAME.bias" }`, or no bias where the first layer has none.
fn linear(shapes: &Shapes, name: &str) -> String {
    let (weight, bias) = (format!("{name}.weight"), format!("{name}.bias"));
    match shapes.contains_key(&bias.replace("{layer}", "0")) {
        true => format!("{{ weight = \"{weight}\", bias = \"{bias}\" }}"),
        false => format!("{{ weight = \"{weight}\", bias = false }}"),
    }
}

/// `{ gain = "NAME.weight", bias = "NAME.bias" }`.
fn norm(name: &str) -> String {
    format!("{{ gain = \"{name}.weight\", bias = \"{name}.bias\" }}")
}

/// A number of heads that divides the width, with heads of 16 columns or as near to that as it goes.
fn usual_heads(width: usize) -> usize {
    let most = (width / 16).max(2.min(width));
    (1..=most).rev().find(|heads| width.is_multiple_of(*heads)).unwrap_or(1)
}

const HEADS: &str = "the number of heads";
