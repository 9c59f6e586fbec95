//! Small models of every mechanism in every way to run: `cargo xtask test --miri` runs this file under Miri, which sees every
//! access of unsafe code. There the models come from files, because quantising takes long in an interpreter.

use std::sync::LazyLock;

use fixformer::kernels::portable_only;
use fixformer::session::Plan;
use fixformer::{Arena, InPasses, Model, Passes, Session, Stream, Streamed};
use fixformer_fuzz::random::Source;
use fixformer_fuzz::{files, mutate, small};

/// Name and words of each model.
static MODELS: LazyLock<Vec<(String, Vec<u32>)>> = LazyLock::new(|| match std::env::var_os(FOLDER) {
    Some(folder) => {
        let mut paths: Vec<_> =
            std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        let read = |path: &std::path::PathBuf| {
            let bytes = std::fs::read(path).unwrap();
            let words = bytes.chunks(4).map(|word| u32::from_le_bytes(word.try_into().unwrap()));
            (path.file_stem().unwrap().to_string_lossy().into_owned(), words.collect())
        };
        paths.iter().map(read).collect()
    }
    None => small::files(),
});

/// The variable that names a folder with nothing but files of [`small::files`].
const FOLDER: &str = "FIXFORMER_SMALL_MODELS";

/// What an arena holds before a run.
const FILLS: [u32; 2] = [0xdead_beef, 0x7fff_8000];

/// Recordings of a model; the first one is unmasked, the second has a mask.
fn recordings(model: &Model<'_>) -> [(Vec<i16>, Option<Vec<bool>>); 2] {
    let mut source = Source(u64::from(model.checksum()));
    [false, true].map(|masked| {
        // The longest of a few: most of what is done depends on how many blocks there are.
        let drawn = (0..6).map(|_| files::recording(&mut source, model));
        let recording = drawn.max_by_key(Vec::len).unwrap();
        let tokens = tokens(model, &recording);
        let mask = (0..tokens).map(|token| token % 5 != 1 && !(tokens / 2..tokens / 2 + 3).contains(&token));
        let mut mask: Vec<bool> = mask.collect();
        mask[tokens - 1] = true;
        (recording, masked.then_some(mask))
    })
}

fn tokens(model: &Model<'_>, recording: &[i16]) -> usize {
    model.input.tokens(recording.len())
}

/// The scores of a run at one go, in an arena of exactly the words that it needs.
fn whole(model: Model<'_>, recording: &[i16], mask: Option<&[bool]>, fill: u32) -> Vec<i16> {
    let mut memory = vec![fill; Plan::of(&model).words()];
    let mut session = Session::new(model, &mut memory).unwrap();
    let scores = session.run_traced(recording, mask, &mut ()).unwrap();
    let outputs = scores.raw().len() / scores.tokens();
    if scores.tokens() == 1 {
        assert!((0..outputs).all(|output| (0.0..=1.0).contains(&scores.probability(output))));
    }
    scores.raw().to_vec()
}

/// One walk over the models: a whole run is what costs most in an interpreter, and everything is compared with it.
#[test]
fn every_way_to_run_gives_the_same_scores() {
    assert!(MODELS.len() > 30, "{} models", MODELS.len());
    let (mut streamed, mut passed) = (0, 0);
    for (name, words) in MODELS.iter() {
        let model = Model::parse(words).unwrap();
        let [(recording, _), (other, mask)] = recordings(&model);
        let scores = whole(model, &recording, None, FILLS[0]);
        portable_only(true);
        assert_eq!(whole(model, &recording, None, FILLS[1]), scores, "{name}, portable kernels");
        let masked = whole(model, &other, mask.as_deref(), FILLS[0]);
        portable_only(false);
        assert_eq!(in_slices(model, &other, mask.as_deref()), masked, "{name}, in slices");
        if let Ok(plan) = Plan::of_stream(&model) {
            assert!(scores.ends_with(&as_stream(model, plan.words(), &recording)), "{name}, as a stream");
            streamed += 1;
        }
        if let Ok(plan) = Plan::of_passes(&model) {
            let mut memory = vec![FILLS[0]; plan.words()];
            let mut passes = Passes::new(model, &mut memory).unwrap();
            assert_eq!(passes.run(&mut &recording[..]).unwrap().raw(), scores, "{name}, in passes");
            assert!(passes.run(&mut &recording[..0]).is_err(), "{name}");
            passed += 1;
        }
        println!("{name}");
    }
    assert!(streamed >= 10 && passed >= 4, "{streamed} as streams, {passed} in passes");
}

/// The scores of a run with as little as can be done between two steps.
fn in_slices(model: Model<'_>, recording: &[i16], mask: Option<&[bool]>) -> Vec<i16> {
    let mut memory = vec![FILLS[1]; Plan::of(&model).words()];
    let mut session = Session::new(model, &mut memory).unwrap();
    let mut running = session.start_masked(recording, mask).unwrap();
    while running.step().unwrap().is_pending() {}
    running.scores().unwrap().raw().to_vec()
}

/// The last scores of a stream that is saved half-way and goes on in another arena.
fn as_stream(model: Model<'_>, words: usize, recording: &[i16]) -> Vec<i16> {
    let steps: Vec<&[i16]> = recording.chunks(model.input.step_values()).collect();
    let (before, after) = steps.split_at(steps.len() / 2);
    let mut saved = Vec::new();
    let mut memory = [0, 1].map(|i| vec![FILLS[i]; words]);
    let [mut stream, mut other] = memory.each_mut().map(|memory| Stream::new(model, memory).unwrap());
    for step in before {
        stream.push(step).unwrap();
    }
    stream.save(&mut saved).unwrap();
    other.restore(&mut &saved[..]).unwrap();
    for step in after {
        other.push(step).unwrap();
    }
    let last = other.scores().unwrap().raw().to_vec();
    // What was lost is masked, unless the stream is full; and nothing of a damaged state is taken.
    let lost = other.skip(model.input.window().width);
    assert!(lost.is_ok() || other.tokens() + 1 >= other.limit(), "{lost:?}");
    let damaged = saved.len() / 2;
    saved[damaged] ^= 4;
    assert!(other.restore(&mut &saved[..]).is_err());
    other.reset();
    last
}

#[test]
fn damaged_files_are_refused_or_run() {
    let originals: Vec<Vec<u32>> = MODELS.iter().map(|(_, words)| words.clone()).collect();
    let mut source = Source(22);
    let (mut words, mut scores) = (Vec::new(), Vec::new());
    let mut accepted = 0;
    for number in 0..if cfg!(miri) { 30 } else { 3_000 } {
        mutate::mutant(&mut source, &originals[number % originals.len()], &originals, &mut words);
        if files::parse(&words) {
            accepted += 1;
            // Their arenas may be large, which costs an interpreter a lot.
            if Plan::of(&Model::parse(&words).unwrap()).words() < 1 << 13 {
                files::run(&words, number as u64, &mut scores);
            }
        }
        let cut = source.below(words.len());
        assert!(!files::parse(&words[..cut]));
    }
    assert!(accepted > 0);
}

fixformer::model! {
    /// Symbols, of two kinds of marks the last.
    struct Marks = concat!(env!("CARGO_MANIFEST_DIR"), "/../models/zoo/marks-hierarchical.fxm")
}
fixformer::model! {
    /// The same, with a layer that can run in passes.
    struct Sums = concat!(env!("CARGO_MANIFEST_DIR"), "/../models/zoo/marks-favor.fxm")
}

#[test]
fn arenas_are_handed_out_once() {
    static WHOLE: Arena<Marks> = Arena::new();
    static STREAM: Arena<Marks, Streamed> = Arena::new();
    static PASSES: Arena<Sums, InPasses> = Arena::new();
    // An embedded model is of a usual size: a few tokens of it cost an interpreter a minute.
    let symbols = [3, 1];
    let mut session = WHOLE.take().unwrap();
    assert!(WHOLE.take().is_err());
    let expected = session.run(&symbols).unwrap().raw().to_vec();
    let mut stream = STREAM.take().unwrap();
    for symbol in symbols {
        stream.push(&[symbol]).unwrap();
    }
    assert_eq!(stream.scores().unwrap().raw(), expected);
    let mut passes = PASSES.take().unwrap();
    assert!(PASSES.take().is_err() && STREAM.take().is_err());
    assert_eq!(passes.run(&mut &symbols[..]).unwrap().raw().len(), Sums::OUTPUTS);
}
