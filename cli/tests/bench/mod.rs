//! A folder with the digits model and invented images, and the command to try on them.
#![allow(dead_code)] // Each test program uses a part.

use std::fs::{self, File};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};

use assert_cmd::Command;
use serde_json::Value;
use tempfile::TempDir;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

/// Pixels of an image of the digits model.
pub(crate) const PIXELS: usize = 64;

/// A temporary folder.
pub(crate) struct Bench(TempDir);

impl Bench {
    /// An empty folder.
    pub(crate) fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    /// A folder with `digits.toml`, `digits.safetensors`, `digits.npz` and `digits.fxm`.
    pub(crate) fn with_digits() -> Self {
        let bench = Self::with_checkpoint();
        bench.quantize().assert().success();
        bench
    }

    /// The same without the model file.
    pub(crate) fn with_checkpoint() -> Self {
        let bench = Self::new();
        for file in ["digits.toml", "digits.safetensors"] {
            fs::copy(workspace().join("models").join(file), bench.path(file)).unwrap();
        }
        Images::new(40).write(&bench.path("digits.npz"));
        bench
    }

    /// A folder with the files of a case.
    pub(crate) fn with_case(name: &str) -> Self {
        let bench = Self::new();
        for file in fs::read_dir(workspace().join("tests/cases").join(name)).unwrap() {
            let path = file.unwrap().path();
            fs::copy(&path, bench.path(path.file_name().unwrap().to_str().unwrap())).unwrap();
        }
        bench
    }

    /// A path in the folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// `fixformer`, run in the folder.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::cargo_bin("fixformer").unwrap();
        command.current_dir(self.0.path()).args(arguments);
        command
    }

    /// Quantises the digits model.
    pub(crate) fn quantize(&self) -> Command {
        self.command(&[
            "quantize",
            "--model",
            "digits.toml",
            "--weights",
            "digits.safetensors",
            "--calibrate",
            "digits.npz",
            "-o",
            "digits.fxm",
        ])
    }

    /// The JSON objects that a command prints, one a line.
    pub(crate) fn json(&self, arguments: &[&str]) -> Vec<Value> {
        lines(&mut self.command(arguments))
    }

    /// Changes the model file.
    pub(crate) fn damage(&self, change: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = fs::read(self.path("digits.fxm")).unwrap();
        change(&mut bytes);
        fs::write(self.path("digits.fxm"), bytes).unwrap();
    }

    /// Changes the first words of the model file, which may be too long to be read.
    pub(crate) fn damage_start(&self, change: impl FnOnce(&mut [u8])) {
        let mut file = File::options().read(true).write(true).open(self.path("digits.fxm")).unwrap();
        let mut bytes = [0; 16];
        file.read_exact(&mut bytes).unwrap();
        change(&mut bytes);
        file.rewind().unwrap();
        file.write_all(&bytes).unwrap();
    }

    /// Names of the files in the folder, sorted.
    pub(crate) fn files(&self) -> Vec<String> {
        let entries = fs::read_dir(self.0.path()).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

/// The JSON objects that `command` prints, one a line.
pub(crate) fn lines(command: &mut Command) -> Vec<Value> {
    let output = command.assert().success().get_output().stdout.clone();
    let text = String::from_utf8(output).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The folder of the workspace.
pub(crate) fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// Images of 8 x 8 pixels from 0 to 16, and classes from 0 to 9.
pub(crate) struct Images {
    pub(crate) values: Vec<i16>,
    pub(crate) labels: Vec<i16>,
}

impl Images {
    /// The same ones each time.
    pub(crate) fn new(count: usize) -> Self {
        let mut state = 1_u32;
        let mut random = |limit: u32| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 16) % limit
        };
        let mut values = Vec::new();
        for _ in 0..count {
            // A ring or a bar, somewhere, in ink.
            let (row, column, ring) = (2 + random(4), 2 + random(4), random(2) == 1);
            for pixel in 0..PIXELS as u32 {
                let (y, x) = (pixel / 8, pixel % 8);
                let near = x.abs_diff(column).max(if ring { y.abs_diff(row) } else { 0 });
                let ink = if ring { near == 2 } else { near == 0 };
                values.push(if ink { 10 + random(7) } else { random(3) } as i16);
            }
        }
        let labels = (0..count).map(|_| random(10) as i16).collect();
        Self { values, labels }
    }

    /// An `.npz` with the same images in both splits.
    pub(crate) fn write(&self, path: &Path) {
        let rows = self.labels.len();
        npz(
            path,
            &[
                ("x_train", &[rows, PIXELS], &self.values),
                ("x_test", &[rows, PIXELS], &self.values),
                ("y_test", &[rows], &self.labels),
            ],
        );
    }
}

/// Writes arrays of 16-bit integers as `numpy.savez` does.
pub(crate) fn npz(path: &Path, arrays: &[(&str, &[usize], &[i16])]) {
    let mut archive = ZipWriter::new(File::create(path).unwrap());
    let stored = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    for (name, shape, values) in arrays {
        assert_eq!(values.len(), shape.iter().product::<usize>());
        let shape: String = shape.iter().map(|n| format!("{n},")).collect();
        let header = format!("{{'descr': '<i2', 'fortran_order': False, 'shape': ({shape}), }}");
        // Magic number, version, length and header are a multiple of 64 bytes.
        let header = format!("{header:<117}\n");
        archive.start_file(format!("{name}.npy"), stored).unwrap();
        archive.write_all(b"\x93NUMPY\x01\x00").unwrap();
        archive.write_all(&(header.len() as u16).to_le_bytes()).unwrap();
        archive.write_all(header.as_bytes()).unwrap();
        for value in *values {
            archive.write_all(&value.to_le_bytes()).unwrap();
        }
    }
    archive.finish().unwrap();
}
