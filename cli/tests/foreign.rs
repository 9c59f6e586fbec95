//! Files of others: what has no end is not read, what is large takes no memory for what it claims, and names do nothing to the
//! terminal.
#![cfg(unix)]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use bench::Bench;
use predicates::str::contains;

mod bench;

/// Long enough for what waits for nothing.
const SOON: Duration = Duration::from_secs(60);

fn pipe(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

#[test]
fn what_has_no_end_is_not_read() {
    let bench = Bench::with_digits();
    let quantize = ["quantize", "--model", "digits.toml", "--weights", "digits.safetensors", "--calibrate"];
    let with = |at: usize, name: &str| {
        let mut arguments = [&quantize[..], &["digits.npz", "-o", "new.fxm"]].concat();
        arguments[at] = name;
        arguments.iter().map(|argument| (*argument).to_owned()).collect::<Vec<String>>()
    };
    let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<String>>();
    for (name, arguments) in [
        ("m.toml", with(2, "m.toml")),
        ("m.json", with(2, "m.json")),
        ("w.safetensors", with(4, "w.safetensors")),
        ("w.index.json", with(4, "w.index.json")),
        ("d.npz", with(6, "d.npz")),
        ("d.npy", with(6, "d.npy")),
        ("d.csv", with(6, "d.csv")),
        ("d.ts", with(6, "d.ts")),
        ("d.wav", with(6, "d.wav")),
        ("s.npy", [with(2, "digits.toml"), words("--expect s.npy")].concat()),
        ("f.safetensors", [with(2, "digits.toml"), words("--frozen f.safetensors")].concat()),
        ("g.onnx", words("quantize --model g.onnx --calibrate digits.npz -o new.fxm")),
        ("m.fxm", words("inspect m.fxm")),
        ("m.fxm", words("eval m.fxm digits.npz")),
        ("d.csv", words("run digits.fxm d.csv")),
        ("d.safetensors", words("describe d.safetensors")),
        ("device.log", words("diff digits.fxm device.log")),
    ] {
        // Read only, and there is nothing in it to read.
        for kind in ["a pipe", "a device"] {
            match kind {
                "a pipe" => pipe(&bench.path(name)),
                _ => symlink("/dev/null", bench.path(name)).unwrap(),
            }
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            let said = contains(format!("error: {name}: cannot be read: it is {kind}, no regular file"));
            bench.command(&arguments).timeout(SOON).assert().code(1).stderr(said);
            fs::remove_file(bench.path(name)).unwrap();
        }
    }
    // Among shards and recordings of a folder too.
    fs::write(bench.path("index.json"), r#"{"weight_map": {"a": "shard.safetensors"}}"#).unwrap();
    pipe(&bench.path("shard.safetensors"));
    let arguments = with(4, "index.json");
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    bench.command(&arguments).timeout(SOON).assert().code(1).stderr(contains("it is a pipe"));
    fs::create_dir_all(bench.path("folder")).unwrap();
    pipe(&bench.path("folder/1.csv"));
    let said = contains("folder/1.csv: cannot be read: it is a pipe");
    bench.command(&["run", "digits.fxm", "folder"]).timeout(SOON).assert().code(1).stderr(said);
    assert!(!bench.path("new.fxm").exists());
}

/// A model file of another length than it says is not read to its end.
#[test]
fn a_model_is_no_longer_than_it_says() {
    let bench = Bench::with_digits();
    let words = fs::metadata(bench.path("digits.fxm")).unwrap().len() / 4;
    fs::File::options().write(true).open(bench.path("digits.fxm")).unwrap().set_len(1 << 33).unwrap();
    let said = format!("digits.fxm: length: {words} words expected, 2147483648 found");
    bench.command(&["inspect", "digits.fxm"]).timeout(SOON).assert().code(1).stderr(contains(said));
    bench.damage_start(|bytes| bytes[8..12].copy_from_slice(&(1_u32 << 31).to_le_bytes()));
    let said = contains("8589934592 bytes are more than any flash has");
    bench.command(&["inspect", "digits.fxm"]).timeout(SOON).assert().code(1).stderr(said);
    bench.damage_start(|bytes| bytes[0] = b'?');
    let said = contains("not a fixformer model");
    bench.command(&["inspect", "digits.fxm"]).timeout(SOON).assert().code(1).stderr(said);
}

/// The file has 1 GiB of recordings, which are not there: a length takes no room on the disk.
#[test]
fn the_first_rows_take_no_memory_for_the_others() {
    let bench = Bench::with_digits();
    let header = "{'descr': '<i2', 'fortran_order': False, 'shape': (8388608, 64), }";
    let start = [b"\x93NUMPY\x01\x00\x76\x00", format!("{header:<117}\n").as_bytes()].concat();
    fs::write(bench.path("large.npy"), &start).unwrap();
    let file = fs::File::options().write(true).open(bench.path("large.npy")).unwrap();
    file.set_len(start.len() as u64 + (1 << 30)).unwrap();
    let command = assert_cmd::cargo::cargo_bin("fixformer");
    let mut shell = assert_cmd::Command::new("sh");
    // One heap for all threads: each heap reserves addresses that nothing uses.
    shell.env("MALLOC_ARENA_MAX", "1").current_dir(bench.path("."));
    shell.args(["-c", "ulimit -v 500000; exec \"$@\"", "sh"]).arg(command);
    shell.args(["eval", "digits.fxm", "large.npy", "--rows", "3"]);
    shell.assert().success().stdout(contains("3 recordings"));
}

/// Everything that is printed, of which no character is a command to a terminal.
fn printed(bench: &Bench, arguments: &[&str]) -> String {
    let output = bench.command(arguments).timeout(SOON).output().unwrap();
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
    let odd = |c: char| c.is_control() && c != '\n' || c == '\u{202e}';
    assert!(!text.contains(odd), "{arguments:?}: {text:?}");
    text
}

#[test]
fn names_do_nothing_to_the_terminal() {
    const EVIL: &str = "\u{1b}[2J\u{9b}31m\u{7}\u{202e}";
    const SHOWN: &str = r"\u001b[2J\u009b31m\u0007\u202e";
    let bench = Bench::with_checkpoint();
    let named =
        fs::read_to_string(bench.path("digits.toml")).unwrap().replace("\"digits\"", &format!("\"{SHOWN}\""));
    fs::write(bench.path("evil.toml"), named).unwrap();
    let checkpoint = ["--model", "evil.toml", "--weights", "digits.safetensors"];
    let quantize = ["quantize", "--calibrate", "digits.npz", "-o", "evil.fxm"];
    let shows = |arguments: &[&str]| {
        let text = printed(&bench, arguments);
        assert!(text.contains(SHOWN), "{arguments:?}: {text}");
        text
    };
    shows(&[&quantize[..], &checkpoint].concat());
    // What the model is called.
    shows(&["inspect", "evil.fxm"]);
    shows(&["fit", "evil.fxm"]);
    shows(&[&["eval", "evil.fxm", "digits.npz"], &checkpoint[..]].concat());
    let line = shows(&[&["eval", "evil.fxm", "digits.npz", "--json"], &checkpoint[..]].concat());
    let line: serde_json::Value = serde_json::from_str(line.lines().next().unwrap()).unwrap();
    assert_eq!(line["model"], EVIL);
    // Files, columns, labels and keys.
    let file = format!("{EVIL}.csv");
    fs::write(bench.path(&file), "1,2,x\n").unwrap();
    shows(&["run", "evil.fxm", &file]);
    fs::write(bench.path("columns.csv"), format!("a,{EVIL}\n1,x\n")).unwrap();
    shows(&["run", "evil.fxm", "columns.csv"]);
    fs::write(bench.path("labels.csv"), format!("{}{EVIL}\n", "1,".repeat(64))).unwrap();
    shows(&["eval", "evil.fxm", "labels.csv", "--label", "last"]);
    fs::write(bench.path("key.toml"), format!("\"{SHOWN}\" = 1\n")).unwrap();
    let keys = ["--model", "key.toml", "--weights", "digits.safetensors"];
    shows(&[&quantize[..], &keys].concat());
    // Tensors.
    let view = safetensors::tensor::TensorView::new(safetensors::Dtype::F32, vec![1], &[0; 4]).unwrap();
    fs::write(bench.path("w.safetensors"), safetensors::serialize([(EVIL, view)], None).unwrap()).unwrap();
    shows(&["describe", "w.safetensors"]);
}

#[test]
fn a_name_of_two_lines_says_nothing_of_its_own() {
    const FORGED: &str = "x\nerror: all is lost";
    let bench = Bench::with_checkpoint();
    let named = fs::read_to_string(bench.path("digits.toml"))
        .unwrap()
        .replace("\"digits\"", r#""x\nerror: all is lost""#);
    fs::write(bench.path("forged.toml"), &named).unwrap();
    fs::write(bench.path("keys.toml"), format!("\"x\\nerror: all is lost\" = 1\n{named}")).unwrap();
    let view = safetensors::tensor::TensorView::new(safetensors::Dtype::F32, vec![1], &[0; 4]).unwrap();
    fs::write(bench.path("w.safetensors"), safetensors::serialize([(FORGED, view)], None).unwrap()).unwrap();
    fs::copy(bench.path("digits.npz"), bench.path(FORGED)).unwrap();
    for (model, weights) in [
        ("forged.toml", "digits.safetensors"),
        ("forged.toml", "w.safetensors"),
        ("keys.toml", "digits.safetensors"),
        ("forged.toml", FORGED),
    ] {
        let quantize = ["quantize", "--model", model, "--weights", weights, "--calibrate", "digits.npz"];
        says_it_as_a_name(&bench, &[&quantize[..], &["-o", "forged.fxm"]].concat());
    }
    for arguments in [
        &["describe", "w.safetensors"][..],
        &["inspect", "forged.fxm"],
        &["fit", "forged.fxm"],
        &["eval", "forged.fxm", "digits.npz"],
        &["eval", FORGED, "digits.npz"],
    ] {
        says_it_as_a_name(&bench, arguments);
    }
}

fn says_it_as_a_name(bench: &Bench, arguments: &[&str]) {
    let text = printed(bench, arguments);
    assert!(text.contains("error: all is lost"), "{arguments:?}: {text}");
    assert!(!text.lines().any(|line| line.starts_with("error: all is lost")), "{arguments:?}: {text}");
}
