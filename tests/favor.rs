//! FAVOR+ in the engine: against the authors' outputs, against the f64 reference where those have none, and what
//! must hold in every bit.

#[path = "favor/heads.rs"]
mod heads;
mod shared;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use fixformer::Model;
use fixformer::host::draw::{RowLength, orthogonal_projection};
use fixformer::host::engine::Engine;
use fixformer::host::golden::{self, Case, Extra, Loaded, Mechanism};
use fixformer::host::quantize::favor::*;
use fixformer::host::quantize::integers;
use fixformer::host::reference::attention::favor::{Favor, Features, Offsets};
use fixformer::model::{self, AttentionKind, write};
use fixformer_fuzz::random::kinds;
use fixformer_fuzz::random::{Options, Source, all_wide, length, network};
use heads::integer_maps;

/// The largest error that counts as agreement.
fn limit(distribution: &str) -> f64 {
    if distribution == "hot" { 1e-2 } else { 1e-3 }
}

/// Every FAVOR file of a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.file_name().unwrap().to_string_lossy().contains("favor"));
    files.sort();
    files
}

fn agrees(folder: &Path) -> usize {
    let mut worst: BTreeMap<String, (f64, usize)> = BTreeMap::new();
    for path in files(folder) {
        let Loaded::Case(case) = golden::load(&path).unwrap() else {
            assert!(path.to_string_lossy().contains("sincos"), "{} should be built", path.display());
            continue;
        };
        let found = case.engine().unwrap_or_else(|| panic!("{}: not built", case.file));
        let error = case.error(&found);
        println!("{:<64} {} {error:.2e}", case.file, case.distribution);
        assert!(error <= limit(&case.distribution), "{}: {error:e}", case.file);
        let entry = worst.entry(case.distribution.clone()).or_default();
        *entry = (entry.0.max(error), entry.1 + 1);
    }
    for (distribution, (error, count)) in &worst {
        println!("{distribution}: {count} files, worst {error:.2e}");
    }
    worst.values().map(|(_, count)| count).sum()
}

#[test]
fn shipped_files() {
    assert!(agrees(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")) >= 4);
}

#[test]
fn golden_files() {
    let root = shared::root();
    let folder = root.join("golden/favor");
    if folder.is_dir() {
        assert!(agrees(&folder) > 0);
    } else {
        println!("skipped: no golden files at {} (set FIXFORMER_SHARED)", folder.display());
    }
}

fn parameters(features: Features, width: usize, directions: usize, causal: bool, epsilon: f64) -> Favor {
    let drawn = orthogonal_projection(directions, width, RowLength::Random, 5);
    let projection = (directions > 0).then_some(drawn);
    Favor { causal, ..kinds::favor_parameters(features, projection, width, epsilon) }
}

/// All feature maps; the last one without a projection.
const MAPS: [(Features, usize); 4] =
    [(Features::Exponential, 40), (Features::Hyperbolic, 16), (Features::Relu, 24), (Features::Relu, 0)];

/// Over lengths, widths, masks and ranges that the authors' files do not have.
#[test]
fn agrees_with_the_reference() {
    let mut source = Source(3);
    let mut worst: BTreeMap<&str, f64> = BTreeMap::new();
    for (tokens, width) in [(1, 16), (2, 8), (17, 32), (100, 16), (300, 64), (64, 1)] {
        for causal in [false, true] {
            for (features, directions) in MAPS {
                for (distribution, deviation) in [("normal", 1.0), ("hot", 2.5)] {
                    let draws = [0.0, 1e-6].map(|epsilon| {
                        let mut draw = |deviation| source.values(tokens * width, deviation);
                        (epsilon, Offsets::Projection, [draw(deviation), draw(deviation), draw(1.0)])
                    });
                    let mut cases = draws.to_vec();
                    if causal && features != Features::Relu {
                        let [_, (_, _, rows)] = &draws;
                        cases.extend([1e-6, 1e-2].map(|epsilon| (epsilon, Offsets::Seen, rows.clone())));
                    }
                    for (epsilon, offsets, [q, k, v]) in cases {
                        let plain = parameters(features, width, directions, causal, epsilon);
                        let favor = Favor { offsets, ..plain };
                        let keys: Vec<bool> = (0..tokens).map(|t| tokens < 3 || t % 5 != 2).collect();
                        let expected = favor.attend(&q, &k, &v, width, Some(&keys), None);
                        let head = golden::Head { q, k, v, expected, extra: Extra::None };
                        let case = Case {
                            file: String::new(),
                            mechanism: Mechanism::Favor(favor),
                            distribution: distribution.to_owned(),
                            tokens,
                            width,
                            heads: vec![head],
                            keys: Some(keys),
                            queries: None,
                            single: false,
                            valid: None,
                            guarded: None,
                        };
                        let error = case.error(&case.engine().unwrap());
                        let what = format!(
                            "{tokens}x{width} {causal} {features:?} {distribution} {epsilon} {offsets:?}"
                        );
                        println!("{what} {error:.2e}");
                        // The products of a wide head leave its queries and keys fewer bits.
                        let limit = limit(distribution).max(2e-3);
                        assert!(error < limit, "{what}: {error:e}");
                        let entry = worst.entry(distribution).or_default();
                        *entry = entry.max(error);
                    }
                }
            }
        }
    }
    println!("{worst:?}");
}

#[test]
fn a_projection_is_orthogonal_and_unbiased() {
    let dot = |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(x, y)| x * y).sum::<f64>();
    for (directions, width) in [(1, 1), (20, 8), (64, 16), (130, 32)] {
        let w = orthogonal_projection(directions, width, RowLength::Fixed, 1);
        assert_eq!(w.len(), directions * width);
        let rows: Vec<&[f64]> = w.chunks_exact(width).collect();
        for (i, x) in rows.iter().enumerate() {
            assert!((dot(x, x) - width as f64).abs() < 1e-9);
            assert!((0..i).filter(|j| j / width == i / width).all(|j| dot(x, rows[j]).abs() < 1e-9));
        }
        assert!(width == 1 || w != orthogonal_projection(directions, width, RowLength::Fixed, 2));
    }
    // exp(w x) has the mean exp(|x|^2 / 2) over normal w; LAPACK's signs would put it 9 % too low here.
    let (mut sum, draws) = (0.0, 4000);
    for seed in 0..draws {
        let w = orthogonal_projection(8, 8, RowLength::Random, seed);
        sum += w.chunks_exact(8).map(|row| row[0].exp()).sum::<f64>() / 8.0;
    }
    let mean = sum / draws as f64 / 0.5_f64.exp();
    assert!((mean - 1.0).abs() < 0.02, "{mean}");
    // A change would change every model file that is made anew.
    let first = orthogonal_projection(3, 2, RowLength::Random, 0)[0];
    assert_eq!(first, -1.920867741446006);
}

#[test]
fn parameters_that_the_engine_cannot_have_are_named() {
    let (width, key_offset) = (8, KeyOffset::Sequence);
    let formats = Formats { width, query_frac: 10, key_frac: 10, key_offset, causal: true };
    let good = parameters(Features::Exponential, 8, 4, false, 1e-6);
    assert!(favor_parameters(&good, formats).is_ok());
    let refused = |favor: Favor, field: &str| {
        let (found, problem) = favor_parameters(&favor, formats).unwrap_err();
        assert_eq!(found, field, "{problem}");
    };
    refused(Favor { projection: None, ..good.clone() }, "favor.projection");
    refused(Favor { projection: Some(vec![]), ..good.clone() }, "favor.directions");
    refused(Favor { projection: Some(vec![0.5; 8 * 1025]), ..good.clone() }, "favor.directions");
    refused(Favor { projection: Some(vec![0.5; 9]), ..good.clone() }, "favor.projection");
    refused(Favor { projection: Some(vec![f64::NAN; 8]), ..good.clone() }, "favor.projection");
    refused(Favor { renormalize: false, ..good.clone() }, "favor.renormalize");
    refused(Favor { epsilon: -1.0, ..good.clone() }, "favor.epsilon");
    refused(Favor { offsets: Offsets::Exponent, ..good.clone() }, "favor.offsets");
    let strict = Formats { key_offset: KeyOffset::Seen, ..formats };
    for tile in [0, 65] {
        let (field, problem) =
            favor_parameters(&Favor { tile: Some(tile), ..good.clone() }, strict).unwrap_err();
        assert_eq!((field, &*problem), ("favor.tile", &*format!("is {tile}; give 1 to 64 keys")));
    }
    // What takes its keys one by one has no tiles.
    assert_eq!(favor_parameters(&Favor { tile: Some(0), ..good.clone() }, formats).unwrap().tile, 1);
    refused(Favor { input_scale: 1e9, ..good }, "favor.projection");
}

/// A small model whose first block attends by random features.
fn file(favor: write::Favor) -> write::File {
    let options = Options {
        input: 2,
        positions: 0,
        order: fixformer::host::reference::NormOrder::Pre,
        hidden: None,
        activation: fixformer::host::reference::Activation::Relu,
        causal: false,
        heads: 2,
        width: 32,
        pooling: fixformer::host::reference::Pooling::Mean,
        norms: true,
        max_tokens: 40,
    };
    let mut source = Source(8);
    let network = network(&mut source, options);
    let recordings: Vec<Vec<i16>> =
        (1..20).map(|tokens| source.recording(length(&network, tokens), &network.input)).collect();
    let ranges = fixformer::host::calibrate::calibrate(&network, &recordings, || {}).unwrap();
    let mut file = integers(&network, &ranges, &all_wide()).unwrap();
    file.blocks[0].kind = write::AttentionKind::Favor(favor);
    file
}

#[test]
fn a_model_file_holds_what_was_written_and_runs() {
    for favor in integer_maps(16, &[KeyOffset::Seen, KeyOffset::Fixed(1.0), KeyOffset::Sequence]) {
        let words = file(favor.clone()).words();
        let model = Model::parse(&words).unwrap();
        let AttentionKind::Favor(found) = model.blocks().next().unwrap().attention.kind else { panic!() };
        let written = favor.view();
        assert_eq!(
            (found.features, found.directions, found.projection),
            (written.features, written.directions, written.projection)
        );
        assert_eq!((found.query, found.key, found.epsilon), (written.query, written.key, written.epsilon));
        let mut engine = Engine::new(model);
        let mut session = engine.session();
        assert!(session.run(&[1, 2, 3, 4, 5]).unwrap().raw().iter().any(|score| *score != 0));
    }
}

#[test]
fn contradictions_are_refused_by_name() {
    let good = integer_maps(16, &[KeyOffset::Seen]).swap_remove(1);
    let refused = |change: &dyn Fn(&mut write::Favor), field: &str| {
        let mut favor = good.clone();
        change(&mut favor);
        let error = Model::parse(&file(favor).words()).unwrap_err().to_string();
        assert!(error.contains(field), "{error}");
    };
    assert!(Model::parse(&file(good.clone()).words()).is_ok());
    refused(&|favor| favor.directions = 0, "favor.directions");
    refused(&|favor| favor.directions = 1025, "favor.directions");
    refused(&|favor| favor.directions -= 1, "favor.projection");
    refused(&|favor| favor.projection.clear(), "favor.has_projection");
    refused(&|favor| favor.projection.fill(i16::MAX), "favor.projection");
    refused(&|favor| favor.query.projection.shift = 0, "favor.query");
    refused(&|favor| favor.key.norm.multiplier = -1, "favor.key");
    refused(&|favor| favor.key.epsilon = model::Favor::MAX_EPSILON + 1, "favor.key");
    refused(&|favor| favor.tile = 0, "favor.tile");
    refused(&|favor| favor.tile = 65, "favor.tile");
    let bare = |favor: &mut write::Favor| {
        (favor.features, favor.directions) = (model::Features::Relu, 15);
        favor.projection.clear();
    };
    refused(&bare, "favor.directions");
}
