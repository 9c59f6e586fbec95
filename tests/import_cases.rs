//! Checkpoints as people have them: fused projections, wrapped models, shards, convolutions, norms that differ.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use fixformer::Model;
use fixformer::digest::Digest;
use fixformer::host::data::{self, Options, Split};
use fixformer::host::engine::Engine;
use fixformer::host::import::{self, Source};
use fixformer::host::quantize::{Settings, quantize};
use fixformer::host::reference::Network;
use fixformer::host::report::{best, relative_l2};
use fixformer::host::scale::SampleScale;
use safetensors::tensor::{Dtype, TensorView};

fn case(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases").join(name)
}

fn rows(case: &Path, split: Split) -> data::Recordings {
    data::load(&case.join("data.npz"), split, Options::default()).unwrap()
}

/// The model file that the training split of the case gives.
fn file(case: &Path, network: &Network) -> Vec<u32> {
    quantize(network, &rows(case, Split::Train).rows, Settings::default(), |_| {}).unwrap().words
}

/// Digest of the test split, as `fixformer eval` prints it.
fn digest(case: &Path, words: &[u32]) -> String {
    let mut engine = Engine::new(Model::parse(words).unwrap());
    let (mut session, mut digest) = (engine.session(), Digest::new());
    rows(case, Split::Test).rows.iter().for_each(|row| digest.scores(session.run(row).unwrap().raw()));
    digest.to_string()
}

fn imported(case: &Path, description: &str, weights: &str) -> Network {
    import::network(&case.join(description), &case.join(weights)).unwrap()
}

fn scores(network: &Network, row: &[i16]) -> Vec<f64> {
    network.forward(row, None, &mut |_, _| {}).unwrap()
}

/// A folder that is gone at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("fixformer-cases-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Tensors by name: shape and values.
type Tensors = BTreeMap<String, (Vec<usize>, Vec<f32>)>;

fn tensors(path: &Path) -> Tensors {
    let bytes = fs::read(path).unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let values =
        |view: &TensorView<'_>| view.data().as_chunks().0.iter().map(|&x| f32::from_le_bytes(x)).collect();
    file.tensors().into_iter().map(|(name, view)| (name, (view.shape().to_vec(), values(&view)))).collect()
}

fn write(tensors: &Tensors, path: &Path) {
    let bytes: BTreeMap<&str, Vec<u8>> = tensors
        .iter()
        .map(|(name, (_, values))| (name.as_str(), values.iter().flat_map(|x| x.to_le_bytes()).collect()))
        .collect();
    let views = tensors.iter().map(|(name, (shape, _))| {
        (name, TensorView::new(Dtype::F32, shape.clone(), &bytes[name.as_str()]).unwrap())
    });
    safetensors::serialize_to_file(views, None, path).unwrap();
}

#[test]
fn fused_projections_are_the_split_ones() {
    let case = case("fused_qkv");
    let split = imported(&case, "split.toml", "split.safetensors");
    let fused = imported(&case, "fused.toml", "fused.safetensors");
    assert_eq!(fused, split);
    assert_eq!(digest(&case, &file(&case, &fused)), digest(&case, &file(&case, &split)));

    // By their rows, and head by head.
    let folder = Folder::new("fused");
    let text = fs::read_to_string(case.join("fused.toml")).unwrap();
    let mut by_rows = text.clone();
    for (key, rows) in [("query", "[0, 16]"), ("key", "[16, 32]"), ("value", "[32, 48]")] {
        let (from, to) = (format!("\n{key} = {{"), format!("\n{key} = {{ rows = {rows},"));
        by_rows = by_rows.replacen(&from, &to, 1);
    }
    let weights = case.join("fused.safetensors");
    let network = |text: &str| import::network(&folder.write("m.toml", text), &weights);
    assert_eq!(network(&by_rows).unwrap(), split);
    let error = network(&by_rows.replace("[32, 48]", "[32, 49]")).unwrap_err().to_string();
    assert!(
        error.contains("`tensors.value.rows` is [32, 49]") && error.contains("has 48 outputs"),
        "{error}"
    );
    let error = network(&by_rows.replace("[32, 48]", "[32, 40]")).unwrap_err().to_string();
    assert!(error.contains("`tensors.value.rows` takes 8 outputs, expected 16"), "{error}");

    let mut interleaved = tensors(&weights);
    for (name, (_, values)) in &mut interleaved {
        if name.contains("in_proj") {
            let width = values.len() / 48;
            // [3, heads, head width] to [heads, 3, head width].
            let row = |index: usize| (index / 8 % 3) * 16 + index / 24 * 8 + index % 8;
            *values = (0..48).flat_map(|index| values[row(index) * width..][..width].to_vec()).collect();
        }
    }
    let other = folder.0.join("heads.safetensors");
    write(&interleaved, &other);
    let by_heads = text.replace("[tensors]", "[tensors]\nfused = \"per-head\"");
    assert_eq!(import::network(&folder.write("m.toml", &by_heads), &other).unwrap(), split);
}

#[test]
fn a_wrapped_model_is_the_model() {
    let case = case("wrapper_prefix");
    let network = |weights: &str| {
        let (description, weights) = (Some(case.join("config.json")), case.join(weights));
        Source { description, weights, ..Source::default() }.network().unwrap()
    };
    let plain = file(&case, &network("plain.safetensors"));
    for wrapped in ["wrapped.safetensors", "ddp.safetensors"] {
        assert_eq!(file(&case, &network(wrapped)), plain, "{wrapped}");
    }
}

#[test]
fn shards_are_the_whole() {
    let case = case("sharded");
    let whole = imported(&case, "m.toml", "whole.safetensors");
    assert_eq!(imported(&case, "m.toml", "model.safetensors.index.json"), whole);
    assert_eq!(imported(&case, "m.toml", ""), whole);
    assert_eq!(file(&case, &imported(&case, "m.toml", "model.safetensors.index.json")), file(&case, &whole));
}

#[test]
fn shards_that_do_not_fit_their_index_are_named() {
    let case = case("sharded");
    let folder = Folder::new("shards");
    let names = ["m.toml", "model.safetensors.index.json"];
    let shards = [1, 2, 3].map(|i| format!("model-0000{i}-of-00003.safetensors"));
    for name in names.iter().copied().chain(shards[..2].iter().map(String::as_str)) {
        fs::copy(case.join(name), folder.0.join(name)).unwrap();
    }
    let network = |weights: &str| import::network(&folder.0.join("m.toml"), &folder.0.join(weights));
    let error = network("").unwrap_err().to_string();
    assert!(error.contains(&shards[2]) && error.contains("put it beside the index"), "{error}");
    // The remedy: with the shard beside the index it is read.
    fs::copy(case.join(&shards[0]), folder.0.join(&shards[2])).unwrap();
    let error = network("").unwrap_err().to_string();
    assert!(error.contains("which does not have it; they are of different saves"), "{error}");
    fs::copy(case.join(&shards[2]), folder.0.join(&shards[2])).unwrap();
    assert!(network("").is_ok());

    let other = folder.write("other.json", "{\"weight_map\": 3}");
    let error = import::network(&folder.0.join("m.toml"), &other).unwrap_err().to_string();
    assert!(error.contains("not an index of shards"), "{error}");
    let empty = folder.write("empty.json", "{\"weight_map\": {}}");
    let error = import::network(&folder.0.join("m.toml"), &empty).unwrap_err().to_string();
    assert!(error.contains("lists no shard; save the model again"), "{error}");
    fs::remove_file(folder.0.join(names[1])).unwrap();
    let error = network("").unwrap_err().to_string();
    assert!(error.contains("name the file") && error.contains(&shards[0]), "{error}");
    shards.iter().for_each(|shard| fs::remove_file(folder.0.join(shard)).unwrap());
    let error = network("").unwrap_err().to_string();
    assert!(error.contains("has no .safetensors; write one"), "{error}");
    // Two models in one folder: the one that is named.
    let whole = imported(&case, "m.toml", "whole.safetensors");
    for name in ["a.safetensors", "b.safetensors"] {
        fs::copy(case.join("whole.safetensors"), folder.0.join(name)).unwrap();
    }
    assert!(
        network("")
            .unwrap_err()
            .to_string()
            .contains("`b.safetensors`, and more than one cannot be meant; name")
    );
    assert_eq!(network("a.safetensors").unwrap(), whole);
    fs::remove_file(folder.0.join("b.safetensors")).unwrap();
    assert_eq!(network("").unwrap(), whole);
}

#[test]
fn a_convolution_is_the_stem_that_it_is() {
    let case = case("conv_stem");
    let network = |weights| imported(&case, "m.toml", weights);
    let (conv, permuted) = (network("conv.safetensors"), network("permuted.safetensors"));
    assert_eq!(conv, permuted);
    assert_eq!(digest(&case, &file(&case, &conv)), digest(&case, &file(&case, &permuted)));
    assert_ne!(conv, network("flattened.safetensors"));
    // Keras has the axes the other way round, which is the matrix as it is.
    let folder = Folder::new("conv");
    let mut keras = tensors(&case.join("permuted.safetensors"));
    keras.get_mut("conv.weight").unwrap().0 = vec![8, 3, 16];
    write(&keras, &folder.0.join("keras.safetensors"));
    assert_eq!(imported(&case, "m.toml", folder.0.join("keras.safetensors").to_str().unwrap()), permuted);
}

#[test]
fn axes_of_length_one_do_not_count() {
    let case = case("sharded");
    let whole = imported(&case, "m.toml", "whole.safetensors");
    let folder = Folder::new("axes");
    let weights = folder.0.join("w.safetensors");
    let tokens = whole.max_tokens;
    for shape in [vec![1, tokens, 16], vec![tokens, 1, 16]] {
        let mut all = tensors(&case.join("whole.safetensors"));
        all.get_mut("pos").unwrap().0 = shape;
        write(&all, &weights);
        assert_eq!(import::network(&case.join("m.toml"), &weights).unwrap(), whole);
    }
    let mut all = tensors(&case.join("whole.safetensors"));
    all.get_mut("pos").unwrap().0 = vec![2, tokens / 2, 16];
    write(&all, &weights);
    let error = import::network(&case.join("m.toml"), &weights).unwrap_err().to_string();
    assert!(error.contains("`pos`") && error.contains("expected [max_tokens, 16]"), "{error}");
}

#[test]
fn keras_attention_kernels_are_taken_as_they_are() {
    let case = case("sharded");
    let whole = imported(&case, "m.toml", "whole.safetensors");
    let folder = Folder::new("keras");
    let mut all = tensors(&case.join("whole.safetensors"));
    for layer in 0..2 {
        for projection in ["q", "k", "v"] {
            all.get_mut(&format!("l{layer}.w{projection}")).unwrap().0 = vec![16, 2, 8];
            all.get_mut(&format!("l{layer}.b{projection}")).unwrap().0 = vec![2, 8];
        }
        all.get_mut(&format!("l{layer}.wo")).unwrap().0 = vec![2, 8, 16];
    }
    // And its tensors are not numbered as ours.
    let all: Tensors =
        all.into_iter().map(|(name, tensor)| (name.replace("l1.wq", "block_1/query"), tensor)).collect();
    let weights = folder.0.join("w.safetensors");
    write(&all, &weights);
    let text = fs::read_to_string(case.join("m.toml")).unwrap();
    let renamed = |to: &str| format!("{text}\n[tensors.rename]\n\"l1.wq\" = \"{to}\"\n");
    let network = |text: &str| import::network(&folder.write("m.toml", text), &weights);
    assert_eq!(network(&renamed("block_1/query")).unwrap(), whole);
    let error = network(&text).unwrap_err().to_string();
    assert!(error.contains("no tensor `l1.wq`") && error.contains("block_1/query"), "{error}");
    assert!(network(&renamed("block_2/query")).unwrap_err().to_string().contains("l1.wq"));
}

#[test]
fn two_epsilons() {
    let case = case("two_epsilons");
    let network = imported(&case, "both.toml", "w.safetensors");
    assert_eq!(network.embedding_norm.as_ref().unwrap().epsilon, 1e-12);
    assert!(network.blocks.iter().all(|block| block.norm1.epsilon == 1e-3 && block.norm2.epsilon == 1e-3));
    let words = file(&case, &network);
    let mut engine = Engine::new(Model::parse(&words).unwrap());
    let mut session = engine.session();
    let test = rows(&case, Split::Test);
    let labels = test.labels.unwrap();
    let (mut float, mut fixed, mut error) = (0, 0, 0.0);
    for (row, &label) in test.rows.iter().zip(&labels) {
        let expected = scores(&network, row);
        let found = session.run(row).unwrap();
        float += usize::from(best(&expected) == label);
        fixed += usize::from(found.best() == label);
        error += relative_l2(&found.to_f64().collect::<Vec<_>>(), &expected) / labels.len() as f64;
    }
    println!("float {float}, fixed {fixed} of {}, score error {error:.2e}", labels.len());
    assert_eq!(float, labels.len());
    assert!(100 * fixed >= 99 * labels.len(), "{fixed} of {}", labels.len());
}

#[test]
fn an_epsilon_of_a_norm_that_is_not_there_is_refused() {
    let case = case("two_epsilons");
    let folder = Folder::new("epsilon");
    let text = fs::read_to_string(case.join("both.toml")).unwrap();
    let network = |text: &str| import::network(&folder.write("m.toml", text), &case.join("w.safetensors"));
    let wrong = text.replace("norm = \"post\"", "norm = \"post\"\nfinal_epsilon = 1e-3");
    let error = network(&wrong).unwrap_err().to_string();
    assert!(error.contains("`encoder.final_epsilon`") && error.contains("or remove it"), "{error}");
    assert!(network(&text).is_ok());
    let error = network(&text.replace("1e-12", "-1.0")).unwrap_err().to_string();
    assert!(error.contains("`encoder.embedding_epsilon` is -1"), "{error}");
}

#[test]
fn a_class_token_and_a_pooled_norm_are_described() {
    let case = case("sharded");
    let whole = imported(&case, "m.toml", "whole.safetensors");
    let folder = Folder::new("class");
    let weights = folder.0.join("w.safetensors");
    let text = fs::read_to_string(case.join("m.toml")).unwrap();
    let text = text.replace(
        "[encoder]",
        "[pooling]\nkind = \"first\"\nnorm = true\nepsilon = 1e-6\n[encoder]\nfinal_norm = false",
    ) + "\n[tensors]\nclass_token = \"cls\"\npooled_norm = { gain = \"lnf.g\", bias = \"lnf.b\" }\n";
    let description = folder.write("m.toml", &text);
    let row: Vec<f32> = (0..16).map(|i| i as f32 / 16.0).collect();
    for shape in [vec![16], vec![1, 16], vec![1, 1, 16]] {
        let mut all = tensors(&case.join("whole.safetensors"));
        all.insert("cls".to_owned(), (shape, row.clone()));
        write(&all, &weights);
        let network = import::network(&description, &weights).unwrap();
        assert_eq!(network.class_token.unwrap(), row.iter().map(|&x| f64::from(x)).collect::<Vec<_>>());
        let (norm, last) = (network.pooled_norm.unwrap(), whole.final_norm.clone().unwrap());
        assert_eq!((norm.gain, norm.epsilon), (last.gain, 1e-6));
        assert!(network.final_norm.is_none());
    }
    let mut all = tensors(&case.join("whole.safetensors"));
    all.insert("cls".to_owned(), (vec![2, 8], row));
    write(&all, &weights);
    let error = import::network(&description, &weights).unwrap_err().to_string();
    assert!(error.contains("`tensors.class_token`") && error.contains("[1, 16]"), "{error}");
}

/// Against the true scores of the test split of `data`: mean relative L2 error, and the share of rows with their class.
fn against_the_truth(case: &Path, network: &Network, data: &str, options: Options<'_>) -> (f64, f64) {
    let load = |split| data::load(&case.join(data), split, options).unwrap().rows;
    let words = quantize(network, &load(Split::Train), Settings::default(), |_| {}).unwrap().words;
    let (shape, truth) = data::array(&case.join(data), "scores_test").unwrap();
    let mut engine = Engine::new(Model::parse(&words).unwrap());
    let mut session = engine.session();
    let (mut error, mut same) = (0.0, 0.0);
    for (row, truth) in load(Split::Test).iter().zip(truth.chunks(shape[1])) {
        let found: Vec<f64> = session.run(row).unwrap().to_f64().collect();
        error += relative_l2(&found, truth);
        same += f64::from(u8::from(best(&found) == best(truth)));
    }
    (error / shape[0] as f64, same / shape[0] as f64)
}

#[test]
fn a_small_signal_on_a_large_constant_keeps_its_scores() {
    let case = case("large_offset");
    for name in ["load_cell", "thermistor"] {
        let network = imported(&case, &format!("{name}.toml"), &format!("{name}.safetensors"));
        let (error, same) = against_the_truth(&case, &network, &format!("{name}.npz"), Options::default());
        println!("{name}: {error:.4}, {same}");
        assert!(error < 0.01 && same >= 0.99, "{name}: {error:.4}, {same}");
    }
}

#[test]
fn channels_have_units_of_their_own() {
    let (case, folder) = (case("channel_units"), Folder::new("units"));
    let text = fs::read_to_string(case.join("imu.toml")).unwrap();
    let own = text.replace("scale = 1.0", "scale = [0.2, 0.0007, 2.5e-9]");
    let network = import::network(&folder.write("imu.toml", &own), &case.join("imu.safetensors")).unwrap();
    let scale = SampleScale::of_channels(vec![0.2, 0.0007, 2.5e-9]);
    let options = Options { scale: Some(&scale), ..Options::default() };
    let (error, same) = against_the_truth(&case, &network, "imu.npz", options);
    println!("{error:.4}, {same}");
    assert!(error < 0.01 && same >= 0.99, "{error:.4}, {same}");
}
