//! `host::expect`: which single change makes a network agree with scores, in every direction.

use std::path::Path;

use fixformer::host::data::{self, Options, Reals, Split};
use fixformer::host::expect::{Given, are_probabilities, compare, limit};
use fixformer::host::import::{self, Precision};
use fixformer::host::reference::{Activation, Hidden, Input, Linear, Network, NormOrder, Pooling};

fn case() -> (Network, Vec<Vec<i16>>) {
    let case = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/expected");
    let network = import::network(&case.join("m.toml"), &case.join("w.safetensors")).unwrap();
    (network, data::load(&case.join("data.npz"), Split::Train, Options::default()).unwrap().rows)
}

fn scores(network: &Network, recordings: &[Vec<i16>]) -> Vec<Vec<f64>> {
    recordings.iter().map(|row| network.forward(row, None, &mut |_, _| {}).unwrap()).collect()
}

/// Of the network that was meant, when the one described is the case's: the change back is named.
fn named(described: &Network, meant: impl Fn(&mut Network), change: &str) {
    let (_, recordings) = case();
    let mut right = described.clone();
    meant(&mut right);
    let expected = scores(&right, &recordings);
    let found = compare(described, given(&recordings), &expected, 1e-5).unwrap_err();
    assert!(found.error.is_some_and(|error| error > 1e-5), "{change}: {found:?}");
    let (remedy, left) = found.remedy.unwrap_or_else(|| panic!("{change}: none of {}", found.tried));
    assert!(remedy.contains(change) && left < 1e-12, "{remedy} in place of {change}");
    assert!(compare(&right, given(&recordings), &expected, 1e-5).unwrap().error < 1e-15);
}

fn activation(network: &mut Network, activation: Activation) {
    network.blocks.iter_mut().for_each(|block| block.feed_forward.activation = activation);
}

fn epsilon(network: &mut Network, epsilon: f64) {
    let Network { blocks, pooled_norm, .. } = network;
    let blocks = blocks.iter_mut().flat_map(|block| [&mut block.norm1, &mut block.norm2]);
    blocks.chain(pooled_norm).for_each(|norm| norm.epsilon = epsilon);
}

/// Inputs of the stem by channel in place of by step, with `of` the number of those that come first.
fn reordered(network: &mut Network, of: usize) {
    let Input::Samples { stem, .. } = &mut network.input else { unreachable!() };
    let (inputs, outputs) = (stem.inputs, stem.outputs);
    let row = |at: usize| stem.weights[(at % of * (inputs / of) + at / of) * outputs..][..outputs].to_vec();
    stem.weights = (0..inputs).flat_map(row).collect();
}

fn given(rows: &[Vec<i16>]) -> Given<'_> {
    Given { rows, reals: None }
}

#[test]
fn every_change_is_named_from_either_side() {
    let (right, _) = case();
    let order =
        |network: &mut Network, order| network.blocks.iter_mut().for_each(|block| block.order = order);
    let swap = |network: &mut Network| std::mem::swap(&mut network.final_norm, &mut network.pooled_norm);
    let heads = |network: &mut Network, heads| {
        network.blocks.iter_mut().for_each(|block| block.attention.heads = heads);
    };
    let stride = |network: &mut Network, to| {
        if let Input::Samples { window, .. } = &mut network.input {
            window.stride = to;
        }
    };
    let changed = |change: &dyn Fn(&mut Network)| {
        let mut network = right.clone();
        change(&mut network);
        network
    };

    named(&right, swap, "the norm comes before pooling");
    named(&changed(&swap), swap, "the norm comes after pooling");
    named(&right, |network| order(network, NormOrder::Post), "`encoder.norm = \"post\"`");
    named(
        &changed(&|network| order(network, NormOrder::Post)),
        |network| order(network, NormOrder::Pre),
        "\"pre\"",
    );
    for count in [1, 2, 8, 16] {
        named(&right, |network| heads(network, count), &format!("`encoder.heads = {count}`"));
    }
    for (to, word) in
        [(Activation::Relu, "relu"), (Activation::GeluTanh, "gelu-tanh"), (Activation::Tanh, "tanh")]
    {
        let change = format!("`encoder.activation = \"{word}\"`");
        named(&right, |network| activation(network, to), &change);
        let from = changed(&|network| activation(network, to));
        named(&from, |network| activation(network, Activation::GeluErf), "`encoder.activation = \"gelu\"`");
    }
    // Two channels, four steps: the one order is by channel, the other by step.
    named(&right, |network| reordered(network, 2), "the stem's inputs lie channel by channel");
    for to in [1, 3, 4, 5] {
        named(&right, |network| stride(network, to), &format!("`input.window.stride = {to}`"));
    }
    for to in [1e-5, 1e-12] {
        // Both are next to nothing beside a variance of about one.
        named(&right, |network| epsilon(network, to), "`encoder.epsilon = 1e-");
    }
    let from = changed(&|network| epsilon(network, 1e-6));
    named(&from, |network| epsilon(network, 1e-3), "`encoder.epsilon = 1e-3`");
    let pooled = |network: &mut Network| network.pooled_norm.iter_mut().for_each(|norm| norm.epsilon = 1e-2);
    let off = changed(&pooled);
    let one = |network: &mut Network| network.pooled_norm.iter_mut().for_each(|norm| norm.epsilon = 1e-3);
    named(&off, one, "`pooling.epsilon = 1e-3`");
    for (to, word) in [(Pooling::Max, "max"), (Pooling::First, "first"), (Pooling::Last, "last")] {
        named(&right, |network| network.pooling = to, &format!("`pooling.kind = \"{word}\"`"));
    }
    let causal =
        |network: &mut Network| network.blocks.iter_mut().for_each(|block| block.attention.causal = true);
    named(&right, causal, "causal = true");
    let hidden = changed(&|network| {
        let map = Linear {
            inputs: 16,
            outputs: 16,
            weights: network.blocks[0].attention.query.weights.clone(),
            bias: vec![0.1; 16],
        };
        network.hidden = Some(Hidden { map, activation: Activation::Relu });
    });
    let tanh = |network: &mut Network| {
        network.hidden.iter_mut().for_each(|hidden| hidden.activation = Activation::Tanh)
    };
    named(&hidden, tanh, "`head.hidden = \"tanh\"`");
}

#[test]
fn a_recording_that_does_not_fit_is_a_difference_too() {
    let (right, recordings) = case();
    let expected = scores(&right, &recordings);
    // Too many tokens for the positions.
    let mut wrong = Network { max_tokens: 12, ..right };
    let Input::Samples { window, .. } = &mut wrong.input else { unreachable!() };
    window.stride = 1;
    let found = compare(&wrong, given(&recordings), &expected, 1e-5).unwrap_err();
    assert_eq!((found.row, found.error), (0, None));
    assert_eq!(found.remedy.unwrap().0, "`input.window.stride = 2`");
}

#[test]
fn the_worst_row_is_named_and_limits_are_those_of_the_format() {
    let (right, recordings) = case();
    let mut expected = scores(&right, &recordings);
    expected[7][1] += 0.01;
    let found = compare(&right, given(&recordings), &expected, 1e-5).unwrap_err();
    assert_eq!((found.row, found.remedy), (7, None));
    assert!(found.tried > 40);
    let error = found.error.unwrap();
    for (precision, agrees) in
        [(Precision::F32, false), (Precision::F16, error <= 5e-3), (Precision::BF16, true)]
    {
        assert_eq!(
            compare(&right, given(&recordings), &expected, limit(precision)).is_ok(),
            agrees,
            "{error} {precision:?}"
        );
    }
    expected[3][0] = f64::NAN;
    assert_eq!(compare(&right, given(&recordings), &expected, 1.0).unwrap_err().row, 3);
}

#[test]
fn probabilities_are_known_by_their_sum() {
    assert!(are_probabilities(&[vec![0.25, 0.75], vec![1.0, 0.0]]));
    for other in [vec![0.25, 0.7], vec![-0.5, 1.5], vec![1.0]] {
        assert!(!are_probabilities(&[vec![0.5, 0.5], other]));
    }
    assert!(!are_probabilities(&[]));
}

/// Scores are those of the values as they were before they were rounded.
#[test]
fn real_values_are_compared_as_they_were() {
    let (network, raw) = case();
    let Input::Samples { scale, .. } = &network.input else { panic!("samples") };
    let scale = scale[0];
    // Between two raw values, a fifth of one off.
    let text = |row: &Vec<i16>| {
        let reals =
            row.iter().enumerate().map(|(step, &raw)| (f64::from(raw) + 0.2 * (step as f64).sin()) * scale);
        reals.map(|real| format!("{real:?}")).collect::<Vec<_>>().join(";")
    };
    let path = std::env::temp_dir().join(format!("fixformer-expect-{}.csv", std::process::id()));
    std::fs::write(&path, raw.iter().map(text).collect::<Vec<_>>().join("\n")).unwrap();
    let (reals, scale) = (Reals::keeping(), scale.into());
    let options =
        Options { scale: Some(&scale), reals: Some(&reals), header: Some(false), ..Options::default() };
    let channels = Some(data_channels(&network));
    let recordings = data::load(&path, Split::Train, Options { channels, ..options }).unwrap();
    std::fs::remove_file(&path).unwrap();
    assert_eq!(recordings.rows, raw);
    let rows = reals.rows(&recordings).unwrap();
    let expected: Vec<Vec<f64>> =
        raw.iter().zip(&rows).map(|(raw, reals)| network.forward_reals(raw, reals).unwrap()).collect();
    let found = compare(&network, Given { rows: &raw, reals: Some(&rows) }, &expected, 1e-5).unwrap();
    assert_eq!(found.error, 0.0);
    assert!(
        compare(&network, given(&raw), &expected, 1e-5).is_err(),
        "rounding alone is more than the limit"
    );
}

fn data_channels(network: &Network) -> usize {
    match &network.input {
        Input::Samples { channels, .. } => *channels,
        Input::OneHot { .. } | Input::Tokens { .. } => 1,
    }
}
