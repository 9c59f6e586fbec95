//! Files are written whole or not at all.
#![cfg(unix)]

use std::fs;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;

use fixformer::host::file::replace;

/// A folder that goes with its owner.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("fixformer-{name}-{}", std::process::id()));
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_file_is_new_or_another_and_nothing_is_left_beside_it() {
    let folder = Folder::new("file");
    let path = folder.0.join("model.fxm");
    for contents in ["a first one", "another", ""] {
        replace(&path, contents.as_bytes()).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), contents);
        assert_eq!(folder.names(), ["model.fxm"]);
    }
}

/// A process that was killed may have left its file, and the next may have its number.
#[test]
fn what_is_left_of_another_is_not_in_the_way_and_stays() {
    let folder = Folder::new("left");
    let (path, part) = (folder.0.join("model.fxm"), format!("model.fxm.{}-0.part", std::process::id()));
    fs::write(folder.0.join(&part), "not ours").unwrap();
    replace(&path, b"whole").unwrap();
    assert_eq!(folder.names(), ["model.fxm", &part]);
    assert_eq!(fs::read(&path).unwrap(), b"whole");
    assert_eq!(fs::read_to_string(folder.0.join(part)).unwrap(), "not ours");
}

#[test]
fn what_is_no_regular_file_stays() {
    let folder = Folder::new("irregular");
    fs::create_dir(folder.0.join("folder")).unwrap();
    let _socket = UnixListener::bind(folder.0.join("socket")).unwrap();
    for name in ["folder", "socket"] {
        let path = folder.0.join(name);
        let error = replace(&path, b"contents").unwrap_err().to_string();
        assert!(error.contains(name) && error.contains("no regular file"), "{error}");
        assert!(!path.is_file());
    }
    assert_eq!(folder.names(), ["folder", "socket"]);
    let nowhere = folder.0.join("nowhere/model.fxm");
    let error = replace(&nowhere, b"contents").unwrap_err().to_string();
    assert!(error.contains("nowhere/model.fxm: cannot be written, and is as it was"), "{error}");
}
