//! Masked recordings are as exact as others: the engine's worst error against the f64 reference, over drawn masks.
//!
//! `cargo test --test masked -- --nocapture` prints a line a model of the zoo, and with `--include-ignored` one of 1,000 masks
//! each (some 20 minutes). `FIXFORMER_MODELS=needle` keeps it to models with that in their name.
//!
//! Rounding errors of tokens are averaged by attention and by pooling: those of few tokens less than those of many, masked or
//! not. So masked recordings are held against whole ones and against pieces of them with as many tokens.

#[path = "masked/recordings.rs"]
mod recordings;
mod shared;

use fixformer::host::draw::{Source, mask};
use fixformer::host::engine::Engine;
use fixformer::host::reference::Network;
use fixformer::host::restore;
use fixformer::model::AttentionKind;
use fixformer::{Model, Session};
use std::fs;
use std::path::{Path, PathBuf};

/// How many times the worst error without a mask the worst with one may be.
const MOST: f64 = 3.0;

/// Model files of the zoo, by name.
fn zoo() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/zoo");
    let wanted = std::env::var("FIXFORMER_MODELS").unwrap_or_default();
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = files
        .filter(|path| path.extension().is_some_and(|extension| extension == "fxm"))
        .filter(|path| path.file_stem().is_some_and(|name| name.to_string_lossy().contains(&wanted)))
        .collect();
    files.sort();
    files
}

/// A model beside the float network that its file stands for.
struct Pair<'a, 'm> {
    network: &'a Network,
    session: Session<'a>,
    model: Model<'m>,
    /// Size of the scores of whole recordings.
    typical: f64,
}

impl Pair<'_, '_> {
    /// The scores of the engine and of the network.
    fn scores(&mut self, row: &[i16], mask: Option<&[bool]>) -> [Vec<f64>; 2] {
        let expected = self.network.forward(row, mask, &mut |_, _| {}).unwrap();
        let found = match mask {
            Some(mask) => self.session.run_masked(row, mask),
            None => self.session.run(row),
        };
        [found.unwrap().to_f64().collect(), expected]
    }

    /// The relative L2 error of the scores. Where a network changes its mind they pass zero: they count as large as is typical
    /// then.
    fn error(&mut self, row: &[i16], mask: Option<&[bool]>) -> f64 {
        let [found, expected] = self.scores(row, mask);
        let difference: Vec<f64> = found.iter().zip(&expected).map(|(a, b)| a - b).collect();
        size(&difference) / size(&expected).max(self.typical)
    }

    /// As many tokens as a mask leaves, the first of them the mask's.
    fn piece<'r>(&self, row: &'r [i16], mask: &[bool]) -> &'r [i16] {
        let count = mask.iter().filter(|&&counts| counts).count();
        let first = mask.iter().position(|&counts| counts).unwrap().min(mask.len() - count);
        let start = first * self.model.input.token_values();
        &row[start..start + self.model.input.values_of(count)]
    }
}

fn size(x: &[f64]) -> f64 {
    x.iter().map(|x| x * x).sum::<f64>().sqrt()
}

/// Median, ninth decile and worst of some errors.
#[derive(Clone, Copy)]
struct Errors {
    median: f64,
    decile: f64,
    worst: f64,
}

impl Errors {
    fn of(mut errors: Vec<f64>) -> Self {
        errors.sort_by(f64::total_cmp);
        let count = errors.len();
        Self { median: errors[count / 2], decile: errors[9 * count / 10], worst: errors[count - 1] }
    }
}

/// Prints a model's errors; how many times those without a mask those with one are, by what is `judged`.
fn measure(file: &Path, count: usize, judged: fn(Errors) -> f64) -> f64 {
    let name = file.file_stem().unwrap().to_str().unwrap();
    let words: Vec<u32> =
        fs::read(file).unwrap().as_chunks().0.iter().map(|&bytes| u32::from_le_bytes(bytes)).collect();
    let model = Model::parse(&words).unwrap();
    let network = restore::network(&model);
    let rows = recordings::of(name, &model, count);
    let mut engine = Engine::new(model);
    let mut pair = Pair { network: &network, session: engine.session(), model, typical: 0.0 };

    let squares = rows.iter().map(|row| size(&network.forward(row, None, &mut |_, _| {}).unwrap()).powi(2));
    pair.typical = (squares.sum::<f64>() / rows.len() as f64).sqrt();
    let whole = Errors::of(rows.iter().map(|row| pair.error(row, None)).collect());
    let (mut masked, mut pieces, mut source) = (Vec::new(), Vec::new(), Source(1));
    for row in rows.iter().cycle().take(count) {
        let tokens = network.tokens(row).unwrap();
        // Where a window is pooled, some token of it has to count.
        let pooled = network.pooling.first(tokens);
        let mut drawn = std::iter::repeat_with(|| mask(&mut source, tokens));
        let mask = drawn.find(|mask| mask[pooled..].contains(&true)).unwrap();
        masked.push(pair.error(row, Some(&mask)));
        pieces.push(pair.error(pair.piece(row, &mask), None));
    }
    let [pieces, masked] = [pieces, masked].map(Errors::of);
    let lsh = model.blocks().any(|block| matches!(block.attention.kind, AttentionKind::Lsh(_)));
    // A token on the edge of two buckets changes who sees whom, with a mask or without: only that is rare.
    let judged = if lsh { |errors: Errors| errors.median } else { judged };
    let ratio = judged(masked) / judged(whole).max(judged(pieces));
    let show = |Errors { median, worst, .. }| format!("{median:.5} {worst:.5}");
    println!("{name:<26} {}   {}   {}   {ratio:.2}", show(whole), show(pieces), show(masked));
    ratio
}

fn check(count: usize, judged: fn(Errors) -> f64) {
    println!("median and worst error of whole recordings, of pieces, and with masks; ratio");
    let bad: Vec<_> = zoo()
        .iter()
        .map(|file| (file, measure(file, count, judged)))
        .filter(|(_, ratio)| *ratio > MOST)
        .map(|(file, ratio)| format!("{} {ratio:.2}", file.display()))
        .collect();
    assert!(bad.is_empty(), "{bad:?}");
}

/// The worst of few says little: those that few are above do.
#[test]
fn models_of_the_zoo_are_as_exact_with_a_mask() {
    check(60, |errors| errors.decile);
}

#[test]
#[ignore = "20 minutes"]
fn models_of_the_zoo_are_as_exact_with_a_thousand_masks() {
    check(1000, |errors| errors.worst);
}
