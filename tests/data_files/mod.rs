//! Data files for tests, and what is said of them.
#![allow(dead_code)] // Each test program uses a part.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use fixformer::host::data::{self, DataError, Options, Recordings, Split};
use zip::CompressionMethod;
use zip::write::{SimpleFileOptions, ZipWriter};

/// A file of `tests/cases`.
pub(crate) fn case(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases").join(name)
}

/// That the message of `error` has all of `words`.
pub(crate) fn says(error: &DataError, words: &[&str]) {
    let message = error.to_string();
    for word in words {
        assert!(message.contains(word), "no {word:?} in: {message}");
    }
}

/// A numpy array of that type and shape, version 1.
pub(crate) fn npy(kind: &str, shape: &str, bytes: &[u8]) -> Vec<u8> {
    let header = format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': ({shape}), }}\n");
    let mut array = b"\x93NUMPY\x01\x00".to_vec();
    array.extend((header.len() as u16).to_le_bytes());
    array.extend(header.as_bytes());
    array.extend(bytes);
    array
}

/// A file in a folder of its own, removed at the end.
pub(crate) struct File {
    pub(crate) path: PathBuf,
}

impl File {
    pub(crate) fn new(name: &str) -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder = format!("fixformer-data-{}-{count}", std::process::id());
        let folder = std::env::temp_dir().join(folder);
        std::fs::create_dir_all(&folder).unwrap();
        File { path: folder.join(name) }
    }

    pub(crate) fn bytes(self, bytes: &[u8]) -> Self {
        std::fs::write(&self.path, bytes).unwrap();
        self
    }

    pub(crate) fn npz(self, arrays: &[(&str, Vec<u8>)]) -> Self {
        let mut zip = ZipWriter::new(std::fs::File::create(&self.path).unwrap());
        for (index, (name, bytes)) in arrays.iter().enumerate() {
            let methods = [CompressionMethod::Deflated, CompressionMethod::Stored];
            let options = SimpleFileOptions::default().compression_method(methods[index % 2]);
            zip.start_file(format!("{name}.npy"), options).unwrap();
            zip.write_all(bytes).unwrap();
        }
        zip.finish().unwrap();
        self
    }

    pub(crate) fn load(&self) -> Result<Recordings, DataError> {
        self.load_with(Options::default())
    }

    pub(crate) fn load_with(&self, options: Options<'_>) -> Result<Recordings, DataError> {
        data::load(&self.path, Split::Test, options)
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(self.path.parent().unwrap());
    }
}
