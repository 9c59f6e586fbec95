//! The training forward pass of every mechanism against the f64 reference, by way of the exported checkpoint; on the
//! device that FIXFORMER_DEVICE names, else on the CPU.

use burn::tensor::{Tensor, TensorData};
use fixformer::host::draw::Source;
use fixformer::host::import;
use fixformer_train::checkpoint;
use fixformer_train::data::{Data, Set};
use fixformer_train::device;
use fixformer_train::model::{Dropout, Model};
use fixformer_train::recipe::Training;

/// Largest difference of a score.
const TOLERANCE: f64 = 1e-4;
/// Tokens of recordings of several lengths; the last is the longest that the model takes.
const LENGTHS: [usize; 6] = [7, 16, 33, 50, 64, 72];

fn description(rest: &str) -> String {
    format!(
        "name = \"test\"\nmax_tokens = 72\n{}",
        rest.replace("SIZES", "layers = 2\nwidth = 16\nheads = 2\nhidden = 24")
    )
}

fn tokens(attention: &str) -> String {
    description(&format!("[input]\nkind = \"tokens\"\n[encoder]\nSIZES\nattention = {attention}\n"))
}

/// Trains nothing: the first values, disturbed so that no bias is 0 and no gain 1.
fn check(text: &str, values_per_step: usize) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("test.toml");
    std::fs::write(&path, text).unwrap();
    let description = import::read(&path).unwrap();
    let mut source = Source(5);
    let row = |length: usize, source: &mut Source| -> Vec<i16> {
        (0..length * values_per_step).map(|_| source.below(9) as i16).collect()
    };
    let rows: Vec<_> = LENGTHS.iter().map(|&length| row(length, &mut source)).collect();
    let set = Set { labels: vec![0; rows.len()], rows };
    let data = Data { train: set.clone(), validation: set, classes: 3, tokens: 72, vocabulary: 9 };
    let device = device::open(&std::env::var("FIXFORMER_DEVICE").unwrap_or("cpu".to_owned())).unwrap();
    let (model, mut parameters) =
        Model::new(&path, &description, &data, &Training { seed: 3, ..Training::default() }, &device)
            .unwrap();
    for parameter in &mut parameters.list {
        let shape = parameter.value.dims();
        let noise: Vec<f32> =
            (0..shape[0] * shape[1]).map(|_| (0.4 * (source.uniform() - 0.5)) as f32).collect();
        let noise = Tensor::from_data(TensorData::new(noise, shape), &device);
        parameter.value = parameter.value.clone() + noise;
    }
    let weights = folder.path().join("test.safetensors");
    checkpoint::save(&model, &parameters, &description, &weights).unwrap();
    let network = import::network(&path, &weights).unwrap();

    let all: Vec<usize> = (0..LENGTHS.len()).collect();
    // Once with others that are longer, once alone.
    for rows in [&all[..], &all[..1], &all[3..4], &all[5..]] {
        let batch = model.reader.batch(&data.train, rows, None, &device);
        let scores = model.forward(&parameters.tracked(), &batch, &mut Dropout::none()).inner();
        let scores: Vec<f32> = scores.into_data().try_into_vec().unwrap();
        for (&row, scores) in rows.iter().zip(scores.chunks(3)) {
            let expected = network.forward(&data.train.rows[row], None, &mut |_, _| {}).unwrap();
            for (&score, expected) in scores.iter().zip(&expected) {
                let difference = (f64::from(score) - expected).abs();
                assert!(difference <= TOLERANCE, "{} tokens: {score}, expected {expected}", LENGTHS[row]);
            }
        }
    }
}

#[test]
fn exact() {
    check(&tokens("{ kind = \"exact\" }"), 1);
    check(&tokens("{ kind = \"exact\", causal = true }"), 1);
}

#[test]
fn hierarchical() {
    check(&tokens("{ kind = \"hierarchical\", block = 4 }"), 1);
    check(&tokens("{ kind = \"hierarchical\", block = 8, causal = true }"), 1);
    let bias = "[tensors]\nposition_bias = \"l{layer}.rpb\"\n";
    for causal in ["", ", causal = true"] {
        check(&(tokens(&format!("{{ kind = \"hierarchical\", block = 8{causal} }}")) + bias), 1);
    }
}

#[test]
fn heads_of_any_width() {
    for width in [5, 12] {
        let sizes = format!("heads = 2\nhead_width = {width}");
        check(&tokens("{ kind = \"exact\" }").replace("heads = 2", &sizes), 1);
    }
}

#[test]
fn bigbird() {
    check(&tokens("{ kind = \"bigbird\", block = 8, random = 2, plan = \"drawn\", seed = 3 }"), 1);
    check(&tokens("{ kind = \"bigbird\", block = 4, random = 2, plan = \"zero\", causal = true }"), 1);
    check(&tokens("{ kind = \"bigbird\", block = 8, dense_up_to = 40 }"), 1);
}

#[test]
fn favor() {
    check(&tokens("{ kind = \"favor\", directions = 24 }"), 1);
    check(&tokens("{ kind = \"favor\", directions = 24, scaling = \"sqrt-width\", causal = true }"), 1);
    check(&tokens("{ kind = \"favor\", directions = 12, features = \"hyperbolic\", seed = 2 }"), 1);
    check(&tokens("{ kind = \"favor\", directions = 24, epsilon = 1e-4 }"), 1);
    check(&tokens("{ kind = \"favor\", features = \"relu\", epsilon = 1e-3 }"), 1);
}

#[test]
fn lsh() {
    check(&tokens("{ kind = \"lsh\", buckets = 8, rounds = 2, chunk = 16 }"), 1);
    check(&tokens("{ kind = \"lsh\", buckets = [2, 4], rounds = 1, chunk = 8, causal = true }"), 1);
    let paper = "in_bucket = true, skip_duplicates = true, scale = \"sqrt-width\", after = 1";
    check(&tokens(&format!("{{ kind = \"lsh\", buckets = 4, rounds = 3, chunk = 8, {paper} }}")), 1);
}

#[test]
fn inputs_positions_norms_and_pooling() {
    let window = "window = { width = 3, stride = 1 }";
    let samples =
        format!("[input]\nkind = \"samples\"\nchannels = 2\nscale = 0.5\nstandardize = true\n{window}\n");
    let symbols = format!("[input]\nkind = \"one-hot\"\nsymbols = 7\n{window}\n");
    let post = "norm = \"post\"\nactivation = \"gelu\"\nembedding_norm = true\nfinal_norm = false\n";
    let layout = "[tensors]\nlayout = \"out-in\"\nquery = { weight = \"l{layer}.q\", bias = false }\n";
    for (text, values) in [
        (
            format!(
                "{samples}[encoder]\nSIZES\n[positions]\nkind = \"sinusoidal\"\n[pooling]\nkind = \"max\""
            ),
            2,
        ),
        (format!("{symbols}[encoder]\nSIZES\n{post}[pooling]\nkind = \"last\"\n{layout}"), 1),
        (
            format!(
                "{symbols}[encoder]\nSIZES\nactivation = \"gelu-tanh\"\n[positions]\nkind = \"none\"\n[pooling]\nkind = \"first\"\nnorm = true\nepsilon = 1e-3"
            ),
            1,
        ),
    ] {
        check(&description(&text), values);
    }
}

#[test]
fn running_levels() {
    for level in [
        "standardize = true\nrunning = { memory = 16, floor = 0.4 }",
        "remove_mean = true\nrunning = { memory = 4 }",
    ] {
        for normalize in ["normalize = false", "normalize = true"] {
            let input = format!(
                "[input]\nkind = \"samples\"\nchannels = 2\nscale = 0.5\n{level}\n{normalize}\nwindow = {{ width = 3, stride = 1 }}\n"
            );
            let encoder = "[encoder]\nSIZES\nattention = { kind = \"exact\", causal = true }\n";
            check(&description(&format!("{input}{encoder}[positions]\nkind = \"none\"\n")), 2);
        }
    }
}

#[test]
fn pooling_over_a_window() {
    // All recordings longer than the window, some, and none.
    for (kind, window) in [("mean", "{ block = 3, blocks = 2 }"), ("max", "{ block = 8, blocks = 5 }")] {
        let pooling = format!("[pooling]\nkind = \"{kind}\"\nwindow = {window}\n");
        check(&(tokens("{ kind = \"exact\", causal = true }") + &pooling), 1);
    }
    let never = "[pooling]\nkind = \"mean\"\nwindow = { block = 100, blocks = 1 }\n";
    check(&(tokens("{ kind = \"exact\" }") + never), 1);
}
