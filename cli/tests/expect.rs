//! `fixformer quantize --expect`: an import held against the scores of another program.

use std::fs;
use std::path::PathBuf;

use assert_cmd::Command;
use bench::{Bench, lines, workspace};
use predicates::prelude::PredicateBooleanExt;
use predicates::str::contains;
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};

mod bench;

fn case(name: &str) -> PathBuf {
    workspace().join("tests/cases/expected").join(name)
}

fn path(path: PathBuf) -> String {
    path.to_str().unwrap().to_owned()
}

fn quantize(bench: &Bench, weights: &str, expect: &[&str]) -> Command {
    let (weights, data) = (weights.to_owned(), path(case("data.npz")));
    let mut command =
        bench.command(&["quantize", "--model", "m.toml", "--weights", &weights, "--calibrate", &data]);
    command.args(["-o", "m.fxm"]).args(expect);
    command
}

fn description() -> String {
    fs::read_to_string(case("m.toml")).unwrap()
}

fn with(text: &str) -> Bench {
    let bench = Bench::new();
    fs::write(bench.path("m.toml"), text).unwrap();
    bench
}

#[test]
fn the_right_description_agrees() {
    let bench = with(&description());
    let (weights, scores, data) =
        (path(case("w.safetensors")), path(case("scores.npy")), path(case("data.npz")));
    let agrees =
        contains("import:  within").and(contains("of the 20 rows of scores given; f32 weights allow 1.0e-5"));
    let quantized = quantize(&bench, &weights, &["--expect", &scores]).assert().success();
    quantized.stdout(agrees).stderr(contains("nothing but").not());
    for (expect, rows) in [(scores, 20), (data.clone(), 20), (format!("{data}:other"), 5)] {
        let line = &lines(&mut quantize(&bench, &weights, &["--json", "--expect", &expect]))[0];
        assert_eq!(line["expected_rows"], rows);
        let error = line["expected_error"].as_f64().unwrap();
        println!("{error:e}");
        assert!(error < 1e-6, "{error:e}");
    }
}

#[test]
fn without_scores_it_says_once_that_nothing_was_compared() {
    let bench = with(&description());
    let output = quantize(&bench, &path(case("w.safetensors")), &[]).assert().success().get_output().clone();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(said.matches("nothing but fixformer's own reading").count(), 1, "{said}");
    assert!(said.contains("`--expect SCORES.npy`"));
    let line = &lines(&mut quantize(&bench, &path(case("w.safetensors")), &["--json"]))[0];
    assert!(line["expected_error"].is_null());
}

/// The wrong description, refused; what the message names, done, agrees.
fn named(change: &[(&str, &str)], remedy: &str) {
    let mut text = description();
    for (from, to) in change {
        assert!(text.contains(from), "{from}");
        text = text.replacen(from, to, 1);
    }
    let bench = with(&text);
    let (weights, scores) = (path(case("w.safetensors")), path(case("scores.npy")));
    let refused = quantize(&bench, &weights, &["--expect", &scores]).assert().failure();
    let said = String::from_utf8(refused.get_output().stderr.clone()).unwrap();
    println!("{said}");
    assert!(said.contains("differs by") || said.contains("cannot take"), "{said}");
    assert!(
        said.contains("One change makes all 20 rows agree to") && said.contains(remedy),
        "{remedy}: {said}"
    );
    assert!(!bench.path("m.fxm").exists());
    // Obeyed: the right description differs in nothing else.
    fs::write(bench.path("m.toml"), description()).unwrap();
    quantize(&bench, &weights, &["--expect", &scores]).assert().success();
}

#[test]
fn a_norm_before_pooling_in_place_of_after() {
    let moved = [
        ("final_norm = false", "final_norm = true"),
        ("norm = true\n", ""),
        ("pooled_norm =", "final_norm ="),
    ];
    // The second replacement must not hit `final_norm = true`.
    let moved = [moved[1], moved[0], moved[2]];
    named(&moved, "the norm comes after pooling: `encoder.final_norm = false`, `pooling.norm = true`");
}

#[test]
fn the_order_of_the_norms() {
    named(&[("norm = \"pre\"", "norm = \"post\"")], "`encoder.norm = \"pre\"`");
}

#[test]
fn the_number_of_heads() {
    named(&[("heads = 4", "heads = 2")], "`encoder.heads = 4`");
}

#[test]
fn relu_in_place_of_gelu() {
    named(&[("activation = \"gelu\"", "activation = \"relu\"")], "`encoder.activation = \"gelu\"`");
}

#[test]
fn gelu_by_tanh_in_place_of_erf() {
    named(&[("activation = \"gelu\"", "activation = \"gelu-tanh\"")], "`encoder.activation = \"gelu\"`");
}

#[test]
fn the_stride() {
    named(&[("stride = 2", "stride = 1")], "`input.window.stride = 2`");
    named(&[("stride = 2", "stride = 3")], "`input.window.stride = 2`");
}

#[test]
fn the_epsilon() {
    named(&[("epsilon = 1e-3", "epsilon = 1e-5")], "`encoder.epsilon = 1e-3`");
}

#[test]
fn the_order_of_the_axes_of_the_stem() {
    let bench = with(&description());
    let bytes = fs::read(case("w.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    // The convolution, flattened as it lies in memory.
    let shape = |name: &str, view: &TensorView<'_>| match name {
        "conv.weight" => vec![16, 8],
        _ => view.shape().to_vec(),
    };
    let tensors = file.tensors();
    let views = tensors.iter().map(|(name, view)| {
        (name.as_str(), TensorView::new(Dtype::F32, shape(name, view), view.data()).unwrap())
    });
    safetensors::serialize_to_file(views, None, &bench.path("flat.safetensors")).unwrap();
    let scores = path(case("scores.npy"));
    let refused = quantize(&bench, "flat.safetensors", &["--expect", &scores]).assert().failure();
    refused.stderr(contains("the stem's inputs lie channel by channel, not step by step"));
    // With its own three axes, as the message says.
    quantize(&bench, &path(case("w.safetensors")), &["--expect", &scores]).assert().success();
}

/// Weights of 16 bits: the first 8 bits of exponent and 7 of mantissa, or 5 and 10.
fn narrow(kind: Dtype, value: f32) -> u16 {
    let bits = value.to_bits();
    let round = |bits: u32, down: u32| (bits + (1 << (down - 1)) - 1 + (bits >> down & 1)) >> down;
    match kind {
        Dtype::BF16 => round(bits, 16) as u16,
        // No weight here is so small that it would be subnormal, but for zero.
        _ => {
            let magnitude = (round(bits & 0x7fff_ffff, 13) as i32 - (112 << 10)).max(0) as u16;
            (bits >> 16 & 0x8000) as u16 | magnitude
        }
    }
}

#[test]
fn weights_of_16_bits_are_allowed_more() {
    let bench = with(&description());
    let bytes = fs::read(case("w.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let scores = path(case("scores.npy"));
    for (kind, said) in [(Dtype::F16, "f16 weights allow 0.50 %"), (Dtype::BF16, "bf16 weights allow 4.00 %")]
    {
        let halves: Vec<(String, Vec<usize>, Vec<u8>)> = file
            .tensors()
            .into_iter()
            .map(|(name, view)| {
                let values = view.data().as_chunks().0.iter().map(|&x| narrow(kind, f32::from_le_bytes(x)));
                (name, view.shape().to_vec(), values.flat_map(u16::to_le_bytes).collect())
            })
            .collect();
        let views = halves.iter().map(|(name, shape, bytes)| {
            (name.as_str(), TensorView::new(kind, shape.clone(), bytes).unwrap())
        });
        safetensors::serialize_to_file(views, None, &bench.path("half.safetensors")).unwrap();
        let quantized = quantize(&bench, "half.safetensors", &["--expect", &scores]).assert().success();
        quantized.stdout(contains(said));
        // And no more than that: another activation shows even so.
        fs::write(bench.path("m.toml"), description().replace("\"gelu\"", "\"relu\"")).unwrap();
        quantize(&bench, "half.safetensors", &["--expect", &scores])
            .assert()
            .failure()
            .stderr(contains("\"gelu"));
        fs::write(bench.path("m.toml"), description()).unwrap();
    }
}

#[test]
fn two_wrong_keys_are_more_than_one_change() {
    let text = description().replace("heads = 4", "heads = 2").replace("\"gelu\"", "\"relu\"");
    let bench = with(&text);
    let refused = quantize(&bench, &path(case("w.safetensors")), &["--expect", &path(case("scores.npy"))]);
    { refused }
        .assert()
        .failure()
        .stderr(contains("single changes makes them agree").and(contains("more than one key")));
}

/// An `.npy` of 32-bit reals.
fn npy(shape: &str, values: &[f32]) -> Vec<u8> {
    let header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}");
    let header = format!("{header:<117}\n");
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(values.iter().flat_map(|x| x.to_le_bytes()));
    bytes
}

#[test]
fn scores_that_cannot_be_compared_are_refused() {
    let bench = with(&description());
    let weights = path(case("w.safetensors"));
    let refused = |expect: &str, said: &str| {
        quantize(&bench, &weights, &["--expect", expect])
            .assert()
            .failure()
            .stderr(contains(said.to_owned()));
    };
    for (name, shape, values, said) in [
        ("wide.npy", "(2, 4)", vec![0.5; 8], "has shape [2, 4], expected [rows, 3]"),
        ("nan.npy", "(1, 3)", vec![1.0, f32::NAN, 2.0], "`scores`[0, 1]: NaN is not finite"),
        ("many.npy", "(21, 3)", vec![0.5; 63], "21 rows of scores for 20 recordings"),
        (
            "soft.npy",
            "(1, 3)",
            vec![0.2, 0.3, 0.5],
            "They are probabilities: give the scores before the softmax",
        ),
    ] {
        fs::write(bench.path(name), npy(shape, &values)).unwrap();
        refused(name, said);
    }
    refused("scores.txt", "scores.txt: unknown format");
    let data = path(case("data.npz"));
    refused(&format!("{data}:absent"), "no array `absent`; the file has other, scores_train, x_train");
}
