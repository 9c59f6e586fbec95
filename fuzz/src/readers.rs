//! Bodies that take any bytes as one of the files that people have: an error names the file, and nothing panics.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use fixformer::host::data::{self, Options, Split};
use fixformer::host::import;
use fixformer::host::scale::SampleScale;

/// The endings of data files.
pub const DATA: [&str; 5] = ["csv", "npy", "npz", "ts", "wav"];

/// A file of data, by its ending.
pub fn data(ending: &str, bytes: &[u8]) {
    let scale = SampleScale::of_channels(vec![0.01]);
    with_file(ending, bytes, |path| {
        for options in
            [Options::default(), Options { scale: Some(&scale), channels: Some(2), ..Options::default() }]
        {
            for split in [Split::Test, Split::Train] {
                match data::load(path, split, options) {
                    Ok(read) => assert!(read.rows.iter().all(|row| row.len() % read.channels.max(1) == 0)),
                    Err(error) => names(path, &error),
                }
            }
        }
    });
}

/// A description, and the network that it makes of the weights in `weights`.
pub fn description(bytes: &[u8], weights: &Path) {
    with_file("toml", bytes, |path| {
        if let Err(error) = import::read(path) {
            names(path, &error);
        }
        let _ = import::network(path, weights);
    });
}

/// Weights, and the network that `description` makes of them.
pub fn safetensors(bytes: &[u8], description: &Path) {
    with_file("safetensors", bytes, |path| {
        if let Err(error) = import::network(description, path) {
            assert!(!error.to_string().is_empty());
        }
    });
}

fn names(path: &Path, error: &dyn std::fmt::Display) {
    let (error, name) = (error.to_string(), path.file_name().unwrap_or_default().to_string_lossy());
    assert!(error.contains(&*name), "does not name {name}: {error}");
}

/// `with` of a file of these bytes, which goes afterwards.
fn with_file(ending: &str, bytes: &[u8], with: impl FnOnce(&Path)) {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    struct Gone(PathBuf);
    impl Drop for Gone {
        fn drop(&mut self) {
            let _ = fs::remove_file(&self.0);
        }
    }
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let name = format!("fixformer-fuzz-{}-{number}.{ending}", std::process::id());
    let file = Gone(std::env::temp_dir().join(name));
    fs::write(&file.0, bytes).expect("the folder for temporary files takes one");
    with(&file.0);
}
