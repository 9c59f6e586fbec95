//! What stands before the blocks and after them: a class token, a norm of the pooled row, an epsilon for each norm.

use fixformer::host::calibrate::calibrate;
use fixformer::host::quantize::integers;
use fixformer::host::reference::{self as float, Network, Norm, NormOrder, Pooling, ReferenceError};
use fixformer::host::report;
use fixformer::model::write;
use fixformer::session::{Impassable, PassesError, StreamError, Unstreamable};
use fixformer::trace::{Row, Rows};
use fixformer::{InputError, Model, ModelError, Passes, Plan, Session, Stream};
use fixformer_fuzz::random::causal::{STREAMS, channels};
use fixformer_fuzz::random::kinds::{KINDS, kinds, options};
use fixformer_fuzz::random::{Source, all_wide, length, mask, network, scores};

const MAX_TOKENS: usize = fixformer_fuzz::random::kinds::MAX_TOKENS;

/// A network with mechanism `i`, some causal, with what `change` makes of it.
fn changed(source: &mut Source, i: usize, change: impl FnOnce(&mut Source, &mut Network)) -> Network {
    let options = options(i, i % 2 == 1);
    let mut network = network(source, options);
    for (layer, block) in network.blocks.iter_mut().enumerate() {
        let width = options.width / options.heads;
        block.attention.kind = kinds(source, options.heads, width, layer).swap_remove(i);
    }
    change(source, &mut network);
    network
}

fn with_class_token(source: &mut Source, network: &mut Network) {
    network.class_token = Some(source.values(network.width(), 0.7));
}

fn with_pooled_norm(source: &mut Source, network: &mut Network) {
    let norm = source.norm(network.output_width());
    network.pooled_norm = Some(Norm { epsilon: 1e-3, ..norm });
}

/// Recordings of all lengths.
fn recordings(source: &mut Source, network: &Network) -> Vec<Vec<i16>> {
    let more = MAX_TOKENS - network.tokens_before() - 1;
    (0..40).map(|i| source.recording(length(network, 1 + i * more / 39), &network.input)).collect()
}

fn integers_of(network: &Network, recordings: &[Vec<i16>]) -> write::File {
    let ranges = calibrate(network, recordings, || {}).unwrap();
    integers(network, &ranges, &all_wide()).unwrap()
}

fn file(source: &mut Source, network: &Network) -> write::File {
    integers_of(network, &recordings(source, network))
}

/// Median and largest relative error of the scores, every other one with a mask. Every recording is also run in steps.
fn errors(network: &Network, model: Model<'_>, recordings: &[Vec<i16>]) -> [f64; 2] {
    let mut memory = vec![0xdead_beef; Plan::of(&model).words()];
    let mut session = Session::new(model, &mut memory).unwrap();
    let mut errors = Vec::new();
    for (row, recording) in recordings.iter().enumerate() {
        let tokens = network.tokens(recording).unwrap();
        let mask = mask(row / 2, tokens);
        let mask = (row % 2 == 0).then_some(mask.as_slice());
        let expected = network.forward(recording, mask, &mut |_, _| {}).unwrap();
        let found = scores(&mut session, recording, mask);
        let mut running = session.start_masked(recording, mask).unwrap();
        while running.step().unwrap().is_pending() {}
        assert_eq!(running.scores().unwrap().to_f64().collect::<Vec<_>>(), found);
        errors.push(report::relative_l2(&found, &expected));
    }
    errors.sort_by(f64::total_cmp);
    [errors[errors.len() / 2], errors[errors.len() - 1]]
}

#[test]
fn a_class_token_and_a_pooled_norm_agree_with_the_reference() {
    let mut source = Source(81);
    for i in 0..4 {
        for order in [NormOrder::Pre, NormOrder::Post, NormOrder::Reversible] {
            let mut options = options(i, false);
            options.order = order;
            options.pooling = [Pooling::First, Pooling::Mean, Pooling::Last, Pooling::Max][i % 4];
            let mut network = network(&mut source, options);
            with_class_token(&mut source, &mut network);
            with_pooled_norm(&mut source, &mut network);
            let recordings = recordings(&mut source, &network);
            let words = integers_of(&network, &recordings).words();
            let model = Model::parse(&words).unwrap();
            assert_eq!(model.class_token.map(<[i16]>::len), Some(model.width));
            assert_eq!(model.max_input(), {
                let tokens = MAX_TOKENS - 1;
                let window = model.input.window();
                (tokens * window.stride + window.width - 1) * model.input.step_values()
            });
            let [_, worst] = errors(&network, model, &recordings);
            assert!(worst < 0.02, "{i} {order:?}: {worst:.2e}");
        }
    }
}

#[test]
fn every_mechanism_takes_a_class_token() {
    let mut source = Source(82);
    for i in 0..KINDS {
        let network = changed(&mut source, i, with_class_token);
        let recordings = recordings(&mut source, &network);
        let words = integers_of(&network, &recordings).words();
        let [median, worst] = errors(&network, Model::parse(&words).unwrap(), &recordings);
        // As in `tests/mechanisms.rs`: LSH rounds some tokens into other buckets.
        let hashed = network.blocks[0].attention.kind.shares_query();
        let limits = if hashed { (0.005, 0.15) } else { (0.02, 0.02) };
        assert!(median < limits.0 && worst < limits.1, "{i}: {median:.2e} {worst:.2e}");
    }
}

/// By hand: the class token is an id of its own in front, but for the mask and the number of tokens.
#[test]
fn a_class_token_is_a_token_in_front() {
    let mut source = Source(83);
    for i in 0..KINDS {
        let network = changed(&mut source, i, |_, _| {});
        let float::Input::Tokens { vocabulary, table } = network.input.clone() else { continue };
        let width = network.width();
        let own = table[..width].to_vec();
        let classed = Network { class_token: Some(own), ..network.clone() };
        for tokens in [1, 5, MAX_TOKENS - 1] {
            let recording: Vec<i16> = (0..tokens).map(|_| source.below(vocabulary) as i16).collect();
            let with_id = [&[0], &recording[..]].concat();
            let run = |network: &Network, recording: &[i16]| {
                network.forward(recording, None, &mut |_, _| {}).unwrap()
            };
            assert_eq!(run(&classed, &recording), run(&network, &with_id), "{i}");
        }
        let long = vec![0; MAX_TOKENS];
        let (tokens, max) = (MAX_TOKENS, MAX_TOKENS - 1);
        assert_eq!(classed.tokens(&long), Err(ReferenceError::TooManyTokens { tokens, max }));
        let words = file(&mut source, &classed).words();
        let model = Model::parse(&words).unwrap();
        let mut memory = vec![0; Plan::of(&model).words()];
        let mut session = Session::new(model, &mut memory).unwrap();
        assert_eq!(session.run(&long).unwrap_err(), InputError::TooLong { tokens, max });
        assert_eq!(session.run(&long[1..]).unwrap().raw().len(), model.outputs());
        // A mask has no flag for it, and it does not stand in for a token that counts.
        let masked = |session: &mut Session<'_>, flags: &[bool]| {
            let scores = session.run_masked(&[1, 2, 3], flags);
            scores.map(|scores| scores.raw().to_vec())
        };
        let wrong = InputError::MaskLength { found: 4, tokens: 3 };
        assert_eq!(masked(&mut session, &[true; 4]), Err(wrong));
        assert_eq!(masked(&mut session, &[false; 3]), Err(InputError::AllMasked));
        assert!(masked(&mut session, &[false, false, true]).is_ok());
    }
}

#[test]
fn a_stream_normalises_what_it_pools_after_every_token() {
    let mut source = Source(84);
    let window = float::PoolingWindow { block: 4, blocks: 3 };
    let poolings = [
        Pooling::Mean,
        Pooling::Max,
        Pooling::First,
        Pooling::Last,
        Pooling::WindowMean(window),
        Pooling::WindowMax(window),
    ];
    for (i, pooling) in STREAMS.into_iter().zip(poolings.into_iter().cycle()) {
        let mut network = fixformer_fuzz::random::causal::network(&mut source, i, false, pooling);
        with_pooled_norm(&mut source, &mut network);
        let words = file(&mut source, &network).words();
        let model = Model::parse(&words).unwrap();
        let mut memory = vec![0xdead_beef; Plan::of(&model).words()];
        let mut session = Session::new(model, &mut memory).unwrap();
        let mut memory = vec![0xdead_beef; Plan::of_stream(&model).unwrap().words()];
        let mut stream = Stream::new(model, &mut memory).unwrap();
        let recording = source.recording(length(&network, MAX_TOKENS), &network.input);
        let channels = channels(&network);
        for (index, step) in recording.chunks(channels).enumerate() {
            let Some(scores) = stream.push(step).unwrap().map(|scores| scores.raw().to_vec()) else {
                continue;
            };
            let whole = session.run(&recording[..(index + 1) * channels]).unwrap();
            assert_eq!(whole.raw(), scores, "mechanism {i}, {pooling:?}, step {index}");
        }
    }
}

#[test]
fn passes_normalise_what_they_pool() {
    let mut source = Source(85);
    let mut passable = 0;
    for i in 0..KINDS {
        let network = changed(&mut source, i, with_pooled_norm);
        let words = file(&mut source, &network).words();
        let model = Model::parse(&words).unwrap();
        let Ok(plan) = Plan::of_passes(&model) else { continue };
        passable += 1;
        let recording = source.recording(length(&network, MAX_TOKENS), &network.input);
        let mut memory = vec![0; Plan::of(&model).words()];
        let whole = Session::new(model, &mut memory).unwrap().run(&recording).unwrap().raw().to_vec();
        let mut memory = vec![0; plan.words()];
        let mut passes = Passes::new(model, &mut memory).unwrap();
        assert_eq!(passes.run(&mut &recording[..]).unwrap().raw(), whole, "{i}");
    }
    assert!(passable > 0);
}

#[test]
fn a_class_token_keeps_a_model_from_streams_and_passes() {
    let mut source = Source(86);
    for i in 0..KINDS {
        let network = changed(&mut source, i, with_class_token);
        let words = file(&mut source, &network).words();
        let model = Model::parse(&words).unwrap();
        let stream = Plan::of_stream(&model).unwrap_err();
        if !matches!(stream, StreamError::Unstreamable(Unstreamable::Level)) {
            assert_eq!(stream, StreamError::Unstreamable(Unstreamable::ClassToken));
            assert!(stream.to_string().contains("train without it and pool the mean"));
        }
        let passes = Plan::of_passes(&model).unwrap_err();
        assert_eq!(passes, PassesError::Impassable(Impassable::ClassToken));
        assert!(passes.to_string().contains("run the recording whole"));
    }
}

#[test]
fn the_norm_of_the_pooled_row_is_traced() {
    let mut source = Source(87);
    let network = changed(&mut source, 0, with_pooled_norm);
    let words = file(&mut source, &network).words();
    let model = Model::parse(&words).unwrap();
    let recording = source.recording(length(&network, 9), &network.input);
    let mut expected = Vec::new();
    network
        .forward(&recording, None, &mut |site, values| {
            if site.tensor == "pooled_norm" {
                expected = values.to_vec();
            }
        })
        .unwrap();
    let (unit, mut found) = (f64::powi(0.5, model.pooled_norm.unwrap().frac), Vec::new());
    let mut rows = Rows(|row: Row<'_>| {
        if row.site.tensor.name() == "pooled_norm" {
            found = row.values.iter().map(|&x| f64::from(x) * unit).collect();
        }
    });
    let mut memory = vec![0; Plan::of(&model).words()];
    Session::new(model, &mut memory).unwrap().run_traced(&recording, None, &mut rows).unwrap();
    assert!(report::relative_l2(&found, &expected) < 5e-3, "{found:?} {expected:?}");
}

#[test]
fn sections_that_do_not_fit_are_refused() {
    let mut source = Source(88);
    let network = changed(&mut source, 0, |source, network| {
        with_class_token(source, network);
        with_pooled_norm(source, network);
    });
    let good = file(&mut source, &network);
    let refused = |file: write::File| Model::parse(&file.words()).unwrap_err();
    let short = write::File { class_token: Some(vec![1; 2]), ..good.clone() };
    assert!(refused(short).to_string().starts_with("section CLST: not what it must hold"));
    let empty = write::File { class_token: Some(Vec::new()), ..good.clone() };
    assert!(refused(empty).to_string().starts_with("section CLST"));
    let mut narrow = good.clone();
    let norm = narrow.pooled_norm.as_mut().unwrap();
    (norm.gain, norm.bias) = (norm.gain[1..].to_vec(), norm.bias[1..].to_vec());
    assert!(matches!(refused(narrow), ModelError::Mismatch { field: "pooled_norm", .. }));
    let mut large = good.clone();
    large.pooled_norm.as_mut().unwrap().bias[3] = i32::MAX;
    assert!(matches!(refused(large), ModelError::Accumulator { field: "pooled_norm", channel: 3 }));
    // No room for a token of the input.
    let positions = write::Positions::None;
    let alone = write::File { max_tokens: 1, positions, ..good };
    assert!(refused(alone).to_string().starts_with("max_tokens (the class token"));
}

/// Two norms of one network with epsilons of their own: what each does to a row of little variance shows it.
#[test]
fn every_norm_has_an_epsilon_of_its_own() {
    let mut source = Source(89);
    let epsilons = [1e-12, 1e-3];
    let network = changed(&mut source, 0, |source, network| {
        let width = network.width();
        network.embedding_norm = Some(Norm { epsilon: epsilons[0], ..source.norm(width) });
        for block in &mut network.blocks {
            block.norm1.epsilon = epsilons[1];
        }
    });
    let words = file(&mut source, &network).words();
    let model = Model::parse(&words).unwrap();
    let of = |norm: &fixformer::model::Norm<'_>, input_frac: i32| {
        let width = norm.parameters.gain.len() as f64;
        norm.parameters.epsilon as f64 / (width * width * f64::powi(4.0, input_frac))
    };
    assert!(of(&model.embedding_norm.unwrap(), model.input.frac()) < 1e-8);
    let norm1 = model.blocks().next().unwrap().norm1;
    let found = of(&norm1, model.embedding_norm.unwrap().frac);
    assert!((found - epsilons[1]).abs() < 0.01 * epsilons[1], "{found}");
}
