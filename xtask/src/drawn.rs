//! A model with random weights, where bits, memory and instructions count and accuracy does not.

use anyhow::{Result, anyhow};
use fixformer::host::calibrate::calibrate;
use fixformer::host::draw::{self, Source};
use fixformer::host::quantize::{Precision, integers};
use fixformer::host::reference as float;

pub(crate) const WIDTH: usize = 32;
pub(crate) const HEADS: usize = 2;
pub(crate) const VOCABULARY: usize = 16;
const HIDDEN: usize = 64;

/// Token ids in, a layer of width 32 with two heads and 64 hidden columns with GELU for each mechanism, and four classes.
pub(crate) fn network(
    name: &str,
    mechanisms: Vec<float::AttentionKind>,
    causal: bool,
    positions: float::Positions,
    max_tokens: usize,
) -> float::Network {
    let mut source = Source(3);
    let mut values = |count: usize, most: f64| -> Vec<f64> {
        (0..count).map(|_| most * (source.below(2001) as f64 / 1000.0 - 1.0)).collect()
    };
    let mut linear = |inputs: usize, outputs: usize| float::Linear {
        inputs,
        outputs,
        weights: values(inputs * outputs, 2.0 / (inputs as f64).sqrt()),
        bias: vec![0.0; outputs],
    };
    let norm = || float::Norm { gain: vec![1.0; WIDTH], bias: vec![0.0; WIDTH], epsilon: 1e-5 };
    let mut block = |kind| {
        let attention = float::Attention {
            heads: HEADS,
            causal,
            kind,
            query: linear(WIDTH, WIDTH),
            key: Some(linear(WIDTH, WIDTH)),
            value: linear(WIDTH, WIDTH),
            output: linear(WIDTH, WIDTH),
        };
        let feed_forward = float::FeedForward {
            expand: linear(WIDTH, HIDDEN),
            activation: float::Activation::GeluErf,
            contract: linear(HIDDEN, WIDTH),
        };
        let order = float::NormOrder::Pre;
        float::Block { order, attention, norm1: norm(), feed_forward, norm2: norm() }
    };
    let blocks = mechanisms.into_iter().map(&mut block).collect();
    float::Network {
        name: name.to_owned(),
        input: float::Input::Tokens { vocabulary: VOCABULARY, table: linear(VOCABULARY, WIDTH).weights },
        class_token: None,
        positions,
        embedding_norm: None,
        blocks,
        final_norm: Some(norm()),
        pooling: float::Pooling::Mean,
        pooled_norm: None,
        head: linear(WIDTH, 4),
        answers: float::Answers::default(),
        hidden: None,
        max_tokens,
        horizon: None,
    }
}

/// The model file of a network.
pub(crate) fn file(network: &float::Network) -> Result<Vec<u8>> {
    let mut source = Source(5);
    let length = network.max_tokens.min(256);
    let mut recording = || (0..length).map(|_| source.below(VOCABULARY) as i16).collect::<Vec<_>>();
    let recordings = [recording(), recording(), recording(), recording()];
    let ranges = calibrate(network, &recordings, || {}).map_err(|error| anyhow!("{error}"))?;
    let file = integers(network, &ranges, &Precision::new()).map_err(|error| anyhow!("{error}"))?;
    Ok(file.bytes())
}

/// FAVOR+ with 64 directions for layer `layer`.
pub(crate) fn favor(layer: usize, tile: Option<usize>) -> float::AttentionKind {
    draw::favor(64, WIDTH / HEADS, layer, tile)
}
