//! Causal networks that run as streams.

use fixformer::host::calibrate::calibrate;
use fixformer::host::quantize::integers;
use fixformer::host::reference::attention::favor::Offsets;
use fixformer::host::reference::{AttentionKind, Input, Level, Network, Pooling};

use super::kinds::{kinds, options};
use super::{Source, all_wide, length};

/// Mechanisms of [`kinds`] of which a causal layer depends on nothing that follows.
pub const STREAMS: [usize; 10] = [0, 1, 2, 8, 9, 10, 11, 15, 19, 20];

/// A causal network with mechanism `i` in both layers, or with exact attention in the second.
pub fn network(source: &mut Source, i: usize, exact_too: bool, pooling: Pooling) -> Network {
    let mut options = options(i, true);
    options.pooling = pooling;
    let mut network = super::network(source, options);
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
    network
}

/// The model file of a network, calibrated with recordings of several lengths.
pub fn words(source: &mut Source, network: &Network) -> Vec<u32> {
    let recordings: Vec<Vec<i16>> =
        (1..8).map(|i| source.recording(length(network, 20 * i), &network.input)).collect();
    let ranges = calibrate(network, &recordings, || {}).unwrap();
    integers(network, &ranges, &all_wide()).unwrap().words()
}

/// [`network`] and its [`words`].
pub fn model(source: &mut Source, i: usize, exact_too: bool, pooling: Pooling) -> (Network, Vec<u32>) {
    let network = network(source, i, exact_too, pooling);
    let words = words(source, &network);
    (network, words)
}

/// Values of a step.
pub fn channels(network: &Network) -> usize {
    match &network.input {
        Input::Samples { channels, .. } => *channels,
        _ => 1,
    }
}
