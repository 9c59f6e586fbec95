//! Recordings read again and again: the digest of whole runs, what it costs, and what cannot run that way.

mod bench;

use bench::{Bench, workspace};
use predicates::str::contains;
use std::fs;

/// A bidirectional FAVOR+ model with heartbeats at random.
fn ecg() -> Bench {
    let bench = Bench::new();
    fs::copy(workspace().join("models/zoo/ecg5000-favor.fxm"), bench.path("ecg.fxm")).unwrap();
    let rows = (1..5).map(|row| {
        let samples = (0..140).map(|step| (step * step * 37 + row * step * 11) % 4001 - 2000);
        samples.map(|sample: i32| sample.to_string()).collect::<Vec<_>>().join(",")
    });
    fs::write(bench.path("ecg.csv"), rows.collect::<Vec<_>>().join("\n") + "\n").unwrap();
    bench
}

fn json(bench: &Bench, arguments: &[&str]) -> serde_json::Value {
    bench.json(arguments).swap_remove(0)
}

#[test]
fn passes_have_the_digest_of_the_whole() {
    let bench = ecg();
    let whole = json(&bench, &["eval", "ecg.fxm", "ecg.csv", "--json"]);
    let passes = json(&bench, &["eval", "ecg.fxm", "ecg.csv", "--json", "--passes"]);
    assert_eq!(whole["digest"], passes["digest"]);
}

#[test]
fn what_passes_need_is_told() {
    let bench = ecg();
    let fit = json(&bench, &["fit", "ecg.fxm", "--board", "nrf52840", "--json"]);
    let plan = json(&bench, &["inspect", "ecg.fxm", "--plan", "--passes", "--json"]);
    assert_eq!(fit["passes_bytes"], plan["arena_bytes"]);
    assert_eq!(plan["passes"], true);
    let (once, passes) =
        (fit["instructions"].as_f64().unwrap(), fit["passes_instructions"].as_f64().unwrap());
    let cycles = fit["cycles"].as_f64().unwrap();
    assert!(cycles > once && cycles < 2.5 * once, "{cycles} cycles, {once} instructions");
    assert!(fit["passes"].as_u64().unwrap() >= 2 && passes > once, "{passes} in passes, {once} at once");
    bench
        .command(&["inspect", "ecg.fxm"])
        .assert()
        .success()
        .stdout(contains("in passes over a recording outside the RAM, up to"));
    bench.command(&["fit", "ecg.fxm"]).assert().success().stdout(contains("in passes over"));
}

#[test]
fn a_model_that_cannot_run_in_passes_is_refused_with_the_reason() {
    let bench = ecg();
    fs::copy(workspace().join("models/digits.fxm"), bench.path("digits.fxm")).unwrap();
    for arguments in
        [&["eval", "digits.fxm", "ecg.csv", "--passes"][..], &["inspect", "digits.fxm", "--plan", "--passes"]]
    {
        let why = contains("digits.fxm: block 0 (exact): what a layer keeps grows");
        bench.command(arguments).assert().failure().stderr(why);
    }
    let fit = json(&bench, &["fit", "digits.fxm", "--board", "nrf52840", "--json"]);
    assert!(fit["passes_bytes"].is_null() && fit["passes_instructions"].is_null());
}
