//! Bodies that cut a run where they like: a stream that is saved and goes on elsewhere, and a state that is not what was saved.

use fixformer::Model;
use fixformer::session::Plan;
use fixformer::{Session, Stream};

use crate::FILLS;
use crate::random::{Source, any};

/// A drawn model that can stream, its file and a recording.
fn streaming(source: &mut Source) -> (Vec<u32>, Vec<i16>) {
    loop {
        let (network, words) = any::model(source);
        if Model::parse(&words).is_ok_and(|model| Plan::of_stream(&model).is_ok()) {
            return (words, any::recording(source, &network, false));
        }
    }
}

/// A stream that is saved anywhere and goes on in another arena says after every token what a whole run of so much says.
pub fn cut(seed: u64) {
    let mut source = Source(seed);
    let (words, recording) = streaming(&mut source);
    let model = Model::parse(&words).expect("it was parsed before");
    let mut whole = vec![0; Plan::of(&model).words()];
    let plan = Plan::of_stream(&model).expect("it streams");
    let channels = model.input.step_values();
    let mut state: Option<Vec<u8>> = None;
    let mut step = 0;
    while step * channels < recording.len() {
        let mut memory = vec![source.of(&FILLS); plan.words()];
        let mut stream = Stream::new(model, &mut memory).expect("it has as many words as the plan");
        if let Some(mut state) = state.as_deref() {
            stream.restore(&mut state).expect("it was saved");
        }
        let end = step + 1 + source.below(40);
        for values in recording.chunks(channels).take(end).skip(step) {
            let said = stream.push(values).expect("the recording is one of this model");
            step += 1;
            let Some(said) = said else { continue };
            // Now and then: a whole run costs as much as all tokens.
            if source.below(8) == 0 {
                whole.fill(source.of(&FILLS));
                let mut session = Session::new(model, &mut whole).expect("it has as many words as the plan");
                match session.run(&recording[..step * channels]) {
                    Ok(expected) if model.is_per_token() => {
                        let last = expected.of_token(expected.tokens() - 1).expect("there is one");
                        assert_eq!(said.raw(), last.raw(), "seed {seed}, step {step}");
                    }
                    Ok(expected) => assert_eq!(said.raw(), expected.raw(), "seed {seed}, step {step}"),
                    Err(error) => panic!("seed {seed}, step {step}: {error}"),
                }
            }
        }
        let mut saved = Vec::new();
        stream.save(&mut saved).expect("memory takes it");
        state = Some(saved);
    }
}

/// A state of which some bits or bytes are others is refused, and the stream goes on as if nothing had been offered.
pub fn state(seed: u64) {
    let mut source = Source(seed);
    let (words, recording) = streaming(&mut source);
    let model = Model::parse(&words).expect("it was parsed before");
    let plan = Plan::of_stream(&model).expect("it streams");
    let channels = model.input.step_values();
    let mut memory = [0, 1].map(|_| vec![source.of(&FILLS); plan.words()]);
    let [mut stream, mut other] =
        memory.each_mut().map(|memory| Stream::new(model, memory).expect("it has as many words as the plan"));
    let mut saved = Vec::new();
    let half = source.below(recording.len() / channels + 1);
    for (step, values) in recording.chunks(channels).enumerate() {
        if step == half {
            stream.save(&mut saved).expect("memory takes it");
            for _ in 0..16 {
                let mut wrong = saved.clone();
                match source.below(3) {
                    0 => wrong.truncate(source.below(saved.len())),
                    1 => wrong[source.below(saved.len())] ^= 1 << source.below(8),
                    _ => {
                        let (at, length) = (source.below(saved.len()), 1 + source.below(8));
                        wrong[at..].iter_mut().take(length).for_each(|byte| *byte = byte.wrapping_add(85));
                    }
                }
                assert!(stream.restore(&mut &wrong[..]).is_err(), "seed {seed}");
            }
        }
        let said = stream.push(values).map(|said| said.map(|said| said.raw().to_vec()));
        let expected = other.push(values).map(|said| said.map(|said| said.raw().to_vec()));
        assert_eq!(said, expected, "seed {seed}, step {step}");
    }
}
