//! Files that were changed on the way, whatever they are, are read or refused: no command panics.

use std::fs;

use bench::{Bench, workspace};
use fixformer_fuzz::mutate;
use fixformer_fuzz::random::Source;

mod bench;

/// Runs `arguments` `count` times with other bytes for `file`, which is in the bench.
fn changed(bench: &Bench, file: &str, count: usize, arguments: &[&str]) {
    let original = fs::read(bench.path(file)).unwrap();
    let mut source = Source(original.len() as u64);
    for number in 0..count {
        fs::write(bench.path(file), mutate::bytes(&mut source, &original)).unwrap();
        let output = bench.command(arguments).output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        let code = output.status.code();
        assert!(matches!(code, Some(0 | 1)), "{file}, try {number}: {code:?}: {errors}");
        assert!(code == Some(0) || errors.contains("error: "), "{file}, try {number}: {errors}");
    }
    fs::write(bench.path(file), original).unwrap();
}

#[test]
fn graphs_and_their_recordings() {
    let bench = Bench::new();
    let folder = workspace().join("tests/onnx");
    for ending in ["onnx", "npz"] {
        fs::copy(folder.join(format!("embed_pre_max.legacy.{ending}")), bench.path(&format!("m.{ending}")))
            .unwrap();
    }
    let quantize = ["quantize", "--model", "m.onnx", "--calibrate", "m.npz", "-o", "m.fxm"];
    changed(&bench, "m.onnx", 60, &quantize);
    changed(&bench, "m.npz", 40, &quantize);
}

#[test]
fn model_files_and_descriptions() {
    let bench = Bench::new();
    for name in ["digits.fxm", "digits.toml", "digits.safetensors"] {
        fs::copy(workspace().join("models").join(name), bench.path(name)).unwrap();
    }
    changed(&bench, "digits.fxm", 60, &["inspect", "digits.fxm"]);
    changed(&bench, "digits.safetensors", 60, &["describe", "digits.safetensors"]);
}
