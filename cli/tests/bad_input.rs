//! Bad input: the message names the file, what is wrong and what to do; the exit code is 1, or 2 for the command line.

use std::collections::HashMap;
use std::fs;

use bench::{Bench, npz};
use predicates::prelude::PredicateBooleanExt;
use predicates::str::contains;
use safetensors::SafeTensors;
use safetensors::tensor::TensorView;

mod bench;

/// Every command that reads a model says the same.
fn refused(bench: &Bench, words: &[&str]) {
    for arguments in
        [&["inspect", "digits.fxm"][..], &["fit", "digits.fxm"], &["eval", "digits.fxm", "digits.npz"]]
    {
        let mut assert =
            bench.command(arguments).assert().code(1).stdout("").stderr(contains("error: digits.fxm: "));
        for word in words {
            assert = assert.stderr(contains(*word));
        }
    }
}

/// `eval` of data in `data.npz`.
fn eval_refused(bench: &Bench, words: &[&str]) {
    let mut assert = bench
        .command(&["eval", "digits.fxm", "data.npz"])
        .assert()
        .code(1)
        .stderr(contains("error: data.npz: "));
    for word in words {
        assert = assert.stderr(contains(*word));
    }
}

#[test]
fn missing_files() {
    let bench = Bench::with_checkpoint();
    refused(&bench, &["cannot be read", "fixformer quantize"]);
    fs::remove_file(bench.path("digits.npz")).unwrap();
    bench.quantize().assert().code(1).stderr(contains("digits.npz: cannot be read"));
    fs::remove_file(bench.path("digits.safetensors")).unwrap();
    bench.quantize().assert().code(1).stderr(contains("digits.safetensors: cannot be read"));
}

#[test]
fn truncated_model() {
    let bench = Bench::with_digits();
    bench.damage(|bytes| bytes.truncate(bytes.len() - 8));
    refused(&bench, &["length", "truncated"]);
    bench.damage(|bytes| bytes.truncate(bytes.len() - 1));
    refused(&bench, &["truncated", "not a whole number of 32-bit words"]);
    bench.damage(Vec::clear);
    refused(&bench, &["truncated"]);
}

#[test]
fn damaged_model() {
    let bench = Bench::with_digits();
    let sound = fs::read(bench.path("digits.fxm")).unwrap();
    for place in [16, sound.len() / 2, sound.len() - 1] {
        fs::write(bench.path("digits.fxm"), &sound).unwrap();
        bench.damage(|bytes| bytes[place] ^= 0x10);
        refused(&bench, &["checksum", "damaged"]);
    }
}

#[test]
fn another_version() {
    let bench = Bench::with_digits();
    bench.damage(|bytes| bytes[4] = 77);
    refused(&bench, &["version", "77", "quantize the checkpoint again"]);
}

#[test]
fn not_a_model() {
    let bench = Bench::with_digits();
    bench.damage(|bytes| bytes[0] = b'?');
    refused(&bench, &["not a fixformer model", "fixformer quantize"]);
    bench.damage(|bytes| *bytes = b"a letter to a friend".to_vec());
    refused(&bench, &["not a fixformer model"]);
    bench.damage(|bytes| *bytes = b"a letter to a friend.".to_vec());
    refused(&bench, &["not a fixformer model"]);
}

#[test]
fn data_that_are_not_what_they_say() {
    let bench = Bench::with_digits();
    fs::write(bench.path("data.npz"), "not a recording at all").unwrap();
    eval_refused(&bench, &["not an npz file", "numpy.savez"]);
    npz(&bench.path("data.npz"), &[("x_train", &[1, 64], &[0; 64])]);
    eval_refused(&bench, &["x_test", "x_train"]);
    fs::write(bench.path("data.mat"), "").unwrap();
    bench.command(&["eval", "digits.fxm", "data.mat"]).assert().code(1).stderr(contains("ends in .npz"));
}

#[test]
fn data_of_another_shape() {
    let bench = Bench::with_digits();
    npz(&bench.path("data.npz"), &[("x_test", &[2, 32, 2], &[0; 128])]);
    eval_refused(&bench, &["2 values", "the model takes 1 value", "give the data of this model"]);
    // Recordings of 64, 64 and 80 steps, end to end.
    npz(&bench.path("data.npz"), &[("tok_test", &[208], &[1; 208]), ("off_test", &[4], &[0, 64, 128, 208])]);
    eval_refused(&bench, &["test split, row 2", "73 tokens", "maximum of 57", "64 steps", "more positions"]);
    npz(&bench.path("data.npz"), &[("x_test", &[1, 7], &[0; 7])]);
    eval_refused(&bench, &["row 0", "7 steps are fewer than one window of 8"]);
}

#[test]
fn calibration_with_a_recording_that_is_too_long() {
    let bench = Bench::with_checkpoint();
    npz(&bench.path("digits.npz"), &[("x_train", &[1, 65], &[0; 65])]);
    bench
        .quantize()
        .assert()
        .code(1)
        .stderr(contains("digits.npz: recording 0").and(contains("58 tokens")).and(contains("57")));
}

#[test]
fn labels_the_model_does_not_have() {
    let bench = Bench::with_digits();
    npz(&bench.path("data.npz"), &[("x_test", &[2, 64], &[0; 128]), ("y_test", &[2], &[3, 10])]);
    eval_refused(&bench, &["test split, row 1", "label 10", "0 ..= 9", "correct or remove"]);
}

#[test]
fn real_numbers_without_a_scale() {
    let bench = Bench::with_digits();
    let row = vec!["0.25"; 64].join(",");
    fs::write(bench.path("data.csv"), row).unwrap();
    let eval = ["eval", "digits.fxm", "data.csv"];
    bench.command(&eval).assert().code(1).stderr(contains("data.csv").and(contains("add `--scale 0.0625`")));
    bench.command(&eval).args(["--scale", "0.0625"]).assert().success();
}

#[test]
fn weights_of_another_model() {
    let bench = Bench::with_checkpoint();
    fs::write(bench.path("digits.safetensors"), "weights, honestly").unwrap();
    bench.quantize().assert().code(1).stderr(contains("digits.safetensors: not a safetensors file"));

    let bench = Bench::with_checkpoint();
    rewrite(&bench, |tensors| {
        tensors.remove("l1.wq");
    });
    bench.quantize().assert().code(1).stderr(contains("no tensor `l1.wq`"));

    let bench = Bench::with_checkpoint();
    rewrite(&bench, |tensors| {
        tensors.get_mut("l0.wk").unwrap().1[..4].copy_from_slice(&f32::NAN.to_le_bytes());
    });
    bench.quantize().assert().code(1).stderr(contains("l0.wk").and(contains("NaN")));
}

#[test]
fn checkpoint_of_another_model_beside_this_one() {
    let bench = Bench::with_digits();
    rewrite(&bench, |tensors| {
        let (shape, bytes) = tensors.get_mut("head.b").unwrap();
        *shape = vec![9];
        bytes.truncate(4 * 9);
        let (shape, bytes) = tensors.get_mut("head.w").unwrap();
        *shape = vec![32, 9];
        bytes.truncate(4 * 32 * 9);
    });
    bench
        .command(&["eval", "digits.fxm", "digits.npz"])
        .assert()
        .code(1)
        .stderr(contains("outputs: 9 found, 10 expected").and(contains("digits.safetensors")));
}

#[test]
fn what_was_there_survives_a_failure() {
    let bench = Bench::with_checkpoint();
    fs::write(bench.path("digits.fxm"), "the old one").unwrap();
    fs::write(bench.path("digits.npz"), "no archive").unwrap();
    let files = bench.files();
    bench.quantize().assert().code(1);
    assert_eq!(fs::read_to_string(bench.path("digits.fxm")).unwrap(), "the old one");
    assert_eq!(bench.files(), files);

    // Nothing is left behind either where the result cannot be put.
    let bench = Bench::with_checkpoint();
    fs::create_dir_all(bench.path("digits.fxm/full")).unwrap();
    let files = bench.files();
    bench.quantize().assert().code(1).stderr(contains("digits.fxm: cannot be written"));
    assert_eq!(bench.files(), files);
}

#[test]
fn wrong_command_lines() {
    let bench = Bench::with_digits();
    for arguments in [
        &["fit", "digits.fxm", "--board", "abacus"][..],
        &["fit", "digits.fxm", "--ram", "16K"],
        &["fit", "digits.fxm", "--ram", "lots", "--flash", "1M"],
        &["fit", "digits.fxm", "--ram", "1M", "--flash", "1M", "--board", "rp2040"],
        &["eval", "digits.fxm"],
        &["eval", "digits.fxm", "digits.npz", "--rows", "0"],
        &["eval", "digits.fxm", "digits.npz", "--model", "digits.toml"],
        &["quantize", "--model", "digits.toml"],
        &["dance"],
    ] {
        bench.command(arguments).assert().code(2).stdout("");
    }
    bench.quantize().args(["--error", "-1"]).assert().code(2);
    bench.quantize().args(["--error", "NaN"]).assert().code(2);
}

/// Changes tensors of the checkpoint: shape and bytes by name.
fn rewrite(bench: &Bench, change: impl FnOnce(&mut HashMap<String, (Vec<usize>, Vec<u8>)>)) {
    let path = bench.path("digits.safetensors");
    let file = fs::read(&path).unwrap();
    let tensors = SafeTensors::deserialize(&file).unwrap();
    let one = |(name, view): (String, TensorView<'_>)| (name, (view.shape().to_vec(), view.data().to_vec()));
    let mut changed: HashMap<_, _> = tensors.tensors().into_iter().map(one).collect();
    change(&mut changed);
    let views = changed.iter().map(|(name, (shape, bytes))| {
        (name, TensorView::new(safetensors::Dtype::F32, shape.clone(), bytes).unwrap())
    });
    fs::write(&path, safetensors::serialize(views, None).unwrap()).unwrap();
}

#[test]
fn a_scale_that_rounds_a_channel_away() {
    let bench = Bench::new();
    let case = bench::workspace().join("tests/cases/channel_units");
    for file in ["imu.toml", "imu.safetensors", "imu.npz"] {
        fs::copy(case.join(file), bench.path(file)).unwrap();
    }
    let arguments =
        ["quantize", "--model", "imu.toml", "--weights", "imu.safetensors", "--calibrate", "imu.npz"];
    let quantize = |scale: &str| {
        let mut command = bench.command(&arguments);
        command.args(["-o", "imu.fxm", "--scale", scale]).assert()
    };
    let refused =
        contains("rounds channel 2 (from 0) to 0 in every recording").and(contains("`--scale 1,1,S`"));
    quantize("1").code(1).stderr(refused.and(contains("leaves channel 1 (from 0) 3 levels")));
    assert!(!bench.path("imu.fxm").exists());

    // As advised, with the description to match.
    let text = fs::read_to_string(case.join("imu.toml")).unwrap();
    fs::write(bench.path("imu.toml"), text.replace("scale = 1.0", "scale = [1, 0.0007, 2.5e-9]")).unwrap();
    quantize("1,0.0007,2.5e-9").success().stderr(contains("warning").not());
}
