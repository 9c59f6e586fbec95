//! Recordings as streams: the digest of whole runs, when they were decided, and what cannot stream.

mod bench;

use bench::{Bench, workspace};
use predicates::str::contains;
use std::fs;

/// A causal model with recordings of symbols.
fn needle() -> Bench {
    let bench = Bench::new();
    fs::copy(workspace().join("models/zoo/needle-hierarchical.fxm"), bench.path("needle.fxm")).unwrap();
    let rows = (1..5).map(|row| {
        let symbols = (0..900).map(|step| (step * step / 7 + row * step) % 10);
        symbols.map(|symbol: i32| symbol.to_string()).collect::<Vec<_>>().join(",")
    });
    fs::write(bench.path("needle.csv"), rows.collect::<Vec<_>>().join("\n") + "\n").unwrap();
    bench
}

fn json(bench: &Bench, arguments: &[&str]) -> serde_json::Value {
    bench.json(arguments).swap_remove(0)
}

#[test]
fn a_stream_has_the_digest_of_the_whole() {
    let bench = needle();
    let whole = json(&bench, &["eval", "needle.fxm", "needle.csv", "--json"]);
    let stream = json(&bench, &["eval", "needle.fxm", "needle.csv", "--json", "--stream"]);
    assert_eq!(whole["digest"], stream["digest"]);
    assert!(whole.get("decided_token_median").is_none());
    let share = stream["decided_share_mean"].as_f64().unwrap();
    assert!(share > 0.0 && share <= 1.0, "{share}");
    bench
        .command(&["eval", "needle.fxm", "needle.csv", "--stream"])
        .assert()
        .success()
        .stdout(contains("decided    at token"));
}

#[test]
fn what_a_stream_needs_is_told() {
    let bench = needle();
    let fit = json(&bench, &["fit", "needle.fxm", "--board", "nrf52840", "--json"]);
    let plan = json(&bench, &["inspect", "needle.fxm", "--plan", "--stream", "--json"]);
    assert_eq!(fit["stream_bytes"], plan["arena_bytes"]);
    assert!(fit["state_bytes"].as_u64() < fit["stream_bytes"].as_u64());
    assert!(fit["stream_instructions"].as_u64().unwrap() > 10_000);
    bench
        .command(&["inspect", "needle.fxm"])
        .assert()
        .success()
        .stdout(contains("as a stream, up to 16,384 tokens"));
}

#[test]
fn a_model_that_cannot_stream_is_refused_with_the_reason() {
    let bench = needle();
    fs::copy(workspace().join("models/digits.fxm"), bench.path("digits.fxm")).unwrap();
    for arguments in [
        &["eval", "digits.fxm", "needle.csv", "--stream"][..],
        &["inspect", "digits.fxm", "--plan", "--stream"],
    ] {
        let why = contains("digits.fxm: block 0: a layer attends to later tokens");
        bench.command(arguments).assert().failure().stderr(why);
    }
    let fit = json(&bench, &["fit", "digits.fxm", "--board", "nrf52840", "--json"]);
    assert!(fit["stream_bytes"].is_null() && fit["state_bytes"].is_null());
}

#[test]
fn a_model_for_streams_without_end_is_described() {
    let bench = needle();
    fs::copy(workspace().join("tests/models/monitor.fxm"), bench.path("monitor.fxm")).unwrap();
    let inspect = bench.command(&["inspect", "monitor.fxm"]).assert().success();
    inspect
        .stdout(contains("as a stream, without end"))
        .stdout(contains("standardized over about 64 samples so far, deviation at least 0.5"))
        .stdout(contains("maximum of the tokens of the last 4 blocks of 8, the open one included"));
    let plan = json(&bench, &["inspect", "monitor.fxm", "--plan", "--stream", "--json"]);
    let buffers = plan["buffers"].as_array().unwrap();
    let bytes = |name: &str| buffers.iter().find(|buffer| buffer["name"] == name).unwrap()["bytes"].clone();
    // Four slots of a count and 15 maxima; two words, and four for each of three channels.
    assert_eq!((bytes("recent"), bytes("statistics")), (144.into(), 56.into()));
    let fit = json(&bench, &["fit", "monitor.fxm", "--board", "nrf52840", "--json"]);
    assert_eq!(fit["stream_bytes"], plan["arena_bytes"]);
}
