//! The folder list is the architecture: a file names only what ranks below it, and unsafe code has three places.

use std::fs;
use std::path::{Path, PathBuf};

/// Modules of the crate, lowest first. A file may name modules of its own rank's folder and of lower ranks.
const RANKS: &[(&str, u32)] = &[
    ("num", 0),
    ("memory", 0),
    ("visible", 0),
    ("digest", 0),
    ("trace", 1),
    ("kernels", 2),
    ("model", 3),
    ("attention", 4),
    ("layers", 5),
    ("session", 6),
    ("host", 7),
];

fn sources() -> Vec<PathBuf> {
    fn walk(directory: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    walk(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
    assert!(found.len() > 20);
    found
}

/// The crate-level module of a file: `num` of `src/num/exp.rs`.
fn module(path: &Path) -> String {
    let inside = path.strip_prefix(Path::new(env!("CARGO_MANIFEST_DIR")).join("src")).unwrap();
    inside.components().next().unwrap().as_os_str().to_str().unwrap().trim_end_matches(".rs").to_owned()
}

fn rank(module: &str) -> Option<u32> {
    RANKS.iter().find(|(name, _)| *name == module).map(|(_, rank)| *rank)
}

#[test]
fn a_file_names_only_lower_ranks() {
    for path in sources() {
        let own = module(&path);
        if own == "lib" {
            continue;
        }
        let own_rank = rank(&own).unwrap_or_else(|| panic!("{own} has no rank"));
        for line in fs::read_to_string(&path).unwrap().lines() {
            let code = line.split("//").next().unwrap();
            for (name, other) in RANKS {
                let named = code.contains(&format!("crate::{name}"));
                let allowed = *name == own || *other < own_rank;
                assert!(!named || allowed, "{}: {own} names {name}\n{line}", path.display());
            }
        }
    }
}

#[test]
fn the_reference_names_nothing_of_the_crate() {
    for path in sources().iter().filter(|path| path.to_str().unwrap().contains("reference")) {
        let text = fs::read_to_string(path).unwrap();
        assert!(!text.contains("crate::") && !text.contains("super::super"), "{}", path.display());
    }
}

#[test]
fn unsafe_code_stays_in_its_places() {
    for path in sources() {
        let text = fs::read_to_string(&path).unwrap();
        let allowed = ["memory", "model", "kernels"].contains(&module(&path).as_str());
        // Examples in the documentation name sections.
        let code = |line: &str| line.split("//").next().unwrap().contains("unsafe");
        assert!(allowed || !text.lines().any(code), "{}", path.display());
    }
}

#[test]
fn files_have_one_subject() {
    for path in sources() {
        let lines = fs::read_to_string(&path).unwrap().lines().count();
        assert!(lines <= 450, "{}: {lines} lines", path.display());
    }
}
