//! A Hugging Face checkpoint, from its own configuration and parameter names to scores.

mod bench;

use std::fmt::Write;
use std::fs;

use bench::Bench;
use predicates::str::contains;

/// Tokens of a sequence, and of the vocabulary of the checkpoints.
const TOKENS: usize = 64;
const VOCABULARY: usize = 64;

/// Sequences of token ids, a line each, the class at the end.
fn sequences(count: usize) -> String {
    let mut state = 1_u32;
    let mut lines = String::new();
    for _ in 0..count {
        for _ in 0..TOKENS {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            write!(lines, "{},", (state >> 16) as usize % VOCABULARY).unwrap();
        }
        lines.push_str("0\n");
    }
    lines
}

fn with_sequences() -> Bench {
    let bench = Bench::new();
    fs::write(bench.path("tokens.csv"), sequences(24)).unwrap();
    bench
}

fn checkpoint(family: &str) -> String {
    let name = format!("tests/golden/models/model_{family}_seqcls_weights.safetensors");
    bench::workspace().join(name).to_str().unwrap().to_owned()
}

#[test]
fn checkpoints_need_no_description() {
    for family in ["bigbird", "reformer"] {
        let (bench, weights) = (with_sequences(), checkpoint(family));
        let tokens = TOKENS.to_string();
        let common = ["--weights", &weights, "--max-tokens", &tokens, "--labelled"];
        let quantize = ["quantize", "--calibrate", "tokens.csv", "--error", "0", "-o", "m.fxm"];
        bench.command(&quantize).args(common).assert().success().stdout(contains("16 bits in every layer"));
        let mut eval = bench.command(&["eval", "m.fxm", "tokens.csv", "--json"]);
        let line = &bench::lines(eval.args(common))[0];
        assert_eq!(line["rows"], 24);
        assert!(line["agreement"].as_f64().unwrap() > 0.9, "{family}: {line}");
    }
}

#[test]
fn a_configuration_may_lie_beside_the_weights() {
    let (bench, weights) = (with_sequences(), checkpoint("bigbird"));
    fs::write(bench.path("config.json"), r#"{"model_type": "bert"}"#).unwrap();
    let quantize = ["quantize", "--model", "config.json", "--weights", &weights];
    let rest = ["--calibrate", "tokens.csv", "--labelled", "-o", "m.fxm"];
    bench.command(&quantize).args(rest).assert().failure().stderr(contains("config.json"));
    assert_eq!(bench.files(), ["config.json", "tokens.csv"]);
}
