//! Running mean and deviation of the channels: the same bits in a whole run and in a stream, and what the reference has.

use fixformer::host::calibrate::calibrate;
use fixformer::host::import::{self, ImportError};
use fixformer::host::quantize::integers;
use fixformer::host::reference::{Input, Level, Network, Pooling, PoolingWindow, Positions, Window};
use fixformer::model::{self, write};
use fixformer::trace::{Row, Rows, Tensor};
use fixformer::{Model, ModelError, Plan, Session, Stream};
use fixformer_fuzz::random::causal::{network, words};
use fixformer_fuzz::random::kinds::MAX_TOKENS;
use fixformer_fuzz::random::{Source, all_wide, length};

/// Those of the mechanisms that stream whose networks take samples here.
const OF_SAMPLES: [usize; 3] = [0, 9, 15];
/// Windows that overlap, that touch, and that leave steps out.
const WINDOWS: [Window; 3] =
    [Window { width: 5, stride: 2 }, Window { width: 4, stride: 4 }, Window { width: 2, stride: 3 }];
const LEVELS: [Level; 4] = [
    Level::RunningStandardized { forgetting: 5, floor: 0.02 },
    Level::RunningCentred { forgetting: 3 },
    Level::RunningStandardized { forgetting: 20, floor: 5.0 },
    Level::RunningCentred { forgetting: 1 },
];

/// A causal network of samples of three channels.
fn of_samples(source: &mut Source, i: usize, window: Window, level: Level) -> Network {
    let pooling = Pooling::WindowMean(PoolingWindow { block: 8, blocks: 4 });
    let mut network = network(source, i, false, pooling);
    let width = network.width();
    let Input::Samples { channels, window: of, level: was, mean, deviation, stem, .. } = &mut network.input
    else {
        panic!("mechanism {i} has no samples");
    };
    *stem = source.linear(*channels * window.width, width);
    (*of, *was) = (window, level);
    (*mean, *deviation) = (vec![0.1, -0.2, 0.0], vec![1.5, 1.0, 0.7]);
    network
}

/// A drifting level, a changing amplitude, and a channel that is silent at times.
fn recording(source: &mut Source, steps: usize) -> Vec<i16> {
    let step = |step: usize| {
        let t = step as f64;
        let amplitude = 200.0 + 150.0 * (t / 40.0).sin();
        let silent = step / 60 % 2 == 1;
        let noise = [source.normal(), source.normal(), source.normal()];
        [
            (3.0 * t + amplitude * noise[0]) as i16,
            (9000.0 * (t / 90.0).cos() + 400.0 * noise[1]) as i16,
            if silent { -77 } else { (700.0 * noise[2]) as i16 },
        ]
    };
    (0..steps).flat_map(step).collect()
}

/// Every window, level and mechanism, with its model file.
fn each(check: impl Fn(&mut Source, &Network, Model<'_>, &[Vec<i16>], String)) {
    let mut source = Source(71);
    for (round, i) in OF_SAMPLES.into_iter().enumerate() {
        for window in WINDOWS {
            for level in LEVELS {
                let network = of_samples(&mut source, i, window, level);
                let recordings: Vec<_> = [40, 90, MAX_TOKENS]
                    .map(|tokens| recording(&mut source, length(&network, tokens) / 3))
                    .into_iter()
                    .collect();
                let ranges = calibrate(&network, &recordings, || {}).unwrap();
                let words = integers(&network, &ranges, &all_wide()).unwrap().words();
                let what = format!("round {round}, mechanism {i}, {window:?}, {level:?}");
                check(&mut source, &network, Model::parse(&words).unwrap(), &recordings, what);
            }
        }
    }
}

/// After every token, with steps lost here and there, from a state that was saved and restored: no bit depends on a later
/// sample.
#[test]
fn after_every_token_a_stream_is_the_whole() {
    each(|source, network, model, _, what| {
        let mut memory = vec![0xdead_beef; Plan::of(&model).words()];
        let mut session = Session::new(model, &mut memory).unwrap();
        let mut memory = vec![0xdead_beef; Plan::of_stream(&model).unwrap().words()];
        let mut stream = Stream::new(model, &mut memory).unwrap();
        let mut memory = vec![0xdead_beef; Plan::of_stream(&model).unwrap().words()];
        let mut other = Stream::new(model, &mut memory).unwrap();
        let window = model.input.window();
        let of = |token: usize| token * window.stride..token * window.stride + window.width;
        let steps = length(network, MAX_TOKENS) / 3;
        for gaps in [false, true] {
            let recording = recording(source, steps);
            let missing: Vec<bool> = (0..steps)
                .map(|step| gaps && (step < 3 || step % 29 == 20 || (70..85).contains(&step)))
                .collect();
            let mask: Vec<bool> = (0..MAX_TOKENS).map(|token| !missing[of(token)].contains(&true)).collect();
            stream.reset();
            for step in 0..steps {
                let mut saved = Vec::new();
                stream.save(&mut saved).unwrap();
                other.restore(&mut &saved[..]).unwrap();
                std::mem::swap(&mut stream, &mut other);
                let tokens = stream.tokens();
                if missing[step] {
                    stream.skip(1).unwrap();
                } else {
                    stream.push(&recording[3 * step..3 * (step + 1)]).unwrap();
                }
                let complete = stream.tokens();
                if complete > tokens && mask[..complete].contains(&true) {
                    let scores = stream.scores().map(|scores| scores.raw().to_vec());
                    let input = &recording[..3 * (step + 1)];
                    let whole = match gaps {
                        true => session.run_masked(input, &mask[..complete]),
                        false => session.run(input),
                    };
                    assert_eq!(
                        whole.ok().map(|scores| scores.raw().to_vec()),
                        scores,
                        "{what}, token {complete}"
                    );
                }
            }
            assert_eq!(stream.tokens(), MAX_TOKENS);
        }
    });
}

#[test]
fn steps_of_a_run_give_the_same() {
    each(|source, network, model, _, what| {
        let mut memory = vec![0xdead_beef; Plan::of(&model).words()];
        let mut session = Session::new(model, &mut memory).unwrap();
        let recording = recording(source, length(network, MAX_TOKENS) / 3);
        let expected = session.run(&recording).unwrap().raw().to_vec();
        let mut running = session.start(&recording).unwrap();
        while running.step().unwrap().is_pending() {}
        assert_eq!(running.scores().unwrap().raw(), expected, "{what}");
    });
}

#[test]
fn the_engine_has_what_the_reference_has() {
    each(|_, network, model, recordings, what| {
        let mut memory = vec![0xdead_beef; Plan::of(&model).words()];
        let mut session = Session::new(model, &mut memory).unwrap();
        for masked in [false, true] {
            let (mut error, mut size) = (0.0, 0.0);
            for (row, recording) in recordings.iter().enumerate() {
                let tokens = network.tokens(recording).unwrap();
                let mask =
                    if masked { fixformer_fuzz::random::mask(row, tokens) } else { vec![true; tokens] };
                let scores: Vec<f64> = session.run_masked(recording, &mask).unwrap().to_f64().collect();
                let expected = network.forward(recording, Some(&mask), &mut |_, _| {}).unwrap();
                for (score, expected) in scores.iter().zip(expected) {
                    error += (score - expected) * (score - expected);
                    size += expected * expected;
                }
            }
            let error = (error / size).sqrt();
            // Behind a hole a mean is that of long ago: samples go past what was calibrated, and saturate.
            let limit = if masked && what.contains("Centred") { 0.1 } else { 0.005 };
            assert!(error < limit, "{what}, masked {masked}: {error}");
        }
    });
}

/// Weights 1, 1/2, 1/2, 1/4 and so on, by hand.
#[test]
fn the_reference_warms_up_and_counts_every_step_once() {
    let run = |level: Level, x: &[f64], width, stride, mask: Option<&[bool]>| {
        level.windows(x.to_vec(), 1, Window { width, stride }, mask)
    };
    let centred = Level::RunningCentred { forgetting: 8 };
    assert_eq!(run(centred, &[4.0, 6.0, 9.0, 11.0], 1, 1, None), [0.0, 1.0, 2.0, 3.0]);
    // Means after steps 2, 3 and 4, each counted once.
    assert_eq!(run(centred, &[4.0, 6.0, 9.0, 11.0], 2, 1, None), [-1.0, 1.0, -1.0, 2.0, 1.0, 3.0]);
    let least = Level::RunningCentred { forgetting: 1 };
    assert_eq!(run(least, &[4.0, 6.0, 9.0, 11.0], 1, 1, None), [0.0, 1.0, 2.0, 2.0]);
    assert_eq!(run(least, &[0.0, 0.0, 0.0, 8.0, 4.0], 1, 1, None), [0.0, 0.0, 0.0, 4.0, 0.0]);
    // What is masked, or in no window, does not count.
    assert_eq!(run(centred, &[4.0, 99.0, 6.0], 1, 2, None), [0.0, 1.0]);
    assert_eq!(run(centred, &[4.0, 99.0, 6.0], 1, 1, Some(&[true, false, true])), [0.0, 95.0, 1.0]);

    let level = |floor| Level::RunningStandardized { forgetting: 8, floor };
    // Variance 0, then (1/2)(0 + 1/2 · 4), then (1/2)(1 + 1/2 · 16).
    assert_eq!(run(level(0.5), &[4.0, 6.0, 9.0], 1, 1, None), [0.0, 1.0, 2.0 / 4.5_f64.sqrt()]);
    assert_eq!(run(level(8.0), &[4.0, 6.0, 9.0], 1, 1, None), [0.0, 0.125, 0.25]);
}

/// Many steps of a faint signal, and of the loudest there is, with the longest memory and a shorter one.
#[test]
fn the_engine_does_not_drift() {
    for (forgetting, loud) in [(20, false), (20, true), (12, false), (4, true)] {
        let mut source = Source(72);
        let window = Window { width: 64, stride: 64 };
        let mut network = network(&mut source, 15, false, Pooling::Last);
        let width = network.width();
        let level = Level::RunningStandardized { forgetting, floor: 0.25 };
        network.input = Input::Samples {
            channels: 1,
            window,
            scale: vec![1.0],
            level,
            mean: vec![0.0],
            deviation: vec![1.0],
            stem: source.linear(64, width),
        };
        network.positions = Positions::None;
        network.embedding_norm = None;
        let mut sample = |step: usize| match loud {
            true => {
                if source.uniform() < 0.5 {
                    i16::MIN
                } else {
                    i16::MAX
                }
            }
            false => 1000 + (step / 100_000) as i16 + (2.0 * source.uniform()) as i16,
        };
        let recording: Vec<i16> = (0..64 * 3000).map(&mut sample).collect();
        let part = recording[..64 * MAX_TOKENS].to_vec();
        let ranges = calibrate(&network, &[part], || {}).unwrap();
        let words = integers(&network, &ranges, &all_wide()).unwrap().words();
        let model = Model::parse(&words).unwrap();
        let mut memory = vec![0; Plan::of_stream(&model).unwrap().words()];
        let mut stream = Stream::new(model, &mut memory).unwrap();
        let mut found = Vec::new();
        for step in &recording {
            let mut keep = Rows(|row: Row<'_>| {
                if row.site.tensor == Tensor::Embedding {
                    found = row.values.to_vec();
                }
            });
            stream.push_traced(&[*step], &mut keep).unwrap();
        }
        let real = recording.iter().map(|&x| f64::from(x)).collect();
        let windows = level.windows(real, 1, window, None);
        let Input::Samples { stem, .. } = &network.input else { unreachable!() };
        let expected = stem.apply(&windows[windows.len() - 64..]);
        let unit = f64::from(model.input.frac()).exp2();
        let peak = expected.iter().fold(0.0, |most: f64, x| most.max(x.abs()));
        for (&found, expected) in found.iter().zip(&expected) {
            let error = (f64::from(found) / unit - expected).abs() / peak;
            assert!(error < 4e-3, "forgetting {forgetting}, loud {loud}: {error}");
        }
    }
}

#[test]
fn a_stream_keeps_four_words_a_channel() {
    let mut source = Source(73);
    let mut bytes = |level| {
        let network = of_samples(&mut source, 15, WINDOWS[0], level);
        Plan::of_stream(&Model::parse(&words(&mut source, &network)).unwrap()).unwrap().state_bytes()
    };
    let raw = bytes(Level::Raw);
    // A raw stream has a mean of zero for each channel.
    assert_eq!(bytes(LEVELS[0]), raw + 4 * (2 + 3 * 4 - 3));
    assert_eq!(bytes(LEVELS[1]), raw + 4 * (2 + 3 * 2 - 3));
}

#[test]
fn a_file_with_another_level_is_refused() {
    let mut source = Source(74);
    let network = of_samples(&mut source, 15, WINDOWS[0], LEVELS[0]);
    let ranges = calibrate(&network, &[recording(&mut source, 300)], || {}).unwrap();
    let file = integers(&network, &ranges, &all_wide()).unwrap();
    let with = |level| {
        let mut file = file.clone();
        let write::Input::Samples { level: was, .. } = &mut file.input else { unreachable!() };
        *was = level;
        file.words()
    };
    // The scale is 0.01: a floor of 0.02 is two raw units.
    let level = model::Level::RunningStandardized { forgetting: 5, floor: 512 };
    assert_eq!(with(level), file.words());
    for (level, field, high) in [
        (model::Level::RunningCentred { forgetting: 0 }, "input.level.forgetting", 20),
        (model::Level::RunningCentred { forgetting: 21 }, "input.level.forgetting", 20),
        (model::Level::RunningStandardized { forgetting: 33, floor: 1 }, "input.level.forgetting", 20),
        (model::Level::RunningStandardized { forgetting: 3, floor: 0 }, "input.level.floor", 1 << 23),
        (model::Level::RunningStandardized { forgetting: 3, floor: 1 << 24 }, "input.level.floor", 1 << 23),
    ] {
        let error = Model::parse(&with(level)).unwrap_err();
        assert!(
            matches!(error, ModelError::Range { field: of, low: 1, high: most, .. } if of == field && most == high),
            "{error}"
        );
    }
    let mut words = file.words();
    // After the sizes with a pooling window: kind, channels, window, shift, level.
    let level = 4 + 1 + 3 * 4 + 10 + 5;
    assert_eq!(words[level..level + 3], [4, 5, 512]);
    words[level] = 5;
    fixformer_fuzz::mutate::mend(&mut words);
    assert_eq!(Model::parse(&words).unwrap_err().to_string(), "input.level: 5 is outside 0 ..= 4");
}

/// The level that a description with these lines under `[input]` has.
fn described(lines: &str) -> Result<Level, ImportError> {
    use std::sync::atomic::{AtomicUsize, Ordering};
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let path = std::env::temp_dir().join(format!("fixformer-running-{}-{number}.toml", std::process::id()));
    let text = format!(
        "name = \"m\"\n[input]\nkind = \"samples\"\nchannels = 3\nscale = 0.01\nwindow = {{ width = 5, stride = 2 }}\n\
         {lines}\n[encoder]\nlayers = 1\nwidth = 8\nheads = 1\nhidden = 8\n"
    );
    std::fs::write(&path, text).unwrap();
    let level = import::read(&path).map(|description| description.input.level());
    std::fs::remove_file(path).unwrap();
    level
}

#[test]
fn a_description_names_its_running_form() {
    let level = described("standardize = true\nrunning = { memory = 1024, floor = 0.5 }").unwrap();
    assert_eq!(level, Level::RunningStandardized { forgetting: 10, floor: 0.5 });
    let level = described("remove_mean = true\nrunning = { memory = 2 }").unwrap();
    assert_eq!(level, Level::RunningCentred { forgetting: 1 });
    for (lines, of, what) in [
        ("running = { memory = 64 }", "input.running", "set one of them"),
        (
            "remove_mean = true\nrunning = { memory = 1000 }",
            "input.running.memory",
            "a power of two from 2 to 1048576",
        ),
        (
            "remove_mean = true\nrunning = { memory = 1 }",
            "input.running.memory",
            "a power of two from 2 to 1048576",
        ),
        ("remove_mean = true\nrunning = { memory = 64, floor = 1.0 }", "input.running.floor", "remove it"),
        ("standardize = true\nrunning = { memory = 64 }", "input.running.floor", "is missing"),
        ("standardize = true\nrunning = { memory = 64, floor = 0.0 }", "input.running.floor", "above 0"),
        (
            "standardize = true\nrunning = { memory = 64, floor = 1e-6 }",
            "input.running.floor",
            "give 0.0000390625 to",
        ),
        ("standardize = true\nrunning = { memory = 64, floor = 1e6 }", "input.running.floor", "to 327.68"),
    ] {
        match described(lines).unwrap_err() {
            ImportError::Field { field, problem, .. } => {
                assert!(field == of && problem.contains(what), "{field} {problem}");
            }
            other => panic!("{other}"),
        }
    }
}

/// A model that is standardized over the recording has no stream; with what the message says it has one.
#[test]
fn the_remedy_for_a_stream_helps() {
    let lines = "standardize = true";
    let mut source = Source(75);
    let mut network = of_samples(&mut source, 15, WINDOWS[0], described(lines).unwrap());
    let refused = words(&mut source, &network);
    let error = Stream::new(Model::parse(&refused).unwrap(), &mut []).unwrap_err().to_string();
    assert!(error.contains("over the whole recording"), "{error}");
    let remedy = error.split('`').find(|part| part.starts_with("running =")).unwrap();

    let Input::Samples { level, .. } = &mut network.input else { unreachable!() };
    *level = described(&format!("{lines}\n{remedy}")).unwrap();
    let taken = words(&mut source, &network);
    let model = Model::parse(&taken).unwrap();
    let mut memory = vec![0; Plan::of_stream(&model).unwrap().words()];
    let mut stream = Stream::new(model, &mut memory).unwrap();
    let steps = recording(&mut source, 20);
    steps.chunks(3).for_each(|step| _ = stream.push(step).unwrap());
    assert!(stream.scores().is_some());
}
