//! From a checkpoint to a model file, and what the commands say of it.

use std::fs;

use bench::{Bench, Images, PIXELS, npz, workspace};
use predicates::prelude::PredicateBooleanExt;
use predicates::str::contains;
use serde_json::Value;

mod bench;

#[test]
fn quantize_reports_every_tensor_and_writes_the_model() {
    let bench = Bench::with_checkpoint();
    bench
        .quantize()
        .assert()
        .success()
        .stdout(contains("block 0 query").and(contains("SNR dB")))
        .stdout(contains("weights: 8 bits"))
        .stdout(contains("over all 40 recordings"))
        .stdout(contains("bytes of arena"));
    assert_eq!(bench.files(), ["digits.fxm", "digits.npz", "digits.safetensors", "digits.toml"]);
}

#[test]
fn quantize_names_the_layers_it_gives_16_bits() {
    let bench = Bench::with_checkpoint();
    bench
        .quantize()
        .args(["--error", "0.0001"])
        .assert()
        .success()
        .stdout(contains("16 bits in"))
        .stdout(contains("the score error falls from"))
        .stdout(contains("no other layer brings it to the 0.01 % asked for"));
    let line = &bench::lines(bench.quantize().args(["--error", "0.0001", "--json"]))[0];
    let promotions = line["promotions"].as_array().unwrap();
    assert!(!promotions.is_empty());
    for promotion in promotions {
        assert!(promotion["layer"].is_string());
        assert!(number(&promotion["after"]) < number(&promotion["before"]));
    }
    bench.command(&["inspect", "digits.fxm"]).assert().success().stdout(contains(" 16 "));
}

#[test]
fn quantize_gives_every_layer_16_bits_for_no_error() {
    let bench = Bench::with_checkpoint();
    let bytes = |error: &[&str]| {
        let mut quantize = bench.quantize();
        quantize.args(error).arg("--json");
        bench::lines(&mut quantize)[0]["model_bytes"].as_u64().unwrap()
    };
    // The weights are most of the file.
    assert!(2 * bytes(&["--error", "0"]) > 3 * bytes(&["--error", "0.9"]));
    let quantized = bench.quantize().args(["--error", "0"]).assert().success();
    quantized.stdout(contains("weights: 16 bits in every layer"));
}

#[test]
fn quantize_json_has_the_figures() {
    let bench = Bench::with_checkpoint();
    let line = &bench::lines(bench.quantize().arg("--json"))[0];
    assert_eq!(line["model"], "digits");
    assert_eq!(line["file"], "digits.fxm");
    assert_eq!(line["probes"], 40);
    assert_eq!(line["model_bytes"], fs::metadata(bench.path("digits.fxm")).unwrap().len());
    assert!(line["arena_bytes"].is_u64());
    let tensors = line["tensors"].as_array().unwrap();
    assert!(tensors.iter().any(|tensor| tensor["name"] == "block 1 hidden"));
    for tensor in tensors {
        assert!(number(&tensor["snr_db"]) > 20.0, "{tensor}");
        assert!(tensor["clipped"].as_u64().unwrap() <= tensor["values"].as_u64().unwrap());
    }
}

#[test]
fn eval_compares_with_the_checkpoint_beside_the_model() {
    let bench = Bench::with_digits();
    let lines = bench.json(&["eval", "digits.fxm", "digits.npz", "--json"]);
    assert_eq!(lines.len(), 1);
    let line = &lines[0];
    assert_eq!(line["model"], "digits");
    assert_eq!(line["rows"], 40);
    for share in ["accuracy_float", "accuracy_fixed", "agreement"] {
        assert!((0.0..=1.0).contains(&number(&line[share])), "{share} {line}");
    }
    assert!(number(&line["agreement"]) >= 0.9, "{line}");
    assert!((1e-6..0.05).contains(&number(&line["logit_rel_l2"])), "{line}");
    let digest = line["digest"].as_str().unwrap();
    assert!(digest.len() == 16 && digest.chars().all(|digit| digit.is_ascii_hexdigit()), "{digest}");

    // The same in words; the order of the rows, not the number of threads, makes the digest.
    bench
        .command(&["eval", "digits.fxm", "digits.npz"])
        .assert()
        .success()
        .stdout(contains("accuracy").and(contains("agreement")).and(contains("confusion")))
        .stdout(contains(digest));
}

#[test]
fn eval_without_checkpoint_gives_nulls_and_a_hint() {
    let bench = Bench::with_digits();
    let with = bench.json(&["eval", "digits.fxm", "digits.npz", "--json"]);
    fs::rename(bench.path("digits.toml"), bench.path("other.toml")).unwrap();
    let mut command = bench.command(&["eval", "digits.fxm", "digits.npz", "--json"]);
    command.assert().stderr(contains("hint: no float reference").and(contains("--weights")));
    let without = bench::lines(&mut command);
    for field in ["accuracy_float", "agreement", "logit_rel_l2"] {
        assert_eq!(without[0][field], Value::Null);
    }
    for field in ["accuracy_fixed", "digest", "rows"] {
        assert_eq!(without[0][field], with[0][field]);
    }
    let named = ["--model", "other.toml", "--weights", "digits.safetensors"];
    let named = bench.json(&[&["eval", "digits.fxm", "digits.npz", "--json"][..], &named].concat());
    assert_eq!(named, with);
}

#[test]
fn eval_takes_the_first_rows_and_another_split() {
    let bench = Bench::with_digits();
    let line = &bench.json(&["eval", "digits.fxm", "digits.npz", "--rows", "7", "--json"])[0];
    assert_eq!(line["rows"], 7);
    // The training split has no labels.
    let line = &bench.json(&["eval", "digits.fxm", "digits.npz", "--split", "train", "--json"])[0];
    assert_eq!(line["rows"], 40);
    assert_eq!(line["accuracy_fixed"], Value::Null);
    assert_eq!(line["accuracy_float"], Value::Null);
    assert!(line["agreement"].is_f64());
}

#[test]
fn eval_reads_csv() {
    let bench = Bench::with_digits();
    let images = Images::new(5);
    let mut text = String::new();
    for (pixels, label) in images.values.chunks(PIXELS).zip(&images.labels) {
        let fields: Vec<String> = pixels.iter().chain([label]).map(ToString::to_string).collect();
        text += &(fields.join(",") + "\n");
    }
    fs::write(bench.path("five.csv"), text).unwrap();
    Images::new(5).write(&bench.path("five.npz"));
    let csv = bench.json(&["eval", "digits.fxm", "five.csv", "--labelled", "--json"]);
    let npz = bench.json(&["eval", "digits.fxm", "five.npz", "--json"]);
    assert_eq!(csv[0]["digest"], npz[0]["digest"]);
    assert_eq!(csv[0]["rows"], 5);
    assert!(csv[0]["accuracy_fixed"].is_f64());
}

#[test]
fn eval_warns_of_another_scale() {
    let bench = Bench::with_digits();
    bench
        .command(&["eval", "digits.fxm", "digits.npz", "--scale", "0.5"])
        .assert()
        .success()
        .stderr(contains("warning: digits.npz: one raw unit is 0.5").and(contains("0.0625")));
    bench
        .command(&["eval", "digits.fxm", "digits.npz", "--scale", "0.0625"])
        .assert()
        .success()
        .stderr(contains("warning").not());
}

#[test]
fn fit_has_a_line_for_each_board() {
    let bench = Bench::with_digits();
    let lines = bench.json(&["fit", "digits.fxm", "--json"]);
    assert!(lines.len() >= 10);
    for line in &lines {
        assert_eq!(line["model"], "digits");
        assert!(line["board"].is_string());
        let arena = line["arena_bytes"].as_u64().unwrap();
        let model = line["model_bytes"].as_u64().unwrap();
        let sum = |parts: &[&str]| parts.iter().map(|part| line[part].as_u64().unwrap()).sum::<u64>();
        let ram = sum(&["window_bytes", "stack_bytes", "variables_bytes"]);
        assert_eq!(line["ram_bytes"].as_u64().unwrap(), arena + ram);
        assert_eq!(line["flash_bytes"].as_u64().unwrap(), model + sum(&["code_bytes"]));
        assert!(line["fits"].is_boolean());
        assert!(line["core"].is_string());
        let layers = line["layers"].as_array().unwrap().iter();
        let sum: u64 = layers.map(|layer| layer["instructions"].as_u64().unwrap()).sum();
        let instructions = line["instructions"].as_u64().unwrap();
        assert!(instructions > 1_000_000 && sum.abs_diff(instructions) < 20, "{sum} {instructions}");
    }
    bench.command(&["fit", "digits.fxm"]).assert().success().stdout(
        contains("residual")
            .and(contains("feed-forward"))
            .and(contains("block1.attend"))
            .and(contains("microbit-v1")),
    );
}

#[test]
fn fit_says_by_exit_code_whether_the_board_is_large_enough() {
    let bench = Bench::with_digits();
    bench.command(&["fit", "digits.fxm", "--board", "nrf52840"]).assert().code(0);
    bench.command(&["fit", "digits.fxm", "--ram", "64K", "--flash", "1M"]).assert().code(0);
    let small = ["fit", "digits.fxm", "--ram", "12K", "--flash", "256K"];
    bench
        .command(&small)
        .assert()
        .code(3)
        .stdout(contains("bytes of RAM are missing").and(contains("max_tokens = ")));
    let small = ["fit", "digits.fxm", "--ram", "1M", "--flash", "40K"];
    bench
        .command(&small)
        .assert()
        .code(3)
        .stdout(contains("bytes of flash are missing").and(contains("width")));
    let tiny = ["fit", "digits.fxm", "--ram", "100", "--flash", "1M"];
    bench.command(&tiny).assert().code(3).stdout(contains("no setting of this model makes it fit"));
}

#[test]
fn the_knob_that_fit_names_makes_the_model_fit() {
    let bench = Bench::with_digits();
    let small = ["--ram", "12K", "--flash", "256K"];
    let output = bench.command(&[&["fit", "digits.fxm"][..], &small].concat()).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let rest = text.split("max_tokens = ").nth(1).unwrap();
    let tokens: usize = rest.split('`').next().unwrap().parse().unwrap();

    let toml = fs::read_to_string(bench.path("digits.toml")).unwrap();
    for (max_tokens, code) in [(tokens, 0), (tokens + 1, 3)] {
        fs::write(bench.path("digits.toml"), format!("max_tokens = {max_tokens}\n{toml}")).unwrap();
        let steps = max_tokens + 7;
        npz(&bench.path("digits.npz"), &[("x_train", &[2, steps], &vec![3; 2 * steps])]);
        bench.quantize().assert().success();
        bench.command(&[&["fit", "digits.fxm"][..], &small].concat()).assert().code(code);
    }
}

#[test]
fn another_mechanism_is_a_line_of_the_description() {
    let bench = Bench::with_checkpoint();
    let description = fs::read_to_string(bench.path("digits.toml")).unwrap();
    let with = |attention: &str| {
        let changed = description.replace("[encoder]", &format!("[encoder]\nattention = {{ {attention} }}"));
        fs::write(bench.path("digits.toml"), changed).unwrap();
    };
    for (attention, mechanism, layer) in [
        (r#"kind = "hierarchical", block = 8, causal = true"#, "hierarchical (blocks of 8)", "block 1 query"),
        (
            r#"kind = "bigbird", block = 8, random = 1, plan = "drawn", seed = 3"#,
            "BigBird (blocks of 8, 1 random)",
            "block 1 random blocks",
        ),
    ] {
        with(attention);
        bench.quantize().assert().success();
        let shown = contains(mechanism).and(contains(layer));
        bench.command(&["inspect", "digits.fxm"]).assert().success().stdout(shown);
        let line = &bench.json(&["eval", "digits.fxm", "digits.npz", "--json"])[0];
        assert!(number(&line["agreement"]) >= 0.9 && number(&line["logit_rel_l2"]) < 0.05, "{line}");
    }
    with(r#"kind = "hierarchical", block = 9"#);
    bench.quantize().assert().failure().stderr(contains("`encoder.attention.block` is 9"));
}

#[test]
fn inspect_lists_layers_and_memory() {
    let bench = Bench::with_digits();
    bench
        .command(&["inspect", "digits.fxm"])
        .assert()
        .success()
        .stdout(contains("digits: format version 4").and(contains("CRC-32")))
        .stdout(contains("windows of 8 steps every 1").and(contains("0.0625")))
        .stdout(contains("learned").and(contains("mean of the tokens")))
        .stdout(contains("block 1 contract").and(contains("64 -> 32")))
        .stdout(contains("arena").and(contains("tokens x width")));
}

/// What is no layer is listed by itself: in the header are sizes and formats alone.
#[test]
fn inspect_lists_what_a_mechanism_stores() {
    let bench = Bench::new();
    for (model, layers) in [
        ("digits-favor", &["block 0 projection", "names"][..]),
        ("digits-lsh", &["block 0 rotations", "block 0 bucket factors", "sample scale"]),
        ("digits-bigbird", &["block 0 random blocks"]),
        ("marks-hierarchical", &["block 0 position bias", "block 0 extra bits"]),
    ] {
        let file = workspace().join("models/zoo").join(model).with_extension("fxm");
        let output = bench.command(&["inspect", file.to_str().unwrap()]).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        for layer in layers {
            assert!(text.contains(layer), "{model}: no {layer}");
        }
        let header = text.lines().find_map(|line| line.trim().strip_prefix("header ")).unwrap();
        assert!(header.trim().parse::<usize>().unwrap() < 800, "{model}: {header} bytes of header");
    }
}

#[test]
fn help_documents_the_exit_codes() {
    let bench = Bench::new();
    for command in ["quantize", "eval", "fit", "inspect"] {
        bench.command(&[command, "--help"]).assert().success().stdout(contains("Exit codes:"));
    }
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is not a number"))
}
