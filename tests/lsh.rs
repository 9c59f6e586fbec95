//! LSH attention of the engine against the outputs of its authors' code, and where it could go wrong by itself.

mod shared;

use std::path::{Path, PathBuf};

use fixformer::Model;
use fixformer::attention::{Given, attend, lsh, words};
use fixformer::host::engine::Engine;
use fixformer::host::golden::{self, Case, Loaded};
use fixformer::host::import;
use fixformer::host::quantize::lsh::lsh_rotations;
use fixformer::host::quantize::{Settings, quantize};
use fixformer::host::reference::attention::lsh as reference;
use fixformer::kernels::{VALUE_LIMIT, dot_limit};
use fixformer::model::{AttentionKind, Lsh, Rotations, write};
use fixformer::num::Requant;

fn cases(folder: &Path) -> Vec<Case> {
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "safetensors"));
    files.sort();
    let loaded = files.iter().filter_map(|file| match golden::load(file).unwrap() {
        Loaded::Case(case) => Some(*case),
        _ => None,
    });
    loaded.filter(|case| case.mechanism.name() == "lsh").collect()
}

/// Runs every case on the authors' buckets, and hashes apart from that.
fn agree(cases: &[Case]) {
    let (mut wrong, mut worst, mut flips, mut hashes) = (Vec::new(), 0.0_f64, 0, 0);
    for case in cases {
        let error = case.engine().map(|found| case.error(&found));
        let differ = case.bucket_flips();
        let shown = error.unwrap_or(f64::NAN);
        println!("{shown:.1e} {differ:?} {} {}", case.distribution, case.file);
        let limit = if case.distribution.contains("hot") { 1e-2 } else { 1e-3 };
        let exact = case.file.contains("_grid");
        if error.is_none_or(|error| error > limit) || exact && differ.is_none_or(|(flips, _)| flips > 0) {
            wrong.push(&case.file);
        }
        worst = worst.max(error.unwrap_or(f64::INFINITY));
        let (a, b) = differ.unwrap_or_default();
        (flips, hashes) = (flips + a, hashes + b);
    }
    println!("{} files, worst {worst:.1e}, {flips} of {hashes} buckets differ", cases.len());
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_shipped_golden_files_agree() {
    let cases = cases(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden"));
    assert!(cases.len() >= 4);
    agree(&cases);
}

#[test]
fn every_golden_file_agrees() {
    let root = shared::root();
    let folder = root.join("golden/lsh");
    if !folder.is_dir() {
        println!("skipped: no golden files at {} (set FIXFORMER_SHARED)", folder.display());
        return;
    }
    let cases = cases(&folder);
    assert!(!cases.is_empty());
    agree(&cases);
}

/// Deterministic values.
struct Source(u64);

impl Source {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as usize) % end
    }

    fn values(&mut self, count: usize, limit: i16) -> Vec<i16> {
        (0..count).map(|_| self.below(2 * limit as usize + 1) as i16 - limit).collect()
    }
}

const D: usize = 8;
/// Fractional bits of queries and of values in these tests.
const FRAC: u32 = 11;
const GAIN: u32 = 1;

/// Scores not scaled: `log2(e) * 2^10 * 2^-(FRAC + KEY_FRAC)`.
fn unit_scale() -> Requant {
    let shift = 14;
    let factor = 1024.0 * std::f64::consts::LOG2_E * f64::powi(0.5, (FRAC + lsh::KEY_FRAC) as i32);
    Requant { multiplier: (factor * f64::powi(2.0, 16 + shift)).round() as i16, shift: shift as u32 }
}

fn bit_map(mask: &[bool]) -> Vec<u16> {
    let word = |bits: &[bool]| bits.iter().rev().fold(0, |word, &bit| word << 1 | u16::from(bit));
    mask.chunks(16).map(word).collect()
}

/// Runs one head; scratch and keys hold rubbish before.
fn run(parameters: Lsh<'_>, q: &[i16], v: &[i16], mask: &[bool], causal: bool) -> Vec<i16> {
    let kind = AttentionKind::Lsh(parameters);
    let (mut rows, keys) = (q.to_vec(), vec![0x5a5a; q.len()]);
    let visible = bit_map(mask);
    let head = Given {
        index: 0,
        width: D,
        rows: &mut rows,
        keys: &keys,
        values: v,
        visible: &visible,
        causal,
        scale: unit_scale(),
        gain: GAIN,
    };
    let mut memory = vec![0xdead_beef; words(&kind, mask.len(), D, causal)];
    attend(kind, head, &mut memory);
    rows
}

fn engine_buckets(parameters: Lsh<'_>, q: &[i16], mask: &[bool]) -> Vec<usize> {
    let (mut rows, visible) = (q.to_vec(), bit_map(mask));
    let head = Given {
        index: 0,
        width: D,
        rows: &mut rows,
        keys: &[],
        values: &[],
        visible: &visible,
        causal: false,
        scale: unit_scale(),
        gain: GAIN,
    };
    let mut buckets = vec![0; parameters.rounds * mask.len()];
    lsh::hash(parameters, &head, &mut buckets);
    buckets.into_iter().map(usize::from).collect()
}

fn parameters(rotations: Rotations<'_>) -> Lsh<'_> {
    Lsh {
        factors: &[4],
        rounds: 2,
        chunk: 4,
        before: 1,
        after: 0,
        multiple: 4,
        in_bucket: false,
        skip_duplicates: false,
        padding_bucket: true,
        epsilon: 0,
        rotation_heads: 1,
        rotations,
    }
}

#[test]
fn every_option_at_every_length_agrees_with_the_reference() {
    let mut source = Source(3);
    let mut worst = 0.0_f64;
    for round in 0..600 {
        let tokens = 1 + source.below(if round % 2 == 0 { 12 } else { 90 });
        let all: [&[i16]; 4] = [&[2], &[8], &[4, 2], &[2, 4, 2]];
        let factors = all[source.below(4)];
        let rounds = 1 + source.below(4);
        let columns = factors.iter().sum::<i16>() as usize / 2;
        let rotations = source.values(rounds * columns * D, 127);
        let in_bucket = source.below(2) == 0;
        let chunk = 1 + source.below(20);
        let lsh = Lsh {
            factors,
            rounds,
            chunk,
            multiple: chunk * (1 + source.below(3)),
            before: source.below(4),
            after: source.below(3),
            in_bucket,
            skip_duplicates: (in_bucket || rounds == 1) && source.below(2) == 0,
            padding_bucket: source.below(2) == 0,
            ..parameters(Rotations::Int16(&rotations))
        };
        let causal = source.below(2) == 0;
        let (q, v) = (source.values(tokens * D, 4000), source.values(tokens * D, VALUE_LIMIT));
        let masked = source.below(3);
        let mask: Vec<bool> = (0..tokens).map(|_| masked == 0 || source.below(5) > 0).collect();

        let float = reference::Lsh {
            buckets: factors.iter().map(|&factor| factor as usize).collect(),
            rounds,
            chunk: lsh.chunk,
            before: lsh.before,
            after: lsh.after,
            multiple: lsh.multiple,
            causal,
            scale: reference::ScoreScale::Unit,
            in_bucket,
            duplicates: match lsh.skip_duplicates {
                true => reference::Duplicates::Skipped,
                false => reference::Duplicates::Counted,
            },
            padding_bucket: lsh.padding_bucket,
        };
        let real =
            |x: &[i16]| x.iter().map(|&x| f64::from(x) * f64::powi(0.5, FRAC as i32)).collect::<Vec<_>>();
        let (q_real, v_real) = (real(&q), real(&v));
        // `[rounds, columns, d]` to `[d, rounds, columns]`.
        let at = |i: usize| f64::from(rotations[i % (rounds * columns) * D + i / (rounds * columns)]);
        let rotations_real: Vec<f64> = (0..rotations.len()).map(at).collect();
        let buckets = float.hash(&q_real, D, &rotations_real, Some(&mask));
        assert_eq!(engine_buckets(lsh, &q, &mask), buckets, "{lsh:?}");

        let expected = float.attend(&q_real, &v_real, D, &buckets, Some(&mask));
        let found = run(lsh, &q, &v, &mask, causal);
        let unit = f64::powi(0.5, (FRAC + GAIN) as i32);
        let size = expected.iter().map(|x| x * x).sum::<f64>().sqrt();
        let difference = found.iter().zip(&expected).map(|(&x, y)| (f64::from(x) * unit - y).powi(2));
        let error = difference.sum::<f64>().sqrt() / size;
        assert!(error < 2e-3, "{error:e}, {tokens} tokens, {causal}, {lsh:?}");
        worst = worst.max(error);
    }
    println!("worst {worst:.1e}");
}

#[test]
fn the_width_of_a_rotation_does_not_matter() {
    let mut source = Source(4);
    let values: Vec<i16> = (0..2 * 2 * D).map(|_| 1 - 2 * source.below(2) as i16).collect();
    let bytes: Vec<i8> = values.iter().map(|&value| value as i8).collect();
    let signs = write::Rotations { bits: 1, values: values.clone() }.signs();
    let q = source.values(50 * D, 3); // small values: many ties
    let all = [Rotations::Signs(&signs), Rotations::Int8(&bytes), Rotations::Int16(&values)];
    let [a, b, c] = all.map(|rotations| engine_buckets(parameters(rotations), &q, &[true; 50]));
    assert_eq!(a, b);
    assert_eq!(a, c);
    assert!((0..4).all(|bucket| a.contains(&bucket)), "{a:?}");
}

#[test]
fn heads_share_rotations_or_have_their_own() {
    let mut source = Source(7);
    let rotations = source.values(2 * 2 * 2 * D, 127);
    let (first, second) = rotations.split_at(2 * 2 * D);
    let q = source.values(60 * D, 4000);
    let of_head = |index, rotation_heads, rotations| {
        let lsh = Lsh { rotation_heads, ..parameters(Rotations::Int16(rotations)) };
        let mut buckets = vec![0; lsh.rounds * 60];
        let (mut rows, visible) = (q.clone(), bit_map(&[true; 60]));
        let (keys, values): (&mut [i16], &mut [i16]) = (&mut [], &mut []);
        let (scale, rows, visible) = (unit_scale(), &mut rows[..], &visible[..]);
        let head = Given { index, width: D, rows, keys, values, visible, causal: false, scale, gain: 0 };
        lsh::hash(lsh, &head, &mut buckets);
        buckets
    };
    let alone = [of_head(0, 1, first), of_head(0, 1, second)];
    assert_ne!(alone[0], alone[1]);
    assert_eq!([of_head(0, 2, &rotations), of_head(1, 2, &rotations)], alone);
    assert_eq!(of_head(1, 1, first), alone[0]);
}

#[test]
fn float_rotations_keep_their_signs_and_their_grid() {
    // `[d = 2, rounds 1, columns 3]` to `[1, 3, 2]`.
    let transposed = |values: &[f64]| lsh_rotations(&[values], 2);
    let signs = transposed(&[0.5, -0.5, 0.5, 0.5, 0.5, -0.5]);
    assert_eq!((signs.bits, signs.values), (1, vec![1, 1, -1, 1, 1, -1]));
    let grid = transposed(&[1.0, -3.5, 0.0, 0.25, 2.0, -0.75]);
    assert_eq!((grid.bits, grid.values), (8, vec![32, 8, -112, 64, 0, -24]));
    let fine = transposed(&[1.0, -3.5, 0.0, 0.3, 2.0, -0.75]);
    assert_eq!(fine.bits, 16);
    assert!(fine.values.iter().all(|value| value.unsigned_abs() <= dot_limit(2) as u16));
}

#[test]
fn a_masked_tail_is_a_shorter_sequence_of_as_many_chunks() {
    let mut source = Source(5);
    let rotations = source.values(2 * 2 * D, 127);
    let lsh = Lsh { chunk: 8, multiple: 8, ..parameters(Rotations::Int16(&rotations)) };
    let (q, v) = (source.values(40 * D, 4000), source.values(40 * D, 4000));
    for causal in [false, true] {
        // Padding sorts last, where filling is: one is the other.
        for tokens in 33..40 {
            let mask: Vec<bool> = (0..40).map(|token| token < tokens).collect();
            let short = run(lsh, &q[..tokens * D], &v[..tokens * D], &mask[..tokens], causal);
            assert_eq!(run(lsh, &q, &v, &mask, causal)[..tokens * D], short, "{tokens} tokens");
        }
    }
}

#[test]
fn a_token_alone_keeps_its_value() {
    let mut source = Source(6);
    let rotations = source.values(2 * 2 * D, 127);
    let lsh = parameters(Rotations::Int16(&rotations));
    let (q, v) = (source.values(30 * D, 4000), source.values(30 * D, VALUE_LIMIT));
    let own = |token: usize| -> Vec<i16> { v[token * D..][..D].iter().map(|&v| v << GAIN).collect() };
    assert_eq!(run(lsh, &q[..D], &v[..D], &[true], false), own(0));
    assert_eq!(run(lsh, &q, &v, &[true; 30], true)[..D], own(0));
    let only = |kept: usize| (0..30).map(|token| token == kept).collect::<Vec<_>>();
    assert_eq!(run(lsh, &q, &v, &only(7), false)[7 * D..8 * D], own(7));
}

#[test]
fn extremes_do_not_overflow() {
    let limit = dot_limit(D);
    let signs = [0x1234_5678_u32; 1];
    let (bytes, words) = ([i8::MIN; 2 * 2 * D], [limit; 2 * 2 * D]);
    for rotations in [Rotations::Signs(&signs), Rotations::Int8(&bytes), Rotations::Int16(&words)] {
        for (q, v) in [(limit, VALUE_LIMIT), (-limit, -VALUE_LIMIT), (0, VALUE_LIMIT), (1, -1)] {
            for epsilon in [0, 1, u64::MAX] {
                let lsh = Lsh { epsilon, before: 3, after: 3, ..parameters(rotations) };
                let out = run(lsh, &[q; 300 * D], &[v; 300 * D], &[true; 300], false);
                assert!(out.iter().all(|&x| (x - (v << GAIN)).abs() <= 2), "{q} {v} {epsilon}");
            }
        }
    }
}

/// The digits model with LSH attention in its first block.
fn file() -> write::File {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("models");
    let network = import::network(&folder.join("digits.toml"), &folder.join("digits.safetensors")).unwrap();
    let mut file = quantize(&network, &[vec![7; 64]], Settings::default(), |_| {}).unwrap().file;
    let rotations = write::Rotations { bits: 8, values: vec![1; 2 * 2 * (4 + 4) / 2 * 16] };
    file.blocks[0].key = None;
    file.blocks[0].kind = write::AttentionKind::Lsh(write::Lsh {
        factors: vec![4, 4],
        rounds: 2,
        chunk: 8,
        before: 1,
        after: 1,
        multiple: 8,
        in_bucket: true,
        skip_duplicates: true,
        padding_bucket: true,
        epsilon: 1 << 40,
        rotation_heads: 2,
        rotations,
    });
    file
}

#[test]
fn a_model_file_holds_what_was_written_and_runs() {
    for bits in [1, 8, 16] {
        let mut file = file();
        let write::AttentionKind::Lsh(written) = &mut file.blocks[0].kind else { unreachable!() };
        written.rotations.bits = bits;
        written.rotations.values.iter_mut().skip(1).step_by(3).for_each(|value| *value = -1);
        let written = written.clone();
        let words = file.words();
        let model = Model::parse(&words).unwrap();
        let AttentionKind::Lsh(found) = model.blocks().next().unwrap().attention.kind else { panic!() };
        assert_eq!(found.factors, [4, 4]);
        assert_eq!((found.rounds, found.chunk, found.before, found.after), (2, 8, 1, 1));
        assert!(found.in_bucket && found.skip_duplicates && found.padding_bucket);
        assert_eq!((found.epsilon, found.rotation_heads, found.rotations.bits()), (1 << 40, 2, bits));
        match found.rotations {
            Rotations::Signs(words) => assert_eq!(words, written.rotations.signs()),
            Rotations::Int8(values) => {
                assert!(values.iter().map(|&v| i16::from(v)).eq(written.rotations.values))
            }
            Rotations::Int16(values) => assert_eq!(values, written.rotations.values),
        }
        let mut engine = Engine::new(model);
        let mut session = engine.session();
        session.run(&[7; 64]).unwrap();
        session.run(&[7; 20]).unwrap();
    }
}

#[test]
fn contradictions_are_refused_by_name() {
    let refused = |field: &str, change: &dyn Fn(&mut write::Lsh)| {
        let mut file = file();
        let write::AttentionKind::Lsh(lsh) = &mut file.blocks[0].kind else { unreachable!() };
        change(lsh);
        let error = Model::parse(&file.words()).unwrap_err().to_string();
        assert!(error.starts_with(field), "{field}: {error}");
    };
    refused("lsh.buckets (number of factors)", &|lsh| lsh.factors.clear());
    refused("lsh.buckets (every factor must be even): 3 found", &|lsh| lsh.factors[1] = 3);
    refused("lsh.buckets (factor)", &|lsh| lsh.factors[0] = 0);
    refused("lsh.buckets (factor)", &|lsh| lsh.factors[0] = -2);
    refused("lsh.buckets (product)", &|lsh| lsh.factors = vec![128, 128]);
    refused("lsh.rounds", &|lsh| lsh.rounds = 0);
    refused("lsh.rounds", &|lsh| lsh.rounds = 9);
    refused("lsh.chunk", &|lsh| lsh.chunk = 0);
    refused("lsh.chunk (keys of a query", &|lsh| (lsh.chunk, lsh.before) = (50, 200));
    refused("lsh.before", &|lsh| lsh.before = 256);
    refused("lsh.after", &|lsh| lsh.after = 256);
    refused("lsh.skip_duplicates", &|lsh| lsh.in_bucket = false);
    refused("lsh.rotation_heads", &|lsh| lsh.rotation_heads = 3);
    refused("lsh.rotations", &|lsh| lsh.rotation_heads = 1);
    refused("lsh.rotations", &|lsh| lsh.factors = vec![4, 2]);
    refused("lsh.rotations (bits", &|lsh| lsh.rotations.bits = 4);
    refused("lsh.rotations (magnitude)", &|lsh| {
        lsh.rotations.bits = 16;
        lsh.rotations.values[5] = -dot_limit(16) - 1;
    });
}
