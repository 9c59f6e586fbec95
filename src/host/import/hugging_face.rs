//! Descriptions of Hugging Face sequence classifiers, made from their configuration: BigBird
//! (`BigBirdForSequenceClassification`) and Reformer (`ReformerForSequenceClassification`).
//!
//! The defaults are those of the configurations in transformers 4.46.

use std::collections::BTreeMap;
use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::description::{
    Activation, AffineNames, Attention, Attentions, BiasName, BigBird, Buckets, Description, Encoder, Head,
    InputKind, Layout, Lsh, NormNames, NormOrder, Plan, Pooling, PoolingKind, PositionKind, Positions,
    Problem, Scale, Task, Tensors, check,
};

/// Reads `config`, a JSON object, with the keys of `overrides` in place of its own. `has` says whether the checkpoint
/// has a tensor.
pub(super) fn description(
    config: &str,
    overrides: Option<&str>,
    plan: Plan,
    has: &dyn Fn(&str) -> bool,
) -> Result<Description, Problem> {
    let mut keys: Map<String, Value> = json(config)?;
    keys.extend(overrides.map(json::<Map<_, _>>).transpose()?.unwrap_or_default());
    let given = keys.get("model_type").and_then(Value::as_str).map(ToString::to_string);
    let found = match given.as_deref() {
        Some(given) => given,
        None if keys.contains_key("attn_layers") => "reformer",
        None if keys.contains_key("num_random_blocks") => "big_bird",
        None => "",
    };
    let asked: Asked = from_keys(keys.clone())?;
    let mut description = match found {
        "reformer" => from_keys::<Reformer>(keys)?.description(has)?,
        "big_bird" => from_keys::<BigBirdConfig>(keys)?.description(plan, has)?,
        other => {
            let what = format!(
                "is `{other}`, but a configuration is read of `big_bird` and `reformer` alone; let `fixformer describe` \
                 write a description of the weights, and give that"
            );
            return Err(field("model_type", what));
        }
    };
    asked.tell(&mut description.head)?;
    check(&description)?;
    Ok(description)
}

/// What the classifier was trained for.
#[derive(Deserialize)]
struct Asked {
    problem_type: Option<String>,
    #[serde(default)]
    id2label: BTreeMap<u32, String>,
}

impl Asked {
    fn tell(self, head: &mut Head) -> Result<(), Problem> {
        head.task = match self.problem_type.as_deref() {
            Some("single_label_classification") => Some(Task::Multiclass),
            Some("multi_label_classification") => Some(Task::Multilabel),
            Some("regression") => Some(Task::Regression),
            Some(other) => return Err(field("problem_type", format!("is `{other}`; correct or remove it"))),
            // What transformers train a single label for.
            None if self.id2label.len() == 1 => Some(Task::Regression),
            None => None,
        };
        // Those that nobody gave say nothing.
        let given = |label: &String| !label.starts_with("LABEL_") && !label.is_empty();
        if !self.id2label.is_empty() && self.id2label.values().all(given) {
            head.classes = self.id2label.into_values().collect();
        }
        Ok(())
    }
}

fn json<T: DeserializeOwned>(text: &str) -> Result<T, Problem> {
    serde_json::from_str(text).map_err(|error| Problem::Syntax(format!("configuration: {error}")))
}

fn from_keys<T: DeserializeOwned>(keys: Map<String, Value>) -> Result<T, Problem> {
    serde_json::from_value(Value::Object(keys))
        .map_err(|error| Problem::Syntax(format!("configuration: {error}")))
}

fn field(key: &str, problem: impl Into<String>) -> Problem {
    Problem::Field { field: key.to_string(), problem: problem.into() }
}

/// `BigBirdConfig`, what of it matters here.
#[derive(Deserialize)]
struct BigBirdConfig {
    hidden_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    intermediate_size: usize,
    #[serde(default = "gelu_new")]
    hidden_act: String,
    #[serde(default = "epsilon")]
    layer_norm_eps: f64,
    #[serde(default = "block_sparse")]
    attention_type: String,
    #[serde(default = "default_block")]
    block_size: usize,
    #[serde(default = "default_random")]
    num_random_blocks: usize,
    #[serde(default = "yes")]
    use_bias: bool,
    #[serde(default)]
    rescale_embeddings: bool,
    #[serde(default)]
    is_decoder: bool,
}

impl BigBirdConfig {
    fn description(self, plan: Plan, has: &dyn Fn(&str) -> bool) -> Result<Description, Problem> {
        let (block, random) = (self.block_size, self.num_random_blocks);
        let sparse = match self.attention_type.as_str() {
            "block_sparse" if self.is_decoder => {
                let what = "is true, which sparse attention does not have; give `original_full`, or `is_decoder` false";
                return Err(field("is_decoder", what));
            }
            "block_sparse" => true,
            "original_full" => false,
            other => {
                let what = format!("is `{other}`; give `block_sparse` or `original_full`");
                return Err(field("attention_type", what));
            }
        };
        let frozen = sparse && random > 0 && has("rand_blocks.0");
        let attention = match sparse {
            true => Attention::BigBird(BigBird {
                causal: false,
                block,
                random,
                dense_up_to: random.saturating_mul(2).saturating_add(5).saturating_mul(block),
                plan: (random > 0 && !frozen).then_some(plan),
                seed: None,
                global: None,
                radius: None,
            }),
            false => Attention::Exact { causal: self.is_decoder },
        };
        let layer = |name: &str| format!("bert.encoder.layer.{{layer}}.{name}");
        let projection = |name: &str| affine(&layer(name), self.use_bias);
        let activation = activation(&self.hidden_act)?;
        Ok(Description {
            name: "bigbird".to_string(),
            max_tokens: None,
            horizon: None,
            input: InputKind::Tokens {
                scale: if self.rescale_embeddings { (self.hidden_size as f64).sqrt() } else { 1.0 },
            },
            positions: Positions { kind: PositionKind::Learned },
            encoder: Encoder {
                layers: self.num_hidden_layers,
                width: self.hidden_size,
                heads: self.num_attention_heads,
                head_width: None,
                hidden: self.intermediate_size,
                activation,
                norm: NormOrder::Post,
                epsilon: self.layer_norm_eps,
                final_norm: false,
                embedding_norm: true,
                final_epsilon: None,
                embedding_epsilon: None,
                attention: attention.into(),
            },
            pooling: Pooling { kind: PoolingKind::First, ..Pooling::default() },
            head: Head { hidden: Some(activation), ..Head::default() },
            tensors: Tensors {
                layout: Layout::OutIn,
                ignore: Vec::from(["bert.pooler.*", "bert.embeddings.position_ids"].map(String::from)),
                table: "bert.embeddings.word_embeddings.weight".to_string(),
                token_type: Some("bert.embeddings.token_type_embeddings.weight".to_string()),
                positions: "bert.embeddings.position_embeddings.weight".to_string(),
                embedding_norm: norm("bert.embeddings.LayerNorm"),
                query: projection("attention.self.query"),
                key: projection("attention.self.key"),
                value: projection("attention.self.value"),
                output: affine(&layer("attention.output.dense"), true),
                norm1: norm(&layer("attention.output.LayerNorm")),
                expand: affine(&layer("intermediate.dense"), true),
                contract: affine(&layer("output.dense"), true),
                norm2: norm(&layer("output.LayerNorm")),
                plan: frozen.then(|| "rand_blocks.{layer}".to_string()),
                ..classifier()
            },
            train: None,
        })
    }
}

/// `ReformerConfig`, what of it matters here. `chunk_size_feed_forward` does not: the result is the same for every
/// chunk, and the engine's chunk is a few rows.
#[derive(Deserialize)]
struct Reformer {
    hidden_size: usize,
    attn_layers: Vec<String>,
    num_attention_heads: usize,
    #[serde(default = "default_block")]
    attention_head_size: usize,
    feed_forward_size: usize,
    #[serde(default = "relu")]
    hidden_act: String,
    #[serde(default = "epsilon")]
    layer_norm_eps: f64,
    #[serde(default = "yes")]
    axial_pos_embds: bool,
    #[serde(default = "default_block")]
    local_attn_chunk_length: usize,
    #[serde(default = "one")]
    local_num_chunks_before: usize,
    #[serde(default)]
    local_num_chunks_after: usize,
    #[serde(default = "default_block")]
    lsh_attn_chunk_length: usize,
    #[serde(default = "one")]
    lsh_num_chunks_before: usize,
    #[serde(default)]
    lsh_num_chunks_after: usize,
    num_buckets: Option<Buckets>,
    #[serde(default = "one")]
    num_hashes: usize,
    #[serde(default)]
    is_decoder: bool,
}

impl Reformer {
    fn description(self, has: &dyn Fn(&str) -> bool) -> Result<Description, Problem> {
        let attentions: Vec<Attention> =
            self.attn_layers.iter().map(|kind| self.attention(kind)).collect::<Result<_, _>>()?;
        let any_lsh = self.attn_layers.iter().any(|kind| kind == "lsh");
        let layer = |name: &str| format!("reformer.encoder.layers.{{layer}}.{name}");
        let projection = |name: &str| affine(&layer(&format!("attention.self_attention.{name}")), false);
        let position = |name: &str| format!("reformer.embeddings.position_embeddings.{name}");
        Ok(Description {
            name: "reformer".to_string(),
            max_tokens: None,
            horizon: None,
            input: InputKind::Tokens { scale: 1.0 },
            positions: Positions {
                kind: if self.axial_pos_embds { PositionKind::Axial } else { PositionKind::Learned },
            },
            encoder: Encoder {
                layers: attentions.len(),
                width: self.hidden_size,
                heads: self.num_attention_heads,
                head_width: Some(self.attention_head_size),
                hidden: self.feed_forward_size,
                activation: activation(&self.hidden_act)?,
                norm: NormOrder::Reversible,
                epsilon: self.layer_norm_eps,
                final_norm: true,
                embedding_norm: false,
                final_epsilon: None,
                embedding_epsilon: None,
                attention: Attentions::from(attentions),
            },
            pooling: Pooling { kind: PoolingKind::First, ..Pooling::default() },
            head: Head { hidden: Some(Activation::Tanh), ..Head::default() },
            tensors: Tensors {
                layout: Layout::OutIn,
                table: "reformer.embeddings.word_embeddings.weight".to_string(),
                positions: position("embedding.weight"),
                axial: [position("weights.0"), position("weights.1")],
                query: projection("query"),
                key: projection("key"),
                value: projection("value"),
                query_key: Some(projection("query_key")),
                output: affine(&layer("attention.output.dense"), false),
                norm1: norm(&layer("attention.layer_norm")),
                expand: affine(&layer("feed_forward.dense.dense"), true),
                contract: affine(&layer("feed_forward.output.dense"), true),
                norm2: norm(&layer("feed_forward.layer_norm")),
                final_norm: norm("reformer.encoder.layer_norm"),
                rotations: (any_lsh && has("rotations")).then(|| "rotations".to_string()),
                ..classifier()
            },
            train: None,
        })
    }

    fn attention(&self, kind: &str) -> Result<Attention, Problem> {
        let causal = self.is_decoder;
        match kind {
            "local" => Ok(Attention::Local {
                causal,
                chunk: self.local_attn_chunk_length,
                before: self.local_num_chunks_before,
                after: self.local_num_chunks_after,
            }),
            "lsh" => {
                let unset = "is not set: the model would take it from the first input that it sees; give the number \
                             that it was trained with";
                Ok(Attention::Lsh(Lsh {
                    causal,
                    buckets: self.num_buckets.clone().ok_or_else(|| field("num_buckets", unset))?,
                    rounds: self.num_hashes,
                    chunk: self.lsh_attn_chunk_length,
                    before: self.lsh_num_chunks_before,
                    after: self.lsh_num_chunks_after,
                    in_bucket: false,
                    skip_duplicates: false,
                    scale: Scale::Unit,
                    seed: None,
                }))
            }
            other => Err(field("attn_layers", format!("has `{other}`; a layer is `lsh` or `local`"))),
        }
    }
}

/// The names that both have.
fn classifier() -> Tensors {
    Tensors {
        hidden: affine("classifier.dense", true),
        head: affine("classifier.out_proj", true),
        ..Tensors::default()
    }
}

fn affine(name: &str, bias: bool) -> AffineNames {
    let bias = if bias { BiasName::Tensor(format!("{name}.bias")) } else { BiasName::Absent };
    AffineNames { weight: format!("{name}.weight"), bias, rows: None }
}

fn norm(name: &str) -> NormNames {
    NormNames { gain: format!("{name}.weight"), bias: BiasName::Tensor(format!("{name}.bias")) }
}

fn activation(name: &str) -> Result<Activation, Problem> {
    match name {
        "relu" => Ok(Activation::Relu),
        "gelu" => Ok(Activation::Gelu),
        "gelu_new" | "gelu_pytorch_tanh" => Ok(Activation::GeluTanh),
        "tanh" => Ok(Activation::Tanh),
        other => {
            let what = format!("is `{other}`; the engine has relu, gelu, gelu_new and tanh");
            Err(field("hidden_act", what))
        }
    }
}

fn gelu_new() -> String {
    "gelu_new".to_string()
}

fn relu() -> String {
    "relu".to_string()
}

fn block_sparse() -> String {
    "block_sparse".to_string()
}

fn epsilon() -> f64 {
    1e-12
}

fn default_block() -> usize {
    64
}

fn default_random() -> usize {
    3
}

fn one() -> usize {
    1
}

fn yes() -> bool {
    true
}
