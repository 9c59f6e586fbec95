//! Model files that are as small as can be, with fields of any size.

use fixformer::kernels::Activation;
use fixformer::model::write::{Answers, AttentionKind, Block, File, Input, Linear, Matrix, Norm, Positions};
use fixformer::model::{Level, NormOrder, Pooling, Task, Window};
use fixformer::num::Requant;

/// Channels of some weights or other.
pub fn linear(inputs: usize, outputs: usize) -> Linear {
    Linear {
        inputs,
        weights: Matrix {
            values: (0..inputs * outputs).map(|i| (i * 37 % 11) as i16 - 5).collect(),
            bits: 8,
        },
        multipliers: vec![1 << 14; outputs],
        shift: 2,
        bias: vec![0; outputs],
        frac: 8,
    }
}

fn norm(width: usize) -> Norm {
    Norm { gain: vec![1 << 14; width], bias: vec![0; width], shift: 14, epsilon: 1, frac: 8 }
}

/// Columns of a token.
const WIDTH: usize = 4;

/// A model of one block and one channel.
pub fn file(kind: AttentionKind, causal: bool, heads: usize, head_width: usize) -> File {
    let (width, all) = (WIDTH, heads * head_width);
    let block = Block {
        order: NormOrder::Pre,
        key: (!matches!(kind, AttentionKind::Lsh(_))).then(|| linear(width, all)),
        kind,
        causal,
        scale: Requant { multiplier: 1 << 14, shift: 8 },
        gain: 0,
        query: linear(width, all),
        value: linear(width, all),
        output: linear(all, width),
        norm1: norm(width),
        activation: Activation::Relu,
        expand: linear(width, 1),
        contract: linear(1, width),
        norm2: norm(width),
    };
    File {
        name: String::from("bare"),
        max_tokens: 16,
        horizon: 16,
        width,
        heads,
        head_width,
        pooling: Pooling::Last,
        sample_scale: Vec::new(),
        input: samples(1, 1, 1),
        class_token: None,
        positions: Positions::None,
        embedding_norm: None,
        blocks: vec![block],
        final_norm: None,
        pooled_norm: None,
        head_hidden: None,
        head: linear(width, 2),
        answers: Answers {
            task: Task::Multiclass,
            thresholds: Vec::new(),
            numbers: Vec::new(),
            names: Vec::new(),
            units: Vec::new(),
        },
        input_units: Vec::new(),
    }
}

/// Windows of samples.
pub fn samples(channels: usize, width: usize, stride: usize) -> Input {
    let stem = linear(width * channels, WIDTH);
    Input::Samples { channels, window: Window { width, stride }, shift: 0, level: Level::Raw, stem }
}
