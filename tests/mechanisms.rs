//! Models with each mechanism of attention: the engine against the reference, and what the quantiser refuses.

use fixformer::host::draw::bigbird_plan;
use fixformer::host::quantize::{Precision, Settings, integers, quantize};
use fixformer::host::reference::bigbird::{BigBird, Pattern, Window};
use fixformer::host::reference::hierarchical::{Hierarchical, Interpolation};
use fixformer::host::reference::*;
use fixformer::host::{calibrate::calibrate, report};
use fixformer::session::Plan;
use fixformer::{Model, Session};
use random::{Options, Source, all_wide, length, network};

mod random;

const MAX_TOKENS: usize = 150;

fn hierarchical(block: usize, bias: Vec<Vec<f64>>) -> AttentionKind {
    let interpolation = Interpolation::Constant;
    let parameters = Hierarchical { block, causal: false, interpolation, temperature: 1.0, guard: None };
    AttentionKind::Hierarchical { parameters, bias }
}

fn bigbird(block: usize, random: usize, dense_up_to: usize, plans: Vec<Vec<Vec<usize>>>) -> AttentionKind {
    let pattern = Pattern::Internal;
    let parameters = BigBird { block, random, pattern, causal: false, dense_up_to };
    AttentionKind::BigBird { parameters, plans }
}

/// Drawn plans of one layer.
fn drawn(block: usize, random: usize, heads: usize, layer: usize) -> Vec<Vec<Vec<usize>>> {
    let blocks = MAX_TOKENS.div_ceil(block);
    (0..heads).map(|head| bigbird_plan(blocks, random, 1, layer, head).unwrap()).collect()
}

/// Every mechanism, for one layer.
fn kinds(source: &mut Source, heads: usize, layer: usize) -> Vec<AttentionKind> {
    let zero = |block: usize, random: usize| {
        let rows = MAX_TOKENS.div_ceil(block).saturating_sub(2);
        vec![vec![vec![0; random]; rows]; heads]
    };
    vec![
        hierarchical(2, Vec::new()),
        hierarchical(8, (0..heads).map(|_| source.values(31, 0.7)).collect()),
        hierarchical(16, Vec::new()),
        bigbird(4, 0, 0, Vec::new()),
        bigbird(8, 1, 0, zero(8, 1)),
        bigbird(8, 2, 64, drawn(8, 2, heads, layer)),
        bigbird(5, 3, 0, drawn(5, 3, heads, layer)),
        bigbird(64, 2, 0, zero(64, 2)),
    ]
}

fn options(i: usize, causal: bool) -> Options {
    use {Activation::*, NormOrder::*, Pooling::*};
    Options {
        input: (i % 3) as u8,
        positions: (i / 2 % 3) as u8,
        order: [Pre, Post][i % 2],
        activation: [Relu, GeluErf, GeluTanh][i % 3],
        causal,
        heads: [1, 2, 4][i % 3],
        width: [16, 24, 32][i % 3],
        pooling: [Mean, Max, First, Last][i % 4],
        norms: i % 4 < 2,
        max_tokens: MAX_TOKENS,
    }
}

#[test]
fn every_mechanism_agrees_with_the_reference() {
    let mut source = Source(3);
    for causal in [false, true] {
        for i in 0..8 {
            let options = options(i, causal);
            let mut network = network(&mut source, options);
            for (layer, block) in network.blocks.iter_mut().enumerate() {
                block.attention.kind = kinds(&mut source, options.heads, layer).swap_remove(i);
            }
            let recordings: Vec<Vec<i16>> = (0..40)
                .map(|i| source.recording(length(&network, 1 + i * (MAX_TOKENS - 1) / 39), &network.input))
                .collect();
            let ranges = calibrate(&network, &recordings, || {}).unwrap();
            let words = integers(&network, &ranges, &all_wide()).unwrap().words();
            let model = Model::parse(&words).unwrap();
            let mut memory = vec![0xdead_beef; Plan::of(&model).words()];
            let mut session = Session::new(model, &mut memory).unwrap();

            let mut worst = 0.0_f64;
            for (row, recording) in recordings.iter().enumerate() {
                let tokens = network.tokens(recording).unwrap();
                let mask: Vec<bool> =
                    (0..tokens).map(|t| (t * 7 + row) % 5 != 0 || t == tokens / 2).collect();
                let mask = (row % 3 == 0).then_some(mask.as_slice());
                let expected = network.forward(recording, mask, &mut |_, _| {}).unwrap();
                let scores = match mask {
                    Some(mask) => session.run_masked(recording, mask),
                    None => session.run(recording),
                };
                let found: Vec<f64> = scores.unwrap().to_f64().collect();
                worst = worst.max(report::relative_l2(&found, &expected));
            }
            println!("{worst:.2e} mechanism {i}, {options:?}");
            assert!(worst < 0.02, "{worst:e} mechanism {i}, {options:?}");
        }
    }
}

#[test]
fn layers_may_differ() {
    let mut source = Source(4);
    let mut network = network(&mut source, options(2, false));
    let heads = network.blocks[0].attention.heads;
    network.blocks[1].attention.kind = bigbird(8, 1, 0, drawn(8, 1, heads, 1));
    let recordings: Vec<Vec<i16>> =
        (0..20).map(|i| source.recording(length(&network, 60 + i), &network.input)).collect();
    let quantized = quantize(&network, &recordings, Settings::default(), |_| {}).unwrap();
    assert!(quantized.fidelity.score_error < 0.02, "{:?}", quantized.fidelity);
    network.blocks[0].attention.kind = hierarchical(4, Vec::new());
    let other = quantize(&network, &recordings, Settings::default(), |_| {}).unwrap();
    assert_ne!(other.words.len(), quantized.words.len());
}

#[test]
fn contradictions_are_refused_by_name() {
    let mut source = Source(5);
    let mut network = network(&mut source, options(1, false));
    let heads = network.blocks[0].attention.heads;
    let good = drawn(8, 2, heads, 0);
    let spoilt = |spoil: fn(&mut Vec<Vec<Vec<usize>>>)| {
        let mut plans = good.clone();
        spoil(&mut plans);
        bigbird(8, 2, 0, plans)
    };
    let with = |change: fn(&mut Hierarchical)| {
        let AttentionKind::Hierarchical { mut parameters, bias } = hierarchical(8, Vec::new()) else {
            panic!()
        };
        change(&mut parameters);
        AttentionKind::Hierarchical { parameters, bias }
    };
    let extended = Pattern::Extended { global: 2, window: Window::Blocks };
    let parameters = BigBird { block: 8, random: 0, pattern: extended, causal: false, dense_up_to: 0 };
    for (kind, field) in [
        (hierarchical(7, Vec::new()), "hierarchical.block"),
        (hierarchical(0, Vec::new()), "hierarchical.block"),
        (hierarchical(8, vec![vec![0.0; 31]]), "hierarchical.bias"),
        (hierarchical(8, vec![vec![0.0; 30]; heads]), "hierarchical.bias"),
        (hierarchical(8, vec![vec![f64::NAN; 31]; heads]), "hierarchical.bias"),
        (hierarchical(8, vec![vec![30.0; 31]; heads]), "hierarchical.bias"),
        (with(|p| p.temperature = 2.0), "hierarchical.temperature"),
        (with(|p| p.guard = Some(1e-6)), "hierarchical.guard"),
        (with(|p| p.interpolation = Interpolation::Linear), "hierarchical.interpolation"),
        (bigbird(0, 0, 0, Vec::new()), "bigbird.block"),
        (bigbird(8, 0, 12, Vec::new()), "bigbird.dense_up_to"),
        (bigbird(8, 2, 0, Vec::new()), "bigbird.plan"),
        (bigbird(8, 1, 0, good.clone()), "bigbird.plan"),
        (bigbird(8, 0, 0, good.clone()), "bigbird.plan"),
        (spoilt(|plans| drop(plans.pop())), "bigbird.plan"),
        (spoilt(|plans| drop(plans[1].pop())), "bigbird.plan"),
        (spoilt(|plans| plans[1][3].push(1)), "bigbird.plan"),
        (spoilt(|plans| plans[1][3][0] = 19), "bigbird.plan"),
        (AttentionKind::BigBird { parameters, plans: Vec::new() }, "bigbird.pattern"),
    ] {
        network.blocks[1].attention.kind = kind;
        let recordings = [vec![0; length(&network, 9)]];
        let error = quantize(&network, &recordings, Settings::default(), |_| {}).unwrap_err().to_string();
        assert!(error.contains(field) && error.contains("block 1"), "{field}: {error}");
    }
    network.blocks[1].attention.kind = bigbird(8, 2, 0, good);
    let ranges = calibrate(&network, &[vec![0; length(&network, 9)]], || {}).unwrap();
    assert!(integers(&network, &ranges, &Precision::new()).is_ok());
}
