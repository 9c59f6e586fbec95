//! Whole classifiers of Hugging Face, imported from their own configuration and parameter names.

mod shared;

use std::path::{Path, PathBuf};

use fixformer::host::golden::{Loaded, Run, WholeModel, load};
use fixformer::host::reference::Site;
use fixformer::host::report::{best, relative_l2};
use safetensors::SafeTensors;

/// A tensor in f32 with the width of its rows; none if there is none.
fn stream(tensors: &SafeTensors<'_>, name: &str) -> Option<(usize, Vec<f64>)> {
    let view = tensors.tensor(name).ok()?;
    let values = view.data().as_chunks().0.iter().map(|&x| f32::from_le_bytes(x).into()).collect();
    Some((view.shape()[1], values))
}

/// Worst distance of the streams on the way that the file has, over the rows that are not padding.
fn streams(path: &Path, case: &WholeModel) -> f64 {
    let bytes = std::fs::read(path).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let valid = case.mask.as_ref().map_or(case.ids.len(), |mask| mask.iter().filter(|&&valid| valid).count());
    let (mut worst, mut compared) = (0_f64, 0);
    let mut observe = |site: Site, x: &[f64]| {
        let name = match (site.block, site.tensor) {
            (None, "embedding") => "hidden.0".to_owned(),
            (Some(block), "norm2") => format!("hidden.{}", block + 1),
            (Some(block), "residual1") => format!("y1.{block}"),
            (Some(block), "residual2") => format!("y2.{block}"),
            _ => return,
        };
        if let Some((width, expected)) = stream(&tensors, &name) {
            worst = worst.max(relative_l2(&x[..valid * width], &expected[..valid * width]));
            compared += 1;
        }
    };
    case.network.forward(&case.ids, case.mask.as_deref(), &mut observe).unwrap();
    assert!(compared >= 3, "{} streams compared", compared);
    worst
}

/// The files of a folder, sorted.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

/// The reference agrees to rounding, the engine to 1 % and in the class.
#[test]
fn whole_classifiers_agree() {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/models");
    let mut paths = files(&shipped);
    let more = shared::root().join("golden/models");
    if more.is_dir() {
        paths.extend(files(&more));
        paths.sort_by_key(|path| path.file_name().map(ToOwned::to_owned));
        paths.dedup_by_key(|path| path.file_name().map(ToOwned::to_owned));
    } else {
        println!("skipped: no further golden files at {} (set FIXFORMER_SHARED)", more.display());
    }
    let mut compared = 0;
    for path in paths {
        let Loaded::WholeModel(case) = load(&path).unwrap() else { continue };
        let Run { reference, engine, buckets } = case.run().unwrap();
        let [float, fixed] = [&reference, &engine].map(|scores| relative_l2(scores, &case.expected));
        let streams = streams(&path, &case);
        let name = path.file_name().unwrap().display();
        let flips =
            buckets.map_or(String::new(), |(flips, all)| format!(" ({flips} of {all} buckets differ)"));
        println!("reference {float:.1e}, streams {streams:.1e}, engine {fixed:.1e}{flips}: {name}");
        // Scores are stored in f64, streams in f32.
        assert!(float <= 1e-9 && streams <= 1e-6, "{name}");
        // A query on the edge of two buckets may fall to either side, and moves the edges of all later chunks.
        let flipped = buckets.is_some_and(|(flips, _)| flips > 0);
        assert!(fixed <= if flipped { 0.25 } else { 1e-2 }, "{name}");
        assert_eq!(best(&engine), best(&case.expected), "{name}");
        compared += 1;
    }
    assert!(compared > 0);
}
