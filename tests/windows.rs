//! Local attention and BigBird's extended construction in the engine, against the reference and golden files.

mod shared;

use std::path::{Path, PathBuf};

use fixformer::Model;
use fixformer::attention::{Given, attend, words};
use fixformer::host::engine::Engine;
use fixformer::host::golden::{self, Loaded};
use fixformer::host::import;
use fixformer::host::quantize::{Settings, quantize};
use fixformer::host::reference::attention::bigbird::{self, Pattern, Window};
use fixformer::host::reference::attention::local;
use fixformer::kernels::VALUE_LIMIT;
use fixformer::model::{AttentionKind, BigBirdExtended, Local, write};
use fixformer::num::Requant;

const D: usize = 8;
/// Fractional bits of all rows.
const FRAC: u32 = 11;
const GAIN: u32 = 2;

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

/// One head's inputs.
struct Inputs {
    q: Vec<i16>,
    k: Vec<i16>,
    v: Vec<i16>,
    mask: Vec<bool>,
    causal: bool,
}

impl Inputs {
    fn new(source: &mut Source, tokens: usize) -> Self {
        let masked = source.below(3);
        Self {
            q: source.values(tokens * D, 4000),
            k: source.values(tokens * D, 4000),
            v: source.values(tokens * D, VALUE_LIMIT),
            mask: (0..tokens).map(|_| masked == 0 || source.below(5) > 0).collect(),
            causal: source.below(2) == 0,
        }
    }

    fn run(&self, kind: AttentionKind<'_>) -> Vec<f64> {
        let (mut rows, keys) = (self.q.clone(), self.k.clone());
        let word = |bits: &[bool]| bits.iter().rev().fold(0, |word, &bit| word << 1 | u16::from(bit));
        let visible: Vec<u16> = self.mask.chunks(16).map(word).collect();
        let factor = 1024.0 * std::f64::consts::LOG2_E / (D as f64).sqrt() * f64::powi(0.5, 2 * FRAC as i32);
        let head = Given {
            index: 0,
            width: D,
            rows: &mut rows,
            keys: &keys,
            values: &self.v,
            visible: &visible,
            causal: self.causal,
            scale: Requant { multiplier: (factor * f64::powi(2.0, 16 + 11)).round() as i16, shift: 11 },
            gain: GAIN,
        };
        let mut memory = vec![0xdead_beef; words(&kind, self.mask.len(), D, self.causal)];
        attend(kind, head, &mut memory);
        rows.iter().map(|&x| f64::from(x) * f64::powi(0.5, (FRAC + GAIN) as i32)).collect()
    }

    fn real(&self) -> [Vec<f64>; 3] {
        [&self.q, &self.k, &self.v]
            .map(|x| x.iter().map(|&x| f64::from(x) * f64::powi(0.5, FRAC as i32)).collect())
    }
}

fn close(found: &[f64], expected: &[f64], what: &str) {
    let size = expected.iter().map(|x| x * x).sum::<f64>().sqrt();
    let difference = found.iter().zip(expected).map(|(x, y)| (x - y).powi(2)).sum::<f64>().sqrt();
    assert!(difference <= 2e-3 * size, "{:e}: {what}", difference / size);
}

#[test]
fn local_attention_agrees_with_the_reference() {
    let mut source = Source(1);
    for _ in 0..400 {
        let tokens = 1 + source.below(80);
        let chunk = 1 + source.below(20);
        let multiple = chunk * (1 + source.below(3));
        let local = Local { chunk, before: source.below(4), after: source.below(3), multiple };
        let inputs = Inputs::new(&mut source, tokens);
        let Local { chunk, before, after, multiple } = local;
        let float = local::Local { chunk, before, after, multiple, causal: inputs.causal };
        let [q, k, v] = inputs.real();
        let expected = float.attend(&q, &k, &v, D, Some(&inputs.mask));
        let found = inputs.run(AttentionKind::Local(local));
        close(&found, &expected, &format!("{tokens} tokens, {float:?}"));
    }
}

#[test]
fn the_extended_construction_agrees_with_the_reference() {
    let mut source = Source(2);
    for _ in 0..400 {
        let (tokens, global, block) = (1 + source.below(80), source.below(6), 1 + source.below(12));
        let random = source.below(4);
        let rows = 80_usize.div_ceil(block);
        let radius = (source.below(2) == 0).then(|| source.below(20));
        let dense_tokens = source.below(10);
        let plan: Vec<i16> = (0..rows * random).map(|_| source.below(rows + 1) as i16 - 1).collect();
        let kind = BigBirdExtended { block, dense_tokens, global, radius, random, rows, plan: &plan };
        let inputs = Inputs::new(&mut source, tokens);
        let float = bigbird::BigBird {
            block,
            random,
            pattern: Pattern::Extended { global, window: radius.map_or(Window::Blocks, Window::Tokens) },
            causal: inputs.causal,
            dense_up_to: dense_tokens,
        };
        let row = |row: usize| {
            let row = &plan[row * random..][..random];
            row.iter().filter(|&&id| id >= 0).map(|&id| id as usize).collect()
        };
        let drawn: Vec<Vec<usize>> = (0..rows).map(row).collect();
        let [q, k, v] = inputs.real();
        let expected = float.attend(&q, &k, &v, D, &drawn, Some(&inputs.mask));
        let found = inputs.run(AttentionKind::BigBirdExtended(kind));
        close(&found, &expected, &format!("{tokens} tokens, {float:?} {drawn:?}"));
    }
}

fn extended_files_agree(folder: &Path) -> usize {
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.file_name().is_some_and(|name| name.to_string_lossy().contains("bigbird_etc")));
    files.sort();
    for file in &files {
        let Loaded::Case(case) = golden::load(file).unwrap() else { panic!("{}", file.display()) };
        let error = case.error(&case.engine().unwrap());
        println!("{error:.1e} {}", case.file);
        assert!(error <= 1e-3, "{error:e} {}", case.file);
    }
    files.len()
}

#[test]
fn extended_golden_files_agree() {
    assert!(extended_files_agree(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")) > 0);
    let root = shared::root();
    let folder = root.join("golden/bigbird");
    if !folder.is_dir() {
        println!("skipped: no golden files at {} (set FIXFORMER_SHARED)", folder.display());
        return;
    }
    assert!(extended_files_agree(&folder) > 0);
}

/// What a model of 57 tokens and 2 heads says to this mechanism.
fn parsed(kind: write::AttentionKind) -> Result<(), String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("models");
    let network = import::network(&folder.join("digits.toml"), &folder.join("digits.safetensors")).unwrap();
    let mut file = quantize(&network, &[vec![7; 64]], Settings::default(), |_| {}).unwrap().file;
    file.blocks[1].kind = kind;
    let words = file.words();
    let model = Model::parse(&words).map_err(|error| error.to_string())?;
    Engine::new(model).session().run(&[3; 64]).unwrap();
    Ok(())
}

#[test]
fn contradictions_are_refused_by_name() {
    let refused = |field: &str, kind| {
        let error = parsed(kind).unwrap_err();
        assert!(error.starts_with(field), "{field}: {error}");
    };
    let local =
        |chunk, before, after| write::AttentionKind::Local(Local { chunk, before, after, multiple: chunk });
    assert_eq!(parsed(local(8, 1, 1)), Ok(()));
    refused("local.chunk", local(0, 1, 1));
    refused("local.before", local(8, 256, 1));
    refused("local.after", local(8, 1, 256));
    refused("local.chunk (keys of a query", local(50, 255, 255));

    // Seven blocks after three global tokens.
    let good = write::BigBirdExtended {
        block: 8,
        dense_tokens: 0,
        global: 3,
        radius: Some(5),
        random: 1,
        plan: (0..14).map(|i| i % 8 - 1).collect(),
    };
    let extended = write::AttentionKind::BigBirdExtended;
    assert_eq!(parsed(extended(good.clone())), Ok(()));
    assert_eq!(parsed(extended(write::BigBirdExtended { radius: None, ..good.clone() })), Ok(()));
    refused("bigbird_extended.block", extended(write::BigBirdExtended { block: 0, ..good.clone() }));
    refused("bigbird_extended.global", extended(write::BigBirdExtended { global: 58, ..good.clone() }));
    refused("bigbird_extended.radius", extended(write::BigBirdExtended { radius: Some(58), ..good.clone() }));
    refused("bigbird_extended.random", extended(write::BigBirdExtended { random: 65, ..good.clone() }));
    refused("bigbird_extended.plan", extended(write::BigBirdExtended { random: 2, ..good.clone() }));
    for id in [7, -2] {
        let plan = vec![id; 14];
        refused(
            "bigbird_extended.plan (block id)",
            extended(write::BigBirdExtended { plan, ..good.clone() }),
        );
    }

    // Repeated blocks count again: a row of the internal construction must not hold too many keys.
    let plan = vec![];
    let bigbird = write::BigBird { block: 1024, dense_blocks: 0, random: 12, plan };
    refused("bigbird.random", write::AttentionKind::BigBird(bigbird));
}
