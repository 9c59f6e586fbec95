//! The TOML description of a model.
//!
//! | table | key | default |
//! |---|---|---|
//! | | `name` | required |
//! | | `max_tokens` | the rows of the position table; required without one |
//! | `input` | `kind` | required: `samples`, `one-hot`, `tokens` |
//! | | `channels`, `scale` | required for samples; `scale` is the real value of one raw unit |
//! | | `remove_mean` | `false`; each channel's mean over the recording is subtracted |
//! | | `normalize` | `true`; then (x - mean) / deviation, from two tensors `[channels]` |
//! | | `symbols` | required for one-hot; a raw value outside is the zero vector |
//! | | `window` | required for samples and one-hot: `{ width, stride }` in steps |
//! | `positions` | `kind` | `learned`; or `none`, `sinusoidal` |
//! | `encoder` | `layers`, `width`, `heads`, `hidden` | required |
//! | | `activation` | `relu`; or `gelu` (erf), `gelu-tanh` |
//! | | `norm` | `pre`; or `post` |
//! | | `epsilon` | `1e-5`, of every norm |
//! | | `final_norm`, `embedding_norm` | `true`, `false` |
//! | | `attention` | `{ kind = "exact", causal = false }` |
//! | `pooling` | `kind` | `mean`; or `max`, `first`, `last` |
//! | `tensors` | names, `layout`, `ignore` | see [`Tensors`] |

use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

use serde::Deserialize;

use crate::host::reference;

/// A whole description.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Description {
    /// A name for reports.
    pub name: String,
    /// The largest number of tokens.
    pub max_tokens: Option<usize>,
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
    /// What the tensors are called.
    #[serde(default)]
    pub tensors: Tensors,
}

/// `[input]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
#[expect(missing_docs, reason = "the table of the module says what the keys mean")]
pub enum InputKind {
    Samples {
        channels: usize,
        scale: f64,
        #[serde(default)]
        remove_mean: bool,
        #[serde(default = "yes")]
        normalize: bool,
        window: Window,
    },
    OneHot {
        symbols: usize,
        window: Window,
    },
    Tokens {},
}

/// Steps of a token, and from one token to the next.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the table of the module says what the keys mean")]
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
#[expect(missing_docs, reason = "the table of the module says what the keys mean")]
pub enum PositionKind {
    None,
    #[default]
    Learned,
    Sinusoidal,
}

/// `[encoder]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the table of the module says what the keys mean")]
pub struct Encoder {
    pub layers: usize,
    pub width: usize,
    pub heads: usize,
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
    #[serde(default)]
    pub attention: Attention,
}

/// `encoder.attention`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Attention {
    /// Which mechanism.
    pub kind: AttentionKind,
    /// Whether a token sees itself and the past only.
    pub causal: bool,
}

/// `[pooling]`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pooling {
    /// Which kind.
    pub kind: PoolingKind,
}

/// A choice of the description: its TOML words and what each stands for in the reference.
macro_rules! choice {
    ($(#[$doc:meta])* $name:ident as $target:ident { $first:ident = $first_to:ident $(, $word:ident = $to:ident)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, Default, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        #[expect(missing_docs, reason = "the table of the module says what the words mean")]
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
    Activation as Activation { Relu = Relu, Gelu = GeluErf, GeluTanh = GeluTanh });
choice!(/// Where the norms stand.
    NormOrder as NormOrder { Pre = Pre, Post = Post });
choice!(/// The mechanism of a head.
    AttentionKind as AttentionKind { Exact = Exact });
choice!(/// How tokens become one vector.
    PoolingKind as Pooling { Mean = Mean, Max = Max, First = First, Last = Last });

/// `[tensors]`: what the tensors are called; `{layer}` stands for the layer, from 0.
///
/// A linear map is `{ weight, bias }`, a norm `{ gain, bias }`; `bias = false` says that the model
/// has none there. The defaults:
///
/// ```toml
/// layout = "in-out"   # weights are [inputs, outputs]; "out-in" is PyTorch's nn.Linear
/// ignore = []         # tensors that are in the file for another purpose; a last `*` is a wildcard
/// mean = "norm.mean"
/// deviation = "norm.std"
/// table = "embed"
/// stem = { weight = "stem.w", bias = "stem.b" }
/// positions = "pos"
/// embedding_norm = { gain = "lne.g", bias = "lne.b" }
/// norm1 = { gain = "l{layer}.ln1.g", bias = "l{layer}.ln1.b" }
/// query = { weight = "l{layer}.wq", bias = "l{layer}.bq" }
/// key = { weight = "l{layer}.wk", bias = "l{layer}.bk" }
/// value = { weight = "l{layer}.wv", bias = "l{layer}.bv" }
/// output = { weight = "l{layer}.wo", bias = "l{layer}.bo" }
/// norm2 = { gain = "l{layer}.ln2.g", bias = "l{layer}.ln2.b" }
/// expand = { weight = "l{layer}.ff1.w", bias = "l{layer}.ff1.b" }
/// contract = { weight = "l{layer}.ff2.w", bias = "l{layer}.ff2.b" }
/// final_norm = { gain = "lnf.g", bias = "lnf.b" }
/// head = { weight = "head.w", bias = "head.b" }
/// ```
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(missing_docs, reason = "the list above says what the keys mean")]
pub struct Tensors {
    pub layout: Layout,
    pub ignore: Vec<String>,
    pub mean: String,
    pub deviation: String,
    pub table: String,
    pub stem: AffineNames,
    pub positions: String,
    pub embedding_norm: NormNames,
    pub norm1: NormNames,
    pub query: AffineNames,
    pub key: AffineNames,
    pub value: AffineNames,
    pub output: AffineNames,
    pub norm2: NormNames,
    pub expand: AffineNames,
    pub contract: AffineNames,
    pub final_norm: NormNames,
    pub head: AffineNames,
}

impl Tensors {
    /// Whether some key names `tensor`, for whichever layer.
    pub(super) fn cover(&self, tensor: &str) -> bool {
        let affine = [&self.stem, &self.query, &self.key, &self.value, &self.output];
        let affine = affine.into_iter().chain([&self.expand, &self.contract, &self.head]);
        let norms = [&self.embedding_norm, &self.norm1, &self.norm2, &self.final_norm];
        let pairs = affine.map(|names| (&names.weight, &names.bias));
        let mut pairs = pairs.chain(norms.into_iter().map(|names| (&names.gain, &names.bias)));
        let single = [&self.mean, &self.deviation, &self.table, &self.positions];
        single.into_iter().any(|name| name == tensor)
            || pairs.any(|(name, bias)| {
                let bias = match bias {
                    BiasName::Tensor(bias) => in_some_layer(bias, tensor),
                    BiasName::Absent => false,
                };
                bias || in_some_layer(name, tensor)
            })
    }
}

impl Default for Tensors {
    fn default() -> Self {
        let bias = |name: &str| BiasName::Tensor(name.to_string());
        let affine = |weight: &str, b: &str| AffineNames { weight: weight.to_string(), bias: bias(b) };
        let norm =
            |name: &str| NormNames { gain: format!("{name}.g"), bias: BiasName::Tensor(format!("{name}.b")) };
        Tensors {
            layout: Layout::InOut,
            ignore: Vec::new(),
            mean: "norm.mean".to_string(),
            deviation: "norm.std".to_string(),
            table: "embed".to_string(),
            stem: affine("stem.w", "stem.b"),
            positions: "pos".to_string(),
            embedding_norm: norm("lne"),
            norm1: norm("l{layer}.ln1"),
            query: affine("l{layer}.wq", "l{layer}.bq"),
            key: affine("l{layer}.wk", "l{layer}.bk"),
            value: affine("l{layer}.wv", "l{layer}.bv"),
            output: affine("l{layer}.wo", "l{layer}.bo"),
            norm2: norm("l{layer}.ln2"),
            expand: affine("l{layer}.ff1.w", "l{layer}.ff1.b"),
            contract: affine("l{layer}.ff2.w", "l{layer}.ff2.b"),
            final_norm: norm("lnf"),
            head: affine("head.w", "head.b"),
        }
    }
}

/// The order of a weight matrix's axes.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layout {
    /// `[inputs, outputs]`.
    InOut,
    /// `[outputs, inputs]`.
    OutIn,
}

/// The tensors of a linear map.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the names say it")]
pub struct AffineNames {
    pub weight: String,
    pub bias: BiasName,
}

/// The tensors of a norm.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the names say it")]
pub struct NormNames {
    pub gain: String,
    pub bias: BiasName,
}

/// A bias: the name of its tensor, or `false`.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "toml::Value")]
pub enum BiasName {
    /// The name.
    Tensor(String),
    /// The model has no bias there.
    Absent,
}

impl TryFrom<toml::Value> for BiasName {
    type Error = &'static str;

    fn try_from(value: toml::Value) -> Result<Self, Self::Error> {
        match value {
            toml::Value::String(name) => Ok(BiasName::Tensor(name)),
            toml::Value::Boolean(false) => Ok(BiasName::Absent),
            _ => Err("a bias is the name of its tensor, or false if the model has none"),
        }
    }
}

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
    let encoder = &description.encoder;
    positive("encoder.width", encoder.width)?;
    positive("encoder.heads", encoder.heads)?;
    positive("encoder.hidden", encoder.hidden)?;
    positive("max_tokens", description.max_tokens.unwrap_or(1))?;
    above_zero("encoder.epsilon", encoder.epsilon)?;
    if !encoder.width.is_multiple_of(encoder.heads) {
        let (width, heads) = (encoder.width, encoder.heads);
        let problem = format!("{heads} does not divide the width {width}; change one of them");
        return Err(Problem::Field { field: "encoder.heads".to_string(), problem });
    }
    match &description.input {
        InputKind::Samples { channels, scale, window, .. } => {
            positive("input.channels", *channels)?;
            above_zero("input.scale", *scale)?;
            check_window(window)?;
        }
        InputKind::OneHot { symbols, window } => {
            positive("input.symbols", *symbols)?;
            check_window(window)?;
        }
        InputKind::Tokens {} => {}
    }
    Ok(description)
}

fn check_window(window: &Window) -> Result<(), Problem> {
    positive("input.window.width", window.width)?;
    positive("input.window.stride", window.stride)
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

/// Whether `tensor` is `pattern` with a number for `{layer}`.
fn in_some_layer(pattern: &str, tensor: &str) -> bool {
    let Some((before, after)) = pattern.split_once("{layer}") else {
        return pattern == tensor;
    };
    let layer = tensor.strip_prefix(before).and_then(|rest| rest.strip_suffix(after));
    layer.is_some_and(|layer| layer.parse::<usize>().is_ok())
}

fn yes() -> bool {
    true
}

fn epsilon() -> f64 {
    1e-5
}
