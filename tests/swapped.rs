//! Trained models with another mechanism in place of exact attention, without retraining: what it costs.
//!
//! `cargo test --release --test swapped -- --nocapture` prints the table. It takes at most 300 test rows of each
//! model and 100 rows to calibrate with, both spread evenly, and 16 probes: `figures.rs` has the
//! accuracy of exact attention over all rows.

mod shared;

use std::fmt::Write;
use std::path::{Path, PathBuf};

use fixformer::Model;
use fixformer::host::draw::{self, bigbird_plan, lsh_signs};
use fixformer::host::reference::attention::bigbird::{BigBird, Pattern};
use fixformer::host::reference::attention::hierarchical::{Hierarchical, Interpolation};
use fixformer::host::reference::attention::lsh::{Duplicates, Lsh, ScoreScale};
use fixformer::host::reference::{AttentionKind, Network};
use fixformer::host::targets::Targets;
use fixformer::host::{data, evaluate, import, quantize};

/// Description, checkpoint and data set.
const MODELS: [(&str, &str, &str); 6] = [
    ("digits", "digits64", "digits64"),
    ("splice60", "splice60", "uci_splice60"),
    ("prom300tata", "prom300tata", "gue_prom300_tata"),
    ("fsdd", "fsdd", "fsdd_logmel128"),
    ("mitds1", "mitds1", "mitbih_vent1024_ds1"),
    ("ecg5000", "ecg5000", "ecg5000"),
];

const TEST_ROWS: usize = 300;
const TRAIN_ROWS: usize = 100;

/// The mechanism of layer `layer` of a network.
type Kind = fn(network: &Network, layer: usize) -> AttentionKind;

const MECHANISMS: [(&str, Kind); 7] = [
    ("exact", |_, _| AttentionKind::Exact),
    ("hierarchical 8", |_, _| hierarchical(8)),
    ("hierarchical 16", |_, _| hierarchical(16)),
    ("bigbird 8, zero", |network, _| bigbird(network, |blocks, _| vec![vec![0]; blocks - 2])),
    ("bigbird 8, drawn", |network, layer| {
        bigbird(network, |blocks, head| bigbird_plan(blocks, 1, 0, layer, head).unwrap())
    }),
    ("favor 64", favor),
    ("lsh 8, 2 rounds", lsh),
];

fn hierarchical(block: usize) -> AttentionKind {
    let interpolation = Interpolation::Constant;
    let parameters = Hierarchical { block, causal: false, interpolation, temperature: 1.0, guard: None };
    AttentionKind::Hierarchical { parameters, bias: Vec::new() }
}

/// Blocks of 8 and one random one; `plan` is given the number of blocks and the head.
fn bigbird(network: &Network, plan: impl Fn(usize, usize) -> Vec<Vec<usize>>) -> AttentionKind {
    let pattern = Pattern::Internal;
    let parameters = BigBird { block: 8, random: 1, pattern, causal: false, dense_up_to: 0 };
    let blocks = parameters.block_count(network.max_tokens);
    let heads = network.blocks[0].attention.heads;
    AttentionKind::BigBird { parameters, plans: (0..heads).map(|head| plan(blocks, head)).collect() }
}

/// 64 drawn directions.
fn favor(network: &Network, layer: usize) -> AttentionKind {
    draw::favor(64, network.width() / network.blocks[layer].attention.heads, layer, None)
}

/// 8 buckets in each of 2 rounds, chunks of 32. The queries are the keys too: what the model learnt of keys is gone.
fn lsh(network: &Network, layer: usize) -> AttentionKind {
    let parameters = Lsh {
        buckets: vec![8],
        rounds: 2,
        chunk: 32,
        before: 1,
        after: 0,
        multiple: 32,
        causal: false,
        scale: ScoreScale::SqrtWidth,
        in_bucket: false,
        duplicates: Duplicates::Counted,
        padding_bucket: true,
    };
    let heads = network.blocks[layer].attention.heads;
    let signs = lsh_signs(network.width() * 2 * parameters.rotation_columns(), 0, layer);
    let signs: Vec<f64> = signs.into_iter().map(f64::from).collect();
    let rotations = signs.chunks(signs.len() / heads).map(<[f64]>::to_vec).collect();
    AttentionKind::Lsh { parameters, rotations }
}

fn shared() -> Option<PathBuf> {
    let shared = shared::root();
    shared.join("data").is_dir().then_some(shared)
}

/// At most `count`, spread evenly.
fn spread<T: Clone>(rows: &[T], count: usize) -> Vec<T> {
    let count = rows.len().min(count);
    (0..count).map(|i| rows[i * rows.len() / count].clone()).collect()
}

#[test]
fn six_models_with_each_mechanism() {
    let Some(shared) = shared() else {
        println!("skipped: no data sets; set FIXFORMER_SHARED to the folder with data/ and models/");
        return;
    };
    let mut table =
        String::from("model        tokens  rows  mechanism         float    fixed    agreement\n");
    for (name, checkpoint, set) in MODELS {
        let description = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("models/{name}.toml"));
        let weights = shared.join(format!("models/{checkpoint}_softmax_d32l2h2_s0.safetensors"));
        let mut network = import::network(&description, &weights).unwrap();
        let recordings = |split| {
            let path = shared.join(format!("data/{set}.npz"));
            data::load(&path, split, data::Options::default()).unwrap()
        };
        let train = spread(&recordings(data::Split::Train).rows, TRAIN_ROWS);
        let test = recordings(data::Split::Test);
        let (rows, labels) =
            (spread(&test.rows, TEST_ROWS), test.labels.map(|labels| spread(&labels, TEST_ROWS)));
        let targets = labels.as_deref().map(Targets::classes);
        for (mechanism, kind) in MECHANISMS {
            for layer in 0..network.blocks.len() {
                network.blocks[layer].attention.kind = kind(&network, layer);
            }
            let settings = quantize::Settings { probes: 16, ..quantize::Settings::default() };
            let quantized = quantize::quantize(&network, &train, settings, |_| {}).unwrap();
            let model = Model::parse(&quantized.words).unwrap();
            let found = evaluate::evaluate(model, Some(&network), &rows, targets.as_ref(), &|| {}).unwrap();
            let agree = found.agreement().unwrap();
            writeln!(
                table,
                "{name:<11} {:>7} {:>5}  {mechanism:<16}  {:.4}   {:.4}   {agree:.4}",
                network.max_tokens,
                found.rows,
                found.accuracy_float().unwrap(),
                found.accuracy_fixed().unwrap(),
            )
            .unwrap();
            // The mechanism may cost accuracy; its integers may not.
            assert!(agree >= 0.98, "{name}, {mechanism}: agreement {agree}");
        }
    }
    println!("{table}");
    insta::assert_snapshot!(table);
}
