//! A bounded number of changed files of each kind that people have.

use std::fs;
use std::path::{Path, PathBuf};

use fixformer_fuzz::random::Source;
use fixformer_fuzz::{mutate, readers};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Files of the repository with this ending, below `folder`.
fn files(folder: &str, ending: &str) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    let mut folders = vec![repository().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|found| found == ending) {
                found.push(fs::read(path).unwrap());
            }
        }
    }
    found.retain(|file| file.len() < 1 << 18);
    assert!(!found.is_empty(), "no .{ending} below {folder}");
    found
}

/// `count` changed files in `body`.
fn changed(originals: &[Vec<u8>], count: usize, body: impl Fn(&[u8])) {
    let mut source = Source(1);
    originals.iter().for_each(|file| body(file));
    for _ in 0..count {
        let file = &originals[source.below(originals.len())];
        body(&mutate::bytes(&mut source, file));
    }
}

#[test]
fn data_is_read_or_refused_by_name() {
    for (ending, count) in [("csv", 3_000), ("npz", 1_000), ("npy", 1_000)] {
        changed(&files("tests", ending), count, |bytes| readers::data(ending, bytes));
    }
    let ts =
        b"@problemName two\n@timestamps false\n@classLabel true a b\n@data\n1,2,3:4,5,6:a\n7,8,9:1,2,3:b\n"
            .to_vec();
    changed(&[ts], 3_000, |bytes| readers::data("ts", bytes));
    let mut wav =
        b"RIFF\x2c\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0\x40\x1f\0\0\x80\x3e\0\0\x02\0\x10\0data\x08\0\0\0"
            .to_vec();
    wav.extend([1, 0, 2, 0, 3, 0, 4, 0]);
    changed(&[wav], 3_000, |bytes| readers::data("wav", bytes));
}

#[test]
fn descriptions_and_weights_are_read_or_refused_by_name() {
    let weights = repository().join("models/digits.safetensors");
    let description = repository().join("models/digits.toml");
    let descriptions = [files("models", "toml"), files("tests", "toml")].concat();
    changed(&descriptions, 1_500, |bytes| readers::description(bytes, &weights));
    changed(&[fs::read(&weights).unwrap()], 300, |bytes| readers::safetensors(bytes, &description));
}
