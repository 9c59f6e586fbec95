//! The float network that a model file stands for: its weights as they are stored, without the rounding of what lies
//! between them.
//!
//! What the engine makes of a file differs from this network by the rounding and the saturation of activations alone. A
//! checkpoint is not needed, and the rounding of weights is no part of the difference.

mod attention;

use std::string::{String, ToString};
use std::vec;
use std::vec::Vec;

use super::reference as float;
use crate::kernels::{Activation, normalised_frac, pair_len};
use crate::model::{
    Block, Hidden, Input, Level, Linear, Model, Norm, NormOrder, Pooling, PoolingWindow, Positions, Table,
    Task, Weights, Window,
};
use crate::num::Requant;

/// Of the floor of a running deviation in a model file, to a raw unit.
const RAW_FLOOR: f64 = 256.0;

/// The float network of `model`. Its input is raw units, whatever real value they have.
pub fn network(model: &Model<'_>) -> float::Network {
    let mut fracs = [model.input.frac(); 2];
    let positions = positions(&model.positions, model.width);
    let class_token =
        model.class_token.map(|token| token.iter().map(|&x| f64::from(x) * exp2(-fracs[0])).collect());
    let embedding_norm = model.embedding_norm.as_ref().map(|norm| {
        let float = self::norm(norm, fracs[0]);
        fracs = [norm.frac; 2];
        float
    });
    let mut blocks = Vec::new();
    for block in model.blocks() {
        blocks.push(self::block(&block, model, fracs));
        fracs = block.fed(block.attended(fracs));
    }
    // Two streams side by side have the coarser of their formats.
    let mut frac = if model.reversible { fracs[0].min(fracs[1]) } else { fracs[0] };
    let mut after = |norm: &Option<Norm<'_>>| {
        norm.as_ref().map(|norm| {
            let float = self::norm(norm, frac);
            frac = norm.frac;
            float
        })
    };
    let (final_norm, pooled_norm) = (after(&model.final_norm), after(&model.pooled_norm));
    let hidden = model.head_hidden.as_ref().map(|Hidden { linear: map, activation }| {
        let float = float::Hidden { map: linear(map, frac), activation: self::activation(*activation) };
        frac = map.frac;
        float
    });
    float::Network {
        name: model.name().to_string(),
        input: input(&model.input),
        class_token,
        positions,
        embedding_norm,
        blocks,
        final_norm,
        pooling: pooling(model.pooling),
        pooled_norm,
        hidden,
        head: head(model, frac),
        answers: answers(model),
        max_tokens: model.max_tokens,
        horizon: Some(model.horizon),
    }
}

fn block(block: &Block<'_>, model: &Model<'_>, streams: [i32; 2]) -> float::Block {
    let (attention, network) = (&block.attention, &block.feed_forward);
    let order = match block.order {
        NormOrder::Pre => float::NormOrder::Pre,
        NormOrder::Post => float::NormOrder::Post,
        NormOrder::Reversible => float::NormOrder::Reversible,
    };
    let post = block.order == NormOrder::Post;
    let x = if post { streams[0] } else { block.norm1.frac };
    let key_frac = attention.key.as_ref().map_or(attention.query.frac, |key| key.frac);
    let norm1_input = match block.order {
        NormOrder::Pre => streams[0],
        NormOrder::Post => attention.output.frac,
        NormOrder::Reversible => streams[1],
    };
    let norm2_input = if post { network.contract.frac } else { attention.output.frac };
    let y = if post { block.norm1.frac } else { block.norm2.frac };
    float::Block {
        order,
        attention: float::Attention {
            heads: model.heads,
            causal: attention.causal,
            kind: attention::kind(attention, model, [attention.query.frac, key_frac]),
            query: linear(&attention.query, x),
            key: attention.key.as_ref().map(|key| linear(key, x)),
            value: linear(&attention.value, x),
            output: linear(&attention.output, attention.value.frac + attention.gain as i32),
        },
        norm1: norm(&block.norm1, norm1_input),
        feed_forward: float::FeedForward {
            expand: linear(&network.expand, y),
            activation: activation(network.activation),
            contract: linear(&network.contract, network.expand.frac),
        },
        norm2: norm(&block.norm2, norm2_input),
    }
}

fn input(input: &Input<'_>) -> float::Input {
    let window = |&Window { width, stride }: &Window| float::Window { width, stride };
    match input {
        Input::Samples { channels, window: steps, shift, level, stem } => float::Input::Samples {
            channels: *channels,
            window: window(steps),
            scale: vec![1.0; *channels],
            level: match *level {
                Level::Raw => float::Level::Raw,
                Level::Centred => float::Level::Centred,
                Level::Standardized => float::Level::Standardized,
                Level::RunningCentred { forgetting } => float::Level::RunningCentred { forgetting },
                Level::RunningStandardized { forgetting, floor } => {
                    float::Level::RunningStandardized { forgetting, floor: f64::from(floor) / RAW_FLOOR }
                }
            },
            mean: vec![0.0; *channels],
            deviation: vec![1.0; *channels],
            stem: linear(stem, *shift as i32),
        },
        Input::OneHot { symbols, window: steps, shift, stem } => float::Input::OneHot {
            symbols: *symbols,
            window: window(steps),
            stem: linear(stem, *shift as i32),
        },
        Input::Tokens { table: rows } => float::Input::Tokens { vocabulary: rows.rows, table: table(rows) },
    }
}

fn positions(positions: &Positions<'_>, width: usize) -> float::Positions {
    match positions {
        Positions::None => float::Positions::None,
        Positions::Learned(rows) => float::Positions::Learned(table(rows)),
        Positions::Sinusoidal(_) => float::Positions::Sinusoidal,
        Positions::Axial(tables) => {
            debug_assert_eq!(tables[0].width + tables[1].width, width);
            float::Positions::Axial(float::Axial {
                shape: [tables[0].rows, tables[1].rows],
                tables: [table(&tables[0]), table(&tables[1])],
            })
        }
    }
}

fn pooling(pooling: Pooling) -> float::Pooling {
    let window = |PoolingWindow { block, blocks }| float::PoolingWindow { block, blocks };
    match pooling {
        Pooling::None => float::Pooling::None,
        Pooling::Mean => float::Pooling::Mean,
        Pooling::Max => float::Pooling::Max,
        Pooling::First => float::Pooling::First,
        Pooling::Last => float::Pooling::Last,
        Pooling::WindowMean(of) => float::Pooling::WindowMean(window(of)),
        Pooling::WindowMax(of) => float::Pooling::WindowMax(window(of)),
    }
}

fn answers(model: &Model<'_>) -> float::Answers {
    let task = match model.answers.task {
        Task::Multiclass => float::Task::Multiclass,
        Task::Multilabel => float::Task::Multilabel,
        Task::Regression => float::Task::Regression,
    };
    let names = (0..model.classes()).map_while(|class| model.answers.name(class)).map(String::from);
    float::Answers { task, names: names.collect(), ..float::Answers::default() }
}

/// The last layer; one that gives numbers with what turns its scores into them.
fn head(model: &Model<'_>, input_frac: i32) -> float::Linear {
    let mut head = linear(&model.head, input_frac);
    let outputs = head.outputs;
    // The numbers that scores of 0 and of 1 stand for: all others lie on a line. Other scores stand for themselves.
    let numbers = |scores: &[i16]| model.answers.to_f64(scores, model.head.frac).collect::<Vec<f64>>();
    let (zeros, ones) = (numbers(&vec![0; outputs]), numbers(&vec![1; outputs]));
    for (output, (zero, one)) in zeros.into_iter().zip(ones).enumerate() {
        let step = (one - zero) * exp2(model.head.frac);
        head.weights.iter_mut().skip(output).step_by(outputs).for_each(|weight| *weight *= step);
        head.bias[output] = head.bias[output] * step + zero;
    }
    head
}

fn activation(activation: Activation) -> float::Activation {
    match activation {
        Activation::Relu => float::Activation::Relu,
        Activation::GeluErf => float::Activation::GeluErf,
        Activation::GeluTanh => float::Activation::GeluTanh,
        Activation::Tanh => float::Activation::Tanh,
    }
}

fn linear(linear: &Linear<'_>, input_frac: i32) -> float::Linear {
    let Linear { inputs, outputs, channels, frac, .. } = *linear;
    let mut weights = vec![0.0; inputs * outputs];
    let mut bias = Vec::new();
    let stored = integers(&linear.weights);
    for output in 0..outputs {
        let multiplier = channels.multipliers[output];
        let step = Requant { multiplier, shift: channels.shift }.factor() * exp2(-frac);
        bias.push(f64::from(channels.bias[output]) * step);
        let column = stored.iter().skip(output / 2 * pair_len(inputs) + output % 2).step_by(2);
        for (input, &weight) in column.take(inputs).enumerate() {
            weights[input * outputs + output] = f64::from(weight) * step * exp2(input_frac);
        }
    }
    float::Linear { inputs, outputs, weights, bias }
}

fn table(table: &Table<'_>) -> Vec<f64> {
    let Table { width, multipliers, shift, frac, .. } = *table;
    let step = |column: usize| {
        let one = Requant { multiplier: multipliers[column], shift };
        one.factor() * exp2(Table::ONE_SHIFT as i32 - frac)
    };
    integers(&table.weights).iter().enumerate().map(|(i, &x)| f64::from(x) * step(i % width)).collect()
}

fn norm(norm: &Norm<'_>, input_frac: i32) -> float::Norm {
    let Norm { parameters, frac } = norm;
    let (width, output) = (parameters.gain.len(), frac + parameters.shift as i32);
    let gain = exp2(normalised_frac(width) as i32 - output);
    float::Norm {
        gain: parameters.gain.iter().map(|&x| f64::from(x) * gain).collect(),
        bias: parameters.bias.iter().map(|&x| f64::from(x) * exp2(-output)).collect(),
        epsilon: parameters.epsilon as f64 * exp2(-2 * input_frac) / (width * width) as f64,
    }
}

fn integers(weights: &Weights<'_>) -> Vec<i16> {
    match weights {
        Weights::Int8(values) => values.iter().map(|&x| x.into()).collect(),
        Weights::Int16(values) => values.to_vec(),
    }
}

fn exp2(exponent: i32) -> f64 {
    f64::from(exponent).exp2()
}
