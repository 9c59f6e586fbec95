//! What messages of the commands advise, done: then the answers are the right ones.

use std::fs;
use std::path::Path;

use bench::{Bench, Images, PIXELS, npz, workspace};
use fixformer::host::data::{self, Options, Split};
use predicates::prelude::PredicateBooleanExt;
use predicates::str::contains;
use serde_json::Value;

mod bench;

/// What a failing command says.
fn refused(bench: &Bench, arguments: &[&str]) -> String {
    let output = bench.command(arguments).assert().code(1).get_output().stderr.clone();
    String::from_utf8(output).unwrap()
}

/// What stands in `said` between `before` and the next backtick.
fn quoted<'s>(said: &'s str, before: &str) -> &'s str {
    said.split(before).nth(1).unwrap_or_else(|| panic!("no {before:?} in: {said}")).split('`').next().unwrap()
}

fn edit(path: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.contains(from), "{from}");
    fs::write(path, text.replacen(from, to, 1)).unwrap();
}

fn digest(bench: &Bench, arguments: &[&str]) -> Value {
    bench.json(&[&["eval"], arguments, &["--json"]].concat())[0]["digest"].clone()
}

/// `quantize` of the case in a folder.
const QUANTIZE: [&str; 9] =
    ["quantize", "--model", "m.toml", "--weights", "w.safetensors", "--calibrate", "data.npz", "-o", "m.fxm"];

#[test]
fn weights_without_a_description_are_described() {
    let bench = Bench::with_digits();
    let right = digest(&bench, &["digits.fxm", "digits.npz"]);
    let quantize =
        ["quantize", "--weights", "digits.safetensors", "--calibrate", "digits.npz", "-o", "m.fxm"];
    let said = refused(&bench, &quantize);
    assert!(said.contains("give a description (TOML)") && said.contains("`fixformer describe`"), "{said}");
    bench.command(&["describe", "digits.safetensors", "-o", "m.toml"]).assert().success();
    edit(&bench.path("m.toml"), "scale = 1.0", "scale = 0.0625");
    edit(&bench.path("m.toml"), "stride = 8", "stride = 1");
    bench.command(&[&quantize[..], &["--model", "m.toml"]].concat()).assert().success();
    assert_eq!(digest(&bench, &["m.fxm", "digits.npz"]), right);
    // Without a description beside the model there is no float reference; with the one that is named there is.
    fs::rename(bench.path("digits.toml"), bench.path("aside.toml")).unwrap();
    let eval = ["eval", "digits.fxm", "digits.npz", "--json"];
    bench.command(&eval).assert().success().stderr(contains("give `--model M.toml --weights W.safetensors`"));
    let more = ["--model", "aside.toml", "--weights", "digits.safetensors"];
    let line = &bench.json(&[&eval[..], &more].concat())[0];
    assert!(line["logit_rel_l2"].is_f64(), "{line}");
}

/// A configuration of a model that is not read from one.
#[test]
fn a_configuration_of_another_family_is_described() {
    let bench = Bench::new();
    let weights = workspace().join("tests/golden/models/model_bigbird_seqcls_weights.safetensors");
    fs::copy(weights, bench.path("w.safetensors")).unwrap();
    fs::write(bench.path("config.json"), r#"{"model_type": "bert"}"#).unwrap();
    let rows =
        (0..24).map(|row| (0..64).map(|step| ((7 * row + 5 * step * step) % 64).to_string()).collect());
    let rows: Vec<String> = rows.map(|row: Vec<String>| row.join(",")).collect();
    fs::write(bench.path("tokens.csv"), rows.join("\n") + "\n").unwrap();
    let quantize = |more: &[&'static str]| {
        let common =
            ["quantize", "--weights", "w.safetensors", "--calibrate", "tokens.csv", "--max-tokens", "64"];
        [&common[..], &["--header", "no", "-o", "m.fxm"], more].concat()
    };
    let said = refused(&bench, &quantize(&["--model", "config.json"]));
    assert!(said.contains("let `fixformer describe` write a description"), "{said}");
    bench.command(&["describe", "w.safetensors", "-o", "m.toml"]).assert().success();
    let text = fs::read_to_string(bench.path("m.toml")).unwrap();
    let set = |line: &str| match line.split(" = ").next().unwrap() {
        "heads" => "heads = 2".to_owned(),
        "attention" => {
            "attention = { kind = \"bigbird\", block = 16, random = 2, plan = \"zero\", dense_up_to = 144 }"
                .to_owned()
        }
        "activation" => "activation = \"gelu-tanh\"".to_owned(),
        _ => line.to_owned(),
    };
    fs::write(bench.path("m.toml"), text.lines().map(set).collect::<Vec<_>>().join("\n")).unwrap();
    bench.command(&quantize(&["--model", "m.toml"])).assert().success();
    let described = fs::read(bench.path("m.fxm")).unwrap();
    // The weights have the right configuration themselves.
    bench.command(&quantize(&[])).assert().success();
    assert!(fs::read(bench.path("m.fxm")).unwrap() == described);
}

#[test]
fn the_scale_of_a_warning() {
    let bench = Bench::with_case("channel_units");
    let quantize =
        ["quantize", "--model", "imu.toml", "--weights", "imu.safetensors", "--calibrate", "imu.npz"];
    let quantize = [&quantize[..], &["-o", "imu.fxm", "--scale", "0.2,0.0007,2.5e-9"]].concat();
    let warned = bench.command(&quantize).assert().success().get_output().stderr.clone();
    let warned = String::from_utf8(warned).unwrap();
    let scale = quoted(&warned, "or import the model with `");
    edit(&bench.path("imu.toml"), "scale = 1.0", scale);
    bench.command(&quantize).assert().success().stderr(contains("warning").not());

    let bench = Bench::with_digits();
    let eval = ["eval", "digits.fxm", "digits.npz", "--scale", "0.5"];
    let warned = bench.command(&eval).assert().success().get_output().stderr.clone();
    let warned = String::from_utf8(warned).unwrap();
    edit(&bench.path("digits.toml"), "scale = 0.0625", quoted(&warned, "or import the model with `"));
    bench.quantize().assert().success();
    bench.command(&eval).assert().success().stderr(contains("warning").not());
}

/// Lines that do not say how many values a step has.
#[test]
fn channels_of_lines() {
    let bench = Bench::with_case("conv_stem");
    fs::rename(bench.path("conv.safetensors"), bench.path("w.safetensors")).unwrap();
    bench.command(&QUANTIZE).assert().success();
    let rows = data::load(&bench.path("data.npz"), Split::Test, Options::default()).unwrap().rows;
    let line = |row: &Vec<i16>| row.iter().map(ToString::to_string).collect::<Vec<_>>().join(",") + "\n";
    fs::write(bench.path("data.csv"), rows.iter().map(line).collect::<String>()).unwrap();
    let eval = ["m.fxm", "data.csv", "--header", "no"];
    let said = refused(&bench, &[&["eval"], &eval[..]].concat());
    let channels = quoted(&said, "add `--channels ");
    assert_eq!(
        digest(&bench, &[&eval[..], &["--channels", channels]].concat()),
        digest(&bench, &["m.fxm", "data.npz"])
    );
}

#[test]
fn recordings_that_are_too_long_or_too_short() {
    let bench = Bench::with_digits();
    let images = Images::new(4);
    let right = {
        npz(&bench.path("x.npz"), &[("x_test", &[4, PIXELS], &images.values)]);
        digest(&bench, &["digits.fxm", "x.npz"])
    };
    let longer: Vec<i16> = images.values.chunks(PIXELS).flat_map(|row| [row, &[0; 16]].concat()).collect();
    npz(&bench.path("x.npz"), &[("x_test", &[4, 80], &longer)]);
    let said = refused(&bench, &["eval", "digits.fxm", "x.npz"]);
    let steps: usize =
        said.split("cut the recordings to ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
    assert!(said.contains("or train a model with more positions"), "{said}");
    let cut: Vec<i16> = longer.chunks(80).flat_map(|row| row[..steps].to_vec()).collect();
    npz(&bench.path("x.npz"), &[("x_test", &[4, steps], &cut)]);
    assert_eq!(digest(&bench, &["digits.fxm", "x.npz"]), right);
    // Without a table of positions there is no need to.
    edit(&bench.path("digits.toml"), "name =", "max_tokens = 57\nname =");
    edit(
        &bench.path("digits.toml"),
        "[pooling]",
        "[positions]\nkind = \"sinusoidal\"\n[tensors]\nignore = [\"pos\"]\n[pooling]",
    );
    bench.quantize().assert().success();
    npz(&bench.path("x.npz"), &[("x_test", &[4, 80], &longer)]);
    let said = refused(&bench, &["eval", "digits.fxm", "x.npz"]);
    assert!(said.contains("or import the model with a larger `max_tokens`"), "{said}");
    edit(&bench.path("digits.toml"), "max_tokens = 57", "max_tokens = 73");
    bench.quantize().assert().success();
    bench.command(&["eval", "digits.fxm", "x.npz"]).assert().success();

    npz(&bench.path("x.npz"), &[("x_test", &[1, 7], &[1; 7])]);
    let said = refused(&bench, &["eval", "digits.fxm", "x.npz"]);
    assert!(said.contains("remove that recording or pad it"), "{said}");
    npz(&bench.path("x.npz"), &[("x_test", &[1, 8], &[1, 1, 1, 1, 1, 1, 1, 0])]);
    bench.command(&["eval", "digits.fxm", "x.npz"]).assert().success();
}

/// A file without names of columns may have the label in one, which makes its recordings too long.
#[test]
fn a_label_that_was_taken_for_a_sample() {
    let bench = Bench::new();
    fs::copy(workspace().join("models/digits.fxm"), bench.path("digits.fxm")).unwrap();
    let rows: Vec<Vec<String>> =
        (0..6).map(|row| (0..64).map(|i| (i * (row + 3) % 17).to_string()).collect()).collect();
    let lines = |line: &dyn Fn(usize, &str) -> String| -> String {
        rows.iter().enumerate().map(|(row, values)| line(row, &values.join(",")) + "\n").collect()
    };
    fs::write(bench.path("x.csv"), lines(&|_, values| values.to_owned())).unwrap();
    let right = digest(&bench, &["digits.fxm", "x.csv"]);
    for (place, text) in [
        ("last", lines(&|row, values| format!("{values},{row}"))),
        ("first", lines(&|row, values| format!("{row},{values}"))),
    ] {
        fs::write(bench.path("x.csv"), text).unwrap();
        let said = refused(&bench, &["eval", "digits.fxm", "x.csv"]);
        assert!(
            said.contains("is the label, say so (`--label first`, `--label last`); if not, cut"),
            "{said}"
        );
        assert_eq!(digest(&bench, &["digits.fxm", "x.csv", "--label", place]), right);
    }
}

#[test]
fn names_of_classes() {
    let bench = Bench::with_case("threshold");
    let with = |more: &[&'static str]| [&QUANTIZE[..], more].concat();
    let said = refused(&bench, &with(&["--classes", "a,b,c"]));
    assert!(said.contains("the model has 2 classes; list each once, in order"), "{said}");
    bench.command(&with(&["--classes", "never,rare"])).assert().success();
    let right = digest(&bench, &["m.fxm", "data.npz"]);
    let said = refused(&bench, &["eval", "m.fxm", "data.npz", "--classes", "rare,never"]);
    assert!(said.contains("they are never,rare: leave it out"), "{said}");
    assert_eq!(digest(&bench, &["m.fxm", "data.npz"]), right);
    let text = fs::read_to_string(bench.path("m.toml")).unwrap();
    fs::write(bench.path("m.toml"), format!("{text}\n[head]\nclasses = [\"no\", \"yes\"]\n")).unwrap();
    let said = refused(&bench, &with(&["--classes", "a,b"]));
    assert!(said.contains("leave one of them out"), "{said}");
    bench.command(&QUANTIZE).assert().success();
    let label = |bench: &Bench| bench.json(&["run", "m.fxm", "data.npz", "--json"])[0]["label"].clone();
    assert_eq!(label(&bench), "no");
    fs::write(bench.path("m.toml"), text).unwrap();
    bench.command(&with(&["--classes", "a,b"])).assert().success();
    assert_eq!(label(&bench), "a");
}

#[test]
fn thresholds() {
    let bench = Bench::with_case("threshold");
    // The case has no validation split.
    let chosen = [&QUANTIZE[..], &["--choose-threshold", "f1"]].concat();
    let said = refused(&bench, &chosen);
    assert!(said.contains("leave `--choose-threshold` out"), "{said}");
    assert!(said.contains("`fixformer eval M.fxm DATA --choose-threshold … --keep-threshold`"), "{said}");
    bench.command(&QUANTIZE).assert().success();
    let eval = ["eval", "m.fxm", "data.npz", "--json"];
    let kept = bench.json(&[&eval[..], &["--choose-threshold", "f1", "--keep-threshold"]].concat());
    assert_eq!(bench.json(&eval)[0]["threshold"], kept[0]["threshold"]);
    assert!(kept[0]["threshold"].is_object() || kept[0]["threshold"].is_array(), "{}", kept[0]);

    let said = refused(&bench, &["eval", "m.fxm", "data.npz", "--threshold", "0.1,0.2"]);
    assert!(said.contains("lists 2, but the model has 1 outputs; give one for each"), "{said}");
    bench.command(&["eval", "m.fxm", "data.npz", "--threshold", "0.1"]).assert().success();
    let rows = data::load(&bench.path("data.npz"), Split::Test, Options::default()).unwrap();
    let (values, of) = (rows.rows.concat(), rows.rows[0].len());
    let f1 = ["eval", "m.fxm", "x.npz", "--choose-threshold", "f1"];
    npz(&bench.path("x.npz"), &[("x_test", &[rows.rows.len(), of], &values)]);
    let said = refused(&bench, &f1);
    assert!(said.contains("give labels, or a probability after `--threshold`"), "{said}");
    bench.command(&[&f1[..3], &["--threshold", "0.5"]].concat()).assert().success();
    let none = vec![0; rows.rows.len()];
    npz(&bench.path("x.npz"), &[("x_test", &[none.len(), of], &values), ("y_test", &[none.len()], &none)]);
    let said = refused(&bench, &f1);
    assert!(said.contains("no recording is of class 1") && said.contains("give other recordings"), "{said}");
    let labels: Vec<i16> = rows.labels.unwrap().iter().map(|&label| label as i16).collect();
    npz(&bench.path("x.npz"), &[("x_test", &[none.len(), of], &values), ("y_test", &[none.len()], &labels)]);
    bench.command(&f1).assert().success();
    // What is likeliest is wrong: no threshold is right every time.
    let wrong: Vec<i16> = labels.iter().map(|label| 1 - label).collect();
    npz(&bench.path("x.npz"), &[("x_test", &[none.len(), of], &values), ("y_test", &[none.len()], &wrong)]);
    let said = refused(&bench, &["eval", "m.fxm", "x.npz", "--choose-threshold", "precision=1"]);
    assert!(said.contains("ask for less"), "{said}");
    bench.command(&["eval", "m.fxm", "x.npz", "--choose-threshold", "precision=0.5"]).assert().success();

    let bench = Bench::with_digits();
    let said = refused(&bench, &["eval", "digits.fxm", "digits.npz", "--threshold", "0.5"]);
    assert!(said.contains("this model has 10 classes; leave it out"), "{said}");
    bench.command(&["eval", "digits.fxm", "digits.npz"]).assert().success();
}

/// A text column that is the label, under a name of its own.
#[test]
fn a_label_under_a_name_of_its_own() {
    let bench = Bench::with_digits();
    let images = Images::new(20);
    let names = ["nil", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"];
    let header: Vec<String> = (0..PIXELS).map(|pixel| format!("p{pixel}")).collect();
    let line = |row: &[i16], label: &str| {
        row.iter().map(|value| value.to_string() + ",").collect::<String>() + label + "\n"
    };
    let write = |name: &str, label: &dyn Fn(i16) -> String| {
        let rows = images.values.chunks(PIXELS).zip(&images.labels);
        let rows: String = rows.map(|(row, &class)| line(row, &label(class))).collect();
        fs::write(bench.path(name), header.join(",") + ",diagnosis\n" + &rows).unwrap();
    };
    write("numbers.csv", &|class| class.to_string());
    write("words.csv", &|class| names[class as usize].to_owned());
    npz(
        &bench.path("x.npz"),
        &[("x_test", &[20, PIXELS], &images.values), ("y_test", &[20], &images.labels)],
    );
    let right = &bench.json(&["eval", "digits.fxm", "x.npz", "--json"])[0];
    for (file, more) in [("numbers.csv", None), ("words.csv", Some(names.join(",")))] {
        let said = refused(&bench, &["eval", "digits.fxm", file]);
        assert!(said.contains("column `diagnosis` could be the label"), "{said}");
        let label = quoted(&said, "say which: `--label ");
        let mut arguments = vec!["eval", "digits.fxm", file, "--json", "--label", label];
        arguments.extend(more.iter().flat_map(|classes| ["--classes", classes]));
        let line = &bench.json(&arguments)[0];
        assert_eq!((&line["digest"], &line["confusion"]), (&right["digest"], &right["confusion"]), "{file}");
        // What calibrates and what has no labels is asked about it too.
        let quantize =
            ["quantize", "--model", "digits.toml", "--weights", "digits.safetensors", "--calibrate", file];
        let quantize = [&quantize[..], &["-o", "digits.fxm"]].concat();
        assert!(refused(&bench, &quantize).contains("--label diagnosis"));
        bench.command(&[&quantize[..], &["--label", label]].concat()).assert().success();
        bench.quantize().assert().success();
    }
}

/// The kernels that the environment asks for: a name of nobody's is refused with those that there are, and each of them runs.
#[test]
fn kernels_that_are_not_there_are_refused_with_those_that_are() {
    let bench = Bench::with_checkpoint();
    fs::copy(workspace().join("models/digits.fxm"), bench.path("digits.fxm")).unwrap();
    let run = |name: &str| {
        let mut command = bench.command(&["inspect", "digits.fxm"]);
        command.env_remove("FIXFORMER_PORTABLE").env("FIXFORMER_BACKEND", name).assert()
    };
    let refused = run("AVX2").code(1).get_output().stderr.clone();
    let said = String::from_utf8(refused).unwrap();
    let names = said.trim().strip_prefix("error: FIXFORMER_BACKEND is \"AVX2\"; this process can have ");
    let names: Vec<_> = names.unwrap_or_else(|| panic!("{said}")).split(", ").collect();
    assert_eq!(names[0], "portable");
    names.into_iter().for_each(|name| drop(run(name).success()));
}
