//! The float reference against trained models, and against values worked out by hand.

mod shared;

use std::path::{Path, PathBuf};

use fixformer::host::data::{self, Options, Split};
use fixformer::host::import;
use fixformer::host::reference::attention::{Visible, exact};
use fixformer::host::reference::layers::{gelu_erf, gelu_tanh, sinusoid};
use fixformer::host::reference::{
    Activation, Answers, Attention, AttentionKind, Block, FeedForward, Input, Level, Linear, Network, Norm,
    NormOrder, Pooling, Positions, ReferenceError, Site, Window,
};

/// Where the trained models and the data sets are, if they are.
fn shared() -> Option<PathBuf> {
    let root = shared::root();
    if root.join("models").is_dir() && root.join("data").is_dir() {
        return Some(root);
    }
    println!("skipped: no models and data at {} (set FIXFORMER_SHARED)", root.display());
    None
}

/// A recording, its reference scores and its label.
type Job<'a> = ((&'a Vec<i16>, &'a [f64]), &'a usize);

/// Runs every test recording of a trained model; its accuracy has to be `accuracy`.
fn matches_training(description: &str, model: &str, file: &str, accuracy: f64) {
    let Some(shared) = shared() else { return };
    let description = Path::new(env!("CARGO_MANIFEST_DIR")).join("models").join(description);
    let stem = shared.join("models").join(format!("{model}_softmax_d32l2h2_s0"));
    let network = import::network(&description, &stem.with_extension("safetensors")).unwrap();
    let file = shared.join("data").join(file);
    let recordings = data::load(&file, Split::Test, Options::default()).unwrap();
    let labels = recordings.labels.as_ref().unwrap();
    let reference = stem.with_file_name(format!("{model}_softmax_d32l2h2_s0_ref.npz"));
    let (shape, logits) = data::array(&reference, "logits_test").unwrap();
    assert_eq!(shape, [recordings.len(), network.head.outputs]);
    if let Input::Samples { scale, .. } = &network.input {
        assert!((scale[0] / recordings.scale.as_ref().unwrap().of(0) - 1.0).abs() < 1e-6);
    }

    let jobs: Vec<_> = recordings.rows.iter().zip(logits.chunks_exact(shape[1])).zip(labels).collect();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let parts: Vec<(f64, usize)> = std::thread::scope(|scope| {
        let network = &network;
        let run = |part: &[Job<'_>]| {
            let (mut worst, mut hits) = (0f64, 0);
            for ((row, logits), label) in part {
                let scores = network.forward(row, None, &mut |_, _| {}).unwrap();
                let difference = scores.iter().zip(*logits).map(|(a, b)| (a - b).abs());
                worst = difference.fold(worst, f64::max);
                hits += usize::from(argmax(&scores) == **label);
            }
            (worst, hits)
        };
        let size = jobs.len().div_ceil(threads);
        let workers: Vec<_> = jobs.chunks(size).map(|part| scope.spawn(move || run(part))).collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).collect()
    });
    let worst = parts.iter().map(|part| part.0).fold(0.0, f64::max);
    let hits: usize = parts.iter().map(|part| part.1).sum();
    println!("{model}: {} rows, {hits} right, largest difference {worst:.1e}", recordings.len());
    assert!(worst <= 1e-4, "{worst}");
    assert!((hits as f64 / recordings.len() as f64 - accuracy).abs() < 6e-4);
}

fn argmax(scores: &[f64]) -> usize {
    (0..scores.len()).max_by(|&a, &b| scores[a].total_cmp(&scores[b])).unwrap()
}

#[test]
fn digits() {
    matches_training("digits.toml", "digits64", "digits64.npz", 0.932);
}

#[test]
fn splice60() {
    matches_training("splice60.toml", "splice60", "uci_splice60.npz", 0.951);
}

#[test]
fn prom300tata() {
    matches_training("prom300tata.toml", "prom300tata", "gue_prom300_tata.npz", 0.899);
}

#[test]
fn fsdd() {
    matches_training("fsdd.toml", "fsdd", "fsdd_logmel128.npz", 0.993);
}

#[test]
fn mitds1() {
    matches_training("mitds1.toml", "mitds1", "mitbih_vent1024_ds1.npz", 0.841);
}

#[test]
fn ecg5000() {
    matches_training("ecg5000.toml", "ecg5000", "ecg5000.npz", 0.974);
}

/// Padding and a mask give the same as the bare recording.
#[test]
fn a_mask_equals_a_shorter_recording() {
    let network = network(NormOrder::Pre, Pooling::Mean, false);
    let short = [1, 2, 3];
    let padded = [1, 2, 3, 0, 1];
    let mask = [true, true, true, false, false];
    assert_eq!(run(&network, &short, None), run(&network, &padded, Some(&mask)));
    assert_ne!(run(&network, &padded, None), run(&network, &padded, Some(&mask)));
}

#[test]
fn causal_attention_ignores_the_future() {
    let network = network(NormOrder::Pre, Pooling::First, true);
    assert_eq!(run(&network, &[1, 2, 3], None), run(&network, &[1, 3, 0], None));
    let looks_ahead = self::network(NormOrder::Pre, Pooling::First, false);
    assert_ne!(run(&looks_ahead, &[1, 2, 3], None), run(&looks_ahead, &[1, 3, 0], None));
}

/// Two keys whose scores differ by ln 3: weights 1/4 and 3/4, or 1 and 0.
#[test]
fn exact_attention_by_hand() {
    let d = 4;
    let q = [2.0 * 3f64.ln(), 0.0, 0.0, 0.0].repeat(2);
    let k = [0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0];
    let v = [4.0, 0.0, 0.0, 0.0, 8.0, 4.0, 0.0, 0.0];
    let close = |a: &[f64], b: &[f64]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-14);
    let both = [7.0, 3.0, 0.0, 0.0];
    assert!(close(&exact(&q, &k, &v, d, Visible::default()), &both.repeat(2)));
    let causal = exact(&q, &k, &v, d, Visible { causal: true, keys: None });
    assert!(close(&causal, &[&v[..4], &both].concat()));
    let hidden = exact(&q, &k, &v, d, Visible { causal: false, keys: Some(&[false, true]) });
    assert_eq!(hidden, v[4..].repeat(2));
    let none = exact(&q, &k, &v, d, Visible { causal: true, keys: Some(&[false, true]) });
    assert_eq!(none, [&[0.0; 4], &v[4..]].concat());
}

/// Values computed with 40 digits.
#[test]
fn gelu_values() {
    let table = [
        (-5.0, -1.433_257_859_395_969_6e-6, -2.291_796_196_629_506e-7),
        (-1.0, -0.158_655_253_931_457_05, -0.158_808_009_391_723_3),
        (0.0, 0.0, 0.0),
        (0.5, 0.345_731_230_637_006_55, 0.345_714_009_825_143_9),
        (1.0, 0.841_344_746_068_542_9, 0.841_191_990_608_276_7),
        (3.0, 2.995_950_305_905_11, 2.996_362_607_918_227),
    ];
    for (x, erf, tanh) in table {
        assert!((gelu_erf(x) - erf).abs() <= 1e-14 * erf.abs(), "{x}: {}", gelu_erf(x));
        assert!((gelu_tanh(x) - tanh).abs() <= 1e-14 * tanh.abs(), "{x}: {}", gelu_tanh(x));
    }
    assert_eq!(Activation::Relu.apply(-2.0), 0.0);
    assert_eq!(Activation::Relu.apply(2.0), 2.0);
}

#[test]
fn sinusoidal_positions() {
    assert_eq!(sinusoid(0, 4), [0.0, 1.0, 0.0, 1.0]);
    let expected = [3f64.sin(), 3f64.cos(), 0.03f64.sin(), 0.03f64.cos()];
    for (a, b) in sinusoid(3, 4).iter().zip(expected) {
        assert!((a - b).abs() < 1e-15);
    }
}

#[test]
fn layer_norm_by_hand() {
    let norm = Norm { gain: vec![1.0, 2.0], bias: vec![0.0, 10.0], epsilon: 3.0 };
    assert_eq!(norm.apply(&[1.0, 3.0]), [-0.5, 11.0]);
}

/// Without blocks and with an identity head, pooling is all that is left of the table's rows.
#[test]
fn pooling_kinds() {
    let bare = |pooling| Network {
        blocks: Vec::new(),
        final_norm: None,
        head: identity(2),
        input: Input::Tokens { vocabulary: 3, table: vec![1.0, -4.0, 2.0, 6.0, 6.0, 1.0] },
        ..network(NormOrder::Pre, pooling, false)
    };
    let pooled = |pooling, mask: &[bool]| run(&bare(pooling), &[0, 1, 2], Some(mask));
    let all = [true; 3];
    assert_eq!(pooled(Pooling::Mean, &all), [3.0, 1.0]);
    assert_eq!(pooled(Pooling::Max, &all), [6.0, 6.0]);
    assert_eq!(pooled(Pooling::First, &all), [1.0, -4.0]);
    assert_eq!(pooled(Pooling::Last, &all), [6.0, 1.0]);
    assert_eq!(pooled(Pooling::Mean, &[true, true, false]), [1.5, 1.0]);
    assert_eq!(pooled(Pooling::Max, &[true, false, true]), [6.0, 1.0]);
    assert_eq!(pooled(Pooling::First, &[false, true, true]), [2.0, 6.0]);
    assert_eq!(pooled(Pooling::Last, &[true, true, false]), [2.0, 6.0]);
}

/// One token, so that attention is the value projection; everything else is done by hand.
#[test]
fn order_of_the_norms() {
    let norm = |x: &[f64]| Norm { gain: vec![1.0; 2], bias: vec![0.0; 2], epsilon: 1e-5 }.apply(x);
    let relu = |x: &[f64]| x.iter().map(|x| x.max(0.0)).collect::<Vec<_>>();
    let sum = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a + b).collect::<Vec<_>>();
    let token = [0.5, -1.0];
    let scaled = |x: &[f64]| x.iter().map(|x| 3.0 * x).collect::<Vec<_>>();

    let a = sum(&token, &scaled(&norm(&token)));
    let pre = sum(&a, &relu(&norm(&a)));
    let a = norm(&sum(&token, &scaled(&token)));
    let post = norm(&sum(&a, &relu(&a)));
    for (order, expected) in [(NormOrder::Pre, pre), (NormOrder::Post, post)] {
        let mut network = network(order, Pooling::Mean, false);
        network.blocks.truncate(1);
        let block = &mut network.blocks[0];
        block.attention.value = Linear { weights: vec![3.0, 0.0, 0.0, 3.0], ..identity(2) };
        block.attention.output = identity(2);
        block.feed_forward.expand = identity(2);
        block.feed_forward.contract = identity(2);
        network.final_norm = None;
        network.head = identity(2);
        network.input = Input::Tokens { vocabulary: 1, table: token.to_vec() };
        let scores = run(&network, &[0], None);
        assert!(scores.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-12), "{order:?}");
    }
}

#[test]
fn the_observer_sees_every_tensor_whole() {
    let block = ["query", "key", "value", "attended", "residual1"];
    let (pre1, pre2) = (["norm1"], ["norm2", "hidden", "residual2"]);
    let (post1, post2) = (["norm1"], ["hidden", "residual2", "norm2"]);
    let pre = [&pre1[..], &block, &pre2].concat();
    let post = [&block[..], &post1, &post2].concat();
    for (order, tensors) in [(NormOrder::Pre, pre), (NormOrder::Post, post)] {
        let mut seen = Vec::new();
        let network = network(order, Pooling::Mean, false);
        network.forward(&[0, 1, 2], None, &mut |site, x| seen.push((site, x.len()))).unwrap();
        let outside = |tensor, length| (Site { block: None, tensor }, length);
        let mut expected = vec![outside("stem", 6), outside("summed", 6), outside("embedding", 6)];
        for block in 0..2 {
            let length = |tensor: &str| if tensor == "hidden" { 9 } else { 6 };
            let site = |tensor| Site { block: Some(block), tensor };
            expected.extend(tensors.iter().map(|&tensor| (site(tensor), length(tensor))));
        }
        expected.extend([outside("normed", 6), outside("pooled", 2), outside("scores", 2)]);
        assert_eq!(seen, expected);
    }
}

/// Windows of 2 every 1 step over 2 channels, the own mean taken off, then normalised.
#[test]
fn samples_and_symbols() {
    let mut network = network(NormOrder::Pre, Pooling::First, false);
    network.blocks.clear();
    network.final_norm = None;
    network.head = identity(4);
    let window = Window { width: 2, stride: 1 };
    network.input = Input::Samples {
        channels: 2,
        window,
        scale: vec![0.5; 2],
        level: Level::Centred,
        mean: vec![1.0, 0.0],
        deviation: vec![1.0, 2.0],
        stem: identity(4),
    };
    // Channel 0 is 1 2 3, channel 1 is 2 6 10 in real units; the means are 2 and 6.
    let input = [2, 4, 4, 12, 6, 20];
    assert_eq!(run(&network, &input, None), [-2.0, -2.0, -1.0, 0.0]);
    network.pooling = Pooling::Last;
    assert_eq!(run(&network, &input, None), [-1.0, 0.0, 0.0, 2.0]);

    if let Input::Samples { level, mean, deviation, .. } = &mut network.input {
        (*level, *mean, *deviation) = (Level::Standardized, vec![0.0; 2], vec![1.0; 2]);
    }
    // Channel 0 never changes; the deviation of channel 1 is 4 real units.
    network.pooling = Pooling::First;
    assert_eq!(run(&network, &[4, 0, 4, 16], None), [0.0, -1.0, 0.0, 1.0]);
    network.pooling = Pooling::Last;

    network.input = Input::OneHot { symbols: 2, window, stem: identity(4) };
    assert_eq!(run(&network, &[0, 0, 1], None), [1.0, 0.0, 0.0, 1.0]);
    assert_eq!(run(&network, &[0, 2, -1], None), [0.0; 4]);
}

#[test]
fn inputs_that_cannot_be_run() {
    let mut network = network(NormOrder::Pre, Pooling::Mean, false);
    let error =
        |network: &Network, input: &[i16], mask| network.forward(input, mask, &mut |_, _| {}).unwrap_err();
    assert_eq!(error(&network, &[], None), ReferenceError::Empty);
    assert_eq!(error(&network, &[0; 9], None), ReferenceError::TooManyTokens { tokens: 9, max: 8 });
    assert_eq!(
        error(&network, &[0, 4], None),
        ReferenceError::OutsideVocabulary { position: 1, id: 4, vocabulary: 4 }
    );
    assert_eq!(
        error(&network, &[-1], None),
        ReferenceError::OutsideVocabulary { position: 0, id: -1, vocabulary: 4 }
    );
    let short = error(&network, &[0, 1], Some(&[true]));
    assert_eq!(short, ReferenceError::MaskLength { mask: 1, tokens: 2 });
    assert_eq!(error(&network, &[0, 1], Some(&[false; 2])), ReferenceError::AllMasked);
    network.input = Input::Samples {
        channels: 2,
        window: Window { width: 3, stride: 2 },
        scale: vec![1.0; 2],
        level: Level::Raw,
        mean: vec![0.0; 2],
        deviation: vec![1.0; 2],
        stem: linear(6, 2),
    };
    assert_eq!(error(&network, &[0; 7], None), ReferenceError::PartialStep { values: 7, channels: 2 });
    assert_eq!(error(&network, &[0; 4], None), ReferenceError::TooShort { steps: 2, width: 3 });
    assert_eq!(network.tokens(&[0; 12]), Ok(2));
}

fn run(network: &Network, input: &[i16], mask: Option<&[bool]>) -> Vec<f64> {
    network.forward(input, mask, &mut |_, _| {}).unwrap()
}

/// Two blocks of width 2 over 4 tokens, with arbitrary fixed weights.
fn network(order: NormOrder, pooling: Pooling, causal: bool) -> Network {
    let norm = || Norm { gain: vec![1.0; 2], bias: vec![0.0; 2], epsilon: 1e-5 };
    let block = || Block {
        order,
        attention: Attention {
            heads: 2,
            causal,
            kind: AttentionKind::Exact,
            query: linear(2, 2),
            key: Some(linear(2, 2)),
            value: linear(2, 2),
            output: linear(2, 2),
        },
        norm1: norm(),
        feed_forward: FeedForward {
            expand: linear(2, 3),
            activation: Activation::Relu,
            contract: linear(3, 2),
        },
        norm2: norm(),
    };
    Network {
        name: "by hand".to_string(),
        input: Input::Tokens { vocabulary: 4, table: vec![0.3, 1.0, -1.0, 0.7, 0.5, -0.2, 2.0, 0.1] },
        class_token: None,
        positions: Positions::None,
        embedding_norm: None,
        blocks: vec![block(), block()],
        final_norm: Some(norm()),
        pooling,
        pooled_norm: None,
        hidden: None,
        head: linear(2, 2),
        answers: Answers::default(),
        max_tokens: 8,
        horizon: None,
    }
}

fn linear(inputs: usize, outputs: usize) -> Linear {
    let weights = (0..inputs * outputs).map(|i| ((i * 7 + 3) % 5) as f64 / 2.0 - 1.2).collect();
    let bias = (0..outputs).map(|i| i as f64 * 0.3 - 0.1).collect();
    Linear { inputs, outputs, weights, bias }
}

fn identity(width: usize) -> Linear {
    let weights = (0..width * width).map(|i| if i % (width + 1) == 0 { 1.0 } else { 0.0 }).collect();
    Linear { inputs: width, outputs: width, weights, bias: vec![0.0; width] }
}
