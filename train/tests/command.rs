//! The `fixformer-train` command is interrupted, and runs out of space: the last good checkpoint is intact.
#![cfg(unix)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use fixformer::host::import;
use tempfile::TempDir;

const COMMAND: &str = env!("CARGO_BIN_EXE_fixformer-train");
const RECIPE: &str = r#"
name = "test"
[input]
kind = "tokens"
[encoder]
layers = 1
width = 8
heads = 2
hidden = 8
[train]
data = "data.csv"
EPOCHS
"#;

/// A recipe and its recordings in a folder.
fn folder(epochs: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("test.toml"), RECIPE.replace("EPOCHS", epochs)).unwrap();
    let rows: String = (0..40).map(|row| format!("{},{},{}\n", 1 + row % 2, 2 - row % 2, row % 2)).collect();
    fs::write(folder.path().join("data.csv"), rows).unwrap();
    folder
}

fn whole(folder: &Path, checkpoint: &Path) {
    import::network(&folder.join("test.toml"), checkpoint).unwrap();
}

fn until_there(path: &Path) {
    let started = Instant::now();
    while !path.is_file() {
        assert!(started.elapsed() < Duration::from_secs(120), "no {}", path.display());
        sleep(Duration::from_millis(20));
    }
}

#[test]
fn ctrl_c_ends_it_with_the_best_so_far() {
    let folder = folder("minutes = 60.0");
    let checkpoint = folder.path().join("a.safetensors");
    let training = Command::new(COMMAND)
        .arg("run")
        .arg(folder.path().join("test.toml"))
        .arg("-o")
        .arg(&checkpoint)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    until_there(&checkpoint);
    assert!(Command::new("kill").args(["-INT", &training.id().to_string()]).status().unwrap().success());
    let output = training.wait_with_output().unwrap();
    assert!(output.status.success());
    assert!(String::from_utf8(output.stdout).unwrap().contains("interrupted"));
    whole(folder.path(), &checkpoint);
    let left: Vec<PathBuf> =
        fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(left.iter().all(|path| path.extension().unwrap() != "part"), "{left:?}");
}

/// The only copy of what it is trained on is not written over, whatever it is called.
#[test]
fn what_is_read_is_not_written_over() {
    let folder = folder("epochs = 1");
    std::os::unix::fs::symlink("test.toml", folder.path().join("soft")).unwrap();
    fs::hard_link(folder.path().join("data.csv"), folder.path().join("hard")).unwrap();
    let files = || ["test.toml", "data.csv"].map(|name| fs::read(folder.path().join(name)).unwrap());
    let before = files();
    for (output, input) in
        [("test.toml", "test.toml"), ("soft", "test.toml"), ("data.csv", "data.csv"), ("hard", "data.csv")]
    {
        let run = Command::new(COMMAND)
            .current_dir(folder.path())
            .args(["run", "test.toml", "-o", output])
            .output()
            .unwrap();
        let message = String::from_utf8_lossy(&run.stderr).into_owned();
        assert_eq!(run.status.code(), Some(1), "{message}");
        let expected =
            format!("error: {output}: would be written over, but it is {input}, which is read here");
        assert!(message.contains(&expected), "{message}");
        assert!(files() == before, "{output}");
    }
    let pipe = folder.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    for command in [&["run", "test.toml", "-o", "pipe"][..], &["generate", "marks", "-o", "pipe"]] {
        let run = Command::new(COMMAND).current_dir(folder.path()).args(command).output().unwrap();
        let message = String::from_utf8_lossy(&run.stderr).into_owned();
        assert!(
            message.contains("error: pipe: ") && message.contains("it is a pipe, no regular file"),
            "{message}"
        );
        assert!(!pipe.is_file());
    }
}

/// The size of files is limited, which says the same as a full disk: nothing more can be written.
#[test]
fn a_full_disk_leaves_the_last_checkpoint() {
    let folder = folder("epochs = 2");
    let checkpoint = folder.path().join("a.safetensors");
    let train = |limit: &str, seed: &str| {
        let mut shell = Command::new("sh");
        shell.arg("-c").arg(format!("trap '' XFSZ; ulimit -f {limit}; exec \"$@\"")).arg("sh");
        shell.arg(COMMAND).arg("run").arg(folder.path().join("test.toml")).arg("-o").arg(&checkpoint);
        shell.args(["--seed", seed]).output().unwrap()
    };
    let output = train("unlimited", "1");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let before = fs::read(&checkpoint).unwrap();

    let output = train("1", "2");
    assert!(!output.status.success());
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(message.contains("cannot be written"), "{message}");
    assert_eq!(fs::read(&checkpoint).unwrap(), before);
    whole(folder.path(), &checkpoint);
}
