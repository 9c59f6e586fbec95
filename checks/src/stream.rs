//! A stream without end: standardized by the samples so far and pooled over a window, it is the whole run of every prefix.

use crate::checks;
use crate::outcome::{Outcome, equal, holds};
use fixformer::session::Plan;
use fixformer::{Digest, Model, Session, Stream};

const BYTES: &[u8; include_bytes!("../../tests/models/monitor.fxm").len()] =
    include_bytes!("../../tests/models/monitor.fxm");
static WORDS: [u32; BYTES.len() / 4] = fixformer::session::words(BYTES);

/// Words of the arena, which lies on the stack here: of a stream and then of whole runs.
const ARENA: usize = match Model::parse(&WORDS) {
    Ok(model) => match Plan::of_stream(&model) {
        Ok(plan) if plan.words() > Plan::of(&model).words() => plan.words(),
        Ok(_) => Plan::of(&model).words(),
        Err(_) => panic!("the monitor is a stream"),
    },
    Err(_) => panic!("the monitor is a model"),
};

const CHANNELS: usize = 3;
/// Steps of the recording: the first blocks leave the window.
const STEPS: usize = 90;
/// A step that is lost.
const LOST: usize = 41;

/// Louder and louder, around a level that rises.
const RECORDING: [i16; CHANNELS * STEPS] = {
    let mut recording = [0; CHANNELS * STEPS];
    let (mut i, mut state) = (0, 1_u32);
    while i < recording.len() {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let noise = (state >> 16) as i32 - 0x8000;
        recording[i] = (((noise * i as i32) >> 10) + 20 * i as i32) as i16;
        i += 1;
    }
    recording
};

/// Of the scores after every token.
const KNOWN: u64 = 0x1aaa_f253_1c15_02fd;

/// Digest of the scores after each step that makes a token; zero after the others.
type Digests = [u64; STEPS];

fn of(scores: &[i16]) -> u64 {
    let mut digest = Digest::new();
    digest.scores(scores);
    digest.value()
}

// Not inlined: one arena at a time.
#[inline(never)]
fn as_stream(model: Model<'_>, memory: &mut [u32], digests: &mut Digests) -> Outcome {
    let Ok(mut stream) = Stream::new(model, memory) else { return holds(false) };
    let mut all = Digest::new();
    for ((index, step), digest) in RECORDING.chunks(CHANNELS).enumerate().zip(digests) {
        if index == LOST {
            holds(stream.skip(1).is_ok())?;
        } else if let Ok(Some(scores)) = stream.push(step) {
            all.scores(scores.raw());
            *digest = of(scores.raw());
        }
    }
    equal(stream.tokens(), model.input.window().tokens(STEPS))?;
    equal(all.value(), KNOWN)
}

#[inline(never)]
fn as_whole(model: Model<'_>, memory: &mut [u32], digests: &Digests) -> Outcome {
    let Ok(mut session) = Session::new(model, memory) else { return holds(false) };
    let window = model.input.window();
    let mut mask = [true; STEPS];
    for (token, seen) in mask.iter_mut().enumerate() {
        *seen = !(token * window.stride..token * window.stride + window.width).contains(&LOST);
    }
    for (index, &digest) in digests.iter().enumerate().filter(|(_, digest)| **digest != 0) {
        let prefix = RECORDING.get(..CHANNELS * (index + 1)).unwrap_or_default();
        let mask = mask.get(..window.tokens(index + 1)).unwrap_or_default();
        holds(session.run_masked(prefix, mask).is_ok_and(|scores| of(scores.raw()) == digest))?;
    }
    Ok(())
}

checks! { "stream", 14 * 1024,
    fn after_every_token_it_is_the_whole() {
        let mut memory = [0xdead_beef; ARENA];
        let mut digests = [0; STEPS];
        let Ok(model) = Model::parse(&WORDS) else { return holds(false) };
        as_stream(model, &mut memory, &mut digests)?;
        as_whole(model, &mut memory, &digests)?;
    }
}
