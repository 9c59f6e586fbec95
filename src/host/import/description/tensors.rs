//! What the tensors of a checkpoint are called.

use std::collections::BTreeMap;
use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

use serde::Deserialize;

/// `[tensors]`: what the tensors are called; `{layer}` stands for the layer, from 0.
///
/// A linear map is `{ weight, bias }`, a norm `{ gain, bias }`; `bias = false` says that the model
/// has none there. Of a linear map `rows = [from, to]` takes these of the tensor's outputs, the last one not among them.
/// Where `query`, `key` and `value`, or two of them, name one tensor that has the outputs of all, each takes its part in
/// this order (`in_proj_weight` of PyTorch). The weight of a stem may be that of a convolution over the steps,
/// `[width, channels, steps]` (PyTorch) or `[steps, channels, width]` (Keras); the kernels of Keras' attention,
/// `[width, heads, head width]` and `[heads, head width, width]`, are taken as they are; axes of length 1 do not count. A
/// tensor that is not there is looked for without the words that wrappers put before it, such as `module.`, `_orig_mod.`
/// and `model.`. The defaults:
///
/// ```toml
/// layout = "in-out"   # weights are [inputs, outputs]; "out-in" is PyTorch's nn.Linear
/// fused = "chunked"   # where query, key and value name one tensor; "per-head" has the three of a head side by side
/// rename = {}         # what a tensor with one of the names below is called in the file: { "l0.wq" = "block/query/kernel" }
/// ignore = []         # tensors that are in the file for another purpose; a last `*` is a wildcard
/// mean = "norm.mean"
/// deviation = "norm.std"
/// table = "embed"
/// # token_type = "types", [types, width]: the row of type 0 is added to every token; none without the key
/// stem = { weight = "stem.w", bias = "stem.b" }
/// # class_token = "cls", [width] with any axes of length 1: a token before those of the input; none without the key
/// positions = "pos"
/// axial = ["pos.0", "pos.1"]   # in place of positions: [A, D1] and [B, D2], or [A, 1, D1] and [1, B, D2]
/// embedding_norm = { gain = "lne.g", bias = "lne.b" }
/// norm1 = { gain = "l{layer}.ln1.g", bias = "l{layer}.ln1.b" }
/// query = { weight = "l{layer}.wq", bias = "l{layer}.bq" }
/// key = { weight = "l{layer}.wk", bias = "l{layer}.bk" }
/// value = { weight = "l{layer}.wv", bias = "l{layer}.bv" }
/// output = { weight = "l{layer}.wo", bias = "l{layer}.bo" }
/// # query_key = …, of LSH attention, whose queries are keys: `query` without the key
/// # position_bias = "l{layer}.rpb", [4 block - 1, heads]: of hierarchical attention; none without the key
/// # projection = "l{layer}.w", [directions, head width]: of FAVOR+ attention; drawn without the key
/// # plan = "l{layer}.plan", [heads, query blocks, random]: of BigBird attention, integers
/// # rotations = "l{layer}.r", [1 or heads, head width, rounds, columns]: of LSH attention; drawn without the key
/// norm2 = { gain = "l{layer}.ln2.g", bias = "l{layer}.ln2.b" }
/// expand = { weight = "l{layer}.ff1.w", bias = "l{layer}.ff1.b" }
/// contract = { weight = "l{layer}.ff2.w", bias = "l{layer}.ff2.b" }
/// final_norm = { gain = "lnf.g", bias = "lnf.b" }
/// pooled_norm = { gain = "lnp.g", bias = "lnp.b" }      # of `pooling.norm`
/// hidden = { weight = "hidden.w", bias = "hidden.b" }   # of the head
/// head = { weight = "head.w", bias = "head.b" }
/// ```
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(missing_docs, reason = "the list above says what the keys mean")]
pub struct Tensors {
    pub layout: Layout,
    pub fused: Fused,
    pub rename: BTreeMap<String, String>,
    pub ignore: Vec<String>,
    pub mean: String,
    pub deviation: String,
    pub table: String,
    pub token_type: Option<String>,
    pub stem: AffineNames,
    pub class_token: Option<String>,
    pub positions: String,
    pub axial: [String; 2],
    pub embedding_norm: NormNames,
    pub norm1: NormNames,
    pub query: AffineNames,
    pub key: AffineNames,
    pub value: AffineNames,
    pub output: AffineNames,
    pub query_key: Option<AffineNames>,
    pub position_bias: Option<String>,
    pub projection: Option<String>,
    pub plan: Option<String>,
    pub rotations: Option<String>,
    pub norm2: NormNames,
    pub expand: AffineNames,
    pub contract: AffineNames,
    pub final_norm: NormNames,
    pub pooled_norm: NormNames,
    pub hidden: AffineNames,
    pub head: AffineNames,
}

impl Tensors {
    /// Whether some key names `tensor`, for whichever layer.
    pub(in crate::host::import) fn cover(&self, tensor: &str) -> bool {
        let affine = [&self.stem, &self.query, &self.key, &self.value, &self.output];
        let affine = affine.into_iter().chain([&self.expand, &self.contract, &self.hidden, &self.head]);
        let affine = affine.chain(&self.query_key);
        let norms = [&self.embedding_norm, &self.norm1, &self.norm2, &self.final_norm, &self.pooled_norm];
        let pairs = affine.map(|names| (&names.weight, &names.bias));
        let mut pairs = pairs.chain(norms.into_iter().map(|names| (&names.gain, &names.bias)));
        let single = [&self.mean, &self.deviation, &self.table, &self.positions];
        let optional = [&self.token_type, &self.class_token, &self.position_bias];
        let optional = optional.into_iter().chain([&self.projection, &self.plan, &self.rotations]);
        self.rename.values().any(|name| name == tensor)
            || single.into_iter().chain(&self.axial).any(|name| name == tensor)
            || optional.flatten().any(|name| in_some_layer(name, tensor))
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
        let affine =
            |weight: &str, b: &str| AffineNames { weight: weight.to_string(), bias: bias(b), rows: None };
        let norm =
            |name: &str| NormNames { gain: format!("{name}.g"), bias: BiasName::Tensor(format!("{name}.b")) };
        Tensors {
            layout: Layout::InOut,
            fused: Fused::Chunked,
            rename: BTreeMap::new(),
            ignore: Vec::new(),
            mean: "norm.mean".to_string(),
            deviation: "norm.std".to_string(),
            table: "embed".to_string(),
            token_type: None,
            stem: affine("stem.w", "stem.b"),
            class_token: None,
            positions: "pos".to_string(),
            axial: ["pos.0", "pos.1"].map(String::from),
            embedding_norm: norm("lne"),
            norm1: norm("l{layer}.ln1"),
            query: affine("l{layer}.wq", "l{layer}.bq"),
            key: affine("l{layer}.wk", "l{layer}.bk"),
            value: affine("l{layer}.wv", "l{layer}.bv"),
            output: affine("l{layer}.wo", "l{layer}.bo"),
            query_key: None,
            position_bias: None,
            projection: None,
            plan: None,
            rotations: None,
            norm2: norm("l{layer}.ln2"),
            expand: affine("l{layer}.ff1.w", "l{layer}.ff1.b"),
            contract: affine("l{layer}.ff2.w", "l{layer}.ff2.b"),
            final_norm: norm("lnf"),
            pooled_norm: norm("lnp"),
            hidden: affine("hidden.w", "hidden.b"),
            head: affine("head.w", "head.b"),
        }
    }
}

/// The order of a weight matrix's axes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layout {
    /// `[inputs, outputs]`.
    InOut,
    /// `[outputs, inputs]`.
    OutIn,
}

/// How the outputs of projections lie that share a tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fused {
    /// `[projections, heads, head width]`: all heads of one, then those of the next.
    Chunked,
    /// `[heads, projections, head width]`.
    PerHead,
}

/// The tensors of a linear map.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the names say it")]
pub struct AffineNames {
    pub weight: String,
    pub bias: BiasName,
    /// The outputs of the tensors that are taken, from the first up to the second.
    #[serde(default)]
    pub rows: Option<[usize; 2]>,
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

/// The name of a tensor of `layer`, by the `pattern` of a description.
pub fn in_layer(pattern: &str, layer: usize) -> String {
    pattern.replace("{layer}", &layer.to_string())
}

/// Whether `tensor` is `pattern` with a number for `{layer}`.
fn in_some_layer(pattern: &str, tensor: &str) -> bool {
    let Some((before, after)) = pattern.split_once("{layer}") else {
        return pattern == tensor;
    };
    let layer = tensor.strip_prefix(before).and_then(|rest| rest.strip_suffix(after));
    layer.is_some_and(|layer| layer.parse::<usize>().is_ok())
}
