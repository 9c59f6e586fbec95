//! A stream gives what the model gives of the whole sequence so far: every mechanism, after every token, every bit.

use fixformer::host::calibrate::calibrate;
use fixformer::host::quantize::integers;
use fixformer::host::reference::{Input, Level, Pooling};
use fixformer::session::{ShortState, Stage, StateError, StateReader, StateWriter, Unstreamable};
use fixformer::{InputError, Model, Plan, Session, Stream, StreamError};
use fixformer_fuzz::random::causal::{STREAMS, channels, model};
use fixformer_fuzz::random::kinds::{KINDS, MAX_TOKENS, options};
use fixformer_fuzz::random::{Source, all_wide, length, network};

/// Writes garbage over all that is no state of a stream.
fn spoil(stream: &mut Stream<'_>) {
    let plan = *stream.plan();
    let mut state = vec![false; plan.words()];
    for buffer in plan.buffers().filter(|buffer| buffer.lives == [Stage::Embed, Stage::Head]) {
        state[buffer.start..buffer.start + buffer.words].fill(true);
    }
    for (word, state) in stream.memory_mut().iter_mut().zip(state) {
        if !state {
            *word = 0x5a5a_a5a5;
        }
    }
}

#[test]
fn after_every_token_a_stream_is_the_whole() {
    let mut source = Source(21);
    for i in STREAMS {
        for (round, pooling) in [Pooling::Mean, Pooling::Last, Pooling::Max].into_iter().enumerate() {
            let (network, words) = model(&mut source, i, round == 1, pooling);
            let model = Model::parse(&words).unwrap();
            let mut memory = vec![0xdead_beef; Plan::of(&model).words()];
            let mut session = Session::new(model, &mut memory).unwrap();
            let mut memory = vec![0xdead_beef; Plan::of_stream(&model).unwrap().words()];
            let mut stream = Stream::new(model, &mut memory).unwrap();
            let recording = source.recording(length(&network, MAX_TOKENS), &network.input);
            let channels = channels(&network);
            // A second time after `reset`.
            for _ in 0..2 {
                let mut tokens = 0;
                for (index, step) in recording.chunks(channels).enumerate() {
                    spoil(&mut stream);
                    let scores = stream.push(step).unwrap().map(|scores| scores.raw().to_vec());
                    let Some(scores) = scores else { continue };
                    tokens += 1;
                    let whole = session.run(&recording[..(index + 1) * channels]).unwrap();
                    assert_eq!(whole.raw(), scores, "mechanism {i}, {pooling:?}, token {tokens}");
                    assert_eq!(stream.scores().unwrap().raw(), scores);
                }
                assert_eq!((tokens, stream.tokens()), (MAX_TOKENS, MAX_TOKENS));
                stream.reset();
                assert_eq!((stream.tokens(), stream.scores()), (0, None));
            }
        }
    }
}

#[test]
fn steps_that_are_missing_are_masked() {
    let mut source = Source(22);
    for i in STREAMS {
        let (network, words) = model(&mut source, i, false, Pooling::Mean);
        let model = Model::parse(&words).unwrap();
        let mut memory = vec![0; Plan::of(&model).words()];
        let mut session = Session::new(model, &mut memory).unwrap();
        let mut memory = vec![0; Plan::of_stream(&model).unwrap().words()];
        let mut stream = Stream::new(model, &mut memory).unwrap();
        let (channels, window) = (channels(&network), model.input.window());
        let recording = source.recording(length(&network, MAX_TOKENS), &network.input);
        let steps = recording.len() / channels;
        let missing: Vec<bool> =
            (0..steps).map(|step| step < 9 || step % 37 == 20 || step / 30 == 4).collect();
        let mask: Vec<bool> = (0..MAX_TOKENS)
            .map(|token| {
                !missing[token * window.stride..token * window.stride + window.width].contains(&true)
            })
            .collect();
        let mut step = 0;
        while step < steps {
            let lost = missing[step..].iter().take_while(|&&missing| missing).count();
            stream.skip(lost).unwrap();
            step += lost;
            if step == steps {
                break;
            }
            let pushed = stream.push(&recording[step * channels..(step + 1) * channels]).unwrap();
            step += 1;
            let Some(scores) = pushed.map(|scores| scores.raw().to_vec()) else { continue };
            let tokens = stream.tokens();
            let whole = session.run_masked(&recording[..step * channels], &mask[..tokens]).unwrap();
            assert_eq!(whole.raw(), scores, "mechanism {i}, token {tokens}");
        }
        assert_eq!(stream.tokens(), MAX_TOKENS);
    }
}

#[test]
fn what_cannot_run_as_a_stream_says_why() {
    let mut source = Source(23);
    for i in (0..KINDS).filter(|i| !STREAMS.contains(i)) {
        let (_, words) = model(&mut source, i, false, Pooling::Mean);
        let model = Model::parse(&words).unwrap();
        let error = Stream::new(model, &mut [0; 100_000]).unwrap_err();
        assert!(
            matches!(error, StreamError::Unstreamable(Unstreamable::Later { block: 0, .. })),
            "{i}: {error}"
        );
        assert!(error.to_string().contains("depends on later ones"), "{error}");
    }
    let mut network = network(&mut source, options(0, false));
    for (level, part) in [(Level::Raw, "later tokens"), (Level::Standardized, "over the whole recording")] {
        if let Input::Samples { level: of, .. } = &mut network.input {
            *of = level;
        }
        let recordings = [source.recording(length(&network, 20), &network.input)];
        let ranges = calibrate(&network, &recordings, || {}).unwrap();
        let words = integers(&network, &ranges, &all_wide()).unwrap().words();
        let error = Stream::new(Model::parse(&words).unwrap(), &mut []).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn bad_steps_leave_a_stream_as_it_was() {
    let mut source = Source(24);
    let (network, words) = model(&mut source, 15, true, Pooling::Mean);
    let model = Model::parse(&words).unwrap();
    let needed = Plan::of_stream(&model).unwrap().words();
    let error = Stream::new(model, &mut vec![0; needed - 1]).unwrap_err();
    assert!(error.to_string().contains(&needed.to_string()), "{error}");

    let mut memory = vec![0; needed];
    let mut stream = Stream::new(model, &mut memory).unwrap();
    let channels = channels(&network);
    let recording = source.recording(length(&network, MAX_TOKENS), &network.input);
    for step in recording.chunks(channels) {
        let wrong = vec![0; channels + 1];
        let error = InputError::Channels { found: channels + 1, channels };
        assert_eq!(stream.push(&wrong), Err(error));
        assert_eq!(stream.push(&[]), Err(InputError::Channels { found: 0, channels }));
        stream.push(step).unwrap();
    }
    // The second layer is exact: it keeps every key.
    let before = stream.scores().unwrap().raw().to_vec();
    let error = InputError::TooLong { tokens: MAX_TOKENS + 1, max: MAX_TOKENS };
    assert_eq!((stream.limit(), stream.push(&recording[..channels])), (MAX_TOKENS, Err(error)));
    assert_eq!(stream.skip(3), Err(error));
    assert_eq!(stream.scores().unwrap().raw(), before);
    stream.reset();
    assert!(stream.push(&recording[..channels]).is_ok());
}

/// A stream with some tokens behind it, for a mechanism.
fn with_stream(i: usize, pooling: Pooling, check: impl FnOnce(Model<'_>, &mut Stream<'_>, &[Vec<i16>])) {
    let mut source = Source(25);
    let (network, words) = model(&mut source, i, false, pooling);
    let model = Model::parse(&words).unwrap();
    let mut memory = vec![0; Plan::of_stream(&model).unwrap().words()];
    let mut stream = Stream::new(model, &mut memory).unwrap();
    let recording = source.recording(length(&network, MAX_TOKENS), &network.input);
    let steps: Vec<Vec<i16>> = recording.chunks(channels(&network)).map(<[i16]>::to_vec).collect();
    check(model, &mut stream, &steps);
}

#[test]
fn a_saved_state_goes_on_elsewhere() {
    for i in STREAMS {
        with_stream(i, Pooling::Mean, |model, stream, steps| {
            let (before, after) = steps.split_at(steps.len() / 2 + 3);
            before.iter().for_each(|step| _ = stream.push(step).unwrap());
            let mut saved = Vec::new();
            stream.save(&mut saved).unwrap();
            assert_eq!(saved.len(), stream.saved_bytes());
            let mut memory = vec![0xdead_beef; Plan::of_stream(&model).unwrap().words()];
            let mut other = Stream::new(model, &mut memory).unwrap();
            other.push(&steps[0]).unwrap();
            other.restore(&mut &saved[..]).unwrap();
            assert_eq!(other.tokens(), stream.tokens());
            assert_eq!(other.scores(), stream.scores());
            for step in after {
                assert_eq!(other.push(step).unwrap(), stream.push(step).unwrap(), "mechanism {i}");
            }
        });
    }
}

#[test]
fn every_flipped_bit_and_every_truncation_of_a_state_is_refused() {
    with_stream(0, Pooling::Mean, |_, stream, steps| {
        steps[..40].iter().for_each(|step| _ = stream.push(step).unwrap());
        let mut saved = Vec::new();
        stream.save(&mut saved).unwrap();
        steps[40..50].iter().for_each(|step| _ = stream.push(step).unwrap());
        let mut now = Vec::new();
        stream.save(&mut now).unwrap();

        for bit in 0..8 * saved.len() {
            saved[bit / 8] ^= 1 << (bit % 8);
            assert!(stream.restore(&mut &saved[..]).is_err(), "bit {bit}");
            saved[bit / 8] ^= 1 << (bit % 8);
        }
        for length in 0..saved.len() {
            let error = stream.restore(&mut &saved[..length]).unwrap_err();
            assert_eq!(error, StateError::Source(ShortState), "{length} bytes");
        }
        let mut still = Vec::new();
        stream.save(&mut still).unwrap();
        assert_eq!(now, still);
        stream.restore(&mut &saved[..]).unwrap();
    });
}

#[test]
fn a_state_that_is_not_this_models_is_named() {
    with_stream(15, Pooling::Last, |_, stream, steps| {
        stream.push(&steps[0]).unwrap();
        let mut saved = Vec::new();
        stream.save(&mut saved).unwrap();
        let mut refused = |word: usize, value: u32| {
            let mut other = saved.clone();
            other[4 * word..4 * word + 4].copy_from_slice(&value.to_le_bytes());
            stream.restore(&mut &other[..]).unwrap_err().to_string()
        };
        assert!(refused(0, 7).contains("not the state of a stream"));
        assert!(refused(1, 1).contains("version 1"));
        assert!(refused(2, 1).contains("another model"));
        assert!(refused(4, 3).contains("3 words"));
        assert!(refused(6, 0xffff_ffff).contains("damaged"));

        struct Full;
        impl StateWriter for Full {
            type Error = &'static str;
            fn write(&mut self, _: &[u8]) -> Result<(), &'static str> {
                Err("no room")
            }
        }
        assert_eq!(stream.save(&mut Full), Err("no room"));

        /// Another byte each time it is asked.
        struct Moving<'a>(&'a [u8], u8);
        impl StateReader for Moving<'_> {
            type Error = ShortState;
            fn read(&mut self, offset: usize, bytes: &mut [u8]) -> Result<(), ShortState> {
                self.0.read(offset, bytes)?;
                let reads = 1 + (self.0.len() - 24).div_ceil(64) + 1;
                if usize::from(self.1) > reads {
                    bytes[0] ^= 1;
                }
                self.1 += 1;
                Ok(())
            }
        }
        assert_eq!(stream.restore(&mut Moving(&saved, 0)), Err(StateError::Changed));
        assert_eq!((stream.tokens(), stream.scores()), (0, None));
    });
}
