//! Golden files: inputs and outputs of the mechanisms' authors' own code, one case a file.
//!
//! Two conventions exist, told apart by the metadata: `meta`, one JSON text (hierarchical, FAVOR), and
//! `algo`, with one string a parameter (LSH, BigBird). Every parameter comes from the metadata, never from
//! the file name; a value that the reference cannot honour is refused by name.

use std::borrow::ToOwned;
use std::boxed::Box;
use std::collections::HashMap;
use std::format;
use std::path::{Path, PathBuf};
use std::string::{String, ToString};
use std::vec::Vec;

use safetensors::{Dtype, SafeTensors};

use super::quantize::QuantizeError;
use super::reference::ReferenceError;
use super::reference::attention::bigbird::BigBird;
use super::reference::attention::favor::Favor;
use super::reference::attention::hierarchical::{Hierarchical, Masks};
use super::reference::attention::lsh::Lsh;

mod engine;
mod hierarchical_favor;
mod meta;
mod reformer_bigbird;
mod whole_model;

pub use whole_model::{Run, WholeModel};

/// One mechanism on one set of inputs, and what its authors' code made of them.
#[derive(Debug, Clone, PartialEq)]
pub struct Case {
    /// Name of the file, without its folder.
    pub file: String,
    /// What was computed, and its parameters.
    pub mechanism: Mechanism,
    /// How the inputs were drawn: `normal`, `ar1`, `corr`, `hot` or `constants`.
    pub distribution: String,
    /// Rows of q, k and v.
    pub tokens: usize,
    /// Width of a row of q and k.
    pub width: usize,
    /// The heads, which share all parameters but [`Head::extra`].
    pub heads: Vec<Head>,
    /// One flag per key, false: never a key. Every key when absent.
    pub keys: Option<Vec<bool>>,
    /// One flag per query, false: padding. Every query when absent.
    pub queries: Option<Vec<bool>>,
    /// Whether the expected values carry f32 rounding: then 1e-6 is agreement, else 1e-9.
    pub single: bool,
    /// The rows that count in a comparison. Every row when absent.
    pub valid: Option<Vec<bool>>,
    /// The same inputs with the guard of the authors' code, against what that code printed. Present where
    /// the guard changed a row; `self` then is the case without it.
    pub guarded: Option<Box<Case>>,
}

/// Inputs and output of one head, row-major.
#[derive(Debug, Clone, PartialEq)]
pub struct Head {
    /// `[tokens, width]`, not scaled.
    pub q: Vec<f64>,
    /// `[tokens, width]`. Where query and key are shared, the same as `q`.
    pub k: Vec<f64>,
    /// `[tokens, value width]`.
    pub v: Vec<f64>,
    /// `[tokens, value width]`.
    pub expected: Vec<f64>,
    /// What else this head needs.
    pub extra: Extra,
}

/// A mechanism of the float reference with its parameters.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Mechanism {
    /// H-Transformer-1D.
    Hierarchical(Hierarchical),
    /// Performer.
    Favor(Favor),
    /// Reformer.
    Lsh(Lsh),
    /// BigBird.
    BigBird(BigBird),
}

impl Mechanism {
    /// Its name in reports.
    pub fn name(&self) -> &'static str {
        match self {
            Mechanism::Hierarchical(_) => "hierarchical",
            Mechanism::Favor(_) => "favor",
            Mechanism::Lsh(_) => "lsh",
            Mechanism::BigBird(_) => "bigbird",
        }
    }
}

/// What one head needs beyond q, k and v.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Extra {
    /// Nothing.
    None,
    /// Of hierarchical attention.
    Hierarchical {
        /// Relative position bias, `[4 Nr - 1]`.
        bias: Option<Vec<f64>>,
    },
    /// Of FAVOR.
    Favor {
        /// The offset of the key features, where it is not the head's own maximum.
        key_offset: Option<f64>,
    },
    /// Of LSH attention.
    Lsh {
        /// `[width, rounds, half the buckets]`.
        rotations: Vec<f64>,
        /// The authors' buckets, `[rounds, tokens]`, without the offset of the round.
        buckets: Option<Vec<usize>>,
    },
    /// Of BigBird.
    BigBird {
        /// The random key blocks: of query block x + 1 (internal) or x (extended), as often as drawn.
        plan: Vec<Vec<usize>>,
    },
}

/// What a file turned out to hold.
#[derive(Debug)]
#[non_exhaustive]
pub enum Loaded {
    /// A case of one mechanism.
    Case(Box<Case>),
    /// A case of something that fixformer leaves out on purpose.
    NotBuilt {
        /// What, and why.
        why: String,
    },
    /// A case of a whole classifier.
    WholeModel(Box<WholeModel>),
    /// Weights of a whole classifier: its cases name them.
    Weights,
}

/// Why a golden file cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GoldenError {
    /// A file cannot be read.
    #[error("{}: cannot be read: {source}; check the path and the permissions", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// It is no safetensors file.
    #[error("{}: not a safetensors file ({message})", path.display())]
    NotSafetensors {
        /// The file.
        path: PathBuf,
        /// What the parser said.
        message: String,
    },
    /// It follows none of the conventions.
    #[error("{}: not a golden file: its metadata has none of `meta`, `algo`, `weights` and `config`", path.display())]
    NotGolden {
        /// The file.
        path: PathBuf,
    },
    /// A parameter is missing or makes no sense.
    #[error("{}: metadata `{field}` {problem}", path.display())]
    Field {
        /// The file.
        path: PathBuf,
        /// The key.
        field: String,
        /// What is wrong.
        problem: String,
    },
    /// The reference cannot take the sequence.
    #[error(transparent)]
    Sequence(#[from] ReferenceError),
    /// The classifier cannot be quantised.
    #[error(transparent)]
    Quantize(#[from] QuantizeError),
    /// A tensor is missing or has another shape or type.
    #[error("{}: tensor `{tensor}` {problem}", path.display())]
    Tensor {
        /// The file.
        path: PathBuf,
        /// Its name.
        tensor: String,
        /// What is wrong.
        problem: String,
    },
    /// The whole classifier cannot be imported.
    #[error(transparent)]
    Import(#[from] super::import::ImportError),
    /// A variant that is left out on purpose. [`load`] turns it into [`Loaded::NotBuilt`].
    #[error("{}: not built: {why}", path.display())]
    NotBuilt {
        /// The file.
        path: PathBuf,
        /// What, and why.
        why: String,
    },
}

impl GoldenError {
    fn field(path: &Path, field: &str, problem: impl Into<String>) -> GoldenError {
        GoldenError::Field { path: path.to_owned(), field: field.to_string(), problem: problem.into() }
    }

    fn tensor(path: &Path, tensor: &str, problem: impl Into<String>) -> GoldenError {
        GoldenError::Tensor { path: path.to_owned(), tensor: tensor.to_string(), problem: problem.into() }
    }
}

/// Reads one golden file.
pub fn load(path: &Path) -> Result<Loaded, GoldenError> {
    let bytes = std::fs::read(path).map_err(|source| GoldenError::Read { path: path.to_owned(), source })?;
    let broken = |error: safetensors::SafeTensorError| GoldenError::NotSafetensors {
        path: path.to_owned(),
        message: error.to_string(),
    };
    let tensors = SafeTensors::deserialize(&bytes).map_err(broken)?;
    let (_, header) = SafeTensors::read_metadata(&bytes).map_err(broken)?;
    let metadata = header.metadata().clone().unwrap_or_default();
    let found = if metadata.contains_key("meta") {
        hierarchical_favor::load(path, &tensors, &metadata)
    } else if metadata.contains_key("algo") {
        reformer_bigbird::load(path, &tensors, &metadata)
    } else if let Some(case) = whole_model::load(path, &tensors, &metadata)? {
        return Ok(Loaded::WholeModel(Box::new(case)));
    } else if metadata.contains_key("config") {
        return Ok(Loaded::Weights);
    } else {
        Ok(None)
    };
    match found {
        Ok(Some(case)) => Ok(Loaded::Case(Box::new(case))),
        Ok(None) => Err(GoldenError::NotGolden { path: path.to_owned() }),
        Err(GoldenError::NotBuilt { why, .. }) => Ok(Loaded::NotBuilt { why }),
        Err(error) => Err(error),
    }
}

impl Case {
    /// What the float reference makes of the inputs: one `[tokens, value width]` a head.
    pub fn reference(&self) -> Vec<Vec<f64>> {
        match &self.mechanism {
            Mechanism::Hierarchical(parameters) => {
                let masks = Masks { queries: self.queries.as_deref(), keys: self.keys.as_deref() };
                let attend = |head: &Head| {
                    let bias = match &head.extra {
                        Extra::Hierarchical { bias } => bias.as_deref(),
                        _ => None,
                    };
                    parameters.attend(&head.q, &head.k, &head.v, self.width, bias, masks)
                };
                self.heads.iter().map(attend).collect()
            }
            Mechanism::Favor(parameters) => {
                let attend = |head: &Head| {
                    let offset = match head.extra {
                        Extra::Favor { key_offset } => key_offset,
                        _ => None,
                    };
                    parameters.attend(&head.q, &head.k, &head.v, self.width, self.keys.as_deref(), offset)
                };
                self.heads.iter().map(attend).collect()
            }
            Mechanism::Lsh(_) | Mechanism::BigBird(_) => reformer_bigbird::reference(self),
        }
    }

    /// Relative L2 distance of `found`, one `[tokens, value width]` a head, from the expected output over
    /// all heads and valid rows.
    ///
    /// # Panics
    /// If `found` has another number of heads or values.
    pub fn error(&self, found: &[Vec<f64>]) -> f64 {
        assert_eq!(found.len(), self.heads.len(), "one output per head");
        let (mut difference, mut size) = (0.0, 0.0);
        for (head, found) in self.heads.iter().zip(found) {
            assert_eq!(found.len(), head.expected.len(), "one row per token");
            let width = head.expected.len() / self.tokens;
            let rows = head.expected.chunks_exact(width).zip(found.chunks_exact(width));
            for (t, (expected, found)) in rows.enumerate() {
                if self.valid.as_ref().is_some_and(|valid| !valid[t]) {
                    continue;
                }
                for (x, y) in expected.iter().zip(found) {
                    difference += (x - y) * (x - y);
                    size += x * x;
                }
            }
        }
        if size == 0.0 { difference.sqrt() } else { (difference / size).sqrt() }
    }

    /// The largest error that counts as agreement of the reference with this file.
    pub fn limit(&self) -> f64 {
        if self.single { 1e-6 } else { 1e-9 }
    }
}

/// Shape and values of a tensor.
type Tensor = (Vec<usize>, Vec<f64>);

/// A numeric tensor, `None` if there is none of that name.
fn tensor(path: &Path, tensors: &SafeTensors<'_>, name: &str) -> Result<Option<Tensor>, GoldenError> {
    let Ok(view) = tensors.tensor(name) else { return Ok(None) };
    let bytes = view.data();
    let values = match view.dtype() {
        Dtype::F64 => elements(bytes, f64::from_le_bytes),
        Dtype::F32 => elements(bytes, |x| f64::from(f32::from_le_bytes(x))),
        Dtype::I32 => elements(bytes, |x| f64::from(i32::from_le_bytes(x))),
        Dtype::I64 => elements(bytes, |x| i64::from_le_bytes(x) as f64),
        Dtype::U8 | Dtype::BOOL => elements(bytes, |[x]: [u8; 1]| f64::from(x)),
        other => return Err(GoldenError::tensor(path, name, format!("has the unexpected type {other:?}"))),
    };
    Ok(Some((view.shape().to_vec(), values)))
}

fn elements<const N: usize>(bytes: &[u8], read: impl Fn([u8; N]) -> f64) -> Vec<f64> {
    bytes.as_chunks().0.iter().map(|&chunk| read(chunk)).collect()
}

/// Splits `[tokens, heads, width]` into one `[tokens, width]` a head.
fn split_heads(values: &[f64], heads: usize, width: usize) -> Vec<Vec<f64>> {
    let head = |h| values.chunks_exact(width).skip(h).step_by(heads).flatten().copied().collect();
    (0..heads).map(head).collect()
}

/// Metadata of the convention with one string a parameter.
type Metadata = HashMap<String, String>;
