//! LSH and BigBird of the float reference against their authors' own outputs, and the reader of those files.

mod shared;

use std::path::{Path, PathBuf};

use fixformer::host::golden::{self, Case, Extra, Loaded};
use safetensors::Dtype;
use safetensors::tensor::TensorView;

/// Golden files directly below `folder` whose case is one of `mechanisms`.
fn cases(folder: &Path, mechanisms: &[&str]) -> Vec<Case> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "safetensors"))
        .collect();
    files.sort();
    let loaded = files.iter().filter_map(|file| match golden::load(file).unwrap() {
        Loaded::Case(case) => Some(*case),
        _ => None,
    });
    loaded.filter(|case| mechanisms.contains(&case.mechanism.name())).collect()
}

/// Runs every case, prints a line for each and fails on those that do not agree.
///
/// The limits are those of `Case::limit`: 1e-9 against f64 outputs, 1e-6 against f32 ones. They hold for
/// files with discounted duplicates too, because the reference takes that logarithm in f32 as well.
fn agree(cases: &[Case]) {
    let mut wrong = Vec::new();
    let mut worst = (0.0, "");
    for case in cases {
        let error = case.error(&case.reference());
        let (mut flips, mut hashes) = (0, 0);
        for head in &case.heads {
            let Extra::Lsh { buckets: Some(expected), .. } = &head.extra else { continue };
            let Some(found) = case.reference_buckets(head) else { continue };
            assert_eq!(found.len(), expected.len());
            flips += found.iter().zip(expected).filter(|(found, expected)| found != expected).count();
            hashes += found.len();
        }
        println!("{error:.1e} of {:.0e}, {flips} of {hashes} buckets differ: {}", case.limit(), case.file);
        if error > case.limit() || flips > 0 {
            wrong.push(&case.file);
        }
        if !case.single && error > worst.0 {
            worst = (error, &case.file);
        }
    }
    println!("{} files; worst against f64 {:.1e}: {}", cases.len(), worst.0, worst.1);
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// The golden files of another checkout, if there is one.
fn shared(folder: &str) -> Option<PathBuf> {
    let root = shared::root();
    let folder = root.join("golden").join(folder);
    if folder.is_dir() {
        return Some(folder);
    }
    println!("skipped: no golden files at {} (set FIXFORMER_SHARED)", folder.display());
    None
}

#[test]
fn the_shipped_golden_files_agree() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let cases = cases(&folder, &["lsh", "bigbird"]);
    assert!(cases.len() >= 8);
    agree(&cases);
}

#[test]
fn every_lsh_golden_file_agrees() {
    let Some(folder) = shared("lsh") else { return };
    let cases = cases(&folder, &["lsh"]);
    assert!(!cases.is_empty());
    agree(&cases);
}

#[test]
fn every_bigbird_golden_file_agrees() {
    let Some(folder) = shared("bigbird") else { return };
    let cases = cases(&folder, &["bigbird"]);
    assert!(!cases.is_empty());
    agree(&cases);
}

/// Writes a golden file of zeros with `metadata` and these tensors, and reads it back.
fn written(name: &str, metadata: &[(&str, &str)], tensors: &[(&str, Dtype, &[usize])]) -> String {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.safetensors"));
    let metadata = metadata.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect();
    let zeros = vec![0; 1 << 12];
    let views = tensors.iter().map(|&(name, kind, shape)| {
        let bytes = shape.iter().product::<usize>() * if kind == Dtype::F64 { 8 } else { 4 };
        (name, TensorView::new(kind, shape.to_vec(), &zeros[..bytes]).unwrap())
    });
    safetensors::serialize_to_file(views, Some(metadata), &path).unwrap();
    match golden::load(&path) {
        Ok(_) => "loaded".to_owned(),
        Err(error) => error.to_string(),
    }
}

#[test]
fn what_cannot_be_honoured_is_refused_by_name() {
    let good = [
        ("algo", "reformer_lsh"),
        ("variant", "hf"),
        ("causal", "false"),
        ("n_buckets", "[2, 4]"),
        ("n_hashes", "2"),
        ("chunk", "4"),
        ("chunks_before", "1"),
        ("chunks_after", "0"),
        ("bucket_mask", "false"),
        ("dedup", "false"),
        ("valid_len", "8"),
    ];
    let (rows, single) = ([1, 8, 2], Dtype::F32);
    let tensors: [(&str, Dtype, &[usize]); 4] = [
        ("qk", single, &rows),
        ("v", single, &rows),
        ("out", Dtype::F64, &rows),
        ("rotations", single, &[1, 2, 2, 3]),
    ];
    assert_eq!(written("lsh", &good, &tensors), "loaded");
    let wrong = [
        ("algo", "other"),
        ("variant", "jax"),
        ("causal", "2"),
        ("n_buckets", "[2, 3]"),
        ("n_hashes", "0"),
        ("chunk", "-4"),
        ("dedup", "hard"),
        ("valid_len", "9"),
        ("score_scale", "q.k_hat/sqrt(d) (k_hat=q/max(norm,1e-12))"),
    ];
    for (field, value) in wrong {
        let rest = good.iter().filter(|(key, _)| *key != field).copied();
        let error =
            written(&format!("lsh_{field}"), &rest.chain([(field, value)]).collect::<Vec<_>>(), &tensors);
        assert!(error.contains(&format!("`{field}`")), "{field}: {error}");
    }
    let error = written("lsh_rotations", &good, &tensors[..3]);
    assert!(error.contains("`rotations`"), "{error}");

    let good =
        [("algo", "bigbird_itc"), ("variant", "hf"), ("block", "2"), ("n_rand", "1"), ("valid_len", "8")];
    let tensors: [(&str, Dtype, &[usize]); 5] = [
        ("q", single, &rows),
        ("k", single, &rows),
        ("v", single, &rows),
        ("out", Dtype::F64, &rows),
        ("rand_blocks", Dtype::I32, &[1, 2, 1]),
    ];
    assert_eq!(written("bigbird", &good, &tensors), "loaded");
    for (field, value) in [("block", "3"), ("variant", "simulated_sparse"), ("n_rand", "many")] {
        let rest = good.iter().filter(|(key, _)| *key != field).copied();
        let name = format!("bigbird_{field}");
        let error = written(&name, &rest.chain([(field, value)]).collect::<Vec<_>>(), &tensors);
        assert!(error.contains(&format!("`{field}`")), "{field}: {error}");
    }
    let error = written("bigbird_plan", &good, &tensors[..4]);
    assert!(error.contains("`rand_blocks`"), "{error}");
}
