//! Pooling over a window of blocks of tokens: one meaning for a whole run and for a stream, after every token.

use fixformer::host::calibrate::calibrate;
use fixformer::host::import::{self, ImportError};
use fixformer::host::quantize::integers;
use fixformer::host::reference::{Network, Pooling, PoolingWindow, ReferenceError};
use fixformer::model::{self, write};
use fixformer::session::Element;
use fixformer::{InputError, Model, ModelError, Plan, Session, Stream};
use fixformer_fuzz::random::causal::{STREAMS, channels, model};
use fixformer_fuzz::random::kinds::{KINDS, MAX_TOKENS, kinds, options};
use fixformer_fuzz::random::{Source, all_wide, length, mask, network};

const fn window(block: usize, blocks: usize) -> PoolingWindow {
    PoolingWindow { block, blocks }
}

/// Windows that end in a block and at its end, of single tokens, of a single block, and one that is never full.
const POOLINGS: [Pooling; 6] = [
    Pooling::WindowMean(window(4, 3)),
    Pooling::WindowMax(window(7, 2)),
    Pooling::WindowMean(window(1, 5)),
    Pooling::WindowMax(window(16, 1)),
    Pooling::WindowMax(window(3, 4)),
    Pooling::WindowMean(window(64, 3)),
];

#[test]
fn after_every_token_a_stream_pools_what_the_whole_does() {
    let mut source = Source(61);
    for (round, i) in STREAMS.into_iter().enumerate() {
        for exact_too in [false, true] {
            let pooling = POOLINGS[(2 * round + usize::from(exact_too)) % POOLINGS.len()];
            let (network, words) = model(&mut source, i, exact_too, pooling);
            let model = Model::parse(&words).unwrap();
            let mut memory = vec![0xdead_beef; Plan::of(&model).words()];
            let mut session = Session::new(model, &mut memory).unwrap();
            let mut memory = vec![0xdead_beef; Plan::of_stream(&model).unwrap().words()];
            let mut stream = Stream::new(model, &mut memory).unwrap();
            let mut memory = vec![0xdead_beef; Plan::of_stream(&model).unwrap().words()];
            let mut other = Stream::new(model, &mut memory).unwrap();
            let recording = source.recording(length(&network, MAX_TOKENS), &network.input);
            let channels = channels(&network);
            for (index, step) in recording.chunks(channels).enumerate() {
                // Every step another stream goes on from the state of the last one.
                let mut saved = Vec::new();
                stream.save(&mut saved).unwrap();
                other.restore(&mut &saved[..]).unwrap();
                std::mem::swap(&mut stream, &mut other);
                let scores = stream.push(step).unwrap().map(|scores| scores.raw().to_vec());
                let Some(scores) = scores else { continue };
                let whole = session.run(&recording[..(index + 1) * channels]).unwrap();
                assert_eq!(whole.raw(), scores, "mechanism {i}, {pooling:?}, token {}", stream.tokens());
            }
            assert_eq!(stream.tokens(), MAX_TOKENS);
        }
    }
}

#[test]
fn tokens_that_are_missing_are_absent_from_their_block() {
    let mut source = Source(62);
    for (round, i) in STREAMS.into_iter().enumerate() {
        let pooling = POOLINGS[round % POOLINGS.len()];
        let (network, words) = model(&mut source, i, false, pooling);
        let model = Model::parse(&words).unwrap();
        let mut memory = vec![0; Plan::of(&model).words()];
        let mut session = Session::new(model, &mut memory).unwrap();
        let mut memory = vec![0; Plan::of_stream(&model).unwrap().words()];
        let mut stream = Stream::new(model, &mut memory).unwrap();
        let (channels, stem) = (channels(&network), model.input.window());
        let recording = source.recording(length(&network, MAX_TOKENS), &network.input);
        let steps = recording.len() / channels;
        // Here and there, and a hole that is longer than most windows.
        let missing: Vec<bool> =
            (0..steps).map(|step| step % 23 == 20 || (90..150).contains(&step)).collect();
        let of = |token: usize| token * stem.stride..token * stem.stride + stem.width;
        let mask: Vec<bool> = (0..MAX_TOKENS).map(|token| !missing[of(token)].contains(&true)).collect();
        let mut empty = 0;
        for step in 0..steps {
            if missing[step] {
                stream.skip(1).unwrap();
            } else {
                stream.push(&recording[step * channels..(step + 1) * channels]).unwrap();
            }
            let tokens = stream.tokens();
            if tokens == 0 || of(tokens - 1).end != step + 1 {
                continue;
            }
            let scores = stream.scores().map(|scores| scores.raw().to_vec());
            let whole = session.run_masked(&recording[..(step + 1) * channels], &mask[..tokens]);
            let found = whole.as_ref().ok().map(|scores| scores.raw().to_vec());
            assert_eq!(found, scores, "mechanism {i}, {pooling:?}, token {tokens}");
            if let Err(error) = whole {
                let first = model.pooling.window().unwrap().first(tokens);
                assert_eq!(error, InputError::WindowMasked { first });
                empty += 1;
            }
        }
        let is_short = matches!(pooling, Pooling::WindowMean(of) | Pooling::WindowMax(of) if of.block < 9);
        assert!(empty > 0 || !is_short, "{i}, {pooling:?}");
    }
}

#[test]
fn the_engine_pools_what_the_reference_does() {
    let mut source = Source(63);
    for i in 0..KINDS {
        for causal in [false, true] {
            let mut options = options(i, causal);
            options.pooling = POOLINGS[i % POOLINGS.len()];
            let mut network = network(&mut source, options);
            for (layer, block) in network.blocks.iter_mut().enumerate() {
                let width = options.width / options.heads;
                block.attention.kind = kinds(&mut source, options.heads, width, layer).swap_remove(i);
            }
            let tokens = [1, 2, 29, 64, 103, MAX_TOKENS];
            let recordings: Vec<Vec<i16>> =
                tokens.iter().map(|&n| source.recording(length(&network, n), &network.input)).collect();
            let ranges = calibrate(&network, &recordings, || {}).unwrap();
            let words = integers(&network, &ranges, &all_wide()).unwrap().words();
            let model = Model::parse(&words).unwrap();
            let mut memory = vec![0xdead_beef; Plan::of(&model).words()];
            let mut session = Session::new(model, &mut memory).unwrap();
            let (mut error, mut size) = (0.0, 0.0);
            for (row, recording) in recordings.iter().enumerate() {
                let mask = mask(row, tokens[row]);
                let scores: Vec<f64> = session.run_masked(recording, &mask).unwrap().to_f64().collect();
                let expected = network.forward(recording, Some(&mask), &mut |_, _| {}).unwrap();
                for (score, expected) in scores.iter().zip(expected) {
                    error += (score - expected) * (score - expected);
                    size += expected * expected;
                }
            }
            // One token of the many that are attended to with hashing can fall into another bucket.
            let limit = if (12..15).contains(&i) { 0.3 } else { 0.04 };
            assert!(
                (error / size).sqrt() < limit,
                "mechanism {i}, causal {causal}: {}",
                (error / size).sqrt()
            );
        }
    }
}

/// The first network that streams, with some pooling.
fn some_network(pooling: Pooling) -> (Network, Vec<u32>) {
    model(&mut Source(64), 0, false, pooling)
}

#[test]
fn only_a_stream_keeps_blocks_and_as_many_as_the_window_has() {
    let words = |pooling| {
        let (network, words) = some_network(pooling);
        let model = Model::parse(&words).unwrap();
        (network.output_width(), Plan::of(&model), Plan::of_stream(&model).unwrap())
    };
    let (width, whole, stream) = words(Pooling::Mean);
    for (pooling, slot) in [
        (Pooling::WindowMean(window(64, 8)), 1 + width),
        (Pooling::WindowMax(window(4096, 8)), 1 + width.div_ceil(2)),
    ] {
        let (_, same, more) = words(pooling);
        assert_eq!(same.words(), whole.words());
        assert_eq!(more.state_bytes(), stream.state_bytes() + 4 * 8 * slot);
        let buffer = more.buffers().find(|buffer| buffer.name == "recent").unwrap();
        assert_eq!((buffer.element, buffer.words), (Element::Word, 8 * slot));
    }
}

#[test]
fn a_window_of_the_whole_is_no_window() {
    let mut network = some_network(Pooling::Mean).0;
    let recording = Source(65).recording(length(&network, MAX_TOKENS), &network.input);
    let mut scores = |pooling| {
        network.pooling = pooling;
        let ranges = calibrate(&network, std::slice::from_ref(&recording), || {}).unwrap();
        let words = integers(&network, &ranges, &all_wide()).unwrap().words();
        let model = Model::parse(&words).unwrap();
        let mut memory = vec![0; Plan::of(&model).words()];
        Session::new(model, &mut memory).unwrap().run(&recording).unwrap().raw().to_vec()
    };
    assert_eq!(scores(Pooling::Mean), scores(Pooling::WindowMean(window(25, 6))));
    assert_eq!(scores(Pooling::Max), scores(Pooling::WindowMax(window(1, 150))));
    assert_ne!(scores(Pooling::Mean), scores(Pooling::WindowMean(window(24, 6))));
}

#[test]
fn the_window_is_the_open_block_and_those_before_it() {
    for (tokens, first) in [(1, 0), (8, 0), (24, 0), (25, 8), (32, 8), (33, 16), (1 << 30, (1 << 30) - 24)] {
        let window = window(8, 3);
        assert_eq!(window.first(tokens), first);
        assert_eq!(model::PoolingWindow { block: 8, blocks: 3 }.first(tokens), first);
    }
}

#[test]
fn nothing_to_pool_is_an_error() {
    let (network, words) = some_network(Pooling::WindowMax(window(4, 2)));
    let model = Model::parse(&words).unwrap();
    let mut memory = vec![0; Plan::of(&model).words()];
    let mut session = Session::new(model, &mut memory).unwrap();
    let recording = Source(66).recording(length(&network, 20), &network.input);
    let early: Vec<bool> = (0..20).map(|token| token < 12).collect();
    let error = session.run_masked(&recording, &early).unwrap_err();
    assert_eq!(error, InputError::WindowMasked { first: 12 });
    assert!(error.to_string().contains("of the pooling window"), "{error}");
    let error = network.forward(&recording, Some(&early), &mut |_, _| {}).unwrap_err();
    assert_eq!(error, ReferenceError::WindowMasked { first: 12 });
    let shorter = &recording[..length(&network, 8)];
    assert_eq!(session.run_masked(shorter, &[false; 8]).unwrap_err(), InputError::AllMasked);
    assert!(session.run(&recording).is_ok());
}

#[test]
fn a_file_with_another_kind_of_pooling_or_a_bad_window_is_refused() {
    let (network, _) = some_network(Pooling::WindowMean(window(4, 2)));
    let recording = Source(67).recording(length(&network, 30), &network.input);
    let ranges = calibrate(&network, &[recording], || {}).unwrap();
    let file = integers(&network, &ranges, &all_wide()).unwrap();
    let with = |block, blocks| {
        let pooling = model::Pooling::WindowMean(model::PoolingWindow { block, blocks });
        write::File { pooling, ..file.clone() }.words()
    };
    assert_eq!(Model::parse(&with(4, 2)).unwrap().pooling.window().unwrap().blocks, 2);
    for (words, field, high) in [
        (with(0, 2), "pooling.window.block", 1 << 15),
        (with(1 << 16, 2), "pooling.window.block", 1 << 15),
        (with(4, 0), "pooling.window.blocks", 1 << 10),
        (with(4, 1025), "pooling.window.blocks", 1 << 10),
    ] {
        let error = Model::parse(&words).unwrap_err();
        assert!(
            matches!(error, ModelError::Range { field: of, low: 1, high: most, .. } if of == field && most == high),
            "{error}"
        );
    }
    let mut words = with(4, 2);
    // The word before the window, in the first section of three.
    let kind = 4 + 1 + 3 * 4 + 7;
    assert_eq!(words[kind..kind + 3], [4, 4, 2]);
    words[kind] = 7;
    fixformer_fuzz::mutate::mend(&mut words);
    assert_eq!(Model::parse(&words).unwrap_err().to_string(), "pooling: 7 is outside 0 ..= 6");
}

#[test]
fn a_description_names_its_window() {
    let folder = std::env::temp_dir().join(format!("fixformer-pooling-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("m.toml");
    let read = |pooling: &str| {
        let text = format!(
            "name = \"m\"\n[input]\nkind = \"tokens\"\n[encoder]\nlayers = 1\nwidth = 8\nheads = 1\nhidden = 8\n[pooling]\n{pooling}\n"
        );
        std::fs::write(&path, text).unwrap();
        import::read(&path).map(|description| description.pooling.reference())
    };
    let found = read("kind = \"max\"\nwindow = { block = 64, blocks = 8 }").unwrap();
    assert_eq!(found, Pooling::WindowMax(window(64, 8)));
    assert_eq!(read("kind = \"mean\"").unwrap(), Pooling::Mean);
    for (pooling, of, what) in [
        ("kind = \"last\"\nwindow = { block = 64, blocks = 8 }", "pooling.window", "remove the window"),
        ("kind = \"max\"\nwindow = { block = 0, blocks = 8 }", "pooling.window.block", "at least 1"),
        ("kind = \"max\"\nwindow = { block = 4, blocks = 0 }", "pooling.window.blocks", "at least 1"),
        ("kind = \"mean\"\nwindow = { block = 40000, blocks = 8 }", "pooling.window.block", "1 to 32768"),
        ("kind = \"mean\"\nwindow = { block = 4, blocks = 2000 }", "pooling.window.blocks", "1 to 1024"),
    ] {
        match read(pooling).unwrap_err() {
            ImportError::Field { field, problem, .. } => {
                assert!(field == of && problem.contains(what), "{field} {problem}");
            }
            other => panic!("{other}"),
        }
    }
    std::fs::remove_dir_all(folder).unwrap();
}
