//! What `eval` says of the answers, thresholds, tables of scores, and `run`.

use std::fs;
use std::path::Path;

use bench::{Bench, Images, PIXELS, lines, npz, workspace};
use predicates::prelude::PredicateBooleanExt;
use predicates::str::contains;
use serde_json::Value;

mod bench;

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is not a number"))
}

/// A folder with the model of a case, quantised, and its data.
fn with_case(name: &str) -> Bench {
    let bench = Bench::with_case(name);
    let quantize = ["quantize", "--model", "m.toml", "--weights", "w.safetensors", "--calibrate", "data.npz"];
    bench.command(&[&quantize[..], &["-o", "m.fxm"]].concat()).assert().success();
    bench
}

/// Lines of a `.csv`, the header apart.
fn table(path: &Path) -> (String, Vec<Vec<String>>) {
    let text = fs::read_to_string(path).unwrap();
    let (header, rest) = text.split_once('\n').unwrap();
    let fields = |line: &str| line.split(',').map(str::to_owned).collect();
    (header.to_owned(), rest.lines().map(fields).collect())
}

#[test]
fn eval_says_what_the_answers_are_worth() {
    let bench = Bench::with_digits();
    let line = &bench.json(&["eval", "digits.fxm", "digits.npz", "--json"])[0];
    for share in ["macro_f1", "balanced_accuracy", "ece"] {
        assert!((0.0..=1.0).contains(&number(&line[share])), "{share} {line}");
    }
    assert!((-1.0..=1.0).contains(&number(&line["mcc"])), "{line}");
    for other in ["roc_auc", "mae", "rmse", "threshold"] {
        assert!(line.as_object().unwrap().contains_key(other) && line[other].is_null(), "{other} {line}");
    }
    let classes = line["per_class"].as_array().unwrap();
    assert_eq!(classes.len(), 10);
    let recordings: u64 = classes.iter().map(|class| class["recordings"].as_u64().unwrap()).sum();
    assert_eq!(recordings, 40);
    // As the confusion matrix has it.
    let confusion = line["confusion"].as_array().unwrap();
    let recalls = classes.iter().enumerate().filter_map(|(class, of)| {
        let all: f64 = confusion[class].as_array().unwrap().iter().map(number).sum();
        let recall = number(&confusion[class][class]) / all;
        (all > 0.0).then(|| assert!((number(&of["recall"]) - recall).abs() < 1e-12, "{of}"))
    });
    assert!(recalls.count() > 5);
    bench
        .command(&["eval", "digits.fxm", "digits.npz"])
        .assert()
        .success()
        .stdout(contains("macro-F1").and(contains("MCC")).and(contains("ECE")).and(contains("precision")));
    // Nothing of it without labels.
    let line = &bench.json(&["eval", "digits.fxm", "digits.npz", "--split", "train", "--json"])[0];
    for figure in ["accuracy_fixed", "macro_f1", "balanced_accuracy", "mcc", "ece", "per_class"] {
        assert!(line[figure].is_null(), "{figure} {line}");
    }
}

#[test]
fn the_scores_of_every_recording() {
    let bench = Bench::with_digits();
    let eval = ["eval", "digits.fxm", "digits.npz", "--scores", "scores.csv", "--json"];
    let line = &bench.json(&eval)[0];
    let (header, rows) = table(&bench.path("scores.csv"));
    assert!(header.starts_with("row,label,class,saturated,score_0,score_1,") && header.ends_with(",score_9"));
    assert_eq!(rows.len(), 40);
    let right = rows.iter().filter(|row| row[1] == row[2]).count();
    assert!((right as f64 / 40.0 - number(&line["accuracy_fixed"])).abs() < 1e-12);
    for (index, row) in rows.iter().enumerate() {
        let scores: Vec<f64> = row[4..].iter().map(|score| score.parse().unwrap()).collect();
        let class: usize = row[2].parse().unwrap();
        assert_eq!(row[0], index.to_string());
        assert!(scores.len() == 10 && scores.iter().all(|&score| score <= scores[class]), "{row:?}");
    }
    bench.command(&[&eval[..3], &["--split", "train", "--scores", "scores.csv"]].concat()).assert().success();
    assert_eq!(table(&bench.path("scores.csv")).1[0][1], "");
    let nowhere = [&eval[..3], &["--scores", "no/where.csv"]].concat();
    bench.command(&nowhere).assert().code(1).stderr(contains("no/where.csv: cannot be written"));
}

/// 4 % of the recordings are of class 1, and few of them score above class 0.
#[test]
fn a_threshold_finds_what_is_rare() {
    let bench = with_case("threshold");
    let eval = ["eval", "m.fxm", "data.npz", "--json"];
    let with = |more: &[&str]| bench.json(&[&eval[..], more].concat()).remove(0);
    let recall = |line: &Value| number(&line["per_class"][1]["recall"]);
    let plain = with(&["--scores", "scores.csv"]);
    assert_eq!(plain["per_class"][1]["recordings"], 20);
    assert!((recall(&plain) - 0.15).abs() < 1e-9, "{plain}");
    assert!(number(&plain["roc_auc"]) > 0.9, "{plain}");

    let (_, rows) = table(&bench.path("scores.csv"));
    let mut margins: Vec<f64> =
        rows.iter().map(|row| row[5].parse::<f64>().unwrap() - row[4].parse::<f64>().unwrap()).collect();
    margins.sort_by(f64::total_cmp);
    // The 96 % quantile, between two recordings.
    let quantile = (margins[479] + margins[480]) / 2.0;
    let probability = (1.0 / (1.0 + (-quantile).exp())).to_string();
    let line = with(&["--threshold", &probability]);
    assert_eq!(recall(&line), 1.0, "{line}");
    assert_eq!(line["confusion"][1][1], 20);
    assert!((number(&line["threshold"]["margin"]) - quantile).abs() < 1e-9);
    assert_eq!(line["digest"], plain["digest"]);

    let f1 = |line: &Value| number(&line["per_class"][1]["f1"]);
    let best = with(&["--choose-threshold", "f1"]);
    assert!(f1(&best) >= f1(&line) && f1(&best) > f1(&plain), "{best}");
    let found = with(&["--choose-threshold", "recall=0.9"]);
    assert!(recall(&found) >= 0.9);
    // The same again, given as the number that was printed; and of a recording alone.
    let given = number(&found["threshold"]["probability"]).to_string();
    assert_eq!(with(&["--threshold", &given])["confusion"], found["confusion"]);
    let ran = lines(&mut bench.command(&["run", "m.fxm", "data.npz", "--json", "--threshold", &given]));
    let ones = ran.iter().filter(|line| line["class"] == 1).count() as u64;
    let confusion = &found["confusion"];
    assert_eq!(ones, confusion[0][1].as_u64().unwrap() + confusion[1][1].as_u64().unwrap());

    bench
        .command(&eval[..3])
        .args(["--choose-threshold", "f1"])
        .assert()
        .success()
        .stderr(contains("too good"));
    bench.command(&eval[..3]).args(["--threshold", "7"]).assert().code(2);
    bench
        .command(&eval[..3])
        .args(["--threshold", "f1"])
        .assert()
        .code(2)
        .stderr(contains("--choose-threshold"));
    npz(&bench.path("bare.npz"), &[("x_test", &[1, 27], &[0; 27])]);
    bench
        .command(&["eval", "m.fxm", "bare.npz", "--choose-threshold", "f1"])
        .assert()
        .code(1)
        .stderr(contains("no labels").and(contains("give labels, or a probability")));
    let digits = Bench::with_digits();
    digits
        .command(&["eval", "digits.fxm", "digits.npz", "--threshold", "0.5"])
        .assert()
        .code(1)
        .stderr(contains("two classes").and(contains("has 10")));
}

#[test]
fn run_says_the_class_of_every_recording_of_every_format() {
    let bench = Bench::with_digits();
    bench.command(&["eval", "digits.fxm", "digits.npz", "--scores", "scores.csv"]).assert().success();
    let expected: Vec<String> =
        table(&bench.path("scores.csv")).1.into_iter().map(|row| row[2].clone()).collect();
    let images = Images::new(40);
    let rows: Vec<Vec<String>> =
        images.values.chunks(PIXELS).map(|row| row.iter().map(ToString::to_string).collect()).collect();
    let joined = |separator: &str| rows.iter().map(|row| row.join(separator) + "\n").collect::<String>();
    fs::write(bench.path("x.csv"), joined(",")).unwrap();
    fs::write(bench.path("x.tsv"), joined("\t")).unwrap();
    fs::write(bench.path("x.ts"), format!("@classLabel false\n@data\n{}", joined(","))).unwrap();
    for (index, row) in rows.iter().enumerate() {
        fs::create_dir_all(bench.path("set")).unwrap();
        fs::write(bench.path(&format!("set/{index:02}.csv")), row.join("\n")).unwrap();
    }
    npz(&bench.path("x.npz"), &[("x", &[40, PIXELS], &images.values)]);
    for data in ["x.csv", "x.tsv", "x.ts", "x.npz", "set"] {
        // A column that begins with 0 may have that for a heading, so it is to be said.
        let ran = lines(&mut bench.command(&["run", "digits.fxm", data, "--header", "no", "--json"]));
        let classes: Vec<String> = ran.iter().map(|line| line["class"].to_string()).collect();
        assert_eq!(classes, expected, "{data}");
        assert!(ran.iter().all(|line| line.get("scores").is_none() && number(&line["probability"]) > 0.1));
    }
    let several = ["run", "digits.fxm", "x.csv", "set", "--header", "no", "--json", "--scores"];
    let ran = lines(&mut bench.command(&several));
    assert_eq!((ran.len(), &ran[0]["file"], &ran[40]["file"]), (80, &"x.csv".into(), &"set/00.csv".into()));
    assert_eq!(ran[0]["scores"].as_array().unwrap().len(), 10);
    assert_eq!(ran[0]["scores"], ran[40]["scores"]);

    let names = "zero,one,two,three,four,five,six,seven,eight,nine";
    bench
        .command(&["run", "digits.fxm", "x.csv", "--classes", names])
        .assert()
        .success()
        .stdout(contains("probability").and(contains("x.csv")).and(contains(" e").or(contains(" n"))));
    bench
        .command(&["run", "digits.fxm", "x.csv", "--classes", "a,b"])
        .assert()
        .code(1)
        .stderr(contains("lists 2").and(contains("10 classes")));
    // Labels are no hindrance, whatever they are; a recording that does not fit is named.
    let labelled: String = rows.iter().map(|row| row.join(",") + ",what\n").collect();
    fs::write(bench.path("labelled.csv"), labelled).unwrap();
    bench.command(&["run", "digits.fxm", "labelled.csv", "--label", "last"]).assert().success();
    fs::write(bench.path("set/01.csv"), "1\n2\n").unwrap();
    bench
        .command(&["run", "digits.fxm", "x.csv", "set", "--header", "no"])
        .assert()
        .code(1)
        .stdout("")
        .stderr(contains("set/01.csv").and(contains("remove that recording or pad it")));
}

/// The advice of the messages about labels and axes, followed.
#[test]
fn what_is_advised_works() {
    let bench = Bench::with_digits();
    let images = Images::new(20);
    let write = |name: &str, label: &dyn Fn(i16) -> String| {
        let rows = images.values.chunks(PIXELS).zip(&images.labels).map(|(row, &class)| {
            let values: Vec<String> = row.iter().map(ToString::to_string).collect();
            values.join(",") + "," + &label(class) + "\n"
        });
        fs::write(bench.path(name), rows.collect::<String>()).unwrap();
    };
    let eval = |data: &str, more: &[&str]| {
        let mut command = bench.command(&["eval", "digits.fxm", data, "--label", "last", "--json"]);
        command.args(more);
        command
    };
    let advised = |data: &str| {
        let error = eval(data, &[]).assert().code(1).get_output().stderr.clone();
        let error = String::from_utf8(error).unwrap();
        error.split("`--classes ").nth(1).expect(&error).split(['`', ';']).next().unwrap().to_owned()
    };
    write("plain.csv", &|class| class.to_string());
    let plain = &lines(&mut eval("plain.csv", &[]))[0];
    write("counted.csv", &|class| (class + 1).to_string());
    let classes = advised("counted.csv");
    assert_eq!(classes, "1,2,3,4,5,6,7,8,9,10");
    let counted = &lines(&mut eval("counted.csv", &["--classes", &classes]))[0];
    assert_eq!(
        (&counted["accuracy_fixed"], &counted["digest"]),
        (&plain["accuracy_fixed"], &plain["digest"])
    );
    assert_eq!(counted["per_class"][0]["label"], "1");
    // Words: all of them are numbered by the alphabet, and said so; some of them cannot be.
    write("words.csv", &|class| format!("class{class}"));
    let present = images.labels.iter().collect::<std::collections::BTreeSet<_>>().len();
    assert!(present < 10, "the case needs a class that is absent");
    let some = advised("words.csv");
    assert_eq!(some.split(',').count(), present);
    let all: Vec<String> = (0..10).map(|class| format!("class{class}")).collect();
    let words = &lines(&mut eval("words.csv", &["--classes", &all.join(",")]))[0];
    assert_eq!(words["confusion"], plain["confusion"]);

    // Real values: the scale of the message.
    let real: String = images
        .values
        .chunks(PIXELS)
        .map(|row| {
            let values: Vec<String> =
                row.iter().map(|&value| format!("{:.4}", f64::from(value) * 0.0625)).collect();
            values.join(",") + "\n"
        })
        .collect();
    fs::write(bench.path("real.csv"), real).unwrap();
    bench
        .command(&["eval", "digits.fxm", "real.csv"])
        .assert()
        .code(1)
        .stderr(contains("add `--scale 0.0625`"));
    let scaled = &bench.json(&["eval", "digits.fxm", "real.csv", "--scale", "0.0625", "--json"])[0];
    assert_eq!(scaled["digest"], plain["digest"]);

    // One channel in the place of the steps: transposed, not reshaped.
    npz(&bench.path("x.npz"), &[("x_test", &[20, 1, PIXELS], &images.values)]);
    let eval = ["eval", "digits.fxm", "x.npz"];
    bench
        .command(&eval)
        .assert()
        .code(1)
        .stderr(contains("x.transpose(0, 2, 1)").and(contains("reshape").not()));
    npz(&bench.path("x.npz"), &[("x_test", &[20, PIXELS, 1], &images.values)]);
    let turned = &bench.json(&[&eval[..], &["--json"]].concat())[0];
    assert_eq!(turned["digest"], plain["digest"]);
}

/// The page of data files has every option about them, and no other.
#[test]
fn the_page_of_data_files_has_the_options() {
    let page = fs::read_to_string(workspace().join("docs/reference.md")).unwrap();
    let page = page.split("\n## Data files").nth(1).unwrap();
    let help = Bench::new().command(&["run", "--help"]).output().unwrap().stdout;
    let help = String::from_utf8(help).unwrap();
    let options = |text: &str| -> std::collections::BTreeSet<String> {
        let words = text.split("--").skip(1);
        let name =
            |word: &str| word.split(|c: char| !c.is_ascii_lowercase()).next().unwrap_or_default().to_owned();
        words.map(name).filter(|name| !name.is_empty()).collect()
    };
    let mut expected = options(&help);
    // About the model and the answers, not the data.
    for other in ["threshold", "scores", "json", "help", "model", "weights", "frozen", "plan", "max"] {
        assert!(expected.remove(other), "{other}");
    }
    assert_eq!(options(page), expected);
}
