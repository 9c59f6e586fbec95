//! The engine against the f64 reference, over every option of a model.

use std::sync::atomic::{AtomicUsize, Ordering};

use fixformer::host::engine::{Cores, Engine, RowError, Runner};
use fixformer::host::quantize::{Precision, Settings, integers, quantize};
use fixformer::host::reference::*;
use fixformer::host::{calibrate::calibrate, report};
use fixformer::session::Plan;
use fixformer::{InputError, Model, Session};
use fixformer_fuzz::random::{Options, Source, all_wide, length, network, scores};

const MAX_TOKENS: usize = 40;

fn options() -> impl Iterator<Item = Options> {
    use {
        Activation::*,
        NormOrder::*,
        Pooling::{First, Last, Max, Mean},
    };
    let poolings = [Mean, Max, First, Last];
    (0..24).map(move |i| Options {
        input: (i % 3) as u8,
        positions: (i / 3 % 4) as u8,
        order: [Pre, Post, Reversible][(i + i / 3) % 3],
        hidden: [None, Some(Tanh), Some(GeluErf)][i / 3 % 3],
        activation: [Relu, GeluErf, GeluTanh, Tanh][i / 2 % 4],
        causal: i / 4 % 2 == 1,
        heads: [1, 2, 4][i % 3],
        width: [8, 24, 20][i / 8],
        pooling: poolings[(i + i / 4) % 4],
        norms: i / 3 % 2 == 0,
        max_tokens: MAX_TOKENS,
    })
}

#[test]
fn every_option_agrees_with_the_reference() {
    let mut source = Source(7);
    for options in options() {
        let network = network(&mut source, options);
        let recordings: Vec<Vec<i16>> = (0..60)
            .map(|i| source.recording(length(&network, 1 + i * (MAX_TOKENS - 1) / 59), &network.input))
            .collect();
        let ranges = calibrate(&network, &recordings, || {}).unwrap();
        let words = integers(&network, &ranges, &all_wide()).unwrap().words();
        let model = Model::parse(&words).unwrap();
        let mut memory = vec![0xdead_beef; Plan::of(&model).words()];
        let mut session = Session::new(model, &mut memory).unwrap();

        let mut worst = 0.0_f64;
        for (row, recording) in recordings.iter().enumerate() {
            let tokens = network.tokens(recording).unwrap();
            // Every third recording has a mask, over a varying set of tokens.
            let mask: Vec<bool> = (0..tokens).map(|t| (t * 7 + row) % 5 != 0 || t == tokens / 2).collect();
            let mask = (row % 3 == 0).then_some(mask.as_slice());
            let expected = network.forward(recording, mask, &mut |_, _| {}).unwrap();
            let found = scores(&mut session, recording, mask);
            worst = worst.max(report::relative_l2(&found, &expected));
        }
        println!("{worst:.2e} {options:?}");
        assert!(worst < 0.02, "{worst:e} {options:?}");
    }
}

#[test]
fn every_tensor_is_traced_and_close() {
    let mut source = Source(11);
    let options = Options { width: 24, ..options().nth(1).unwrap() };
    let network = network(&mut source, options);
    let recordings: Vec<Vec<i16>> =
        (0..30).map(|i| source.recording(length(&network, 5 + i), &network.input)).collect();
    let quantized = quantize(&network, &recordings, Settings::default(), |_| {}).unwrap();
    let names: Vec<&str> = quantized.tensors.iter().map(|tensor| tensor.name.as_str()).collect();
    let expected = ["embedding", "block 0 query", "block 0 attended", "block 1 hidden", "pooled", "scores"];
    for name in expected {
        assert!(names.contains(&name), "{name} is missing from {names:?}");
    }
    for tensor in &quantized.tensors {
        assert!(tensor.snr_db > 30.0 && tensor.values > 0, "{tensor:?}");
        assert_eq!(tensor.clipped, 0, "{tensor:?}");
    }
}

/// A model of `options`, calibrated on one recording of `tokens` tokens, in its session.
fn with_session(
    seed: u64,
    options: Options,
    tokens: usize,
    test: impl FnOnce(&Network, &[i16], &mut Session<'_>),
) {
    let mut source = Source(seed);
    let network = network(&mut source, options);
    let recording = source.recording(length(&network, tokens), &network.input);
    let ranges = calibrate(&network, std::slice::from_ref(&recording), || {}).unwrap();
    let words = integers(&network, &ranges, &Precision::new()).unwrap().words();
    let model = Model::parse(&words).unwrap();
    test(&network, &recording, &mut Engine::new(model).session());
}

fn first_options() -> Options {
    options().next().unwrap()
}

#[test]
fn causal_scores_do_not_depend_on_what_follows() {
    let options = Options { causal: true, input: 2, pooling: Pooling::First, ..first_options() };
    with_session(5, options, MAX_TOKENS, |_, recording, session| {
        let whole = session.run(recording).unwrap().raw().to_vec();
        for tokens in [1, 2, 15, 16, 17, 39] {
            assert_eq!(session.run(&recording[..tokens]).unwrap().raw(), whole, "{tokens} tokens");
        }
    });
}

#[test]
fn a_masked_tail_is_a_shorter_sequence() {
    let options = Options { input: 2, ..first_options() };
    with_session(6, options, MAX_TOKENS, |_, recording, session| {
        for tokens in [1, 7, 16, 33, 40] {
            let mask: Vec<bool> = (0..MAX_TOKENS).map(|token| token < tokens).collect();
            let masked = session.run_masked(recording, &mask).unwrap().raw().to_vec();
            assert_eq!(session.run(&recording[..tokens]).unwrap().raw(), masked, "{tokens} tokens");
        }
    });
}

#[test]
fn inputs_that_the_model_cannot_take_are_refused_and_leave_it_usable() {
    for input in 0..3 {
        with_session(8, Options { input, ..first_options() }, 9, |network, good, session| {
            let before = session.run(good).unwrap().raw().to_vec();
            assert_eq!(session.run(&[]), Err(InputError::Empty));
            let long = vec![0; length(network, MAX_TOKENS + 1)];
            let too_long = InputError::TooLong { tokens: MAX_TOKENS + 1, max: MAX_TOKENS };
            assert_eq!(session.run(&long), Err(too_long));
            assert_eq!(
                session.run_masked(good, &[true]),
                Err(InputError::MaskLength { found: 1, tokens: 9 })
            );
            assert_eq!(session.run_masked(good, &[false; 9]), Err(InputError::AllMasked));
            let unknown = |position, found, last| Err(InputError::Token { position, found, last });
            match input {
                0 => {
                    let partial = Err(InputError::Channels { found: 62, channels: 3 });
                    assert_eq!(session.run(&good[1..]), partial);
                    let short = Err(InputError::TooShort { steps: 4, window: 5 });
                    assert_eq!(session.run(&good[..12]), short);
                }
                1 => assert_eq!(session.run(&[0, 1, 5, 2, 3]), unknown(2, 5, 4)),
                _ => {
                    assert_eq!(session.run(&[3, -1]), unknown(1, -1, 20));
                    assert_eq!(session.run(&[21]), unknown(0, 21, 20));
                }
            }
            assert_eq!(session.run(good).unwrap().raw(), before);
        });
    }
}

/// However often it is called again.
#[test]
fn a_run_that_failed_gives_its_error_and_no_scores() {
    with_session(9, Options { input: 2, ..first_options() }, MAX_TOKENS, |_, recording, session| {
        for found in [21, i16::MAX, -1, i16::MIN] {
            let mut wrong = recording.to_vec();
            wrong[30] = found;
            let mut running = session.start(&wrong).unwrap();
            for _ in 0..3 {
                assert_eq!(running.step(), Err(InputError::Token { position: 30, found, last: 20 }));
            }
            assert_eq!(running.scores(), None);
        }
    });
}

#[test]
fn saturating_samples_give_an_answer() {
    with_session(9, first_options(), 9, |network, _, session| {
        let length = length(network, MAX_TOKENS);
        for extreme in [vec![i16::MAX; length], vec![i16::MIN; length]] {
            let scores = session.run(&extreme).unwrap();
            let total: f64 = (0..5).map(|class| scores.probability(class).to_num::<f64>()).sum();
            assert!((total - 1.0).abs() < 0.01, "{total}");
        }
    });
}

#[test]
fn probabilities_are_those_of_the_scores() {
    with_session(10, first_options(), 20, |_, recording, session| {
        let scores = session.run(recording).unwrap();
        let exact: Vec<f64> = scores.to_f64().map(f64::exp).collect();
        for (class, value) in exact.iter().enumerate() {
            let found = scores.probability(class).to_num::<f64>();
            assert!((found - value / exact.iter().sum::<f64>()).abs() < 0.002, "class {class}");
        }
        assert_eq!(scores.probability(5), 0);
        assert_eq!(scores.best(), report::best(&exact));
    });
}

#[test]
fn a_buffer_that_is_too_small_is_refused_with_the_size_needed() {
    let bytes = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/models/digits.fxm")).unwrap();
    let words: Vec<u32> = bytes.chunks(4).map(|w| u32::from_le_bytes(w.try_into().unwrap())).collect();
    let model = Model::parse(&words).unwrap();
    let needed = Plan::of(&model).words();
    let mut memory = vec![0; needed - 1];
    let error = Session::new(model, &mut memory).unwrap_err();
    assert_eq!(error, fixformer::ArenaError::TooSmall { found: needed - 1, needed });
}

/// More recordings than cores, of several lengths.
#[test]
fn cores_give_the_bits_of_a_session_and_name_the_first_recording_that_is_none() {
    with_session(12, Options { input: 2, ..first_options() }, MAX_TOKENS, |_, recording, session| {
        let model = *session.model();
        let mut rows: Vec<&[i16]> = (1..101).map(|row| &recording[..1 + row * 7 % MAX_TOKENS]).collect();
        let expected: Vec<i16> =
            rows.iter().flat_map(|row| session.run(row).unwrap().raw().to_vec()).collect();
        let ran = AtomicUsize::new(0);
        let progress = || _ = ran.fetch_add(1, Ordering::Relaxed);
        let mut cores = Cores::new(model, &progress);
        let runner: &mut dyn Runner = &mut cores;
        // What was there before goes.
        let mut scores = vec![7; 3];
        runner.run(&rows, &mut scores).unwrap();
        assert_eq!((&scores, ran.load(Ordering::Relaxed)), (&expected, rows.len()));

        rows[98] = &[21];
        for first in [98, 97, 3] {
            rows[first] = &[-1];
            let problem = InputError::Token { position: 0, found: -1, last: 20 };
            assert_eq!(runner.run(&rows, &mut scores), Err(RowError { row: first, problem }));
            assert_eq!(scores, expected);
        }
        runner.run(&[], &mut scores).unwrap();
        assert!(scores.is_empty());
    });
}

/// Signals with three channels that a standardized model may get: faint, loud, steady, a single pulse.
#[test]
fn any_signal_can_be_standardized() {
    let steps = 2 * MAX_TOKENS;
    let signals: [fn(usize) -> [i16; 3]; 4] = [
        |step| [(step % 2) as i16, i16::MAX - (step % 2) as i16, i16::MIN + (step % 3) as i16],
        |step| if step % 2 == 0 { [i16::MAX, i16::MIN, -1] } else { [i16::MIN, i16::MAX, 1] },
        |_| [i16::MIN, 0, i16::MAX],
        |step| [if step == 41 { 20_000 } else { 7 }, step as i16, -(step as i16)],
    ];
    let recordings = signals.map(|signal| (0..steps).flat_map(signal).collect::<Vec<i16>>());

    let mut source = Source(3);
    let mut network = network(&mut source, Options { causal: true, norms: true, ..first_options() });
    let Input::Samples { level, mean, deviation, .. } = &mut network.input else { panic!("samples") };
    (*mean, *deviation) = (vec![0.0; 3], vec![1.0; 3]);
    assert_eq!(*level, Level::Standardized);
    let ranges = calibrate(&network, &recordings, || {}).unwrap();
    let words = integers(&network, &ranges, &all_wide()).unwrap().words();
    let model = Model::parse(&words).unwrap();
    let mut engine = Engine::new(model);
    let mut session = engine.session();
    for recording in &recordings {
        let expected = network.forward(recording, None, &mut |_, _| {}).unwrap();
        let found: Vec<f64> = session.run(recording).unwrap().to_f64().collect();
        let error = report::relative_l2(&found, &expected);
        assert!(error < 0.01, "{error:e}: {:?}", &recording[..6]);
    }

    // Of longer recordings, the sum of squares could saturate.
    let Input::Samples { window, .. } = &mut network.input else { panic!("samples") };
    (network.max_tokens, window.stride) = (16_384, 17);
    let words = integers(&network, &ranges, &all_wide()).unwrap().words();
    let error = Model::parse(&words).unwrap_err().to_string();
    assert!(error.contains("standardized") && error.contains("262144"), "{error}");
}
