//! Small models of every mechanism and option, in every way to run: the scores and the memory are those that they were.
//!
//! The other tests hold one way to run against another, and against a float reference within an error. Here a change of a
//! single bit is seen, wherever in the engine it comes from. Where it is meant, `INSTA_UPDATE=always` takes it.
//! `cargo xtask fuzz --known` draws the models anew.

use std::convert::Infallible;
use std::fmt::Write as _;

use fixformer::model::Input;
use fixformer::session::{Plan, StateWriter};
use fixformer::{Digest, Model, Passes, Scores, Session, Stream};

/// Words of each file, then the file, one after the other.
const MODELS: &[u8] = include_bytes!("known/models.bin");
/// What an arena holds before a run: garbage that a wrong read makes most of.
const FILLS: [u32; 5] = [0x7fff_8000, 0xffff_ffff, 0x0002_0000, 0x8000_7fff, 0];

#[test]
fn every_model_says_what_it_said() {
    let mut lines = String::new();
    for file in files() {
        let model = Model::parse(&file).unwrap();
        write!(lines, "{:08x} {}", model.checksum(), model.name()).unwrap();
        for (way, digest) in [
            ("whole", whole(model)),
            ("sliced", sliced(model)),
            ("stream", stream(model)),
            ("passes", passes(model)),
        ] {
            if let Some((words, digest)) = digest {
                write!(lines, " {way} {words} {digest}").unwrap();
            }
        }
        lines.push('\n');
    }
    insta::assert_snapshot!(lines);
}

/// Of one in four model files each word, and what is said of the file when it is another.
#[test]
fn every_changed_word_is_taken_or_refused_as_it_was() {
    let mut lines = String::new();
    for mut file in files().into_iter().step_by(4) {
        let (mut taken, mut digest) = (0, Digest::new());
        for at in CHECKSUM + 1..file.len() {
            let word = file[at];
            let near = [word ^ 1, word.wrapping_add(1), word.wrapping_sub(1), word << 1, word ^ 1 << 16];
            // Where limits lie.
            let far =
                [0, 1, 2, 5, 63, 64, 65, 256, 257, 1024, 1025, 16_384, 16_385, 0x7fff_7fff, 0x8000_8000, !0];
            let others = near.iter().chain(far.iter().take(if at < FRONT { far.len() } else { 2 }));
            for &other in others {
                file[at] = other;
                file[CHECKSUM] = checksum(&file);
                match Model::parse(&file) {
                    Ok(model) => {
                        taken += 1;
                        let plans = [Plan::of(&model), Plan::of_stream(&model).unwrap_or(Plan::of(&model))];
                        digest.scores(&plans.map(|plan| plan.words() as i16));
                    }
                    Err(error) => {
                        digest.scores(&error.message().as_str().bytes().map(i16::from).collect::<Vec<_>>())
                    }
                }
            }
            file[at] = word;
        }
        writeln!(lines, "{taken} {digest}").unwrap();
    }
    insta::assert_snapshot!(lines);
}

/// Words of a file in which most fields lie.
const FRONT: usize = 300;
/// Word of a file that has the CRC-32 of the others behind it.
const CHECKSUM: usize = 3;

fn checksum(file: &[u32]) -> u32 {
    let bytes: Vec<u8> = file[CHECKSUM + 1..].iter().flat_map(|word| word.to_le_bytes()).collect();
    crc32fast::hash(&bytes)
}

fn files() -> Vec<Vec<u32>> {
    let mut words = MODELS.as_chunks().0.iter().map(|&word| u32::from_le_bytes(word));
    let mut files = Vec::new();
    while let Some(length) = words.next() {
        files.push(words.by_ref().take(length as usize).collect());
    }
    files
}

/// Recordings of all lengths, each with a mask or without one.
fn recordings(model: &Model<'_>) -> Vec<(Vec<i16>, Option<Vec<bool>>)> {
    let mut state = model.checksum();
    // Numerical Recipes' quick generator: the upper bits are as good as needed.
    let mut below = move |end: usize| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as usize % end
    };
    let most = model.max_tokens - model.tokens_before();
    let window = model.input.window();
    let symbols = match model.input {
        Input::Samples { .. } => 2048,
        Input::OneHot { symbols, .. } => symbols + 1,
        Input::Tokens { table } => table.rows,
    };
    [most, most, most.div_ceil(2), 1 + most / 3, 1]
        .into_iter()
        .enumerate()
        .map(|(number, tokens)| {
            let steps = window.width + (tokens - 1) * window.stride;
            let values = (0..steps * model.input.step_values())
                .map(|_| match (&model.input, number) {
                    (Input::Samples { .. }, 2) => [i16::MIN, i16::MAX, 0][below(3)],
                    (Input::Samples { .. }, _) => below(symbols) as i16 - 1024,
                    _ => below(symbols) as i16,
                })
                .collect();
            let mask = (number % 2 == 1)
                .then(|| (0..tokens).map(|token| token == tokens - 1 || below(3) > 0).collect());
            (values, mask)
        })
        .collect()
}

/// Takes in everything that scores say.
fn take(digest: &mut Digest, scores: &Scores<'_>) {
    digest.scores(scores.raw());
    let outputs = scores.raw().len() / scores.tokens();
    digest.scores(&[scores.best() as i16, scores.saturated() as i16, scores.frac() as i16]);
    for output in 0..outputs {
        let number = scores.number(output).to_bits();
        digest.scores(&[0, 16, 32, 48].map(|bit| (number >> bit) as i16));
        digest.scores(&[scores.probability(output).to_bits() as i16, i16::from(scores.is_yes(output))]);
    }
}

/// The words of the arena, and what all recordings say.
fn whole(model: Model<'_>) -> Option<(usize, Digest)> {
    let mut digest = Digest::new();
    let words = Plan::of(&model).words();
    for ((recording, mask), fill) in recordings(&model).into_iter().zip(FILLS) {
        let mut memory = vec![fill; words];
        let mut session = Session::new(model, &mut memory).unwrap();
        let scores = match &mask {
            Some(mask) => session.run_masked(&recording, mask),
            None => session.run(&recording),
        };
        take(&mut digest, &scores.unwrap());
        digest.scores(&[model.input.tokens(recording.len()) as i16]);
    }
    for output in 0..model.outputs() {
        let threshold = model.answers.threshold(output).unwrap_or(-1);
        let named = model.answers.name(output).map_or(0, str::len);
        digest.scores(&[threshold as i16, named as i16, i16::from(model.answers.has_thresholds())]);
    }
    Some((words, digest))
}

/// The steps of all runs, and what they say.
fn sliced(model: Model<'_>) -> Option<(usize, Digest)> {
    let mut digest = Digest::new();
    let mut steps = 0;
    let mut memory = vec![FILLS[1]; Plan::of(&model).words()];
    let mut session = Session::new(model, &mut memory).unwrap();
    for (recording, mask) in recordings(&model) {
        let mut running = session.start_masked(&recording, mask.as_deref()).unwrap();
        while running.step().unwrap().is_pending() {
            steps += 1;
        }
        take(&mut digest, &running.scores().unwrap());
    }
    Some((steps, digest))
}

/// The words of a stream, and what it says after every token, with steps that are missing; and its state in the end.
fn stream(model: Model<'_>) -> Option<(usize, Digest)> {
    let words = Plan::of_stream(&model).ok()?.words();
    let mut digest = Digest::new();
    let mut memory = vec![FILLS[2]; words];
    let mut stream = Stream::new(model, &mut memory).unwrap();
    for (number, (recording, _)) in recordings(&model).into_iter().enumerate() {
        stream.reset();
        // Once for so long that sums of every size come up.
        let steps = recording.chunks(model.input.step_values());
        let count = if number == 0 { LONG } else { steps.len() };
        for (step, values) in steps.cycle().take(count).enumerate() {
            if number % 2 == 1 && step % 5 == 3 {
                stream.skip(1 + step % 2).ok();
            } else if let Ok(Some(scores)) = stream.push(values) {
                take(&mut digest, &scores);
            }
        }
        stream.save(&mut Saved(&mut digest)).unwrap();
    }
    Some((words, digest))
}

/// Steps of the longest stream.
const LONG: usize = 2600;

/// Takes in a state as it is written.
struct Saved<'a>(&'a mut Digest);

impl StateWriter for Saved<'_> {
    type Error = Infallible;

    fn write(&mut self, bytes: &[u8]) -> Result<(), Infallible> {
        bytes.iter().for_each(|&byte| self.0.scores(&[i16::from(byte)]));
        Ok(())
    }
}

/// The words of passes, and what they say.
fn passes(model: Model<'_>) -> Option<(usize, Digest)> {
    let words = Plan::of_passes(&model).ok()?.words();
    let mut digest = Digest::new();
    let mut memory = vec![FILLS[2]; words];
    let mut passes = Passes::new(model, &mut memory).unwrap();
    for (recording, _) in recordings(&model) {
        take(&mut digest, &passes.run(&mut &recording[..]).unwrap());
    }
    Some((words, digest))
}
