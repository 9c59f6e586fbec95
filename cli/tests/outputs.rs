//! What a command writes is none of what it reads, and is written whole or not at all.
#![cfg(unix)]

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Output};

use assert_cmd::assert::OutputAssertExt;
use bench::Bench;
use predicates::str::contains;

mod bench;

/// The bytes of every file of the folder, of which a command that is refused changes none.
fn contents(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(contents(&path));
        } else if path.is_file() {
            all.push((path.display().to_string(), fs::read(&path).unwrap()));
        }
    }
    all.sort();
    all
}

fn refused(bench: &Bench, arguments: &[&str], input: &str) {
    let before = contents(&bench.path("."));
    let said = contains(format!("would be written over, but it is {input}, which is read here"));
    bench.command(arguments).assert().code(1).stdout("").stderr(said);
    assert!(contents(&bench.path(".")) == before, "{arguments:?}");
}

#[test]
fn quantize_writes_over_none_of_its_inputs() {
    let bench = Bench::with_checkpoint();
    fs::hard_link(bench.path("digits.safetensors"), bench.path("hard")).unwrap();
    symlink("digits.toml", bench.path("soft")).unwrap();
    fs::copy(bench.path("digits.npz"), bench.path("scores.npz")).unwrap();
    let quantize = |output: &str, input: &str| {
        let arguments = ["quantize", "--model", "digits.toml", "--weights", "digits.safetensors"];
        let rest = ["--calibrate", "digits.npz", "--expect", "scores.npz:x_test", "-o", output];
        refused(&bench, &[&arguments[..], &rest].concat(), input);
    };
    quantize("digits.toml", "digits.toml");
    quantize("soft", "digits.toml");
    quantize("hard", "digits.safetensors");
    quantize("./digits.npz", "digits.npz");
    quantize("scores.npz", "scores.npz");
}

#[test]
fn nor_over_shards_their_index_and_recordings_of_a_folder() {
    let bench = Bench::with_case("sharded");
    fs::create_dir_all(bench.path("recordings/train/up")).unwrap();
    fs::write(bench.path("recordings/train/up/1.csv"), "1\n2\n").unwrap();
    fs::create_dir_all(bench.path("recordings/test/up")).unwrap();
    fs::write(bench.path("recordings/test/up/2.csv"), "1\n2\n").unwrap();
    fs::write(bench.path("config.json"), "{}").unwrap();
    for (weights, before) in [("model.safetensors.index.json", ""), (".", "./")] {
        for (output, before) in [
            ("model-00001-of-00003.safetensors", before),
            ("model-00003-of-00003.safetensors", before),
            ("model.safetensors.index.json", before),
            ("config.json", before),
            ("recordings/train/up/1.csv", ""),
            ("recordings/test/up/2.csv", ""),
        ] {
            let arguments =
                ["quantize", "--model", "m.toml", "--weights", weights, "--calibrate", "recordings"];
            refused(&bench, &[&arguments[..], &["-o", output]].concat(), &format!("{before}{output}"));
        }
    }
}

#[test]
fn eval_writes_scores_over_none_of_its_inputs_and_thresholds_into_the_model() {
    let bench = Bench::with_digits();
    symlink("digits.safetensors", bench.path("soft.csv")).unwrap();
    let eval = |scores: &str, input: &str| {
        refused(&bench, &["eval", "digits.fxm", "digits.npz", "--scores", scores], input);
    };
    for name in ["digits.fxm", "digits.npz", "digits.toml", "digits.safetensors"] {
        eval(name, name);
    }
    eval("soft.csv", "digits.safetensors");
    fs::hard_link(bench.path("digits.fxm"), bench.path("twice.csv")).unwrap();
    eval("twice.csv", "digits.fxm");

    // A threshold goes through a link into the model, whose mode stays.
    let bench = Bench::with_case("threshold");
    let checkpoint = ["--model", "m.toml", "--weights", "w.safetensors"];
    let quantize = ["quantize", "--calibrate", "data.npz", "-o", "real.fxm"];
    bench.command(&[&quantize[..], &checkpoint].concat()).assert().success();
    symlink("real.fxm", bench.path("linked.fxm")).unwrap();
    fs::set_permissions(bench.path("real.fxm"), Permissions::from_mode(0o640)).unwrap();
    let before = fs::read(bench.path("real.fxm")).unwrap();
    let keep = ["eval", "linked.fxm", "data.npz", "--threshold", "0.25", "--keep-threshold"];
    bench.command(&[&keep[..], &checkpoint].concat()).assert().success();
    assert!(bench.path("linked.fxm").is_symlink());
    assert!(fs::read(bench.path("real.fxm")).unwrap() != before);
    assert_eq!(fs::metadata(bench.path("real.fxm")).unwrap().mode() & 0o7777, 0o640);
}

/// As in `fixformer eval … | true`.
#[test]
fn a_threshold_is_kept_though_nobody_reads_what_is_printed() {
    let bench = Bench::with_case("threshold");
    let checkpoint = ["--model", "m.toml", "--weights", "w.safetensors"];
    let quantize = ["quantize", "--calibrate", "data.npz", "-o", "m.fxm"];
    bench.command(&[&quantize[..], &checkpoint].concat()).assert().success();
    let before = fs::read(bench.path("m.fxm")).unwrap();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let status = Command::new(env!("CARGO_BIN_EXE_fixformer"))
        .current_dir(bench.path("."))
        .args(["eval", "m.fxm", "data.npz", "--threshold", "0.25", "--keep-threshold"])
        .args(checkpoint)
        .stdout(writer)
        .status();
    assert!(status.unwrap().success());
    assert!(fs::read(bench.path("m.fxm")).unwrap() != before);
}

#[test]
fn a_folder_that_cannot_be_written_to_is_said_before_any_work() {
    let bench = Bench::with_checkpoint();
    fs::set_permissions(bench.path("."), Permissions::from_mode(0o755)).unwrap();
    fs::create_dir(bench.path("locked")).unwrap();
    fs::write(bench.path("locked/digits.fxm"), "the old one").unwrap();
    fs::set_permissions(bench.path("locked/digits.fxm"), Permissions::from_mode(0o666)).unwrap();
    fs::set_permissions(bench.path("locked"), Permissions::from_mode(0o555)).unwrap();
    let output = quantize_as_nobody(&bench, "locked/digits.fxm");
    output.assert().code(1).stderr(contains(
        "locked/digits.fxm: cannot be written, and is as it was: Permission denied (os error 13)",
    ));
    assert_eq!(fs::read_to_string(bench.path("locked/digits.fxm")).unwrap(), "the old one");
    assert_eq!(fs::read_dir(bench.path("locked")).unwrap().count(), 1);
    fs::set_permissions(bench.path("locked"), Permissions::from_mode(0o755)).unwrap();
}

/// In a folder of all, as `/tmp` is, nobody may rename over the file of somebody else. Only who is root can make one.
#[test]
fn what_cannot_be_renamed_leaves_nothing() {
    let bench = Bench::with_checkpoint();
    if fs::metadata(bench.path(".")).unwrap().uid() != 0 {
        return;
    }
    fs::set_permissions(bench.path("."), Permissions::from_mode(0o755)).unwrap();
    fs::create_dir(bench.path("common")).unwrap();
    fs::write(bench.path("common/digits.fxm"), "of somebody else").unwrap();
    fs::set_permissions(bench.path("common/digits.fxm"), Permissions::from_mode(0o666)).unwrap();
    fs::set_permissions(bench.path("common"), Permissions::from_mode(0o1777)).unwrap();
    let output = quantize_as_nobody(&bench, "common/digits.fxm");
    output.assert().code(1).stderr(contains("common/digits.fxm: cannot be written, and is as it was"));
    assert_eq!(fs::read_to_string(bench.path("common/digits.fxm")).unwrap(), "of somebody else");
    assert_eq!(fs::read_dir(bench.path("common")).unwrap().count(), 1);
}

/// Permissions do not bind root.
fn quantize_as_nobody(bench: &Bench, output: &str) -> Output {
    const NOBODY: u32 = 65_534;
    let command = bench.path("fixformer");
    fs::copy(assert_cmd::cargo::cargo_bin("fixformer"), &command).unwrap();
    let mut command = Command::new(command);
    command.current_dir(bench.path(".")).args(["quantize", "--model", "digits.toml", "--weights"]);
    command.args(["digits.safetensors", "--calibrate", "digits.npz", "-o", output]);
    if fs::metadata(bench.path(".")).unwrap().uid() == 0 {
        command.uid(NOBODY).gid(NOBODY);
    }
    command.output().unwrap()
}
