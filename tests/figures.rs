//! The figures that the project promises for six trained models, as a table under version control.
//!
//! `cargo test --release --test figures -- --nocapture` prints it.

mod shared;

use fixformer::Model;
use fixformer::host::targets::Targets;
use fixformer::host::{data, evaluate, import, quantize};
use fixformer::session::Plan;
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// Description, checkpoint and data set.
const MODELS: [(&str, &str, &str); 6] = [
    ("digits", "digits64", "digits64"),
    ("splice60", "splice60", "uci_splice60"),
    ("prom300tata", "prom300tata", "gue_prom300_tata"),
    ("fsdd", "fsdd", "fsdd_logmel128"),
    ("mitds1", "mitds1", "mitbih_vent1024_ds1"),
    ("ecg5000", "ecg5000", "ecg5000"),
];

fn shared() -> Option<PathBuf> {
    let shared = shared::root();
    shared.join("data").is_dir().then_some(shared)
}

#[test]
fn six_models_lose_almost_nothing() {
    let Some(shared) = shared() else {
        println!("skipped: no data sets; set FIXFORMER_SHARED to the folder with data/ and models/");
        return;
    };
    let mut table = String::from(
        "model        rows  float    fixed    agreement  score error  16-bit layers  file    arena   digest\n",
    );
    for (name, checkpoint, set) in MODELS {
        let description = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("models/{name}.toml"));
        let weights = shared.join(format!("models/{checkpoint}_softmax_d32l2h2_s0.safetensors"));
        let network = import::network(&description, &weights).unwrap();
        let recordings = |split| {
            let path = shared.join(format!("data/{set}.npz"));
            data::load(&path, split, data::Options::default()).unwrap()
        };
        let (train, test) = (recordings(data::Split::Train), recordings(data::Split::Test));
        let settings = quantize::Settings::default();
        let quantized = quantize::quantize(&network, &train.rows, settings, |_| {}).unwrap();
        let model = Model::parse(&quantized.words).unwrap();
        let targets = test.labels.as_deref().map(Targets::classes);
        let found = evaluate::evaluate(model, Some(&network), &test.rows, targets.as_ref(), &|| {}).unwrap();

        let (fixed, float) = (found.fixed_right.unwrap(), found.float_right.unwrap());
        let (agree, error) = (found.agreement().unwrap(), found.score_error.unwrap());
        let arena = Plan::of(&model).bytes();
        writeln!(
            table,
            "{name:<11} {:>5}  {:.4}   {:.4}   {agree:.4}     {:.2} %       {:>2}             {:>5}   {arena:>5}   {}",
            found.rows,
            found.accuracy_float().unwrap(),
            found.accuracy_fixed().unwrap(),
            100.0 * error,
            quantized.promotions.len(),
            model.bytes(),
            found.digest,
        )
        .unwrap();

        let allowed = f64::max(0.002 * found.rows as f64, 2.0);
        assert!(fixed as f64 >= float as f64 - allowed, "{name}: {fixed} right, {float} in float");
        assert!(agree >= 0.99, "{name}: agreement {agree}");
        assert!(error <= 0.01, "{name}: score error {error}");
        if name == "ecg5000" {
            assert!(arena <= 28 * 1024, "{arena} bytes");
        }
    }
    println!("{table}");
    insta::assert_snapshot!(table);
}
