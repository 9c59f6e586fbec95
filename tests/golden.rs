//! The float reference of the linear-memory attentions against the outputs of their authors' own code.
//!
//! A few small files live in `golden/`; the whole collection is taken from `FIXFORMER_SHARED` where it is.

mod shared;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use fixformer::host::golden::{self, Case, GoldenError, Loaded};
use fixformer::host::reference::attention::favor::{Favor, Features, Offsets};
use fixformer::host::reference::attention::hierarchical::{Hierarchical, Interpolation, Masks};
use fixformer::host::reference::attention::{Visible, exact};

fn shipped() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

/// A folder of the whole collection, if it is there.
fn shared(folder: &str) -> Option<PathBuf> {
    let root = shared::root();
    let folder = root.join("golden").join(folder);
    if folder.is_dir() {
        return Some(folder);
    }
    println!("skipped: no golden files at {} (set FIXFORMER_SHARED)", folder.display());
    None
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "safetensors"));
    files.sort();
    assert!(!files.is_empty(), "{} has no golden file", folder.display());
    files
}

/// Runs every file below a folder through the reference; returns how many there were.
fn agrees(folder: &Path) -> usize {
    let mut worst: BTreeMap<(&str, bool), (f64, usize)> = BTreeMap::new();
    let mut check = |case: &Case, what: &str| {
        let error = case.error(&case.reference());
        let precision = if case.single { "f32" } else { "f64" };
        println!("{:<64} {precision} {error:.1e}{what}", case.file);
        assert!(error <= case.limit(), "{}{what}: {error:e} > {:e}", case.file, case.limit());
        let entry = worst.entry((case.mechanism.name(), case.single)).or_default();
        *entry = (entry.0.max(error), entry.1 + 1);
    };
    let mut cases = 0;
    for path in files(folder) {
        let name = path.file_name().unwrap().to_string_lossy();
        match golden::load(&path).unwrap_or_else(|error| panic!("{error}")) {
            Loaded::Case(case) => {
                cases += 1;
                check(&case, "");
                if let Some(guarded) = &case.guarded {
                    check(guarded, " with the authors' guard");
                }
            }
            Loaded::NotBuilt { why } => {
                println!("{name:<64} not built: {why}");
                assert!(name.contains("sincos"), "{name} should be built: {why}");
            }
            Loaded::WholeModel(_) | Loaded::Weights => println!("{name:<64} a whole model"),
            other => panic!("{name}: {other:?}"),
        }
    }
    for ((mechanism, single), (error, count)) in worst {
        println!("{mechanism}: {count} of {} bits, worst {error:.1e}", if single { 32 } else { 64 });
    }
    cases
}

#[test]
fn shipped_files() {
    assert!(agrees(&shipped()) >= 6);
}

#[test]
fn hierarchical_files() {
    if let Some(folder) = shared("hierarchical") {
        agrees(&folder);
    }
}

#[test]
fn favor_files() {
    if let Some(folder) = shared("favor") {
        agrees(&folder);
    }
}

#[test]
fn other_files_are_refused() {
    let folder = std::env::temp_dir().join(format!("fixformer-golden-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let path = folder.join("case.safetensors");
    let write = |metadata: &str| {
        let header = format!(r#"{{"__metadata__":{metadata}}}"#);
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header.as_bytes());
        fs::write(&path, bytes).unwrap();
        golden::load(&path)
    };
    assert!(matches!(write("{}"), Err(GoldenError::NotGolden { .. })));
    assert!(matches!(write(r#"{"config":"c"}"#), Ok(Loaded::Weights)));
    let error = write(r#"{"weights":"w"}"#).unwrap_err().to_string();
    assert!(error.contains("`input_ids` is missing"), "{error}");
    let refusal = |meta: &str| write(&format!(r#"{{"meta":{meta:?}}}"#)).unwrap_err().to_string();
    let shape = r#""L": 64, "h": 1, "d": 16"#;
    for (meta, word) in [
        ("{".to_owned(), "not a JSON object"),
        (format!("{{{shape}}}"), "meta.mechanism"),
        (format!(r#"{{{shape}, "mechanism": "h1d", "causal": true, "nr": 3}}"#), "meta.nr"),
        (format!(r#"{{{shape}, "mechanism": "h1d", "causal": 1, "nr": 4}}"#), "meta.causal"),
        (format!(r#"{{{shape}, "mechanism": "h1d", "causal": true, "nr": 4}}"#), "tensor `q` is missing"),
        (format!(r#"{{{shape}, "mechanism": "favor", "kind": "exp", "m": 0}}"#), "meta.m"),
    ] {
        assert!(refusal(&meta).contains(word), "{meta}: {}", refusal(&meta));
    }
    let meta = format!(r#"{{{shape}, "mechanism": "favor", "kind": "sincos"}}"#);
    assert!(matches!(write(&format!(r#"{{"meta":{meta:?}}}"#)), Ok(Loaded::NotBuilt { .. })));
    fs::write(&path, b"no").unwrap();
    assert!(matches!(golden::load(&path), Err(GoldenError::NotSafetensors { .. })));
    fs::remove_dir_all(&folder).unwrap();
    assert!(matches!(golden::load(&path), Err(GoldenError::Read { .. })));
}

/// Values in -1.7 ..= 1.7 of variance 1.
fn noise(count: usize, seed: u64) -> Vec<f64> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        ((state >> 11) as f64 / (1u64 << 53) as f64 - 0.5) * 12f64.sqrt()
    };
    (0..count).map(|_| next()).collect()
}

fn distance(x: &[f64], y: &[f64]) -> f64 {
    assert_eq!(x.len(), y.len());
    x.iter().zip(y).map(|(x, y)| (x - y).abs()).fold(0.0, f64::max)
}

const D: usize = 4;

fn hierarchical(block: usize, causal: bool) -> Hierarchical {
    Hierarchical { block, causal, interpolation: Interpolation::Constant, temperature: 1.0, guard: None }
}

fn favor(features: Features, causal: bool) -> Favor {
    Favor {
        features,
        projection: Some(noise(6 * D, 9)),
        causal,
        input_scale: (D as f64).powf(-0.25),
        epsilon: 0.0,
        offsets: Offsets::Projection,
        guard: 0.0,
        key_sum_epsilon: 0.0,
        renormalize: true,
        tile: Some(8),
    }
}

/// Attention over q, k, v of width `D` and a mask of the keys.
type Attend = Box<dyn Fn(&[f64], &[f64], &[f64], Option<&[bool]>) -> Vec<f64>>;

fn all(causal: bool) -> Vec<Attend> {
    let mut all: Vec<Attend> = Vec::new();
    for block in [2, 4, 6] {
        all.push(Box::new(move |q, k, v, keys| {
            hierarchical(block, causal).attend(q, k, v, D, None, Masks { queries: None, keys })
        }));
    }
    for features in [Features::Exponential, Features::Hyperbolic, Features::Relu] {
        for offsets in [Offsets::Projection, Offsets::Exponent] {
            let favor = Favor { offsets, ..favor(features, causal) };
            all.push(Box::new(move |q, k, v, keys| favor.attend(q, k, v, D, keys, None)));
        }
    }
    all
}

#[test]
fn a_causal_prefix_is_the_attention_of_the_prefix() {
    let tokens = 45;
    let (q, k, v) = (noise(tokens * D, 1), noise(tokens * D, 2), noise(tokens * D, 3));
    for attend in all(true) {
        let whole = attend(&q, &k, &v, None);
        for prefix in [1, 2, 7, 16, 31] {
            let n = prefix * D;
            assert!(distance(&attend(&q[..n], &k[..n], &v[..n], None), &whole[..n]) < 1e-12);
        }
    }
}

#[test]
fn a_masked_key_has_no_influence() {
    let tokens = 37;
    let (q, k, v) = (noise(tokens * D, 4), noise(tokens * D, 5), noise(tokens * D, 6));
    let keys: Vec<bool> = (0..tokens).map(|t| t % 3 != 1).collect();
    let spoiled = |x: &[f64]| {
        let rows = x.chunks_exact(D).zip(&keys);
        rows.flat_map(|(row, seen)| if *seen { row.to_vec() } else { vec![f64::NAN; D] }).collect::<Vec<_>>()
    };
    for causal in [false, true] {
        for attend in all(causal) {
            let expected = attend(&q, &k, &v, Some(&keys));
            assert_eq!(attend(&q, &spoiled(&k), &spoiled(&v), Some(&keys)), expected);
        }
    }
}

#[test]
fn a_masked_tail_is_a_shorter_sequence() {
    let (tokens, real) = (40, 29);
    let (q, k, v) = (noise(tokens * D, 7), noise(tokens * D, 8), noise(tokens * D, 9));
    let keys: Vec<bool> = (0..tokens).map(|t| t < real).collect();
    let n = real * D;
    for causal in [false, true] {
        let masks = Masks { queries: Some(&keys), keys: Some(&keys) };
        let padded = hierarchical(4, causal).attend(&q, &k, &v, D, None, masks);
        let short = hierarchical(4, causal).attend(&q[..n], &k[..n], &v[..n], D, None, Masks::default());
        assert!(distance(&padded[..n], &short) < 1e-12);
        assert!(padded[n..].iter().all(|y| *y == 0.0));
    }
}

#[test]
fn a_weighted_mean_of_equal_values_is_the_value() {
    let (q, k, v) = (noise(50 * D, 1), noise(50 * D, 2), vec![0.75; 50 * D]);
    for causal in [false, true] {
        for attend in all(causal) {
            assert!(attend(&q, &k, &v, None).iter().all(|y| (y - 0.75).abs() < 1e-12));
        }
    }
    let linear = Hierarchical { interpolation: Interpolation::Linear, ..hierarchical(4, false) };
    assert!(linear.attend(&q, &k, &v, D, None, Masks::default()).iter().all(|y| (y - 0.75).abs() < 1e-12));
}

#[test]
fn nobody_to_see_is_zero() {
    let (q, k, v) = (noise(9 * D, 1), noise(9 * D, 2), noise(9 * D, 3));
    for causal in [false, true] {
        for attend in all(causal) {
            assert!(attend(&q, &k, &v, Some(&[false; 9])).iter().all(|y| *y == 0.0));
        }
    }
}

#[test]
fn one_level_is_exact_attention() {
    let keys: Vec<bool> = (0..11).map(|t| t != 3 && t != 8).collect();
    for tokens in [1, 5, 11] {
        let (q, k, v) = (noise(tokens * D, 1), noise(tokens * D, 2), noise(tokens * D, 3));
        for causal in [false, true] {
            for keys in [None, Some(&keys[..tokens])] {
                let exact = exact(&q, &k, &v, D, Visible { causal, keys });
                let masks = Masks { queries: None, keys };
                let found = hierarchical(6, causal).attend(&q, &k, &v, D, None, masks);
                assert!(distance(&found, &exact) < 1e-12);
            }
        }
    }
}

/// Mean of the valid rows of a run of 2^l rows: of the two halves, each counting once.
fn run_mean(x: &[f64], seen: &[bool], l: usize, row: usize, i: usize) -> Option<f64> {
    if l == 0 {
        return seen[row].then(|| x[row * D + i]);
    }
    match (run_mean(x, seen, l - 1, 2 * row, i), run_mean(x, seen, l - 1, 2 * row + 1, i)) {
        (Some(a), Some(b)) => Some((a + b) / 2.0),
        (a, b) => a.or(b),
    }
}

/// Pair by pair: each token meets each other one at the level that their distance gives.
#[test]
fn levels_agree_with_the_dense_definition() {
    let (tokens, nr) = (64, 4);
    let (q, k, v) = (noise(tokens * D, 1), noise(tokens * D, 2), noise(tokens * D, 3));
    let table = noise(4 * nr - 1, 4);
    let everyone = vec![true; tokens];
    let holes: Vec<bool> = noise(tokens, 5).iter().map(|x| *x > -0.6).collect();
    let many = |flags: &[bool]| flags.iter().filter(|flag| **flag).count();
    assert!(many(&holes) > 30 && many(&holes) < 60);
    for (causal, seen) in [(false, &everyone), (true, &everyone), (false, &holes), (true, &holes)] {
        let mut expected = Vec::new();
        for t in 0..tokens {
            let (mut sum, mut weighted) = (0.0, [0.0; D]);
            for s in (0..if causal { t + 1 } else { tokens }).filter(|s| seen[*s]) {
                let near = |l: &usize| (t / (nr << l)).abs_diff(s / (nr << l)) <= 1;
                let l = (0..8).find(near).unwrap();
                let first = t >> l << l;
                let query = |i| match causal {
                    true => seen[first].then(|| q[first * D + i]),
                    false => run_mean(&q, seen, l, t >> l, i),
                };
                let product = |i| query(i).unwrap_or(0.0) * run_mean(&k, seen, l, s >> l, i).unwrap();
                let logit = (0..D).map(product).sum::<f64>() / (D as f64).sqrt();
                let weight = (logit + table[(s >> l) + 2 * nr - 1 - (t >> l)]).exp();
                sum += weight;
                weighted.iter_mut().zip(&v[s * D..]).for_each(|(y, v)| *y += weight * v);
            }
            let visible = seen[t] && sum > 0.0;
            expected.extend(weighted.map(|y| if visible { y / sum } else { 0.0 }));
        }
        let masks = Masks { queries: Some(seen), keys: Some(seen) };
        let found = hierarchical(nr, causal).attend(&q, &k, &v, D, Some(&table), masks);
        assert!(distance(&found, &expected) < 1e-12);
    }
}

/// Coarse results first interpolated, then divided, from the definition: weights and values of every level,
/// each row of it once, and the mean of two rows in between.
#[test]
fn linear_interpolation_agrees_with_its_definition() {
    let (tokens, nr, levels) = (16, 2, 3);
    let (q, k, v) = (noise(tokens * D, 1), noise(tokens * D, 2), noise(tokens * D, 3));
    let coarse = |x: &[f64], l: usize, row: usize, i: usize| -> f64 {
        (row << l..(row + 1) << l).map(|t| x[t * D + i]).sum::<f64>() / f64::from(1 << l)
    };
    let level_of = |t: usize, s: usize| (0..levels).find(|l| (t / (nr << l)).abs_diff(s / (nr << l)) <= 1);
    // The last column is the denominator.
    let mut sum: Vec<[f64; D + 1]> = Vec::new();
    for l in (0..levels).rev() {
        let mut rows = vec![[0.0; D + 1]; tokens >> l];
        for (row, sums) in rows.iter_mut().enumerate() {
            for column in (0..tokens >> l).filter(|column| level_of(row << l, column << l) == Some(l)) {
                let logit: f64 = (0..D).map(|i| coarse(&q, l, row, i) * coarse(&k, l, column, i)).sum();
                let weight = (logit / (D as f64).sqrt()).exp() * f64::from(1 << l);
                for (i, y) in sums.iter_mut().enumerate() {
                    *y += weight * if i < D { coarse(&v, l, column, i) } else { 1.0 };
                }
            }
            let (parent, next) = (row / 2, (row / 2 + 1).min(sum.len().saturating_sub(1)));
            let other = if row % 2 == 0 { parent } else { next };
            if !sum.is_empty() {
                sums.iter_mut().enumerate().for_each(|(i, y)| *y += (sum[parent][i] + sum[other][i]) / 2.0);
            }
        }
        sum = rows;
    }
    let expected: Vec<f64> = sum.iter().flat_map(|row| row[..D].iter().map(|y| y / row[D])).collect();
    let linear = Hierarchical { interpolation: Interpolation::Linear, ..hierarchical(nr, false) };
    assert!(distance(&linear.attend(&q, &k, &v, D, None, Masks::default()), &expected) < 1e-12);
}

/// Without ε and guard an offset is a matter of range only, and ReLU features are their definition.
#[test]
fn offsets_cancel() {
    let (q, k, v) = (noise(20 * D, 1), noise(20 * D, 2), noise(20 * D, 3));
    for features in [Features::Exponential, Features::Hyperbolic] {
        for causal in [false, true] {
            let official = favor(features, causal);
            let whole = Favor { offsets: Offsets::Exponent, ..official.clone() };
            let expected = official.attend(&q, &k, &v, D, None, None);
            assert!(distance(&whole.attend(&q, &k, &v, D, None, None), &expected) < 1e-12);
            assert!(distance(&official.attend(&q, &k, &v, D, None, Some(1.5)), &expected) < 1e-12);
        }
    }
}

/// With many directions the features estimate exact attention.
#[test]
fn many_features_estimate_the_softmax() {
    let half = |seed| noise(30 * D, seed).iter().map(|x| x * 0.5).collect::<Vec<_>>();
    let (q, k, v) = (half(1), half(2), half(3));
    // Sums of 12 uniform values are normal enough.
    let directions: Vec<f64> =
        noise(12 * 20_000 * D, 4).chunks_exact(12).map(|x| x.iter().sum::<f64>() / 12f64.sqrt()).collect();
    let exact = exact(&q, &k, &v, D, Visible { causal: true, keys: None });
    for features in [Features::Exponential, Features::Hyperbolic] {
        let favor = Favor { projection: Some(directions.clone()), ..favor(features, true) };
        let error = distance(&favor.attend(&q, &k, &v, D, None, None), &exact);
        assert!(error < 0.01, "{error}");
    }
}
