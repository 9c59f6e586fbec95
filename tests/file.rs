//! Files are read if they have an end, and written whole or not at all, never over what is read.
#![cfg(unix)]

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use fixformer::host::file::{self, Files, replace};

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

fn pipe(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn what_is_no_regular_file_stays() {
    let folder = Folder::new("irregular");
    fs::create_dir(folder.0.join("folder")).unwrap();
    let _socket = UnixListener::bind(folder.0.join("socket")).unwrap();
    pipe(&folder.0.join("pipe"));
    symlink("pipe", folder.0.join("link")).unwrap();
    for (name, kind) in
        [("folder", "a folder"), ("socket", "a socket"), ("pipe", "a pipe"), ("link", "a pipe")]
    {
        let path = folder.0.join(name);
        let error = replace(&path, b"contents").unwrap_err().to_string();
        assert!(error.contains(name) && error.contains(kind) && error.contains("no regular file"), "{error}");
        assert!(!path.is_file());
        // Nor is it read: a pipe has no end until somebody writes to it.
        let error = file::read(&path, 100).unwrap_err().to_string();
        assert!(error.contains(kind) && error.contains("no regular file"), "{error}");
    }
    assert_eq!(folder.names(), ["folder", "link", "pipe", "socket"]);
    let nowhere = folder.0.join("nowhere/model.fxm");
    let error = replace(&nowhere, b"contents").unwrap_err().to_string();
    assert!(error.contains("nowhere/model.fxm: cannot be written, and is as it was"), "{error}");
    assert!(error.contains("make its folder"), "{error}");
    let error = replace(&folder.0.join(".."), b"contents").unwrap_err().to_string();
    assert!(error.contains("cannot be written"), "{error}");
}

#[test]
fn a_link_stays_and_what_it_leads_to_is_written() {
    let folder = Folder::new("links");
    fs::create_dir(folder.0.join("deep")).unwrap();
    fs::write(folder.0.join("deep/model.fxm"), "old").unwrap();
    symlink("deep/model.fxm", folder.0.join("near")).unwrap();
    symlink(folder.0.join("near"), folder.0.join("far")).unwrap();
    symlink("deep/new.fxm", folder.0.join("dangling")).unwrap();
    for (link, target) in
        [("far", "deep/model.fxm"), ("near", "deep/model.fxm"), ("dangling", "deep/new.fxm")]
    {
        replace(&folder.0.join(link), link.as_bytes()).unwrap();
        assert!(folder.0.join(link).is_symlink());
        assert!(!folder.0.join(target).is_symlink());
        assert_eq!(fs::read_to_string(folder.0.join(target)).unwrap(), link);
    }
    assert_eq!(folder.names(), ["dangling", "deep", "far", "near"]);
    symlink("circle", folder.0.join("circle")).unwrap();
    let error = replace(&folder.0.join("circle"), b"").unwrap_err().to_string();
    assert!(error.contains("leads to itself"), "{error}");
}

#[test]
fn the_mode_stays_and_that_of_a_new_file_is_usual() {
    let folder = Folder::new("mode");
    let path = folder.0.join("model.fxm");
    fs::write(&path, "old").unwrap();
    let usual = mode(&path);
    for kept in [0o600, 0o640, 0o755] {
        fs::set_permissions(&path, Permissions::from_mode(kept)).unwrap();
        replace(&path, b"new").unwrap();
        assert_eq!(mode(&path), kept);
    }
    let new = folder.0.join("new.fxm");
    replace(&new, b"new").unwrap();
    assert_eq!(mode(&new), usual);
}

#[test]
fn what_is_read_is_not_written_over_whatever_it_is_called() {
    let folder = Folder::new("inputs");
    let at = |name: &str| folder.0.join(name);
    fs::create_dir(at("deep")).unwrap();
    fs::write(at("weights"), "the only copy").unwrap();
    fs::hard_link(at("weights"), at("hard")).unwrap();
    symlink("../weights", at("deep/soft")).unwrap();
    symlink("deep", at("other")).unwrap();
    for name in
        ["weights", "hard", "deep/soft", "deep/../weights", "other/soft", "other/../weights", "./weights"]
    {
        let mut files = Files::default();
        // One that is not there, and one that would never end, are no matter here.
        pipe(&at("pipe"));
        files.read([at("absent"), at("pipe"), at("weights")]);
        let error = files.write(&at(name)).unwrap_err().to_string();
        let weights = at("weights").display().to_string();
        assert!(error.contains("which is read here") && error.contains(&weights), "{name}: {error}");
        fs::remove_file(at("pipe")).unwrap();
        files.rewrite(&at(name)).unwrap();
    }
    // The same bytes are not the same file.
    fs::copy(at("weights"), at("copy")).unwrap();
    let mut files = Files::default();
    files.read([at("weights")]);
    files.write(&at("copy")).unwrap().write(b"new").unwrap();
    assert_eq!(fs::read_to_string(at("weights")).unwrap(), "the only copy");
    assert_eq!(folder.names(), ["copy", "deep", "hard", "other", "weights"]);
}

#[test]
fn nothing_is_written_twice() {
    let folder = Folder::new("twice");
    let at = |name: &str| folder.0.join(name);
    symlink("new", at("link")).unwrap();
    fs::write(at("old"), "").unwrap();
    fs::hard_link(at("old"), at("hard")).unwrap();
    for (one, other) in [("new", "link"), ("link", "./new"), ("old", "hard"), ("a", "a")] {
        let mut files = Files::default();
        files.write(&at(one)).unwrap();
        let error = files.write(&at(other)).unwrap_err().to_string();
        assert!(error.contains("written twice"), "{one}, {other}: {error}");
    }
    let mut files = Files::default();
    files.write(&at("a")).unwrap();
    files.write(&at("b")).unwrap();
    assert_eq!(folder.names(), ["hard", "link", "old"]);
}

#[test]
fn no_more_is_read_than_is_asked_for() {
    let folder = Folder::new("most");
    let path = folder.0.join("data");
    fs::write(&path, [1; 100]).unwrap();
    assert_eq!(file::read(&path, 100).unwrap().len(), 100);
    let error = file::read(&path, 99).unwrap_err().to_string();
    assert!(error.contains("100 bytes") && error.contains("at most 99"), "{error}");
    // A file of nothing but a length.
    fs::File::create(&path).unwrap().set_len(1 << 33).unwrap();
    file::read(&path, file::MOST_BYTES).unwrap_err();
}

#[test]
fn text_is_read_in_the_encodings_that_editors_write() {
    let text = "a µ 心\r\n";
    let wide = |one: fn(u16) -> [u8; 2]| -> Vec<u8> {
        let units = [0xfeff].into_iter().chain(text.encode_utf16());
        units.flat_map(one).collect()
    };
    let marked = [b"\xef\xbb\xbf", text.as_bytes()].concat();
    for bytes in [text.as_bytes().to_vec(), marked, wide(u16::to_le_bytes), wide(u16::to_be_bytes)] {
        assert_eq!(file::decode(bytes), text);
    }
    assert_eq!(file::decode(b"9.81 m/s\xb2".to_vec()), "9.81 m/s²");
}
