//! Importing checkpoints: what is read, and what is refused with which words.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use fixformer::host::import::{self, ImportError};
use fixformer::host::reference::{Activation, Input, Level, Network, NormOrder, Pooling, Positions, Window};
use safetensors::Dtype;
use safetensors::tensor::TensorView;

#[path = "import/attention.rs"]
mod attention;
#[path = "import/configurations.rs"]
mod configurations;
#[path = "import/contradictions.rs"]
mod contradictions;
#[path = "import/remedies.rs"]
mod remedies;

/// One layer of width 2 over at most 4 tokens; 3 raw values and 2 classes.
const DESCRIPTION: &str = r#"
name = "small"

[input]
kind = "samples"
channels = 1
scale = 0.5
window = { width = 3, stride = 1 }

[encoder]
layers = 1
width = 2
heads = 2
hidden = 3
"#;

#[test]
fn a_small_model() {
    let network = Case::new().import().unwrap();
    assert_eq!(network.name, "small");
    assert_eq!((network.max_tokens, network.horizon()), (4, 16_384));
    let Input::Samples { channels, window, scale, level, mean, deviation, stem } = &network.input else {
        panic!("{:?}", network.input);
    };
    assert_eq!((*channels, &scale[..], *level), (1, &[0.5][..], Level::Raw));
    assert_eq!(*window, Window { width: 3, stride: 1 });
    assert_eq!((&mean[..], &deviation[..]), (&[1.0][..], &[1.0][..]));
    assert_eq!((stem.inputs, stem.outputs), (3, 2));
    assert_eq!(stem.weights, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    assert_eq!(stem.bias, [1.0, 2.0]);
    let block = &network.blocks[0];
    assert_eq!((block.order, block.attention.heads), (NormOrder::Pre, 2));
    assert_eq!(block.norm1.epsilon, 1e-5);
    assert_eq!(block.feed_forward.activation, Activation::Relu);
    assert_eq!((network.pooling, network.head.outputs), (Pooling::Mean, 2));
    assert!(matches!(&network.positions, Positions::Learned(table) if table.len() == 8));
    assert!(network.embedding_norm.is_none() && network.final_norm.is_some());
    assert_eq!(network.forward(&[0; 6], None, &mut |_, _| {}).unwrap().len(), 2);
}

#[test]
fn every_option() {
    let mut case = Case::new();
    case.replace(
        "hidden = 3",
        r#"hidden = 3
        activation = "gelu-tanh"
        norm = "post"
        epsilon = 1e-12
        final_norm = false
        embedding_norm = true
        attention = { kind = "exact", causal = true }
        [positions]
        kind = "sinusoidal"
        [pooling]
        kind = "last"
        [tensors]
        layout = "out-in"
        stem = { weight = "stem.w", bias = false }
        query = { weight = "block.{layer}.q", bias = "l{layer}.bq" }
        ignore = ["optimizer.*", "step"]"#,
    );
    case.replace(r#"name = "small""#, "name = \"small\"\nmax_tokens = 9");
    case.replace("scale = 0.5", "scale = 0.5\nnormalize = false\nremove_mean = true");
    case.remove(&["lnf.g", "lnf.b", "pos", "norm.mean", "norm.std", "stem.b"]);
    for name in ["lne.g", "lne.b"] {
        case.fill(name, &[2]);
    }
    case.fill("optimizer.moment", &[7]);
    case.fill("step", &[1]);
    case.rename("l0.wq", "block.0.q");
    case.fill("stem.w", &[2, 3]);
    case.fill("l0.ff1.w", &[3, 2]);
    case.fill("l0.ff2.w", &[2, 3]);
    let network = case.import().unwrap();
    let block = &network.blocks[0];
    assert_eq!((block.order, block.norm2.epsilon), (NormOrder::Post, 1e-12));
    assert_eq!(block.feed_forward.activation, Activation::GeluTanh);
    assert!(block.attention.causal);
    assert_eq!(block.attention.query.weights, [1.0, 3.0, 2.0, 4.0]);
    assert_eq!((network.max_tokens, network.pooling), (9, Pooling::Last));
    assert_eq!(network.positions, Positions::Sinusoidal);
    assert!(network.embedding_norm.is_some() && network.final_norm.is_none());
    let Input::Samples { mean, deviation, stem, .. } = &network.input else { panic!() };
    assert_eq!((&mean[..], &deviation[..]), (&[0.0][..], &[1.0][..]));
    assert_eq!(stem.weights, [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
    assert_eq!(stem.bias, [0.0, 0.0]);
}

#[test]
fn tokens_and_symbols() {
    let samples = "kind = \"samples\"\nchannels = 1\nscale = 0.5\nwindow = { width = 3, stride = 1 }";
    let mut case = Case::new();
    case.replace(samples, "kind = \"one-hot\"\nsymbols = 3\nwindow = { width = 1, stride = 1 }");
    case.remove(&["norm.mean", "norm.std"]);
    assert!(matches!(case.import().unwrap().input, Input::OneHot { symbols: 3, .. }));

    let mut case = Case::new();
    case.replace(samples, "kind = \"tokens\"");
    case.remove(&["norm.mean", "norm.std", "stem.w", "stem.b"]);
    case.fill("embed", &[5, 2]);
    assert!(matches!(case.import().unwrap().input, Input::Tokens { vocabulary: 5, .. }));
}

#[test]
fn every_float_type() {
    for (kind, one) in [
        (Dtype::F64, &1f64.to_le_bytes()[..]),
        (Dtype::F32, &1f32.to_le_bytes()),
        (Dtype::F16, &0x3c00u16.to_le_bytes()),
        (Dtype::BF16, &0x3f80u16.to_le_bytes()),
    ] {
        let mut case = Case::new();
        case.tensors.insert("norm.std".into(), (kind, vec![1], one.to_vec()));
        let Input::Samples { deviation, .. } = case.import().unwrap().input else { panic!() };
        assert_eq!(deviation, [1.0], "{kind:?}");
    }
}

#[test]
fn unreadable_files() {
    let missing = std::env::temp_dir().join("fixformer-no-such-file");
    let error = import::network(&missing, &missing).unwrap_err();
    assert!(matches!(error, ImportError::Read { .. }));
    says(&error, &["fixformer-no-such-file", "check the path"]);

    let case = Case::new();
    let (description, weights) = case.write();
    std::fs::write(&weights, b"PK\x03\x04 is a zip archive and no safetensors file").unwrap();
    let error = import::network(&description, &weights).unwrap_err();
    assert!(matches!(error, ImportError::NotSafetensors { .. }));
    says(&error, &["small.safetensors", "not a safetensors file", "save_file"]);
}

#[test]
fn bad_descriptions() {
    for (from, to, words) in [
        ("hidden", "hiden", &["small.toml", "unknown field `hiden`", "`hidden`", "line 14"][..]),
        ("stride = 1", "step = 1", &["unknown field `step`", "`stride`"]),
        ("scale = 0.5", "scales = 0.5", &["unknown field `scales`"]),
        ("scale = 0.5", "", &["missing field `scale`"]),
        ("\"samples\"", "\"sample\"", &["unknown variant `sample`", "`one-hot`"]),
        ("hidden = 3", "hidden = -3", &["invalid value", "-3"]),
        ("hidden = 3", "hidden = 3\nnorm = \"middle\"", &["unknown variant `middle`", "`post`"]),
        ("hidden = 3", "hidden = 3\n[tensors]\nhead = { weight = \"w\", bias = true }", &["or false"]),
        ("name =", "name :", &["small.toml"]),
    ] {
        let mut case = Case::new();
        case.replace(from, to);
        let error = case.import().unwrap_err();
        assert!(matches!(error, ImportError::Description { .. }), "{error}");
        says(&error, words);
    }
}

#[test]
fn values_that_make_no_sense() {
    for (from, to, key, words) in [
        ("heads = 2", "heads = 3", "encoder.heads", &["3 does not divide the width 2"][..]),
        ("heads = 2", "heads = 0", "encoder.heads", &["at least 1"]),
        ("width = 2", "width = 0", "encoder.width", &["at least 1"]),
        ("hidden = 3", "hidden = 0", "encoder.hidden", &["at least 1"]),
        ("hidden = 3", "hidden = 3\nepsilon = 0.0", "encoder.epsilon", &["above 0"]),
        ("channels = 1", "channels = 0", "input.channels", &["at least 1"]),
        ("width = 3", "width = 0", "input.window.width", &["at least 1"]),
        ("stride = 1", "stride = 0", "input.window.stride", &["at least 1"]),
        ("scale = 0.5", "scale = nan", "input.scale", &["NaN", "above 0"]),
        ("name =", "max_tokens = 0\nname =", "max_tokens", &["at least 1"]),
        ("name =", "max_tokens = 5\nname =", "max_tokens", &["is 5", "`pos` has 4 rows"]),
        ("name =", "horizon = 3\nname =", "horizon", &["is 3", "4 tokens"]),
        ("name =", "horizon = 1073741825\nname =", "horizon", &["at most 1073741824"]),
        ("name =", "horizon = 5\nname =", "horizon", &["is 5", "end after 4 tokens", "\"sinusoidal\""]),
        ("hidden = 3", "hidden = 3\n[positions]\nkind = \"none\"", "max_tokens", &["is missing"]),
    ] {
        let mut case = Case::new();
        case.replace(from, to);
        let error = case.import().unwrap_err();
        assert!(matches!(&error, ImportError::Field { field, .. } if field == key), "{error}");
        says(&error, &["small.toml", key]);
        says(&error, words);
    }
}

/// What the message of a horizon beyond the position table asks for.
#[test]
fn a_stream_without_a_table_of_positions_goes_further() {
    for kind in ["none", "sinusoidal"] {
        let mut case = Case::new();
        case.replace("name =", "max_tokens = 4\nhorizon = 5\nname =");
        case.replace("hidden = 3", &format!("hidden = 3\n[positions]\nkind = \"{kind}\""));
        case.remove(&["pos"]);
        assert_eq!(case.import().unwrap().horizon, Some(5));
    }
}

#[test]
fn missing_tensors() {
    let mut case = Case::new();
    case.rename("l0.wq", "l0.w_q");
    let error = case.import().unwrap_err();
    says(&error, &["small.safetensors", "`l0.wq`", "tensors.query.weight", "did you mean `l0.w_q`?"]);
    let ImportError::MissingTensor { near: Some(near), .. } = error else { panic!() };
    assert_eq!(near, "l0.w_q");

    let mut case = Case::new();
    case.rename("head.w", "classifier.kernel.of.the.model");
    let error = case.import().unwrap_err();
    says(&error, &["`head.w`", "NAME being one of `classifier.kernel.of.the.model`"]);

    // The same tensor of another layer is no near match.
    let mut case = Case::new();
    case.replace("layers = 1", "layers = 2");
    let error = case.import().unwrap_err();
    says(&error, &["`l1.ln1.g`", "every tensor of the file has another use"]);
    assert!(matches!(error, ImportError::MissingTensor { near: None, .. }));

    let mut case = Case::new();
    case.remove(&["head.b"]);
    says(&case.import().unwrap_err(), &["`head.b`", "tensors.head.bias", "if the model has none"]);
}

#[test]
fn wrong_tensors() {
    let mut case = Case::new();
    case.fill("pos", &[4, 3]);
    let error = case.import().unwrap_err();
    assert!(matches!(error, ImportError::Shape { .. }));
    says(&error, &["`pos`", "[4, 3]", "[max_tokens, 2]", "correct the sizes"]);

    let mut case = Case::new();
    case.fill("stem.w", &[2, 3]);
    says(&case.import().unwrap_err(), &["`stem.w`", "[2, 3]", "[3, 2]", "out-in"]);

    let mut case = Case::new();
    case.fill("head.b", &[3]);
    says(&case.import().unwrap_err(), &["`head.b`", "[3]", "[2]"]);

    for (value, word) in [(f32::NAN, "NaN"), (f32::INFINITY, "inf")] {
        let mut case = Case::new();
        case.set("l0.wv", 3, value);
        let error = case.import().unwrap_err();
        assert!(matches!(error, ImportError::NotFinite { index: 3, .. }));
        says(&error, &["`l0.wv`", word, "index 3", "earlier checkpoint"]);
    }

    let mut case = Case::new();
    case.set("norm.std", 0, 0.0);
    says(&case.import().unwrap_err(), &["`norm.std`", "index 0", "above 0"]);

    let mut case = Case::new();
    case.tensors.insert("head.b".into(), (Dtype::I16, vec![2], vec![0; 4]));
    let error = case.import().unwrap_err();
    assert!(matches!(error, ImportError::ElementType { .. }));
    says(&error, &["`head.b`", "I16", "F32"]);
}

#[test]
fn tensors_that_nothing_uses() {
    let mut case = Case::new();
    case.fill("l1.wq", &[2, 2]);
    case.fill("extra", &[1]);
    let error = case.import().unwrap_err();
    says(&error, &["`extra`, `l1.wq`", "tensors.ignore"]);
    let ImportError::Unused { tensors, .. } = error else { panic!() };
    assert_eq!(tensors, ["extra", "l1.wq"]);
}

fn says(error: &ImportError, words: &[&str]) {
    let message = error.to_string();
    for word in words {
        assert!(message.contains(word), "no {word:?} in: {message}");
    }
}

/// A description and a checkpoint that fit together, to be spoilt.
struct Case {
    description: String,
    tensors: BTreeMap<String, (Dtype, Vec<usize>, Vec<u8>)>,
    folder: PathBuf,
}

impl Case {
    fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder = format!("fixformer-import-{}-{count}", std::process::id());
        let mut case = Case {
            description: DESCRIPTION.to_string(),
            tensors: BTreeMap::new(),
            folder: std::env::temp_dir().join(folder),
        };
        for name in ["norm.mean", "norm.std"] {
            case.fill(name, &[1]);
        }
        for name in ["q", "k", "v", "o"] {
            case.fill(&format!("l0.w{name}"), &[2, 2]);
            case.fill(&format!("l0.b{name}"), &[2]);
        }
        for name in ["l0.ln1.g", "l0.ln1.b", "l0.ln2.g", "l0.ln2.b", "lnf.g", "lnf.b"] {
            case.fill(name, &[2]);
        }
        case.fill("l0.ff1.w", &[2, 3]);
        case.fill("l0.ff1.b", &[3]);
        case.fill("l0.ff2.w", &[3, 2]);
        case.fill("l0.ff2.b", &[2]);
        case.fill("stem.w", &[3, 2]);
        case.fill("stem.b", &[2]);
        case.fill("pos", &[4, 2]);
        case.fill("head.w", &[2, 2]);
        case.fill("head.b", &[2]);
        case
    }

    /// Writes 1, 2, 3, … as F32.
    fn fill(&mut self, name: &str, shape: &[usize]) {
        let count = shape.iter().product::<usize>();
        let bytes = (1..=count).flat_map(|i| (i as f32).to_le_bytes()).collect();
        self.tensors.insert(name.to_string(), (Dtype::F32, shape.to_vec(), bytes));
    }

    fn set(&mut self, name: &str, index: usize, value: f32) {
        let bytes = &mut self.tensors.get_mut(name).unwrap().2;
        bytes[index * 4..][..4].copy_from_slice(&value.to_le_bytes());
    }

    fn remove(&mut self, names: &[&str]) {
        for &name in names {
            self.tensors.remove(name).unwrap();
        }
    }

    fn rename(&mut self, from: &str, to: &str) {
        let tensor = self.tensors.remove(from).unwrap();
        self.tensors.insert(to.to_string(), tensor);
    }

    fn replace(&mut self, from: &str, to: &str) {
        assert!(self.description.contains(from), "{from}");
        self.description = self.description.replacen(from, to, 1);
    }

    fn write(&self) -> (PathBuf, PathBuf) {
        std::fs::create_dir_all(&self.folder).unwrap();
        let description = self.folder.join("small.toml");
        std::fs::write(&description, &self.description).unwrap();
        let weights = self.folder.join("small.safetensors");
        let views = self.tensors.iter().map(|(name, (kind, shape, bytes))| {
            (name, TensorView::new(*kind, shape.clone(), bytes).unwrap())
        });
        safetensors::serialize_to_file(views, None, &weights).unwrap();
        (description, weights)
    }

    fn import(&self) -> Result<Network, ImportError> {
        let (description, weights) = self.write();
        import::network(&description, &weights)
    }
}

impl Drop for Case {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
