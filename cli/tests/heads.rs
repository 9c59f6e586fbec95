//! Models that are asked for more than one of several classes: descriptions, thresholds, `eval`, `run` and `inspect`.

use std::fs;

use bench::{Bench, Images, PIXELS, npz};
use predicates::prelude::PredicateBooleanExt;
use predicates::str::contains;
use serde_json::Value;

mod bench;

const ROWS: usize = 40;

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is not a number"))
}

/// The digits with other words in the description, and with what `y` makes of the images.
fn asked(more: &str, y: impl Fn(&Images) -> (Vec<usize>, Vec<i16>)) -> Bench {
    let bench = Bench::with_checkpoint();
    let text = fs::read_to_string(bench.path("digits.toml")).unwrap();
    let text = text.replace("[pooling]\nkind = \"mean\"\n", "");
    fs::write(bench.path("digits.toml"), text + more).unwrap();
    let images = Images::new(ROWS);
    let (shape, labels) = y(&images);
    let x = [ROWS, PIXELS];
    npz(
        &bench.path("digits.npz"),
        &[
            ("x_train", &x, &images.values),
            ("x_val", &x, &images.values),
            ("x_test", &x, &images.values),
            ("y_val", &shape, &labels),
            ("y_test", &shape, &labels),
        ],
    );
    bench
}

const EVAL: [&str; 4] = ["eval", "digits.fxm", "digits.npz", "--json"];

#[test]
fn a_single_logit_is_a_yes_or_no() {
    let bench = Bench::with_case("single_logit");
    let quantize = ["quantize", "--model", "m.toml", "--weights", "w.safetensors", "--calibrate", "data.npz"];
    bench.command(&[&quantize[..], &["-o", "m.fxm", "--classes", "quiet,loud"]].concat()).assert().success();
    let float = ["--model", "m.toml", "--weights", "w.safetensors"];
    let line = &bench.json(&[&["eval", "m.fxm", "data.npz", "--json"], &float[..]].concat())[0];
    assert_eq!((number(&line["accuracy_fixed"]), number(&line["accuracy_float"])), (1.0, 1.0), "{line}");
    assert_eq!((number(&line["roc_auc"]), &line["threshold"]), (1.0, &Value::Null));
    assert_eq!(line["per_class"][1]["label"], "loud");
    let none = &bench.json(&["eval", "m.fxm", "nolabel.npz", "--json"])[0];
    assert_eq!((&none["accuracy_fixed"], &none["digest"]), (&Value::Null, &line["digest"]));
    let both: std::collections::BTreeSet<String> = bench
        .json(&["run", "m.fxm", "nolabel.npz", "--json"])
        .iter()
        .map(|line| format!("{} {}", line["class"], line["label"].as_str().unwrap()))
        .collect();
    assert_eq!(both.into_iter().collect::<Vec<_>>(), ["0 quiet", "1 loud"]);
    bench.command(&["inspect", "m.fxm"]).assert().success().stdout(contains("yes or no: quiet, loud"));
}

#[test]
fn a_threshold_is_kept_in_the_model_file() {
    let bench = Bench::with_case("threshold");
    let quantize = ["quantize", "--model", "m.toml", "--weights", "w.safetensors", "--calibrate", "data.npz"];
    let quantize = [&quantize[..], &["-o", "m.fxm"]].concat();
    bench.command(&quantize).assert().success();
    let with =
        |more: &[&str]| bench.json(&[&["eval", "m.fxm", "data.npz", "--json"], more].concat()).remove(0);
    let plain = with(&[]);
    let chosen = with(&["--choose-threshold", "recall=1"]);
    assert_eq!(number(&chosen["per_class"][1]["recall"]), 1.0);
    // Not kept unless that is asked for.
    assert_eq!(with(&[]), plain);
    let kept = with(&["--choose-threshold", "recall=1", "--keep-threshold"]);
    assert_eq!(kept, chosen);
    let now = with(&[]);
    assert_eq!((&now["confusion"], &now["digest"]), (&chosen["confusion"], &plain["digest"]));
    // The file has whole numbers of the finest score.
    assert!((number(&now["threshold"]["margin"]) - number(&chosen["threshold"]["margin"])).abs() < 0.01);
    bench
        .command(&["inspect", "m.fxm"])
        .assert()
        .success()
        .stdout(contains("; yes above a probability of 0."));
    assert_eq!(with(&["--threshold", "0.5"])["confusion"], plain["confusion"]);

    // Given when it is made.
    bench.command(&[&quantize[..], &["--threshold", "0.04"]].concat()).assert().success();
    assert!((number(&with(&[])["threshold"]["probability"]) - 0.04).abs() < 1e-3);
    bench
        .command(&[&quantize[..], &["--choose-threshold", "f1"]].concat())
        .assert()
        .code(1)
        .stderr(contains("no array `x_val`"));
    bench
        .command(&["eval", "m.fxm", "data.npz", "--keep-threshold"])
        .assert()
        .code(1)
        .stderr(contains("add one of them"));
    let precise = with(&["--choose-threshold", "precision=0.5"]);
    assert!(number(&precise["per_class"][1]["precision"]) >= 0.5);
}

#[test]
fn several_labels_are_judged_each() {
    let two = |images: &Images| {
        let ink = |image: &[i16]| image.iter().filter(|&&pixel| pixel > 8).count();
        let labels = images.values.chunks(PIXELS).flat_map(|image| {
            (0..10).map(|label| i16::from(ink(image) > 8) * i16::from(label == 3) + i16::from(label == 7))
        });
        (vec![ROWS, 10], labels.collect())
    };
    let bench = asked("\n[head]\ntask = \"multilabel\"\n", two);
    bench.quantize().args(["--choose-threshold", "f1", "--threshold", "0.5"]).assert().code(2);
    bench.quantize().assert().success();
    let line = &bench.json(&[&EVAL[..], &["--scores", "scores.csv"]].concat())[0];
    assert_eq!(line["per_class"].as_array().unwrap().len(), 10);
    assert!(number(&line["hamming_loss"]) <= 1.0 && line["micro_f1"].is_number() && line["mcc"].is_null());
    assert_eq!((&line["per_class"][7]["recordings"], &line["confusion"]), (&Value::from(ROWS), &Value::Null));
    assert!(number(&line["agreement"]) > 0.9, "{line}");
    let scores = fs::read_to_string(bench.path("scores.csv")).unwrap();
    let first: Vec<&str> = scores.lines().nth(1).unwrap().split(',').collect();
    assert_eq!((first.len(), first[1].split(' ').count(), first[2].split(' ').count()), (14, 10, 10));
    // One threshold for all, or one for each.
    let none = &bench.json(&[&EVAL[..], &["--threshold", "1"]].concat())[0];
    assert_eq!(number(&none["per_class"][7]["recall"]), 0.0);
    let of_each = "0,0,0,0,0,0,0,0,1,1";
    let line = &bench.json(&[&EVAL[..], &["--threshold", of_each, "--keep-threshold"]].concat())[0];
    assert_eq!(number(&line["per_class"][7]["recall"]), 1.0);
    let ran = &bench.json(&["run", "digits.fxm", "digits.npz", "--json"])[0];
    assert_eq!(ran["labels"].as_array().unwrap().len(), 8, "{ran}");
    bench
        .command(&[&EVAL[..3], &["--threshold", "0.1,0.2"]].concat())
        .assert()
        .code(1)
        .stderr(contains("lists 2, but the model has 10 outputs"));

    // A label that is neither 0 nor 1, and one for each recording.
    let images = Images::new(ROWS);
    let x = [ROWS, PIXELS];
    let mut labels = vec![0; 10 * ROWS];
    labels[15] = 2;
    npz(&bench.path("odd.npz"), &[("x_test", &x, &images.values), ("y_test", &[ROWS, 10], &labels)]);
    bench
        .command(&["eval", "digits.fxm", "odd.npz"])
        .assert()
        .code(1)
        .stderr(contains("odd.npz: test split, row 1: a label is 2; give 1 for each output that is yes"));
    npz(&bench.path("one.npz"), &[("x_test", &x, &images.values), ("y_test", &[ROWS], &images.labels)]);
    bench
        .command(&["eval", "digits.fxm", "one.npz"])
        .assert()
        .code(1)
        .stderr(contains("1 values, but the model has 10 outputs").and(contains("[rows, 10]")));
}

#[test]
fn numbers_are_measured_in_their_unit() {
    let head = "\n[head]\ntask = \"regression\"\nunit = \"bpm\"\nscale = 10.0\noffset = 70.0\n";
    let numbers = |images: &Images| (vec![ROWS, 10], images.values[..10 * ROWS].to_vec());
    let bench = asked(head, numbers);
    bench.quantize().assert().success().stdout(contains("same answer").not());
    let line = &bench.json(&EVAL)[0];
    assert_eq!(
        (&line["accuracy_fixed"], &line["agreement"], &line["confusion"]),
        (&Value::Null, &Value::Null, &Value::Null)
    );
    assert!(number(&line["rmse"]) >= number(&line["mae"]), "{line}");
    assert_eq!(
        (&line["per_output"][3]["unit"], line["per_output"].as_array().unwrap().len()),
        (&Value::from("bpm"), 10)
    );
    bench.command(&EVAL[..3]).assert().success().stdout(contains("bpm").and(contains("accuracy").not()));
    // The same network as classes, moved and stretched.
    let ran = bench.json(&["run", "digits.fxm", "digits.npz", "--json"]);
    let values = |line: &Value| line["values"].as_array().unwrap().iter().map(number).collect::<Vec<_>>();
    let plain = Bench::with_digits();
    let classes = plain.json(&["run", "digits.fxm", "digits.npz", "--json", "--scores"]);
    for (line, class) in ran.iter().zip(&classes) {
        for (value, score) in values(line).iter().zip(class["scores"].as_array().unwrap()) {
            let expected = 10.0 * number(score) + 70.0;
            assert!((value - expected).abs() < 1.0, "{value} {expected}");
        }
    }
    bench
        .command(&[&EVAL[..3], &["--threshold", "0.5"]].concat())
        .assert()
        .code(1)
        .stderr(contains("this model gives numbers"));
}

#[test]
fn every_token_is_judged() {
    // 57 windows of 8 pixels; those that begin a row do not count.
    let tokens = PIXELS - 7;
    let labels = |images: &Images| {
        let of_image = |label: &i16| {
            let label = *label;
            (0..tokens).map(move |token| if token % 8 == 0 { -100 } else { label }).collect::<Vec<_>>()
        };
        (vec![ROWS, tokens], images.labels.iter().flat_map(of_image).collect())
    };
    let bench = asked("\n[pooling]\nkind = \"none\"\n", labels);
    bench.quantize().assert().success();
    let line = &bench.json(&[&EVAL[..], &["--scores", "scores.csv"]].concat())[0];
    let counted: u64 = line["confusion"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|row| row.as_array().unwrap())
        .map(|n| n.as_u64().unwrap())
        .sum();
    assert_eq!(counted as usize, ROWS * (tokens - 8));
    let scores = fs::read_to_string(bench.path("scores.csv")).unwrap();
    assert_eq!(scores.lines().count(), 1 + ROWS * tokens);
    assert!(scores.starts_with("row,token,label,class,saturated,score_0"), "{scores}");
    assert!(scores.lines().nth(1).unwrap().starts_with("0,0,,"), "the first token of a row has no label");
    assert!(scores.lines().nth(tokens + 2).unwrap().starts_with("1,1,"));
    let ran = bench.json(&["run", "digits.fxm", "digits.npz", "--json"]);
    assert_eq!(
        (ran.len(), &ran[tokens + 1]["token"], &ran[tokens + 1]["row"]),
        (ROWS * tokens, &Value::from(1), &Value::from(1))
    );
    bench
        .command(&["inspect", "digits.fxm"])
        .assert()
        .success()
        .stdout(contains("one of 10 classes, of each token"));
    // Another value to ignore is said, and where it is not it is no class.
    bench
        .command(&[&EVAL[..3], &["--ignore-label", "-1"]].concat())
        .assert()
        .code(1)
        .stderr(contains("token 0 has the label -100").and(contains("--ignore-label -100")));
    // The passes keep nothing of a token.
    bench
        .command(&[&EVAL[..3], &["--passes"]].concat())
        .assert()
        .code(1)
        .stderr(contains("what a layer keeps grows").or(contains("every token has scores of its own")));
}

#[test]
fn what_is_beyond_the_range_is_said() {
    let bench = Bench::with_case("out_of_range");
    let quantize =
        ["quantize", "--model", "m.toml", "--weights", "w.safetensors", "-o", "m.fxm", "--calibrate"];
    bench.command(&[&quantize[..], &["data.npz"]].concat()).assert().success();
    let eval = ["eval", "m.fxm", "data.npz"];
    let line = &bench.json(&[&eval[..], &["--json", "--scores", "scores.csv"]].concat())[0];
    assert_eq!(
        (&line["saturated_samples"], &line["saturated_recordings"]),
        (&Value::from(895), &Value::from(200))
    );
    bench
        .command(&eval)
        .assert()
        .success()
        .stdout(contains("895 samples in 200 of 200 recordings are beyond the range"));
    let scores = fs::read_to_string(bench.path("scores.csv")).unwrap();
    let saturated =
        scores.lines().skip(1).map(|line| line.split(',').nth(3).unwrap().parse::<usize>().unwrap());
    assert_eq!(saturated.sum::<usize>(), 895);
    bench.command(&["run", "m.fxm", "data.npz"]).assert().success().stdout(contains("beyond range"));
    // What it says to do helps.
    bench.command(&[&quantize[..], &["hard.npz"]].concat()).assert().success();
    let line = &bench.json(&[&eval[..], &["--json"]].concat())[0];
    assert_eq!(
        (&line["saturated_samples"], &line["saturated_recordings"]),
        (&Value::from(0), &Value::from(0))
    );
}

#[test]
fn a_head_that_contradicts_itself_is_refused() {
    let bench = Bench::with_checkpoint();
    let text =
        fs::read_to_string(bench.path("digits.toml")).unwrap().replace("[pooling]\nkind = \"mean\"\n", "");
    for (head, message) in [
        ("task = \"binary\"", "`head.task` is `binary`, but the head has 10 outputs"),
        ("unit = \"V\"", "`head.unit` is of outputs that are numbers"),
        ("classes = [\"a\", \"b\"]", "`head.classes` lists 2, expected 10"),
        ("task = \"regression\"\nscale = [1.0, 2.0]", "`head.scale` lists 2, expected 10"),
        ("task = \"regression\"\noffset = nan", "`head.offset` has NaN"),
        ("task = \"ranking\"", "unknown variant `ranking`"),
        ("task = \"regression\"\nscale = 0.0", "`head.scale` has 0; give numbers above 0"),
        (
            "classes = [\"a\", \"a\", \"c\", \"d\", \"e\", \"f\", \"g\", \"h\", \"i\", \"j\"]",
            "`head.classes` has \"a\"",
        ),
        ("task = \"multilabel\"\n[pooling]\nkind = \"none\"", "`head.task` is of each token"),
    ] {
        fs::write(bench.path("digits.toml"), format!("{text}\n[head]\n{head}\n")).unwrap();
        bench.quantize().assert().code(1).stderr(contains(message));
    }
    fs::write(bench.path("digits.toml"), &text).unwrap();
    bench
        .quantize()
        .args(["--classes", "a,b"])
        .assert()
        .code(1)
        .stderr(contains("lists 2, but the model has 10"));
    bench.quantize().args(["--threshold", "0.5"]).assert().code(1).stderr(contains("has 10 classes"));
}

/// Names of the file say which class a label is, in whatever order data list them; what is none of them is an error.
#[test]
fn names_in_the_file_say_which_class_a_label_is() {
    let bench = Bench::with_case("threshold");
    let quantize = ["quantize", "--model", "m.toml", "--weights", "w.safetensors", "--calibrate", "data.npz"];
    let make = |classes: &str| {
        let more = ["-o", "m.fxm", "--classes", classes];
        bench.command(&[&quantize[..], &more].concat()).assert().success();
    };
    make("zero,a rare one");
    let said = bench.json(&["run", "m.fxm", "data.npz", "--json"]);
    // Each recording in the folder of its class, whose names have another order.
    for line in said.iter().take(40) {
        let folder = bench.path("folder").join(line["label"].as_str().unwrap());
        fs::create_dir_all(&folder).unwrap();
        let row = line["row"].as_u64().unwrap();
        let values = vec![(10 * row + 1).to_string(); 27].join("\n");
        fs::write(folder.join(format!("{row}.csv")), values).unwrap();
    }
    fs::create_dir_all(bench.path("folder/a rare one")).unwrap();
    let folder = ["eval", "m.fxm", "folder", "--header", "no"];
    let line = &bench.json(&[&folder[..], &["--json"]].concat())[0];
    assert_eq!(line["per_class"][0]["recordings"], 40);
    fs::rename(bench.path("folder/zero"), bench.path("folder/Zero")).unwrap();
    bench
        .command(&folder)
        .assert()
        .code(1)
        .stderr(contains("label `Zero` is none of the classes zero, a rare one"));

    // Names that are numbers are what labels that are numbers say.
    make("7,9");
    bench
        .command(&["eval", "m.fxm", "data.npz"])
        .assert()
        .code(1)
        .stderr(contains("label `0` is none of the classes 7, 9"));
    make("1,0");
    let swapped = &bench.json(&["eval", "m.fxm", "data.npz", "--json"])[0];
    assert_eq!(swapped["per_class"][0]["recordings"], 20);

    // The same names in another order are a mistake; others are other names.
    make("zero,one");
    for command in [["eval", "m.fxm"], ["run", "m.fxm"]] {
        bench
            .command(&[&command[..], &["data.npz", "--classes", "one,zero"]].concat())
            .assert()
            .code(1)
            .stderr(contains("they are zero,one"));
    }
    let named = &bench.json(&["run", "m.fxm", "data.npz", "--json", "--classes", "no,yes"])[0];
    assert_eq!(named["label"], "no");
    for classes in ["a,a", "a,", "a,b,c"] {
        let more = ["-o", "m.fxm", "--classes", classes];
        bench.command(&[&quantize[..], &more].concat()).assert().code(1).stderr(contains("--classes"));
    }
}

#[test]
fn a_failed_threshold_leaves_the_file_as_it_was() {
    let bench = Bench::with_digits();
    let before = fs::read(bench.path("digits.fxm")).unwrap();
    bench.quantize().args(["--choose-threshold", "f1"]).assert().code(1);
    bench
        .command(&[&EVAL[..3], &["--threshold", "0.5", "--keep-threshold"]].concat())
        .assert()
        .code(1)
        .stderr(contains("has 10 classes"));
    assert_eq!(fs::read(bench.path("digits.fxm")).unwrap(), before);
}

/// `--expect` of a model that classifies tokens compares all of them.
#[test]
fn scores_of_every_token_are_expected() {
    let labels = |_: &Images| (vec![ROWS], vec![0; ROWS]);
    let bench = asked("\n[pooling]\nkind = \"none\"\n", labels);
    let tokens = PIXELS - 7;
    npz(&bench.path("short.npz"), &[("scores", &[1, 10], &[0; 10])]);
    npz(&bench.path("all.npz"), &[("scores", &[1, tokens, 10], &vec![1; 10 * tokens])]);
    bench
        .quantize()
        .args(["--expect", "short.npz"])
        .assert()
        .code(1)
        .stderr(contains("expected [rows, tokens, 10]: the scores of each token"));
    bench.quantize().args(["--expect", "all.npz"]).assert().code(1).stderr(contains("differs by"));
}

/// The float model is given real values as they are, so that what rounding them costs is seen.
#[test]
fn rounding_of_real_values_counts_as_error() {
    let bench = Bench::with_digits();
    let images = Images::new(ROWS);
    for (file, off) in [("exact.csv", 0.0), ("off.csv", 0.025)] {
        let line = |image: &[i16]| {
            let real = |&raw: &i16| format!("{:?}", f64::from(raw) * 0.0625 + off);
            image.iter().map(real).collect::<Vec<_>>().join(",")
        };
        let lines: Vec<String> = images.values.chunks(PIXELS).map(line).collect();
        fs::write(bench.path(file), lines.join("\n")).unwrap();
    }
    let eval = |file: &str| {
        let more = ["--scale", "0.0625", "--header", "no", "--json"];
        bench.json(&[&["eval", "digits.fxm", file], &more[..]].concat()).remove(0)
    };
    let [exact, off] = ["exact.csv", "off.csv"].map(eval);
    assert_eq!(exact["digest"], off["digest"]);
    assert!(number(&off["logit_rel_l2"]) > 2.0 * number(&exact["logit_rel_l2"]), "{off} {exact}");
}
