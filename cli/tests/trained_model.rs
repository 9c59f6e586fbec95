//! A trained model on its real test set. Runs where the shared data are: in the folder that `FIXFORMER_SHARED` names,
//! or in `shared` beside the workspace.

use std::env;
use std::fs;
use std::path::PathBuf;

use bench::{Bench, workspace};

mod bench;

#[test]
fn splice60_loses_nothing_in_fixed_point() {
    let shared = env::var_os("FIXFORMER_SHARED").map_or_else(|| workspace().join("../shared"), PathBuf::from);
    let data = shared.join("data/uci_splice60.npz");
    let weights = shared.join("models/splice60_softmax_d32l2h2_s0.safetensors");
    if !data.exists() || !weights.exists() {
        println!("skipped: {} or {} is not there; set FIXFORMER_SHARED", data.display(), weights.display());
        return;
    }
    let bench = Bench::new();
    fs::copy(workspace().join("models/splice60.toml"), bench.path("splice60.toml")).unwrap();
    fs::copy(weights, bench.path("splice60.safetensors")).unwrap();
    let data = data.to_str().unwrap();
    let checkpoint = ["--model", "splice60.toml", "--weights", "splice60.safetensors"];
    let quantize = ["quantize", "--calibrate", data, "-o", "splice60.fxm"];
    bench.command(&[&quantize[..], &checkpoint].concat()).assert().success();

    let line = &bench.json(&["eval", "splice60.fxm", data, "--json"])[0];
    let number = |field: &str| line[field].as_f64().unwrap();
    let drop = number("accuracy_float") - number("accuracy_fixed");
    let allowed = f64::max(0.002, 2.0 / number("rows"));
    assert!(drop <= allowed, "{line}");
    assert!(number("agreement") >= 0.99, "{line}");
    assert!(number("logit_rel_l2") <= 0.01, "{line}");
}
