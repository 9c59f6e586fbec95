//! A network with every option at random, odd ones as likely as usual ones.

use fixformer::Model;
use fixformer::host::calibrate::calibrate;
use fixformer::host::draw::{RowLength, bigbird_plan, bigbird_plan_extended, favor_projection, lsh_signs};
use fixformer::host::quantize::integers;
use fixformer::host::reference::attention::bigbird::{self, BigBird, Pattern};
use fixformer::host::reference::attention::favor::{Favor, Features, Offsets};
use fixformer::host::reference::attention::hierarchical::{Hierarchical, Interpolation};
use fixformer::host::reference::attention::local::Local;
use fixformer::host::reference::attention::lsh::{Duplicates, Lsh, ScoreScale};
use fixformer::host::reference::*;

use super::kinds::favor_parameters;
use super::{Source, all_wide, length};

/// Most tokens of a network, and of one of five.
const MAX_TOKENS: [usize; 2] = [40, 96];

impl Source {
    /// One of them.
    pub fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }

    /// True `in_ten` times of ten.
    fn often(&mut self, in_ten: usize) -> bool {
        self.below(10) < in_ten
    }
}

/// A network and its model file. What the quantiser or the engine refuses is drawn again.
pub fn model(source: &mut Source) -> (Network, Vec<u32>) {
    loop {
        let network = network(source);
        let recordings: Vec<Vec<i16>> = (0..4).map(|_| recording(source, &network, true)).collect();
        let precision = if source.often(5) { all_wide() } else { Default::default() };
        let Ok(ranges) = calibrate(&network, &recordings, || {}) else { continue };
        let Ok(file) = integers(&network, &ranges, &precision) else { continue };
        let words = file.words();
        if Model::parse(&words).is_ok() {
            return (network, words);
        }
    }
}

/// Values for any number of tokens up to the most, the first and the last often; as they were when the ranges were found, or
/// with extremes.
pub fn recording(source: &mut Source, network: &Network, usual: bool) -> Vec<i16> {
    let most = network.max_tokens - network.tokens_before();
    let tokens = match source.below(6) {
        0 => most,
        1 => 1,
        _ => 1 + source.below(most),
    };
    let mut values = source.recording(length(network, tokens), &network.input);
    if let (Input::Samples { .. }, false) = (&network.input, usual) {
        match source.below(4) {
            0 => values.fill(source.of(&[0, 1, -1, i16::MIN, i16::MAX])),
            1 => values.iter_mut().for_each(|value| *value = source.of(&[i16::MIN, i16::MAX])),
            2 => values.iter_mut().for_each(|value| *value = source.below(1 << 16) as u16 as i16),
            _ => {}
        }
    }
    values
}

/// Which tokens count: at least one.
pub fn mask(source: &mut Source, tokens: usize) -> Vec<bool> {
    let (from, to) = (source.below(tokens), source.below(tokens));
    let pattern = source.below(5);
    let mut mask: Vec<bool> = (0..tokens)
        .map(|t| match pattern {
            0 => t == from,
            1 => t % 2 == from % 2,
            2 => (from.min(to)..=from.max(to)).contains(&t),
            3 => !(from.min(to)..=from.max(to)).contains(&t),
            _ => source.often(7),
        })
        .collect();
    mask[tokens - 1] |= !mask.contains(&true);
    mask
}

fn network(source: &mut Source) -> Network {
    let heads = source.of(&[1, 1, 2, 3, 4]);
    // A head of even or odd width, and a stream of another width than the heads together.
    let d = source.of(&[1, 2, 4, 5, 7, 8, 9, 16, 16]);
    // Now and then one as wide as the vectors of a host, or wider.
    let (heads, d) = if source.below(12) == 0 { (1, source.of(&[24, 32, 33, 64, 65])) } else { (heads, d) };
    let width = if source.often(7) { heads * d } else { 4 + source.below(30) };
    let width = width.max(2);
    let causal = source.often(4);
    let order = source.of(&[NormOrder::Pre, NormOrder::Pre, NormOrder::Post, NormOrder::Reversible]);
    let long = source.often(2);
    let max_tokens = 4 + source.below(MAX_TOKENS[usize::from(long)] - 4);
    let input = input(source, width, causal);
    let class_token = source.often(2).then(|| source.values(width, 1.0));
    let blocks: Vec<Block> = (0..1 + source.below(2))
        .map(|layer| block(source, [width, heads, d, layer, max_tokens], order, causal))
        .collect();
    let output = if order == NormOrder::Reversible { 2 * width } else { width };
    let hidden = source.often(3).then(|| {
        let outputs = 1 + source.below(12);
        Hidden { map: source.linear(output, outputs), activation: activation(source) }
    });
    let outputs = 1 + source.below(6);
    let pooling = match source.below(8) {
        0 | 1 => Pooling::Mean,
        2 => Pooling::Max,
        3 => Pooling::First,
        4 => Pooling::Last,
        5 => Pooling::WindowMean(window(source)),
        6 => Pooling::WindowMax(window(source)),
        _ if class_token.is_none() && outputs > 1 => Pooling::None,
        _ => Pooling::Mean,
    };
    let mut answers = Answers::of(outputs);
    if pooling != Pooling::None && source.often(3) {
        answers.task = source.of(&[Task::Multilabel, Task::Regression]);
    }
    if source.often(2) {
        answers.names = (0..answers.named(outputs)).map(|name| format!("name {name}")).collect();
    }
    let head = source.linear(hidden.as_ref().map_or(output, |hidden| hidden.map.outputs), outputs);
    Network {
        // The longest name that a file takes, now and then.
        name: "any".repeat(if source.often(1) { 11 } else { 1 }).chars().take(32).collect(),
        input,
        class_token,
        positions: positions(source, width, max_tokens),
        embedding_norm: source.often(3).then(|| source.norm(width)),
        blocks,
        final_norm: source.often(6).then(|| source.norm(output)),
        pooling,
        pooled_norm: (pooling != Pooling::None && source.often(3)).then(|| source.norm(output)),
        hidden,
        head,
        answers,
        max_tokens,
        horizon: None,
    }
}

fn input(source: &mut Source, width: usize, causal: bool) -> Input {
    let window = Window { width: 1 + source.below(7), stride: 1 + source.below(5) };
    match source.below(4) {
        0 => Input::OneHot { symbols: 4, window, stem: source.linear(4 * window.width, width) },
        1 => {
            let vocabulary = 1 + source.below(40);
            Input::Tokens { vocabulary, table: source.values(vocabulary * width, 1.0) }
        }
        _ => {
            let channels = 1 + source.below(4);
            let forgetting = 1 + source.below(9) as u32;
            let running = [
                Level::Raw,
                Level::RunningCentred { forgetting },
                Level::RunningStandardized { forgetting, floor: 0.1 },
            ];
            let whole = [Level::Raw, Level::Centred, Level::Standardized, running[1], running[2]];
            let level = if causal { source.of(&running) } else { source.of(&whole) };
            Input::Samples {
                channels,
                window,
                scale: (0..channels).map(|_| 0.01 * (1.0 + source.uniform())).collect(),
                level,
                mean: source.values(channels, 1.0),
                deviation: (0..channels).map(|_| 1.0 + 9.0 * source.uniform()).collect(),
                stem: source.linear(window.width * channels, width),
            }
        }
    }
}

fn positions(source: &mut Source, width: usize, max_tokens: usize) -> Positions {
    match source.below(4) {
        0 => Positions::None,
        1 => Positions::Learned(source.values(max_tokens * width, 0.5)),
        2 => Positions::Sinusoidal,
        _ => {
            let columns = 1 + source.below(9);
            let (rows, first) = (max_tokens.div_ceil(columns), 1 + source.below(width - 1));
            let tables = [source.values(rows * first, 0.5), source.values(columns * (width - first), 0.5)];
            Positions::Axial(Axial { shape: [rows, columns], tables })
        }
    }
}

fn window(source: &mut Source) -> PoolingWindow {
    PoolingWindow { block: 1 + source.below(9), blocks: 1 + source.below(5) }
}

fn activation(source: &mut Source) -> Activation {
    use Activation::{GeluErf, GeluTanh, Relu, Tanh};
    source.of(&[Relu, GeluErf, GeluTanh, Tanh])
}

fn block(
    source: &mut Source,
    [width, heads, d, layer, max_tokens]: [usize; 5],
    order: NormOrder,
    causal: bool,
) -> Block {
    let inner = heads * d;
    let hidden = 1 + source.below(2 * width + 3);
    Block {
        order,
        attention: Attention {
            heads,
            causal,
            kind: kind(source, [heads, d, layer, max_tokens], causal),
            query: source.linear(width, inner),
            key: Some(source.linear(width, inner)),
            value: source.linear(width, inner),
            output: source.linear(inner, width),
        },
        norm1: source.norm(width),
        feed_forward: FeedForward {
            expand: source.linear(width, hidden),
            activation: activation(source),
            contract: source.linear(hidden, width),
        },
        norm2: source.norm(width),
    }
}

/// A mechanism with any parameters.
fn kind(source: &mut Source, [heads, d, layer, max_tokens]: [usize; 4], causal: bool) -> AttentionKind {
    match source.below(12) {
        0 => AttentionKind::Exact,
        1..=3 => hierarchical(source, heads),
        4..=6 => favor(source, d, layer, causal),
        7 | 8 => lsh(source, [heads, d, layer]),
        9 => {
            let chunk = 1 + source.below(20);
            let multiple = chunk * (1 + source.below(3));
            let (before, after) = (source.below(3), if causal { 0 } else { source.below(3) });
            AttentionKind::Local(Local { chunk, before, after, multiple, causal: false })
        }
        _ => bigbird(source, [heads, layer, max_tokens]),
    }
}

fn hierarchical(source: &mut Source, heads: usize) -> AttentionKind {
    let block = 2 * (1 + source.below(10));
    let bias = match source.below(3) {
        0 => (0..heads).map(|_| source.values(4 * block - 1, 0.7)).collect(),
        _ => Vec::new(),
    };
    let temperature = source.of(&[1.0, 1.0, 0.5, 2.0]);
    let interpolation = Interpolation::Constant;
    let parameters = Hierarchical { block, causal: false, interpolation, temperature, guard: None };
    AttentionKind::Hierarchical { parameters, bias }
}

fn favor(source: &mut Source, d: usize, layer: usize, causal: bool) -> AttentionKind {
    use Features::{Exponential, Hyperbolic, Relu};
    let features = source.of(&[Exponential, Hyperbolic, Relu]);
    let bare = features == Relu && source.often(3);
    let directions = 1 + source.below(70);
    let row_length = source.of(&[RowLength::Random, RowLength::Fixed]);
    let projection = (!bare).then(|| favor_projection(directions, d, row_length, 1, layer));
    let epsilon = match features {
        Relu => source.of(&[1e-4, 1e-3, 0.1]),
        _ => source.of(&[0.0, 1e-6, 1e-4, 0.05]),
    };
    AttentionKind::Favor(Favor {
        offsets: if causal && source.often(7) { Offsets::Seen } else { Offsets::Projection },
        tile: source.of(&[None, Some(1), Some(8), Some(16)]),
        ..favor_parameters(features, projection, d, epsilon)
    })
}

fn lsh(source: &mut Source, [heads, d, layer]: [usize; 3]) -> AttentionKind {
    let buckets = source.of(&[&[2][..], &[4], &[8], &[16], &[4, 2], &[2, 2], &[2, 2, 2]]).to_vec();
    let rounds = 1 + source.below(4);
    let chunk = 1 + source.below(24);
    let parameters = Lsh {
        rounds,
        chunk,
        before: source.below(3),
        after: source.below(3),
        multiple: chunk * (1 + source.below(3)),
        causal: false,
        scale: source.of(&[ScoreScale::Unit, ScoreScale::SqrtWidth]),
        in_bucket: source.often(5),
        duplicates: source.of(&[Duplicates::Counted, Duplicates::Skipped]),
        padding_bucket: source.often(5),
        buckets,
    };
    let count = d * rounds * parameters.rotation_columns();
    let signs = lsh_signs(heads * count, 1, layer);
    let rotations = signs.chunks(count).map(|set| set.iter().map(|&sign| f64::from(sign)).collect());
    AttentionKind::Lsh { rotations: rotations.collect(), parameters }
}

fn bigbird(source: &mut Source, [heads, layer, max_tokens]: [usize; 3]) -> AttentionKind {
    let window = match source.below(2) {
        0 => bigbird::Window::Blocks,
        _ => bigbird::Window::Tokens(source.below(20)),
    };
    let pattern = match source.below(2) {
        0 => Pattern::Internal,
        _ => Pattern::Extended { global: source.below(max_tokens.min(5)), window },
    };
    let (block, random) = (1 + source.below(16), source.below(4));
    let dense_up_to = if source.often(3) { source.below(max_tokens) } else { 0 };
    let parameters = BigBird { block, random, pattern, causal: false, dense_up_to };
    let blocks = parameters.block_count(max_tokens);
    let plan = |head| match pattern {
        Pattern::Internal => bigbird_plan(blocks, random, 1, layer, head),
        Pattern::Extended { .. } => bigbird_plan_extended(blocks, random, 1, layer, head),
    };
    match (0..heads).map(plan).collect::<Option<Vec<_>>>() {
        Some(plans) if random > 0 => AttentionKind::BigBird { parameters, plans },
        _ => AttentionKind::BigBird { parameters: BigBird { random: 0, ..parameters }, plans: Vec::new() },
    }
}
