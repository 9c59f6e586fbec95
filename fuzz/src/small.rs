//! Models of every mechanism that are as small as can be: for a run under an interpreter, which is some hundred times slower
//! than a processor.

use fixformer::Model;
use fixformer::host::calibrate::calibrate;
use fixformer::host::draw::{bigbird_plan, bigbird_plan_extended};
use fixformer::host::quantize::integers;
use fixformer::host::reference::attention::bigbird::{BigBird, Pattern, Window};
use fixformer::host::reference::attention::favor::{Features, Offsets};
use fixformer::host::reference::{AttentionKind, Input, Level, Network, Pooling, PoolingWindow, Task};

use crate::random::kinds::{bigbird, favor, hierarchical, local, lsh, options, window};
use crate::random::{Options, Source, all_wide, length, network};

/// Most tokens of a model: three to seven blocks of most mechanisms.
pub const MAX_TOKENS: usize = 13;

/// The mechanisms, for one layer: each branch of the engine that depends on a parameter of theirs is in one of them.
fn kinds(source: &mut Source, [heads, width, layer]: [usize; 3]) -> Vec<(&'static str, AttentionKind)> {
    let shape = [heads, width, layer];
    vec![
        ("exact", AttentionKind::Exact),
        ("hierarchical", hierarchical(2, Vec::new())),
        ("hierarchical-bias", hierarchical(4, (0..heads).map(|_| source.values(15, 0.7)).collect())),
        ("bigbird", bigbird(2, 1, 0, plans(2, [heads, layer]))),
        ("bigbird-dense", bigbird(2, 1, 6, plans(2, [heads, layer]))),
        ("bigbird-global", bigbird(4, 0, 0, Vec::new())),
        ("extended", extended(2, Window::Blocks, [heads, layer])),
        ("extended-radius", extended(3, Window::Tokens(2), [heads, layer])),
        ("window", window(3, Window::Blocks)),
        ("window-radius", window(2, Window::Tokens(3))),
        ("favor", favor(Features::Exponential, 5, width, layer, 0.0)),
        ("favor-hyperbolic", favor(Features::Hyperbolic, 4, width, layer, 1e-4)),
        ("favor-relu", favor(Features::Relu, 6, width, layer, 1e-3)),
        ("favor-bare", favor(Features::Relu, 0, width, layer, 1e-3)),
        ("lsh", lsh(&[4], 1, 3, shape)),
        ("lsh-rounds", lsh(&[4], 2, 4, shape)),
        ("lsh-factors", lsh(&[2, 2], 2, 3, shape)),
        ("local", local(3, 1, 0, 3)),
        ("local-after", local(2, 1, 1, 6)),
    ]
}

/// One random block for each query block.
fn plans(block: usize, [heads, layer]: [usize; 2]) -> Vec<Vec<Vec<usize>>> {
    let blocks = MAX_TOKENS.div_ceil(block);
    (0..heads).map(|head| bigbird_plan(blocks, 1, 1, layer, head).expect("it has the room")).collect()
}

/// Two global tokens of their own, and one random block for each query block.
fn extended(block: usize, window: Window, [heads, layer]: [usize; 2]) -> AttentionKind {
    let pattern = Pattern::Extended { global: 2, window };
    let parameters = BigBird { block, random: 1, pattern, causal: false, dense_up_to: 0 };
    let blocks = parameters.block_count(MAX_TOKENS);
    let plan = |head| bigbird_plan_extended(blocks, 1, 1, layer, head).expect("it has the room");
    AttentionKind::BigBird { parameters, plans: (0..heads).map(plan).collect() }
}

/// Name and words of every model file. With each mechanism and direction other options come: input, positions, order of the
/// norms, activation, pooling, a hidden layer, widths of heads, bits of weights.
pub fn files() -> Vec<(String, Vec<u32>)> {
    let mut source = Source(21);
    let count = kinds(&mut source, [1, 4, 0]).len();
    let mut files = Vec::new();
    for causal in [false, true] {
        for number in 0..count {
            let (name, words) = file(&mut source, number, causal);
            files.push((format!("{name}{}", if causal { "-causal" } else { "" }), words));
        }
    }
    files
}

fn file(source: &mut Source, number: usize, causal: bool) -> (&'static str, Vec<u32>) {
    // So that a mechanism has other options in the other direction.
    let choice = if causal { 5 * number + 3 } else { number };
    let (heads, width) = [(1, 4), (2, 8), (2, 6), (1, 5)][choice % 4];
    let window = PoolingWindow { block: 3, blocks: 2 };
    let pooling = [Some(Pooling::WindowMean(window)), None, Some(Pooling::WindowMax(window)), None];
    let usual = options(choice, causal);
    let pooling = match choice % 9 {
        8 => Pooling::None,
        n => pooling.get(n).copied().flatten().unwrap_or(usual.pooling),
    };
    let options = Options { heads, width, pooling, max_tokens: MAX_TOKENS, ..usual };
    let mut network = network(source, options);
    if let Input::Samples { level, .. } = &mut network.input {
        *level = [
            Level::Raw,
            Level::RunningStandardized { forgetting: 2, floor: 0.1 },
            Level::RunningCentred { forgetting: 3 },
        ][choice / 3 % 3];
    }
    if !causal && choice % 5 == 4 {
        network.class_token = Some(source.values(width, 1.0));
    }
    if pooling != Pooling::None && choice % 7 == 3 {
        network.answers.task = Task::Multilabel;
    }
    let mut name = "";
    for (layer, block) in network.blocks.iter_mut().enumerate() {
        (name, block.attention.kind) = kinds(source, [heads, width / heads, layer]).swap_remove(number);
        if let (AttentionKind::Favor(favor), true) = (&mut block.attention.kind, causal) {
            favor.offsets = Offsets::Seen;
        }
    }
    (name, words(source, &network, choice % 2 == 0))
}

fn words(source: &mut Source, network: &Network, wide: bool) -> Vec<u32> {
    let most = MAX_TOKENS - network.tokens_before();
    let recordings: Vec<Vec<i16>> =
        (2..=most).map(|tokens| source.recording(length(network, tokens), &network.input)).collect();
    let ranges = calibrate(network, &recordings, || {}).expect("it is drawn so that it has ranges");
    let precision = if wide { all_wide() } else { Default::default() };
    let words = integers(network, &ranges, &precision).expect("it is drawn so that it fits").words();
    assert!(Model::parse(&words).is_ok(), "{:?}", Model::parse(&words).map(|_| ()));
    words
}
