//! `fixformer diff` on logs as a device writes them.

mod bench;

use bench::{Bench, PIXELS, workspace};
use fixformer::Model;
use fixformer::host::engine::Engine;
use fixformer::trace::{Row, Rows};
use predicates::prelude::PredicateBooleanExt;
use predicates::str::contains;
use std::fmt::Write;
use std::fs;

/// A log of two recordings, with values or without.
fn log(values: bool) -> String {
    let bytes = fs::read(workspace().join("models/digits.fxm")).unwrap();
    let words: Vec<u32> = bytes.as_chunks().0.iter().map(|&word| u32::from_le_bytes(word)).collect();
    let model = Model::parse(&words).unwrap();
    let mut engine = Engine::new(model);
    let mut net = engine.session();
    let mut log = String::from("started\n");
    for recording in 0..2 {
        let input: Vec<i16> = (0..PIXELS as i16).map(|i| (i * (7 + recording)) % 17).collect();
        writeln!(log, "input {recording} {}", spaced(&input)).unwrap();
        let mut rows = Rows(|row: Row<'_>| {
            match values {
                true => writeln!(log, "{row} values {}", spaced(row.values)),
                false => writeln!(log, "{row}"),
            }
            .unwrap();
        });
        net.run_traced(&input, None, &mut rows).unwrap();
        writeln!(log, "row {recording} class 0 scores 1 2").unwrap();
    }
    log
}

fn spaced(values: &[i16]) -> String {
    values.iter().map(i16::to_string).collect::<Vec<_>>().join(" ")
}

fn diff(log: &str) -> assert_cmd::assert::Assert {
    let bench = Bench::new();
    fs::copy(workspace().join("models/digits.fxm"), bench.path("digits.fxm")).unwrap();
    fs::write(bench.path("device.log"), log).unwrap();
    bench.command(&["diff", "digits.fxm", "device.log"]).assert()
}

#[test]
fn what_is_the_same_is_the_same() {
    for values in [false, true] {
        diff(&log(values)).success().stdout(contains("the same: ").and(contains("in 2 recordings")));
    }
}

/// One value of one row of the second recording's second block.
#[test]
fn the_first_value_is_named() {
    let log = log(true);
    let place = "trace block1.query row 9 column 16 ";
    let start = log.rfind(place).unwrap();
    let first = start + log[start..].find(" values ").unwrap() + " values ".len();
    let end = first + log[first..].find(' ').unwrap();
    let value: i16 = log[first..end].parse().unwrap();
    let changed = format!("{}{}{}", &log[..first], value + 1, &log[end..]);
    let expected = format!("recording 1: block1.query, row 9, column 16: device {}, host {value}", value + 1);
    diff(&changed).code(3).stdout(contains(expected));
}

#[test]
fn without_values_the_row_is_named() {
    let log = log(false);
    let place = "trace block0.attended row 5 column 0 digest ";
    let digest = log.find(place).unwrap() + place.len();
    let other = if &log[digest..digest + 1] == "0" { "1" } else { "0" };
    let changed = format!("{}{other}{}", &log[..digest], &log[digest + 1..]);
    diff(&changed).code(3).stdout(contains("recording 0: block0.attended, row 5, columns 0 .. 32: device"));
}

/// What a chip sends before its clock is set is no text, and stands before everything else.
#[test]
fn noise_before_the_first_line_does_not_matter() {
    let bench = Bench::new();
    fs::copy(workspace().join("models/digits.fxm"), bench.path("digits.fxm")).unwrap();
    fs::write(bench.path("device.log"), [b"\xf0\x8c\xff\x00\xfe", log(false).as_bytes()].concat()).unwrap();
    let same = contains("in 2 recordings");
    bench.command(&["diff", "digits.fxm", "device.log"]).assert().success().stdout(same);
}

#[test]
fn a_log_that_ends_early_or_is_none_is_an_error() {
    let log = log(false);
    let cut = log.rfind("trace ").unwrap();
    diff(&log[..cut]).code(3).stdout(contains("the log ends before scores, row 0"));
    diff("started\n").code(1).stderr(contains("no line `input ...`"));
    diff("input 0 1 x\n").code(1).stderr(contains("`x` is not a number"));
    diff("input 0 1 2\n").code(1).stderr(contains("steps are fewer than one window"));
}
