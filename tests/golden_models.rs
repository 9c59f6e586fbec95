//! Whole classifiers of the float reference against those of Hugging Face.

mod shared;

use std::collections::HashMap;
use std::path::Path;

use fixformer::host::reference::bigbird::{BigBird, Pattern};
use fixformer::host::reference::bigbird_classifier::{BigBirdBlock, BigBirdClassifier};
use fixformer::host::reference::local::Local;
use fixformer::host::reference::lsh::{Duplicates, Lsh, ScoreScale};
use fixformer::host::reference::reformer::{Axial, Reformer, ReversibleAttention, ReversibleBlock};
use fixformer::host::reference::{Activation, FeedForward, Linear, Norm, Site};
use safetensors::{Dtype, SafeTensors};

/// A safetensors file in f64.
struct File {
    name: String,
    metadata: HashMap<String, String>,
    tensors: HashMap<String, (Vec<usize>, Vec<f64>)>,
}

impl File {
    fn read(path: &Path) -> File {
        let bytes = std::fs::read(path).unwrap();
        let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
        let tensors = SafeTensors::deserialize(&bytes).unwrap();
        let values = |name: &str| {
            let view = tensors.tensor(name).unwrap();
            let bytes = view.data();
            let values = match view.dtype() {
                Dtype::F64 => bytes.as_chunks().0.iter().map(|&x| f64::from_le_bytes(x)).collect(),
                Dtype::F32 => bytes.as_chunks().0.iter().map(|&x| f32::from_le_bytes(x).into()).collect(),
                Dtype::I64 => bytes.as_chunks().0.iter().map(|&x| i64::from_le_bytes(x) as f64).collect(),
                Dtype::I32 => bytes.as_chunks().0.iter().map(|&x| i32::from_le_bytes(x).into()).collect(),
                other => panic!("{}: {name} is {other:?}", path.display()),
            };
            (view.shape().to_vec(), values)
        };
        File {
            name: path.file_name().unwrap().to_str().unwrap().to_owned(),
            metadata: header.metadata().clone().unwrap_or_default(),
            tensors: tensors.names().into_iter().map(|name| (name.to_owned(), values(name))).collect(),
        }
    }

    fn tensor(&self, name: &str) -> &[f64] {
        let found = self.tensors.get(name);
        &found.unwrap_or_else(|| panic!("{}: no tensor {name}", self.name)).1
    }

    fn integers(&self, name: &str) -> Vec<usize> {
        self.tensor(name).iter().map(|&x| x as usize).collect()
    }

    /// A map as it is stored, `[outputs, inputs]`; its bias is zero where there is none.
    fn linear(&self, name: &str) -> Linear {
        let (shape, stored) = &self.tensors[&format!("{name}.weight")];
        let (outputs, inputs) = (shape[0], shape[1]);
        let weights = (0..inputs * outputs).map(|at| stored[at % outputs * inputs + at / outputs]).collect();
        let bias = self.tensors.get(&format!("{name}.bias"));
        let bias = bias.map_or_else(|| vec![0.0; outputs], |(_, bias)| bias.clone());
        Linear { inputs, outputs, weights, bias }
    }

    fn norm(&self, name: &str, epsilon: f64) -> Norm {
        let [gain, bias] = ["weight", "bias"].map(|part| self.tensor(&format!("{name}.{part}")).to_vec());
        Norm { gain, bias, epsilon }
    }
}

/// The configuration of a checkpoint, with what a case overrides: one line of JSON each.
struct Config([String; 2]);

impl Config {
    fn text(&self, key: &str) -> &str {
        let found = self.0.iter().rev().find_map(|text| text.split_once(&format!("\"{key}\": ")));
        let rest = found.unwrap_or_else(|| panic!("no {key} in the configuration")).1;
        let end =
            if rest.starts_with('[') { rest.find(']').unwrap() } else { rest.find([',', '}']).unwrap() };
        rest[..end].trim_start_matches('[').trim_matches('"')
    }

    fn number<T: std::str::FromStr>(&self, key: &str) -> T {
        self.text(key).parse().unwrap_or_else(|_| panic!("{key} is {}", self.text(key)))
    }

    fn list(&self, key: &str) -> Vec<&str> {
        self.text(key).split(", ").map(|item| item.trim_matches('"')).collect()
    }

    fn numbers(&self, key: &str) -> Vec<usize> {
        self.list(key).iter().map(|item| item.parse().unwrap()).collect()
    }

    fn activation(&self) -> Activation {
        match self.text("hidden_act") {
            "relu" => Activation::Relu,
            "gelu" => Activation::GeluErf,
            "gelu_new" => Activation::GeluTanh,
            other => panic!("activation {other}"),
        }
    }
}

fn reformer(weights: &File, case: &File, config: &Config) -> Reformer {
    let (heads, epsilon) = (config.number("num_attention_heads"), config.number("layer_norm_eps"));
    let causal = config.number("is_decoder");
    let (shape, rotations) = &case.tensors["rotations"];
    let block = |(index, kind): (usize, &&str)| {
        let at = |part: &str| format!("reformer.encoder.layers.{index}.{part}");
        let project = |part: &str| weights.linear(&at(&format!("attention.self_attention.{part}")));
        let attention = match *kind {
            "lsh" => ReversibleAttention::Lsh {
                parameters: Lsh {
                    buckets: config.numbers("num_buckets"),
                    rounds: config.number("num_hashes"),
                    chunk: config.number("lsh_attn_chunk_length"),
                    before: config.number("lsh_num_chunks_before"),
                    after: config.number("lsh_num_chunks_after"),
                    causal,
                    scale: ScoreScale::Unit,
                    in_bucket: false,
                    duplicates: Duplicates::Counted,
                    padding_bucket: true,
                },
                query_key: project("query_key"),
                value: project("value"),
                rotations: rotations.chunks_exact(rotations.len() / shape[0]).map(<[f64]>::to_vec).collect(),
            },
            "local" => ReversibleAttention::Local {
                parameters: Local {
                    chunk: config.number("local_attn_chunk_length"),
                    before: config.number("local_num_chunks_before"),
                    after: config.number("local_num_chunks_after"),
                    causal,
                },
                query: project("query"),
                key: project("key"),
                value: project("value"),
            },
            other => panic!("attention {other}"),
        };
        ReversibleBlock {
            norm1: weights.norm(&at("attention.layer_norm"), epsilon),
            heads,
            attention,
            output: weights.linear(&at("attention.output.dense")),
            norm2: weights.norm(&at("feed_forward.layer_norm"), epsilon),
            feed_forward: FeedForward {
                expand: weights.linear(&at("feed_forward.dense.dense")),
                activation: config.activation(),
                contract: weights.linear(&at("feed_forward.output.dense")),
            },
            feed_forward_rows: config.number("chunk_size_feed_forward"),
        }
    };
    let table = |axis| {
        let name = format!("reformer.embeddings.position_embeddings.weights.{axis}");
        weights.tensor(&name).to_vec()
    };
    Reformer {
        table: weights.tensor("reformer.embeddings.word_embeddings.weight").to_vec(),
        positions: Axial {
            shape: config.numbers("axial_pos_shape").try_into().unwrap(),
            tables: [table(0), table(1)],
        },
        blocks: config.list("attn_layers").iter().enumerate().map(block).collect(),
        final_norm: weights.norm("reformer.encoder.layer_norm", epsilon),
        hidden: weights.linear("classifier.dense"),
        head: weights.linear("classifier.out_proj"),
        padding: config.number("pad_token_id"),
    }
}

fn bigbird(weights: &File, case: &File, config: &Config) -> BigBirdClassifier {
    let (heads, epsilon): (usize, f64) =
        (config.number("num_attention_heads"), config.number("layer_norm_eps"));
    let (block, random) = (config.number("block_size"), config.number("num_random_blocks"));
    assert_eq!(config.text("rescale_embeddings"), "false");
    let layer = |index: usize| {
        let at = |part: &str| format!("bert.encoder.layer.{index}.{part}");
        let linear = |part: &str| weights.linear(&at(part));
        let plans = match case.tensors.get(&format!("rand_blocks.{index}")) {
            Some((shape, blocks)) => blocks
                .chunks_exact(shape[1] * shape[2])
                .map(|head| {
                    let row = |row: &[f64]| row.iter().map(|&block| block as usize).collect();
                    head.chunks_exact(shape[2]).map(row).collect()
                })
                .collect(),
            None => vec![Vec::new(); heads],
        };
        BigBirdBlock {
            query: linear("attention.self.query"),
            key: linear("attention.self.key"),
            value: linear("attention.self.value"),
            output: linear("attention.output.dense"),
            norm1: weights.norm(&at("attention.output.LayerNorm"), epsilon),
            feed_forward: FeedForward {
                expand: linear("intermediate.dense"),
                activation: config.activation(),
                contract: linear("output.dense"),
            },
            norm2: weights.norm(&at("output.LayerNorm"), epsilon),
            plans,
        }
    };
    let mut table = weights.tensor("bert.embeddings.word_embeddings.weight").to_vec();
    let kind = weights.tensor("bert.embeddings.token_type_embeddings.weight");
    let width = config.number("hidden_size");
    for row in table.chunks_exact_mut(width) {
        row.iter_mut().zip(kind).for_each(|(x, y)| *x += y);
    }
    BigBirdClassifier {
        table,
        positions: weights.tensor("bert.embeddings.position_embeddings.weight").to_vec(),
        embedding_norm: weights.norm("bert.embeddings.LayerNorm", epsilon),
        attention: BigBird {
            block,
            random,
            pattern: Pattern::Internal,
            causal: false,
            dense_up_to: (5 + 2 * random) * block,
        },
        heads,
        blocks: (0..config.number("num_hidden_layers")).map(layer).collect(),
        hidden: weights.linear("classifier.dense"),
        activation: config.activation(),
        head: weights.linear("classifier.out_proj"),
    }
}

/// Relative L2 distance over the first values of `expected`.
fn distance(found: &[f64], expected: &[f64]) -> f64 {
    let expected = &expected[..expected.len().min(found.len())];
    let difference: f64 = found.iter().zip(expected).map(|(x, y)| (x - y) * (x - y)).sum();
    (difference / expected.iter().map(|x| x * x).sum::<f64>()).sqrt()
}

/// Every case of `model` below the shared golden files: scores, and the streams on the way.
fn agree(model: &str) {
    let root = shared::root();
    let folder = root.join("golden/models");
    let Ok(entries) = std::fs::read_dir(&folder) else {
        println!("skipped: no golden files at {} (set FIXFORMER_SHARED)", folder.display());
        return;
    };
    let mut files: Vec<File> = entries.map(|entry| File::read(&entry.unwrap().path())).collect();
    files.retain(|file| file.metadata.contains_key("weights") && file.name.contains(model));
    files.sort_by(|a, b| a.name.cmp(&b.name));
    assert!(!files.is_empty());
    for case in &files {
        let weights = File::read(&folder.join(&case.metadata["weights"]));
        let overrides = case.metadata.get("config_overrides").cloned().unwrap_or_default();
        let config = Config([weights.metadata["config"].clone(), overrides]);
        let ids = case.integers("input_ids");
        let mask =
            case.tensors.get("attention_mask").map(|(_, mask)| mask.iter().map(|&x| x != 0.0).collect());
        let mask: Option<Vec<bool>> = mask;
        // Hidden tokens are meaningless, and these are at the end.
        let valid = mask.as_ref().map_or(ids.len(), |mask| mask.iter().filter(|&&valid| valid).count());

        let mut streams = 0f64;
        let mut observe = |site: Site, x: &[f64]| {
            let name = match (site.block, site.tensor) {
                (Some(block), "y1" | "y2") => format!("{}.{block}", site.tensor),
                (None, "embedding") => "hidden.0".to_owned(),
                (Some(block), "norm2") => format!("hidden.{}", block + 1),
                _ => return,
            };
            let (shape, expected) = &case.tensors[&name];
            streams = streams.max(distance(&x[..valid * shape[1]], expected));
        };
        let scores = if model == "reformer" {
            reformer(&weights, case, &config).forward(&ids, mask.as_deref(), &mut observe)
        } else {
            bigbird(&weights, case, &config).forward(&ids, mask.as_deref(), &mut observe)
        };
        let error = distance(&scores, case.tensor("logits"));
        println!("scores {error:.1e}, streams {streams:.1e}: {}", case.name);
        // Scores are stored in f64, streams in f32.
        assert!(error <= 1e-9 && streams <= 1e-6, "{}", case.name);
    }
}

#[test]
fn the_reformer_classifier_agrees() {
    agree("reformer");
}

#[test]
fn the_bigbird_classifier_agrees() {
    agree("bigbird");
}
