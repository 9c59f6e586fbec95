//! `host::describe`: a description that it writes imports, once what is marked is set.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use fixformer::host::describe::{DescribeError, Described, describe};
use fixformer::host::import::description::Plan;
use fixformer::host::import::{self, Source};
use fixformer::host::reference::attention::favor::Features;
use fixformer::host::reference::{Activation, AttentionKind, Input, Network, NormOrder, Pooling};
use safetensors::tensor::{Dtype, TensorView};

#[path = "describe/own.rs"]
mod own;

const MARK: &str = "# not in the weights:";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A folder that is gone at the end, for weights and a description.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("fixformer-describe-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// Weights of these names and shapes, with values that differ.
    fn weights(&self, tensors: &[(String, Vec<usize>)]) -> PathBuf {
        let mut state = 1_u32;
        let mut value = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            ((state >> 16) as f32 / 65_536.0 - 0.5).to_le_bytes()
        };
        let bytes: BTreeMap<&str, Vec<u8>> = tensors
            .iter()
            .map(|(name, shape)| {
                let count: usize = shape.iter().product();
                (name.as_str(), (0..count).flat_map(|_| value()).collect())
            })
            .collect();
        let views = tensors.iter().map(|(name, shape)| {
            (name, TensorView::new(Dtype::F32, shape.clone(), &bytes[name.as_str()]).unwrap())
        });
        let path = self.0.join("w.safetensors");
        safetensors::serialize_to_file(views, None, &path).unwrap();
        path
    }

    /// The network of `weights` by their description, with these marked values set.
    fn import(&self, weights: &Path, set: &[(&str, &str)]) -> (Described, Network) {
        let described = describe(weights).unwrap();
        let mut text = described.toml.clone();
        for (key, value) in set {
            let marked = |line: &&str| line.starts_with(&format!("{key} = ")) && line.contains(MARK);
            let line = text
                .lines()
                .find(marked)
                .unwrap_or_else(|| panic!("`{key}` is not marked:\n{text}"))
                .to_owned();
            text = text.replacen(&line, &format!("{key} = {value}"), 1);
        }
        let path = self.0.join("m.toml");
        fs::write(&path, &text).unwrap();
        let network = import::network(&path, weights).unwrap_or_else(|error| panic!("{error}\n{text}"));
        assert_eq!(described.toml.matches(MARK).count(), described.marked, "{text}");
        (described, network)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A linear map of PyTorch: its weight and its bias.
fn linear(name: &str, outputs: usize, inputs: usize) -> Vec<(String, Vec<usize>)> {
    vec![(format!("{name}.weight"), vec![outputs, inputs]), (format!("{name}.bias"), vec![outputs])]
}

fn norm(name: &str, width: usize) -> Vec<(String, Vec<usize>)> {
    ["weight", "bias"].map(|part| (format!("{name}.{part}"), vec![width])).to_vec()
}

fn alone(name: &str, shape: &[usize]) -> Vec<(String, Vec<usize>)> {
    vec![(name.to_owned(), shape.to_vec())]
}

fn renamed(network: Network, like: &Network) -> Network {
    Network { name: like.name.clone(), ..network }
}

#[test]
fn a_torch_encoder_with_a_linear_stem() {
    let folder = Folder::new("torch");
    let case = root().join("tests/cases/fused_qkv");
    let weights = case.join("fused.safetensors");
    let set = [("heads", "2"), ("scale", "0.01"), ("window", "{ width = 8, stride = 1 }")];
    let (described, network) = folder.import(&weights, &set);
    let expected = import::network(&case.join("fused.toml"), &weights).unwrap();
    assert_eq!(renamed(network, &expected), expected, "{}", described.toml);
    assert!(described.family.contains("TransformerEncoder"));
    for marked in ["heads", "activation", "norm", "epsilon", "channels", "scale", "window", "kind"] {
        let line = described
            .toml
            .lines()
            .find(|line| line.starts_with(&format!("{marked} = ")) && line.contains(MARK));
        assert!(line.is_some(), "{marked}: {}", described.toml);
    }
}

#[test]
fn a_torch_encoder_with_a_convolution_and_a_norm_somewhere() {
    let folder = Folder::new("conv");
    let case = root().join("tests/cases/expected");
    let weights = case.join("w.safetensors");
    let pooled = "false\n[pooling]\nkind = \"mean\"\nnorm = true";
    let set = [
        ("heads", "4"),
        ("activation", "\"gelu\""),
        ("norm", "\"pre\""),
        ("epsilon", "1e-3"),
        ("scale", "0.01"),
        ("window", "{ width = 4, stride = 2 }"),
    ];
    let (described, network) = folder.import(&weights, &set);
    assert!(described.toml.contains("channels = 2\n"), "{}", described.toml);
    let expected = import::network(&case.join("m.toml"), &weights).unwrap();
    // As the mark on `final_norm` says.
    let network = Network { final_norm: None, pooled_norm: network.final_norm.clone(), ..network };
    assert_eq!(renamed(network, &expected), expected, "{}", described.toml);
    assert!(described.toml.contains("it may stand after pooling"), "{pooled}");
}

#[test]
fn a_class_token_and_a_head_of_two_layers() {
    let folder = Folder::new("vit");
    let mut tensors = [
        alone("cls_token", &[1, 1, 16]),
        alone("pos_embedding", &[1, 33, 16]),
        linear("patch", 16, 12),
        norm("encoder.norm", 16),
        linear("head.0", 24, 16),
        linear("head.3", 5, 24),
    ]
    .concat();
    for layer in 0..3 {
        let at = format!("encoder.layers.{layer}");
        tensors.extend(alone(&format!("{at}.self_attn.in_proj_weight"), &[48, 16]));
        tensors.extend(alone(&format!("{at}.self_attn.in_proj_bias"), &[48]));
        tensors.extend(linear(&format!("{at}.self_attn.out_proj"), 16, 16));
        tensors.extend(linear(&format!("{at}.linear1"), 32, 16));
        tensors.extend(linear(&format!("{at}.linear2"), 16, 32));
        tensors.extend([norm(&format!("{at}.norm1"), 16), norm(&format!("{at}.norm2"), 16)].concat());
    }
    let weights = folder.weights(&tensors);
    let set = [("channels", "3"), ("window", "{ width = 4, stride = 4 }"), ("hidden", "\"gelu\"")];
    let (described, network) = folder.import(&weights, &set);
    assert_eq!(
        (network.blocks.len(), network.max_tokens, network.head.outputs),
        (3, 33, 5),
        "{}",
        described.toml
    );
    assert_eq!((network.pooling, network.class_token.is_some()), (Pooling::First, true));
    assert!(network.final_norm.is_some());
    assert_eq!(network.hidden.as_ref().unwrap().activation, Activation::GeluErf);
    assert!(matches!(network.input, Input::Samples { channels: 3, .. }));
    assert!(network.forward(&[5; 24], None, &mut |_, _| {}).is_ok());
}

/// What their own configuration makes of the weights of a golden model.
fn configured(weights: &Path) -> Network {
    Source { weights: weights.to_owned(), plan: Plan::Zero, ..Source::default() }.network().unwrap()
}

#[test]
fn hugging_face_classifiers_are_what_their_configuration_says() {
    let golden =
        |family: &str| root().join(format!("tests/golden/models/model_{family}_seqcls_weights.safetensors"));
    let folder = Folder::new("hf");
    let weights = golden("bigbird");
    let set = [
        ("heads", "2"),
        ("attention", "{ kind = \"bigbird\", block = 16, random = 2, plan = \"zero\", dense_up_to = 144 }"),
        ("activation", "\"gelu-tanh\""),
    ];
    let (described, network) = folder.import(&weights, &set);
    let expected = configured(&weights);
    assert_eq!(network, expected, "{}", described.toml);

    let weights = golden("reformer");
    let (described, network) = folder.import(&weights, &[("heads", "2")]);
    let expected = configured(&weights);
    // Chunks and buckets are marked, on the line that opens their list.
    let attentions = |network: &Network| -> Vec<AttentionKind> {
        network.blocks.iter().map(|block| block.attention.kind.clone()).collect()
    };
    assert_ne!(attentions(&network), attentions(&expected));
    let text = fs::read_to_string(folder.0.join("m.toml")).unwrap();
    let text = text.replace("chunk = 64", "chunk = 16");
    let path = folder.0.join("m.toml");
    fs::write(&path, text).unwrap();
    assert_eq!(import::network(&path, &weights).unwrap(), expected, "{}", described.toml);
}

fn of_bert(root: &str, width: usize, hidden: usize) -> Vec<(String, Vec<usize>)> {
    let embeddings = format!("{root}bert.embeddings");
    let mut tensors = [
        alone(&format!("{embeddings}.word_embeddings.weight"), &[30, width]),
        alone(&format!("{embeddings}.position_embeddings.weight"), &[40, width]),
        alone(&format!("{embeddings}.token_type_embeddings.weight"), &[2, width]),
        norm(&format!("{embeddings}.LayerNorm"), width),
        linear(&format!("{root}bert.pooler.dense"), width, width),
        linear(&format!("{root}classifier"), 4, width),
    ]
    .concat();
    for layer in 0..2 {
        let at = format!("{root}bert.encoder.layer.{layer}");
        for name in
            ["attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense"]
        {
            tensors.extend(linear(&format!("{at}.{name}"), width, width));
        }
        tensors.extend(linear(&format!("{at}.intermediate.dense"), hidden, width));
        tensors.extend(linear(&format!("{at}.output.dense"), width, hidden));
        tensors.extend(norm(&format!("{at}.attention.output.LayerNorm"), width));
        tensors.extend(norm(&format!("{at}.output.LayerNorm"), width));
    }
    tensors
}

#[test]
fn bert_and_distilbert() {
    let folder = Folder::new("bert");
    for root in ["", "model."] {
        let weights = folder.weights(&of_bert(root, 24, 40));
        let (described, network) =
            folder.import(&weights, &[("heads", "3"), ("activation", "\"gelu-tanh\"")]);
        assert!(described.family.contains("BERT"));
        assert_eq!((network.blocks.len(), network.blocks[0].attention.heads), (2, 3), "{}", described.toml);
        assert_eq!((network.pooling, network.blocks[0].order), (Pooling::First, NormOrder::Post));
        assert_eq!(network.hidden.as_ref().unwrap().activation, Activation::Tanh);
        assert_eq!(network.embedding_norm.as_ref().unwrap().epsilon, 1e-12);
        assert!(network.forward(&[1, 5, 29], None, &mut |_, _| {}).is_ok());
    }

    let (width, hidden) = (24, 40);
    let mut tensors = [
        alone("distilbert.embeddings.word_embeddings.weight", &[30, width]),
        alone("distilbert.embeddings.position_embeddings.weight", &[40, width]),
        norm("distilbert.embeddings.LayerNorm", width),
        linear("pre_classifier", width, width),
        linear("classifier", 4, width),
    ]
    .concat();
    for layer in 0..2 {
        let at = format!("distilbert.transformer.layer.{layer}");
        for name in ["q_lin", "k_lin", "v_lin", "out_lin"] {
            tensors.extend(linear(&format!("{at}.attention.{name}"), width, width));
        }
        tensors.extend(linear(&format!("{at}.ffn.lin1"), hidden, width));
        tensors.extend(linear(&format!("{at}.ffn.lin2"), width, hidden));
        tensors.extend(norm(&format!("{at}.sa_layer_norm"), width));
        tensors.extend(norm(&format!("{at}.output_layer_norm"), width));
    }
    let weights = folder.weights(&tensors);
    let (described, network) = folder.import(&weights, &[("heads", "2")]);
    assert!(described.family.contains("DistilBERT"));
    assert_eq!(network.hidden.as_ref().unwrap().activation, Activation::Relu);
    assert!(network.forward(&[1, 5, 29], None, &mut |_, _| {}).is_ok());
}

#[test]
fn a_performer() {
    let folder = Folder::new("performer");
    let width = 16;
    let mut tensors = [
        alone("token_emb.weight", &[30, width]),
        alone("pos_emb.weight", &[64, width]),
        norm("norm", width),
        linear("to_logits", 4, width),
    ]
    .concat();
    for layer in 0..2 {
        let at = format!("performer.net.layers.{layer}");
        for name in ["to_q", "to_k", "to_v", "to_out"] {
            tensors.extend(linear(&format!("{at}.0.fn.{name}"), width, width));
        }
        tensors.extend(alone(&format!("{at}.0.fn.fast_attention.projection_matrix"), &[20, 4]));
        tensors.extend(alone(&format!("{at}.0.fn.fast_attention.calls_since_last_redraw"), &[]));
        tensors.extend(norm(&format!("{at}.0.norm"), width));
        tensors.extend(norm(&format!("{at}.1.norm"), width));
        tensors.extend(linear(&format!("{at}.1.fn.fn.w1"), 32, width));
        tensors.extend(linear(&format!("{at}.1.fn.fn.w2"), width, 32));
    }
    let weights = folder.weights(&tensors);
    let (described, network) = folder.import(&weights, &[]);
    assert!(described.family.contains("performer-pytorch"));
    let attention = &network.blocks[1].attention;
    // The projection says how wide a head is.
    assert_eq!(attention.heads, 4, "{}", described.toml);
    let AttentionKind::Favor(favor) = &attention.kind else { panic!("{:?}", attention.kind) };
    assert_eq!((favor.features, favor.projection.as_ref().unwrap().len()), (Features::Exponential, 80));
    assert!(network.forward(&[1, 5, 29], None, &mut |_, _| {}).is_ok());

    // Gated layers are another feed-forward network.
    for (name, shape) in &mut tensors {
        if name.contains("w1") {
            shape[0] = 64;
        }
    }
    let error = describe(&folder.weights(&tensors)).unwrap_err();
    assert!(error.to_string().contains("gated (`ff_glu`: 64 and 32)"), "{error}");
}

#[test]
fn keras_models_of_layers_and_of_blocks() {
    let folder = Folder::new("keras");
    let (width, heads, head_width, hidden) = (16, 2, 8, 24);
    for nested in [true, false] {
        let mut tensors = vec![
            ("conv1d/kernel".to_owned(), vec![4, 3, width]),
            ("conv1d/bias".to_owned(), vec![width]),
            ("position_embedding/embeddings".to_owned(), vec![20, width]),
        ];
        // Numbers go on through the model, and the first has none.
        let numbered = |name: &str, index: usize| match index {
            0 => name.to_owned(),
            index => format!("{name}_{index}"),
        };
        for layer in 0..2 {
            let block = if nested { numbered("transformer_block", layer) + "/" } else { String::new() };
            let attention = format!("{block}{}", numbered("multi_head_attention", layer));
            for name in ["query", "key", "value"] {
                tensors.push((format!("{attention}/{name}/kernel"), vec![width, heads, head_width]));
                tensors.push((format!("{attention}/{name}/bias"), vec![heads, head_width]));
            }
            tensors.push((format!("{attention}/attention_output/kernel"), vec![heads, head_width, width]));
            tensors.push((format!("{attention}/attention_output/bias"), vec![width]));
            for (index, shape) in [(2 * layer, [width, hidden]), (2 * layer + 1, [hidden, width])] {
                let dense = format!("{block}{}", numbered("dense", index));
                tensors.push((format!("{dense}/kernel"), shape.to_vec()));
                tensors.push((format!("{dense}/bias"), vec![shape[1]]));
                let norm = format!("{block}{}", numbered("layer_normalization", index));
                tensors.push((format!("{norm}/gamma"), vec![width]));
                tensors.push((format!("{norm}/beta"), vec![width]));
            }
        }
        tensors.push(("dense_4/kernel".to_owned(), vec![width, 5]));
        tensors.push(("dense_4/bias".to_owned(), vec![5]));
        let weights = folder.weights(&tensors);
        let set = [("epsilon", "1e-3"), ("window", "{ width = 4, stride = 4 }")];
        let (described, network) = folder.import(&weights, &set);
        assert!(described.family.contains("Keras"));
        // Kernels have an axis of heads: their number is known.
        assert!(described.toml.contains("heads = 2\n"), "{}", described.toml);
        let widths: Vec<usize> =
            network.blocks.iter().map(|block| block.feed_forward.expand.outputs).collect();
        assert_eq!((widths, network.head.outputs), (vec![hidden; 2], 5), "{}", described.toml);
        assert!(matches!(network.input, Input::Samples { channels: 3, .. }));
        assert!(network.blocks[0].feed_forward.expand != network.blocks[1].feed_forward.expand);
        assert!(network.forward(&[3; 48], None, &mut |_, _| {}).is_ok());
    }
}

#[test]
fn what_is_not_recognised_says_what_is() {
    let folder = Folder::new("unknown");
    let weights = folder.weights(&linear("conv1", 3, 3));
    let error = describe(&weights).unwrap_err();
    assert!(matches!(error, DescribeError::Unknown { .. }));
    let said = error.to_string();
    assert!(said.contains("conv1.bias") && said.contains("DistilBERT") && said.contains("ONNX"), "{said}");

    let mut tensors = of_bert("", 24, 40);
    tensors.retain(|(name, _)| !name.starts_with("classifier"));
    let error = describe(&folder.weights(&tensors)).unwrap_err().to_string();
    assert!(error.contains("it has no `classifier.weight`"), "{error}");
    assert!(describe(&folder.0.join("nothing")).is_err());
}
