//! One meaning for every way to run: in slices of any size, with garbage wherever nothing is needed, and whatever follows a
//! causal token.

use std::collections::HashMap;

use fixformer::attention::Budget;
use fixformer::host::calibrate::calibrate;
use fixformer::host::quantize::integers;
use fixformer::host::reference::attention::favor::Offsets;
use fixformer::host::reference::{AttentionKind, Input, Level, Network, Pooling, PoolingWindow};
use fixformer::session::{Plan, Running, Stage};
use fixformer::trace::{Row, Rows, Tensor};
use fixformer::{Model, Session};
use fixformer_fuzz::random::kinds::{KINDS, MAX_TOKENS, kinds, options};
use fixformer_fuzz::random::{Source, all_wide, length, mask, network};

/// A network with mechanism `i` in both layers, or with another one in the second, and its model file.
fn model(source: &mut Source, i: usize, causal: bool) -> (Network, Vec<u32>) {
    let mut options = options(i, causal);
    options.pooling = match i % 6 {
        1 => Pooling::WindowMean(PoolingWindow { block: 5, blocks: 3 }),
        3 => Pooling::WindowMax(PoolingWindow { block: 8, blocks: 2 }),
        5 => Pooling::None,
        _ => options.pooling,
    };
    let mut network = network(source, options);
    if let (Input::Samples { level, .. }, true) = (&mut network.input, i.is_multiple_of(2)) {
        *level = Level::RunningStandardized { forgetting: 5, floor: 0.1 };
    }
    let other = if i.is_multiple_of(3) { (7 * i + 4) % KINDS } else { i };
    for (layer, block) in network.blocks.iter_mut().enumerate() {
        let width = options.width / options.heads;
        let i = if layer == 0 { i } else { other };
        block.attention.kind = kinds(source, options.heads, width, layer).swap_remove(i);
    }
    let recordings: Vec<Vec<i16>> =
        (1..8).map(|i| source.recording(length(&network, 20 * i), &network.input)).collect();
    let ranges = calibrate(&network, &recordings, || {}).unwrap();
    let words = integers(&network, &ranges, &all_wide()).unwrap().words();
    (network, words)
}

/// Recordings of many lengths, and masks for some of them.
fn recordings(source: &mut Source, network: &Network) -> Vec<(Vec<i16>, Option<Vec<bool>>)> {
    let lengths = [1, 3, 17, 65, 100, MAX_TOKENS - 1];
    let recordings = lengths.into_iter().enumerate().map(|(row, tokens)| {
        let recording = source.recording(length(network, tokens), &network.input);
        (recording, (row != 1).then_some(mask(row, tokens)))
    });
    recordings.collect()
}

/// Gives every model, its recordings, and their scores when they run at one go.
fn each_model(check: impl Fn(&mut Source, &mut Session<'_>, &[i16], Option<&[bool]>, &[i16], &str)) {
    let mut source = Source(11);
    for causal in [false, true] {
        for i in 0..KINDS {
            let (network, words) = model(&mut source, i, causal);
            let model = Model::parse(&words).unwrap();
            let mut memory = vec![0xdead_beef; Plan::of(&model).words()];
            let mut session = Session::new(model, &mut memory).unwrap();
            for (recording, mask) in recordings(&mut source, &network) {
                let mask = mask.as_deref();
                let scores = session.run_traced(&recording, mask, &mut ()).unwrap().raw().to_vec();
                let what = format!("mechanism {i}, causal {causal}, {} values", recording.len());
                check(&mut source, &mut session, &recording, mask, &scores, &what);
            }
        }
    }
}

#[test]
fn slices_of_any_size_give_the_same_scores() {
    each_model(|source, session, recording, mask, scores, what| {
        for most in [1000.0, 10_000.0] {
            let mut running = session.start_masked(recording, mask).unwrap();
            let mut slice = || Budget::new(1 + (most * source.uniform()) as usize);
            while running.advance(&mut slice(), &mut ()).unwrap().is_pending() {}
            assert_eq!(running.scores().unwrap().raw(), scores, "{what}, slices up to {most}");
        }
        let mut running = session.start_masked(recording, mask).unwrap();
        while running.step().unwrap().is_pending() {}
        assert_eq!(running.scores().unwrap().raw(), scores, "{what}, step by step");
    });
}

/// Writes over every word that no buffer needs now.
fn spoil(plan: &Plan, running: &mut Running<'_>, garbage: u32) {
    let now = running.stage();
    let mut needed = vec![false; plan.words()];
    for buffer in plan.buffers().filter(|buffer| buffer.lives[0] <= now && now <= buffer.lives[1]) {
        needed[buffer.start..buffer.start + buffer.words].fill(true);
    }
    for (word, needed) in running.memory_mut().iter_mut().zip(needed) {
        if !needed {
            *word = garbage;
        }
    }
}

#[test]
fn buffers_hold_nothing_outside_their_lives() {
    each_model(|_, session, recording, mask, scores, what| {
        let plan = *session.plan();
        for garbage in [0x5a5a_a5a5, 0] {
            let mut running = session.start_masked(recording, mask).unwrap();
            spoil(&plan, &mut running, garbage);
            while running.advance(&mut Budget::of_a_stage(), &mut ()).unwrap().is_pending() {
                spoil(&plan, &mut running, garbage);
            }
            assert_eq!(running.scores().unwrap().raw(), scores, "{what}, {garbage:x}");
        }
    });
}

#[test]
fn a_plan_takes_little_more_than_its_largest_stage() {
    let mut source = Source(12);
    for causal in [false, true] {
        for i in 0..KINDS {
            let (_, words) = model(&mut source, i, causal);
            let plan = Plan::of(&Model::parse(&words).unwrap());
            assert!(plan.words() * 100 <= plan.largest_stage() * 105, "{i} {causal}: {plan:?}");
            for (index, a) in plan.buffers().enumerate() {
                assert!(a.start + a.words <= plan.words(), "{a:?}");
                for b in plan.buffers().skip(index + 1).filter(|b| a.words > 0 && b.words > 0) {
                    let meet = a.lives[0] <= b.lives[1] && b.lives[0] <= a.lives[1];
                    let apart = a.start + a.words <= b.start || b.start + b.words <= a.start;
                    assert!(!meet || apart, "{a:?} and {b:?}");
                }
            }
        }
    }
}

#[test]
fn the_stages_come_in_their_order() {
    let mut source = Source(13);
    let (network, words) = model(&mut source, 1, false);
    let model = Model::parse(&words).unwrap();
    let mut memory = vec![0; Plan::of(&model).words()];
    let mut session = Session::new(model, &mut memory).unwrap();
    let recording = source.recording(length(&network, 40), &network.input);
    let mut running = session.start(&recording).unwrap();
    let mut stages = vec![running.stage()];
    assert!(session_is_not_done(&mut running));
    while running.advance(&mut Budget::new(1), &mut ()).unwrap().is_pending() {
        if stages.last() != Some(&running.stage()) {
            stages.push(running.stage());
        }
    }
    assert_eq!(stages.first(), Some(&Stage::Embed));
    assert_eq!(stages[stages.len() - 2..], [Stage::Pool, Stage::Head]);
    assert_eq!(stages.iter().filter(|&&stage| stage == Stage::Feed).count(), 2);
}

fn session_is_not_done(running: &mut Running<'_>) -> bool {
    running.step().unwrap().is_pending()
}

/// The rows of the last block by token.
fn rows(session: &mut Session<'_>, recording: &[i16]) -> HashMap<usize, Vec<i16>> {
    let mut found = HashMap::new();
    let last = session.model().block_count - 1;
    let mut keep = Rows(|row: Row<'_>| {
        if row.site.block == Some(last) && row.site.tensor == Tensor::Residual2 {
            found.insert(row.row, row.values.to_vec());
        }
    });
    session.run_traced(recording, None, &mut keep).unwrap();
    found
}

/// Exact, FAVOR+ with an epsilon of the keys so far, local with one chunk before, hierarchical, and windows.
#[test]
fn what_follows_changes_no_bit_of_a_causal_model() {
    let mut source = Source(14);
    for i in [0, 1, 2, 8, 9, 10, 11, 15, 19, 20] {
        let mut options = options(i, true);
        (options.input, options.pooling) = (2, Pooling::Last);
        let mut network = network(&mut source, options);
        for (layer, block) in network.blocks.iter_mut().enumerate() {
            let width = options.width / options.heads;
            let mut kind = kinds(&mut source, options.heads, width, layer).swap_remove(i);
            if let AttentionKind::Favor(favor) = &mut kind {
                favor.offsets = Offsets::Seen;
            }
            block.attention.kind = kind;
        }
        let recording = source.recording(MAX_TOKENS, &network.input);
        let ranges = calibrate(&network, std::slice::from_ref(&recording), || {}).unwrap();
        let words = integers(&network, &ranges, &all_wide()).unwrap().words();
        let mut memory = vec![0; Plan::of(&Model::parse(&words).unwrap()).words()];
        let mut session = Session::new(Model::parse(&words).unwrap(), &mut memory).unwrap();
        let whole = rows(&mut session, &recording);
        for tokens in [1, 2, 7, 16, 31, 32, 64, 65, 97, 128, 149] {
            let mut other = source.recording(MAX_TOKENS, &network.input);
            other[..tokens].copy_from_slice(&recording[..tokens]);
            for found in [rows(&mut session, &recording[..tokens]), rows(&mut session, &other)] {
                assert!(
                    (0..tokens).all(|token| found[&token] == whole[&token]),
                    "mechanism {i}, {tokens} tokens"
                );
            }
        }
    }
}
