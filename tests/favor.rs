//! FAVOR+ in the engine: against the authors' outputs, against the f64 reference where those have none, and what
//! must hold in every bit.

mod shared;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use fixformer::Model;
use fixformer::attention::{self, Given};
use fixformer::host::draw::{RowLength, orthogonal_projection};
use fixformer::host::engine::Engine;
use fixformer::host::golden::{self, Case, Extra, Loaded, Mechanism};
use fixformer::host::quantize::favor::*;
use fixformer::host::quantize::integers;
use fixformer::host::reference::favor::{Favor, Features, Offsets};
use fixformer::kernels::{VALUE_LIMIT, dot_limit};
use fixformer::model::{self, AttentionKind, write};
use fixformer::num::Requant;
use random::{Options, Source, all_wide, length, network};

#[expect(dead_code, reason = "what only other tests use")]
mod random;

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
    let relu = features == Features::Relu;
    let projection = orthogonal_projection(directions, width, RowLength::Random, 5);
    Favor {
        features,
        projection: (directions > 0).then_some(projection),
        causal,
        input_scale: if relu { 1.0 } else { (width as f64).powf(-0.25) },
        epsilon,
        offsets: Offsets::Projection,
        guard: 0.0,
        key_sum_epsilon: 0.0,
        renormalize: true,
        tile: Some(8),
    }
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

/// Integers of one head.
#[derive(Clone)]
struct Rows {
    width: usize,
    q: Vec<i16>,
    k: Vec<i16>,
    v: Vec<i16>,
}

impl Rows {
    fn drawn(source: &mut Source, tokens: usize, width: usize) -> Rows {
        let mut draw = |limit: i16| {
            let values = source.values(tokens * width, f64::from(limit) / 4.0);
            let limit = f64::from(limit);
            values.iter().map(|x| x.clamp(-limit, limit) as i16).collect::<Vec<_>>()
        };
        Rows { width, q: draw(dot_limit(width)), k: draw(dot_limit(width)), v: draw(VALUE_LIMIT) }
    }

    fn prefix(&self, tokens: usize) -> Rows {
        let cut = |x: &[i16]| x[..tokens * self.width].to_vec();
        Rows { width: self.width, q: cut(&self.q), k: cut(&self.k), v: cut(&self.v) }
    }

    fn attend(&self, favor: model::Favor<'_>, causal: bool, seen: impl Fn(usize) -> bool) -> Vec<i16> {
        let kind = AttentionKind::Favor(favor);
        let (mut rows, keys) = (self.q.clone(), self.k.clone());
        let tokens = rows.len() / self.width;
        let word = |first: usize| {
            (first..tokens.min(first + 16)).fold(0, |word, t| word | u16::from(seen(t)) << (t - first))
        };
        let visible: Vec<u16> = (0..tokens).step_by(16).map(word).collect();
        let mut scratch = vec![0xdead_beef; attention::words(&kind, tokens, self.width, causal)];
        let head = Given {
            index: 0,
            width: self.width,
            rows: &mut rows,
            keys: &keys,
            values: &self.v,
            visible: &visible,
            causal,
            scale: Requant { multiplier: 0, shift: 1 },
            gain: 1,
        };
        attention::attend(kind, head, &mut scratch);
        rows
    }
}

/// All feature maps in integers, for inputs of about unit variance.
fn integer_maps(width: usize, offsets: &[KeyOffset]) -> Vec<write::Favor> {
    let frac = f64::from(dot_limit(width)).log2() as i32 - 2;
    let formats = |key_offset| Formats { width, query_frac: frac, key_frac: frac, key_offset, causal: true };
    let mut all = Vec::new();
    for (features, directions) in MAPS {
        for epsilon in [0.0, 1e-4] {
            let favor = parameters(features, width, directions, false, epsilon);
            all.extend(offsets.iter().map(|offset| favor_parameters(&favor, formats(*offset)).unwrap()));
        }
    }
    all
}

#[test]
fn a_causal_prefix_is_the_attention_of_the_prefix() {
    let rows = Rows::drawn(&mut Source(1), 70, 16);
    let seen = |token| token % 7 != 3;
    for favor in integer_maps(16, &[KeyOffset::Seen, KeyOffset::Fixed(4.0)]) {
        let whole = rows.attend(favor.view(), true, seen);
        for tokens in [1, 2, 16, 33] {
            let found = rows.prefix(tokens).attend(favor.view(), true, seen);
            assert_eq!(found, whole[..tokens * 16], "{tokens} {:?} {:?}", favor.features, favor.epsilon);
        }
    }
}

#[test]
fn a_masked_key_has_no_influence() {
    let rows = Rows::drawn(&mut Source(2), 50, 16);
    let seen = |token: usize| token % 3 != 1;
    let mut spoiled = rows.clone();
    for token in (0..50).filter(|token| !seen(*token)) {
        spoiled.k[token * 16..][..16].fill(dot_limit(16) / 8);
        spoiled.v[token * 16..][..16].fill(-VALUE_LIMIT);
    }
    for favor in integer_maps(16, &[KeyOffset::Sequence, KeyOffset::Seen, KeyOffset::Fixed(0.0)]) {
        for causal in [false, true] {
            let found = spoiled.attend(favor.view(), causal, seen);
            assert_eq!(found, rows.attend(favor.view(), causal, seen));
            assert_ne!(found, spoiled.attend(favor.view(), causal, |_| true));
            assert!(rows.attend(favor.view(), causal, |_| false).iter().all(|y| *y == 0));
        }
    }
}

/// The mean of one value is the value, with the one bit of gain that these heads have.
#[test]
fn one_token_attends_to_itself() {
    for width in [1, 16, 40] {
        let rows = Rows::drawn(&mut Source(4), 1, width);
        for favor in integer_maps(width, &[KeyOffset::Sequence]) {
            for causal in [false, true] {
                let found = rows.attend(favor.view(), causal, |_| true);
                // Where no feature of the query meets one of the key, the mean has no weights.
                let meets = found.iter().any(|y| *y != 0) || favor.epsilon != model::Epsilon::Zero;
                assert!(meets || favor.features == model::Features::Relu, "{favor:?}");
                for (y, v) in found.iter().zip(&rows.v).filter(|_| meets) {
                    assert!((i32::from(*y) - 2 * i32::from(*v)).abs() <= 1, "{y} {v} {:?}", favor.features);
                }
            }
        }
    }
}

/// Arithmetic that overflows panics in this build.
#[test]
fn extremes_do_not_overflow() {
    const TOKENS: usize = model::MAX_TOKENS as usize;
    let width = 4;
    let largest = (i64::from(i32::MAX) / i64::from(dot_limit(width)) / width as i64).min(32_767) as i16;
    let input = model::FavorInput {
        projection: Requant { multiplier: i16::MAX, shift: 1 },
        norm: Requant { multiplier: i16::MAX, shift: 1 },
        epsilon: model::Favor::MAX_EPSILON,
    };
    let gentle = model::FavorInput {
        projection: Requant { multiplier: 1 << 6, shift: 8 },
        norm: Requant { multiplier: 0, shift: 1 },
        epsilon: -model::Favor::MAX_EPSILON,
    };
    let signs = |i: usize, salt: usize, limit: i16| if (i * 7 + salt) % 5 < 3 { limit } else { -limit };
    // All rows equal, and rows of every sign.
    for alternating in [false, true] {
        let fill = |salt: usize, limit: i16| -> Vec<i16> {
            (0..TOKENS * width).map(|i| if alternating { signs(i, salt, limit) } else { limit }).collect()
        };
        let limit = dot_limit(width);
        let rows = Rows { width, q: fill(0, limit), k: fill(1, limit), v: fill(2, VALUE_LIMIT) };
        let w: Vec<i16> =
            (0..3 * width).map(|i| if alternating { signs(i, 3, largest) } else { largest }).collect();
        for features in [model::Features::Exponential, model::Features::Hyperbolic, model::Features::Relu] {
            for epsilon in [model::Epsilon::Zero, model::Epsilon::Seen, model::Epsilon::Sequence] {
                for input in [input, gentle] {
                    for causal in [false, true] {
                        let favor = model::Favor {
                            features,
                            directions: 3,
                            projection: &w,
                            query: input,
                            key: input,
                            epsilon,
                            tile: if alternating { 24 } else { 1 },
                        };
                        let found = rows.attend(favor, causal, |_| true);
                        let expected = 2 * i32::from(VALUE_LIMIT);
                        assert!(alternating || found.iter().all(|y| (i32::from(*y) - expected).abs() <= 1));
                    }
                }
            }
        }
    }
}

/// Memory does not depend on the length, but for the tile of keys of a very short sequence.
#[test]
fn memory_is_the_state() {
    for favor in integer_maps(16, &[KeyOffset::Seen]) {
        let features = favor.view().length();
        let epsilon = favor.epsilon != model::Epsilon::Zero;
        // Sums, total and top of every feature and of the keys; a tile of four rows; peak and progress.
        let key_by_key = (features + usize::from(epsilon)) * (16 + 2) + 4 * 16 + 2;
        // Sums and total of every feature, its top in half a word; features and value of every key; five places.
        let even = features.next_multiple_of(2) + 2 * usize::from(epsilon);
        let by_tile = even * (16 + 1) + even / 2 + favor.tile * (even + 16) / 2 + 5;
        let even = features / favor.directions * favor.directions.next_multiple_of(2);
        let of_epsilon = if epsilon { 16 + 8 } else { 0 };
        let at_once = |tile: usize| even * (16 + 2) + tile * 16 + of_epsilon + 10;
        let powers = favor.features != model::Features::Relu;
        for (tokens, tile, causal) in
            [(1, 0, true), (16_384, 0, true), (1, 2, false), (8, 8, false), (16_384, 8, false)]
        {
            let words = attention::memory(&AttentionKind::Favor(favor.view()), tokens, 16, causal);
            let expected = match (powers, causal) {
                (true, true) => by_tile,
                (true, false) => at_once(tile),
                _ => key_by_key,
            };
            assert_eq!(words, expected);
        }
    }
}

/// What a file of an earlier day says, and what memory allows: any tile gives the same but for rounding.
#[test]
fn a_tile_changes_nothing_but_the_rounding() {
    let rows = Rows::drawn(&mut Source(6), 150, 16);
    for favor in integer_maps(16, &[KeyOffset::Seen, KeyOffset::Fixed(2.0)]) {
        let with =
            |causal, tile| rows.attend(model::Favor { tile, ..favor.view() }, causal, |token| token % 9 != 4);
        for causal in [true, false] {
            let expected = with(causal, 1);
            let squares = |values: &mut dyn Iterator<Item = f64>| values.map(|x| x * x).sum::<f64>();
            for tile in [2, 3, 8, 16, 31, 64] {
                let found = with(causal, tile);
                let apart = found.iter().zip(&expected).map(|(a, b)| f64::from(*a) - f64::from(*b));
                let error =
                    (squares(&mut { apart }) / squares(&mut expected.iter().map(|y| f64::from(*y)))).sqrt();
                assert!(error < 1e-3, "{tile} {:?} {:?} {error:e}", favor.features, favor.epsilon);
            }
        }
    }
}

/// One head over many more tokens than a sequence has: sums of equal keys at the limits rise until their level does, and the
/// mean stays that of the values, of which none is forgotten.
#[test]
fn sums_never_overflow() {
    const TOKENS: usize = 150_000;
    let width = 2;
    let limit = dot_limit(width);
    let largest = (i64::from(i32::MAX) / i64::from(limit) / width as i64).min(32_767) as i16;
    let gentle = model::FavorInput {
        projection: Requant { multiplier: 1 << 6, shift: 8 },
        norm: Requant { multiplier: 1, shift: 20 },
        epsilon: -(20 << model::Favor::LOG_FRAC),
    };
    let w = vec![largest; width];
    // The first half of the values at one limit, then mostly at the other.
    let value = |token: usize| match token {
        _ if token < TOKENS / 2 || token.is_multiple_of(5) => VALUE_LIMIT,
        _ => -VALUE_LIMIT,
    };
    let v: Vec<i16> = (0..TOKENS).flat_map(|token| [value(token), VALUE_LIMIT]).collect();
    let rows = Rows { width, q: vec![limit; TOKENS * width], k: vec![limit; TOKENS * width], v };
    for (features, epsilon, tile, causal) in [
        (model::Features::Exponential, model::Epsilon::Zero, 1, true),
        (model::Features::Exponential, model::Epsilon::Seen, 16, true),
        (model::Features::Hyperbolic, model::Epsilon::Zero, 64, true),
        (model::Features::Relu, model::Epsilon::Zero, 1, true),
        (model::Features::Exponential, model::Epsilon::Sequence, 1, false),
        (model::Features::Exponential, model::Epsilon::Zero, 4, false),
        (model::Features::Hyperbolic, model::Epsilon::Seen, 16, false),
        (model::Features::Relu, model::Epsilon::Zero, 1, false),
    ] {
        let favor = model::Favor {
            features,
            directions: 1,
            projection: &w,
            query: gentle,
            key: gentle,
            epsilon,
            tile,
        };
        let found = rows.attend(favor, causal, |_| true);
        let all = (0..TOKENS).map(|token| f64::from(value(token))).sum::<f64>() / TOKENS as f64;
        let mut sum = 0.0;
        for (token, pair) in found.chunks_exact(width).enumerate() {
            sum += f64::from(value(token));
            let mean = if causal { sum / (token + 1) as f64 } else { all };
            let means = [mean, f64::from(VALUE_LIMIT)];
            for (y, mean) in pair.iter().zip(means) {
                // The heads of these tests have one bit of gain; a tile of one rounds every key.
                assert!((f64::from(*y) - 2.0 * mean).abs() < 4.0, "{token} {features:?} {tile}: {y} {mean}");
            }
        }
    }
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
