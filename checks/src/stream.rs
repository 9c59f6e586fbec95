//! A stream without end: standardized by the samples so far and pooled over a window, it is the whole run of every prefix.

use crate::checks;
use crate::outcome::{equal, holds};
use fixformer::session::Plan;
use fixformer::{Digest, Model, Session, Stream};

const BYTES: &[u8; include_bytes!("../../tests/models/monitor.fxm").len()] =
    include_bytes!("../../tests/models/monitor.fxm");
static WORDS: [u32; BYTES.len() / 4] = fixformer::session::words(BYTES);

/// Words of the arena of a stream, and of that of a whole run.
const ARENAS: [usize; 2] = match Model::parse(&WORDS) {
    Ok(model) => match Plan::of_stream(&model) {
        Ok(plan) => [plan.words(), Plan::of(&model).words()],
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
        recording[i] = ((noise * i as i32 >> 10) + 20 * i as i32) as i16;
        i += 1;
    }
    recording
};

/// Of the scores after every token.
const KNOWN: u64 = 0x1aaa_f253_1c15_02fd;

checks! { "stream", 16 * 1024,
    fn after_every_token_it_is_the_whole() {
        let (mut of_stream, mut of_whole) = ([0xdead_beef; ARENAS[0]], [0xdead_beef; ARENAS[1]]);
        let Ok(model) = Model::parse(&WORDS) else { return holds(false) };
        let (stream, session) = (Stream::new(model, &mut of_stream), Session::new(model, &mut of_whole));
        let (Ok(mut stream), Ok(mut session)) = (stream, session) else { return holds(false) };
        let (window, mut digest) = (model.input.window(), Digest::new());
        let mut mask = [true; STEPS];
        for (token, seen) in mask.iter_mut().enumerate() {
            *seen = !(token * window.stride..token * window.stride + window.width).contains(&LOST);
        }
        for (index, step) in RECORDING.chunks(CHANNELS).enumerate() {
            if index == LOST {
                holds(stream.skip(1).is_ok())?;
                continue;
            }
            let Ok(Some(scores)) = stream.push(step) else { continue };
            let mut of_token = Digest::new();
            of_token.scores(scores.raw());
            digest.scores(scores.raw());
            let (prefix, tokens) = (RECORDING.get(..CHANNELS * (index + 1)), stream.tokens());
            let mask = mask.get(..tokens).unwrap_or_default();
            let mut whole = Digest::new();
            whole.scores(session.run_masked(prefix.unwrap_or_default(), mask).map_or(&[], |scores| scores.raw()));
            holds(whole.value() == of_token.value())?;
        }
        equal(stream.tokens(), window.tokens(STEPS))?;
        equal(digest.value(), KNOWN)?;
    }
}
