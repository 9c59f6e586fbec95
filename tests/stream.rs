//! A stream gives what the model gives of the whole sequence so far: every mechanism, after every token, every bit.

use fixformer::host::calibrate::calibrate;
use fixformer::host::quantize::integers;
use fixformer::host::reference::favor::Offsets;
use fixformer::host::reference::{AttentionKind, Input, Level, Network, Pooling};
use fixformer::session::{Stage, Unstreamable};
use fixformer::{InputError, Model, Plan, Session, Stream, StreamError};
use random::kinds::{KINDS, MAX_TOKENS, kinds, options};
use random::{Source, all_wide, length, network};

#[allow(dead_code)] // What other tests need of it.
mod random;

/// Mechanisms of [`kinds`] of which a causal layer depends on nothing that follows.
const STREAMS: [usize; 10] = [0, 1, 2, 8, 9, 10, 11, 15, 19, 20];

/// A causal network with mechanism `i` in both layers, or with exact attention in the second, and its model file.
fn model(source: &mut Source, i: usize, exact_too: bool, pooling: Pooling) -> (Network, Vec<u32>) {
    let mut options = options(i, true);
    options.pooling = pooling;
    let mut network = network(source, options);
    if let Input::Samples { level, .. } = &mut network.input {
        *level = Level::Raw;
    }
    for (layer, block) in network.blocks.iter_mut().enumerate() {
        let width = options.width / options.heads;
        let mut kind = kinds(source, options.heads, width, layer).swap_remove(i);
        if let AttentionKind::Favor(favor) = &mut kind {
            favor.offsets = Offsets::Seen;
        }
        if !(exact_too && layer == 1) {
            block.attention.kind = kind;
        }
    }
    let recordings: Vec<Vec<i16>> =
        (1..8).map(|i| source.recording(length(&network, 20 * i), &network.input)).collect();
    let ranges = calibrate(&network, &recordings, || {}).unwrap();
    let words = integers(&network, &ranges, &all_wide()).unwrap().words();
    (network, words)
}

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

/// Values of a step.
fn channels(network: &Network) -> usize {
    match &network.input {
        Input::Samples { channels, .. } => *channels,
        _ => 1,
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
