//! The TOML description of a model: its keys are those of `docs/reference.md`.

use std::format;
use std::string::{String, ToString};

use serde::Deserialize;

use crate::host::reference;
use crate::host::scale::SampleScale;

mod attention;
mod head;
mod limits;
mod pooling;
mod running;
mod tensors;

pub(super) use attention::Place;
pub use attention::{
    Attention, Attentions, BigBird, Buckets, Favor, Features, Lsh, Offset, Plan, Scale, Scaling,
};
pub use head::{Head, Reals, Task, Words};
pub use pooling::{Pooling, PoolingKind, PoolingWindow};
pub use running::Running;
pub use tensors::{AffineNames, BiasName, Fused, Layout, NormNames, Tensors, in_layer};

/// A whole description.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Description {
    /// A name for reports.
    pub name: String,
    /// The largest number of tokens.
    pub max_tokens: Option<usize>,
    /// Tokens of the longest stream.
    pub horizon: Option<usize>,
    /// How raw integers become tokens.
    pub input: InputKind,
    /// What tells the order of the tokens.
    #[serde(default)]
    pub positions: Positions,
    /// The blocks.
    pub encoder: Encoder,
    /// How tokens become one vector.
    #[serde(default)]
    pub pooling: Pooling,
    /// From that vector to the scores.
    #[serde(default)]
    pub head: Head,
    /// What the tensors are called.
    #[serde(default)]
    pub tensors: Tensors,
    /// How it is trained; for `fixformer-train`.
    pub train: Option<toml::Table>,
}

impl Description {
    /// The largest number of tokens: what it says, or the rows of the position `table`.
    pub(super) fn tokens(&self, table: Option<usize>) -> Result<usize, Problem> {
        let missing = || {
            Problem::Field {
            field: "max_tokens".to_string(),
            problem: "is missing; without a position table, give the largest number of tokens: memory is planned for it"
                .to_string(),
        }
        };
        self.max_tokens.or(table).ok_or_else(missing)
    }
}

/// `[input]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
#[expect(missing_docs, reason = "the reference says what the keys mean")]
pub enum InputKind {
    Samples {
        channels: usize,
        scale: SampleScale,
        unit: Option<Words>,
        #[serde(default)]
        remove_mean: bool,
        #[serde(default)]
        standardize: bool,
        running: Option<Running>,
        #[serde(default = "yes")]
        normalize: bool,
        window: Window,
    },
    OneHot {
        symbols: usize,
        window: Window,
    },
    Tokens {
        #[serde(default = "unit")]
        scale: f64,
    },
}

/// Steps of a token, and from one token to the next.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the reference says what the keys mean")]
pub struct Window {
    pub width: usize,
    pub stride: usize,
}

/// `[positions]`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Positions {
    /// Which kind.
    pub kind: PositionKind,
}

/// What is added to the tokens.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the reference says what the keys mean")]
pub enum PositionKind {
    None,
    #[default]
    Learned,
    Sinusoidal,
    Axial,
}

/// `[encoder]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the reference says what the keys mean")]
pub struct Encoder {
    pub layers: usize,
    pub width: usize,
    pub heads: usize,
    pub head_width: Option<usize>,
    pub hidden: usize,
    #[serde(default)]
    pub activation: Activation,
    #[serde(default)]
    pub norm: NormOrder,
    #[serde(default = "epsilon")]
    pub epsilon: f64,
    #[serde(default = "yes")]
    pub final_norm: bool,
    #[serde(default)]
    pub embedding_norm: bool,
    pub final_epsilon: Option<f64>,
    pub embedding_epsilon: Option<f64>,
    #[serde(default)]
    pub attention: Attentions,
}

impl Encoder {
    /// Width of a head.
    pub fn head_width(&self) -> usize {
        self.head_width.unwrap_or(self.width / self.heads)
    }

    /// Width of a token after the last block: reversible blocks leave two streams side by side.
    pub fn output_width(&self) -> usize {
        if matches!(self.norm, NormOrder::Reversible) { 2 * self.width } else { self.width }
    }
}

/// A choice of the description: its TOML words and what each stands for in the reference.
macro_rules! choice {
    ($(#[$doc:meta])* $name:ident as $target:ident { $first:ident = $first_to:ident $(, $word:ident = $to:ident)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, Default, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        #[expect(missing_docs, reason = "the reference says what the words mean")]
        pub enum $name {
            #[default]
            $first,
            $($word,)*
        }

        impl From<$name> for reference::$target {
            fn from(word: $name) -> Self {
                match word {
                    $name::$first => Self::$first_to,
                    $($name::$word => Self::$to,)*
                }
            }
        }
    };
}

choice!(/// Of the hidden values.
    Activation as Activation { Relu = Relu, Gelu = GeluErf, GeluTanh = GeluTanh, Tanh = Tanh });
choice!(/// Where the norms stand.
    NormOrder as NormOrder { Pre = Pre, Post = Post, Reversible = Reversible });

/// Why a description cannot be used.
#[derive(Debug, Clone)]
pub(super) enum Problem {
    /// Not TOML, a missing key, an unknown key or a wrong type.
    Syntax(String),
    /// A value out of range.
    Field { field: String, problem: String },
}

/// Reads a description and checks every number in it.
pub(super) fn parse(text: &str) -> Result<Description, Problem> {
    let description: Description =
        toml::from_str(text).map_err(|error| Problem::Syntax(error.to_string()))?;
    check(&description)?;
    Ok(description)
}

/// Refuses numbers that make no sense.
pub(super) fn check(description: &Description) -> Result<(), Problem> {
    limits::check(description)?;
    let encoder = &description.encoder;
    above_zero("encoder.epsilon", encoder.epsilon)?;
    for (key, given, norm, on) in [
        ("encoder.embedding_epsilon", encoder.embedding_epsilon, "embedding_norm", encoder.embedding_norm),
        ("encoder.final_epsilon", encoder.final_epsilon, "final_norm", encoder.final_norm),
        ("pooling.epsilon", description.pooling.epsilon, "norm", description.pooling.norm),
    ] {
        let Some(epsilon) = given else { continue };
        above_zero(key, epsilon)?;
        if !on {
            let problem = format!(
                "is of a norm that the model does not have; set `{norm} = true` beside it or remove it"
            );
            return Err(Problem::Field { field: key.to_string(), problem });
        }
    }
    if encoder.head_width.is_none() && !encoder.width.is_multiple_of(encoder.heads) {
        let (width, heads) = (encoder.width, encoder.heads);
        let problem =
            format!("{heads} does not divide the width {width}; change one of them, or give `head_width`");
        return Err(Problem::Field { field: "encoder.heads".to_string(), problem });
    }
    encoder.attention.check(encoder.layers, &description.tensors)?;
    description.pooling.check()?;
    match &description.input {
        InputKind::Samples { channels, scale, .. } => {
            if let Some(problem) = scale.problem(*channels) {
                return Err(Problem::Field { field: "input.scale".to_string(), problem });
            }
            running::check(&description.input)?;
        }
        InputKind::OneHot { .. } => {}
        InputKind::Tokens { scale } => above_zero("input.scale", *scale)?,
    }
    Ok(())
}

fn positive(field: &str, value: usize) -> Result<(), Problem> {
    match value {
        0 => Err(Problem::Field { field: field.to_string(), problem: "is 0; give at least 1".to_string() }),
        _ => Ok(()),
    }
}

fn above_zero(field: &str, value: f64) -> Result<(), Problem> {
    if value.is_finite() && value > 0.0 {
        return Ok(());
    }
    let problem = format!("is {value}; give a finite number above 0");
    Err(Problem::Field { field: field.to_string(), problem })
}

fn unit() -> f64 {
    1.0
}

fn yes() -> bool {
    true
}

fn epsilon() -> f64 {
    1e-5
}
