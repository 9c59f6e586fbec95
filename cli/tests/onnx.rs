//! ONNX graphs from the command line: quantised without a description, evaluated beside the graph, refused by node.
#![cfg(feature = "onnx")]

use std::fs;

use bench::{Bench, workspace};
use predicates::str::contains;

mod bench;

/// A folder with a graph of `tests/onnx`, what lies beside it, and its recordings.
fn with_graph(name: &str) -> Bench {
    let bench = Bench::new();
    let folder = workspace().join("tests/onnx");
    // The graph names the file of its weights.
    for (from, to) in [("onnx", "m.onnx"), ("npz", "m.npz"), ("onnx.data", &format!("{name}.onnx.data"))] {
        let from = folder.join(format!("{name}.{from}"));
        if from.exists() {
            fs::copy(&from, bench.path(to)).unwrap();
        }
    }
    bench
}

const QUANTIZE: [&str; 7] = ["quantize", "--model", "m.onnx", "--calibrate", "m.npz", "-o", "m.fxm"];

#[test]
fn graphs_are_quantized_and_evaluated_without_a_description() {
    for name in ["conv_pre_meannorm.legacy", "embed_pre_max.legacy", "linear_post_cls.dynamo_dyn"] {
        let bench = with_graph(name);
        let quantized = bench.command(&QUANTIZE).assert().success();
        quantized.stderr(contains("note: m.onnx: the graph, run on 16 of the recordings"));
        // The graph lies beside the model file, and is the float reference.
        let arguments = ["eval", "m.fxm", "m.npz", "--json"];
        let line = &bench.json(&arguments)[0];
        assert!(line["logit_rel_l2"].as_f64().unwrap() < 0.01, "{name}: {line}");
        assert!(line["agreement"].as_f64().unwrap() >= 0.97, "{name}: {line}");
        let named = [&arguments[..], &["--model", "m.onnx"]].concat();
        assert_eq!(&bench.json(&named)[0], line);
    }
}

#[test]
fn what_has_no_place_is_named() {
    let bench = with_graph("own_chunk_dynamo_23");
    let refused = bench.command(&QUANTIZE).assert().code(1).stdout("");
    refused
        .stderr(contains("error: m.onnx: ReduceMean `node_mean`: ends the graph; expected a linear head"))
        .stderr(contains("BatchNormalization `node__native_batch_norm_legit_no_training__0`"));
    assert!(!bench.path("m.fxm").exists());
}

#[test]
fn files_that_are_no_graphs() {
    let bench = with_graph("conv_pre_meannorm.dynamo");
    let refused = |words: &str| bench.command(&QUANTIZE).assert().code(1).stderr(contains(words.to_owned()));
    let weights = bench.path("conv_pre_meannorm.dynamo.onnx.data");
    fs::rename(&weights, bench.path("aside")).unwrap();
    refused("put it beside the graph");
    fs::write(&weights, [0; 100]).unwrap();
    refused("has 100 bytes; export both again");
    fs::rename(bench.path("aside"), &weights).unwrap();
    bench.command(&QUANTIZE).assert().success();
    fs::write(bench.path("m.onnx"), "weights, honestly").unwrap();
    refused("error: m.onnx: not an ONNX file");
    fs::remove_file(bench.path("m.onnx")).unwrap();
    refused("error: m.onnx: cannot be read");
}

#[test]
fn a_graph_has_its_weights_itself() {
    let bench = with_graph("embed_pre_max.legacy");
    let arguments = [&QUANTIZE[..], &["--weights", "m.npz"]].concat();
    bench.command(&arguments).assert().code(1).stderr(contains("remove `--weights m.npz`"));
    let arguments = [&QUANTIZE[..], &["--max-tokens", "99"]].concat();
    let refused = bench.command(&arguments).assert().code(1);
    refused.stderr(contains(
        "has positions for 32 tokens, fewer than the 99 of --max-tokens; lower or remove it",
    ));
    bench.command(&QUANTIZE).assert().success();
    bench.command(&[&arguments[..7], &["--max-tokens", "32"]].concat()).assert().success();
}
