//! Memory against length: the arena is linear in the number of tokens, or does not depend on it.

use std::fmt::Write;

use fixformer::Model;
use fixformer::host::calibrate::calibrate;
use fixformer::host::draw::{self, bigbird_plan, lsh_signs};
use fixformer::host::quantize::{Precision, integers};
use fixformer::host::reference::attention::bigbird::{BigBird, Pattern, Window};
use fixformer::host::reference::attention::hierarchical::{Hierarchical, Interpolation};
use fixformer::host::reference::attention::local::Local;
use fixformer::host::reference::attention::lsh::{Duplicates, Lsh, ScoreScale};
use fixformer::host::reference::*;
use fixformer::session::Plan;
use fixformer_fuzz::random::{Options, Source, network};

const LENGTHS: [usize; 7] = [256, 512, 1024, 2048, 4096, 8192, 16_384];
const HEADS: usize = 2;
const WIDTH: usize = 32;

/// The mechanism of layer `layer` for inputs of up to `tokens` tokens.
type Kind = fn(tokens: usize, layer: usize) -> AttentionKind;

/// The most that twice the length may cost, in hundredths.
const LIMIT: usize = 202;

/// Arenas of exact attention that keeps the rows of all heads and a second copy of those at work, at 1,024, 4,096 and 16,384
/// tokens: what the mechanisms are held against.
const YARDSTICK: [usize; 3] = [197_796, 788_004, 3_148_836];

/// The most that an arena may have of [`YARDSTICK`], in thousandths.
const SHARES: [(&str, [usize; 3]); 6] = [
    ("exact", [840, 840, 840]),
    ("bigbird 16, 2 random", [840, 840, 840]),
    ("lsh 2 rounds, chunk 32", [920, 900, 890]),
    ("favor 64", [430, 360, 342]),
    ("hierarchical 8", [1060, 1030, 1020]),
    ("hierarchical 16", [1100, 1035, 1015]),
];

/// Name, whether it is causal, and the mechanism.
const MECHANISMS: [(&str, bool, Kind); 10] = [
    ("exact", false, |_, _| AttentionKind::Exact),
    ("hierarchical 8", false, |_, _| hierarchical(8)),
    ("hierarchical 8, causal", true, |_, _| hierarchical(8)),
    ("hierarchical 16", false, |_, _| hierarchical(16)),
    ("bigbird 16, 2 random", false, bigbird),
    ("favor 64", false, favor),
    ("favor 64, causal", true, |_, layer| favor_by(Some(8), layer)),
    ("local 32, causal", true, |_, _| local()),
    ("window 64, causal", true, |_, _| window()),
    ("lsh 2 rounds, chunk 32", false, lsh),
];

fn hierarchical(block: usize) -> AttentionKind {
    let interpolation = Interpolation::Constant;
    let parameters = Hierarchical { block, causal: false, interpolation, temperature: 1.0, guard: None };
    AttentionKind::Hierarchical { parameters, bias: Vec::new() }
}

fn bigbird(tokens: usize, layer: usize) -> AttentionKind {
    let pattern = Pattern::Internal;
    let parameters = BigBird { block: 16, random: 2, pattern, causal: false, dense_up_to: 0 };
    let plan = |head| bigbird_plan(tokens.div_ceil(16), 2, 0, layer, head).unwrap();
    AttentionKind::BigBird { parameters, plans: (0..HEADS).map(plan).collect() }
}

fn local() -> AttentionKind {
    AttentionKind::Local(Local { chunk: 32, before: 1, after: 0, multiple: 32, causal: false })
}

fn window() -> AttentionKind {
    let pattern = Pattern::Extended { global: 0, window: Window::Tokens(64) };
    let parameters = BigBird { block: 32, random: 0, pattern, causal: false, dense_up_to: 0 };
    AttentionKind::BigBird { parameters, plans: Vec::new() }
}

fn favor(_: usize, layer: usize) -> AttentionKind {
    favor_by(None, layer)
}

fn favor_by(tile: Option<usize>, layer: usize) -> AttentionKind {
    draw::favor(64, WIDTH / HEADS, layer, tile)
}

/// About two chunks of 32 a bucket, so that their number grows with the length too.
fn lsh(tokens: usize, layer: usize) -> AttentionKind {
    let parameters = Lsh {
        buckets: vec![tokens / 64],
        rounds: 2,
        chunk: 32,
        before: 1,
        after: 0,
        multiple: 32,
        causal: false,
        scale: ScoreScale::Unit,
        in_bucket: false,
        duplicates: Duplicates::Counted,
        padding_bucket: true,
    };
    let signs = lsh_signs(WIDTH * 2 * parameters.rotation_columns(), 0, layer);
    let signs: Vec<f64> = signs.into_iter().map(f64::from).collect();
    let rotations = signs.chunks(signs.len() / HEADS).map(<[f64]>::to_vec).collect();
    AttentionKind::Lsh { parameters, rotations }
}

/// Streams of so many tokens, and the most bytes that one of two layers may need.
const HORIZON: usize = 1 << 20;
const STREAMS: [(&str, usize); 4] = [
    ("hierarchical 8, causal", 46_000),
    ("favor 64, causal", 26_000),
    ("local 32, causal", 20_000),
    ("window 64, causal", 20_000),
];

/// The plan of a model of two layers of width 32.
fn plan(tokens: usize, causal: bool, kind: Kind) -> Plan {
    Plan::of(&Model::parse(&model(tokens, causal, kind)).unwrap())
}

fn model(tokens: usize, causal: bool, kind: Kind) -> Vec<u32> {
    let mut source = Source(1);
    let options = Options {
        input: 2,
        positions: 0,
        order: NormOrder::Pre,
        hidden: None,
        activation: Activation::Relu,
        causal,
        heads: HEADS,
        width: WIDTH,
        pooling: Pooling::Mean,
        norms: true,
        max_tokens: tokens,
    };
    let mut network = network(&mut source, options);
    for (layer, block) in network.blocks.iter_mut().enumerate() {
        block.attention.kind = kind(tokens, layer);
    }
    network.horizon = causal.then_some(HORIZON);
    let recording = source.recording(64, &network.input);
    let ranges = calibrate(&network, &[recording], || {}).unwrap();
    integers(&network, &ranges, &Precision::new()).unwrap().words()
}

#[test]
fn a_stream_needs_what_it_needs_however_long_it_is() {
    let mut table = String::from("                          arena     state");
    for (name, most) in STREAMS {
        let (_, causal, kind) = *MECHANISMS.iter().find(|(of, ..)| *of == name).unwrap();
        let words = model(64, causal, kind);
        let plan = Plan::of_stream(&Model::parse(&words).unwrap()).unwrap();
        write!(table, "\n{name:<22} {:>9} {:>9}", plan.bytes(), plan.state_bytes()).unwrap();
        assert!(plan.bytes() <= most && plan.tokens() >= HORIZON, "{name}: {plan:?}");
    }
    println!("{table}");
    insta::assert_snapshot!(table);
}

#[test]
fn memory_is_linear_in_the_length_or_does_not_depend_on_it() {
    let mut table = String::from("tokens                ");
    LENGTHS.iter().for_each(|tokens| write!(table, " {tokens:>9}").unwrap());
    for (name, causal, kind) in MECHANISMS {
        let plans = LENGTHS.map(|tokens| plan(tokens, causal, kind));
        let sizes = plans.map(|plan| plan.bytes());
        write!(table, "\n{name:<22}").unwrap();
        sizes.iter().for_each(|size| write!(table, " {size:>9}").unwrap());
        let shares: Vec<f64> =
            plans.iter().map(|plan| plan.words() as f64 / plan.largest_stage() as f64).collect();
        println!("{name}: {shares:.3?} of the largest stage");
        assert!(shares.iter().all(|&share| share <= 1.05), "{name}: {shares:?}");
        for pair in sizes.windows(2) {
            assert!(100 * pair[1] <= LIMIT * pair[0], "{name}: {sizes:?}");
        }
        if causal {
            // From where it takes less, tile by tile.
            assert!(sizes[2..].iter().all(|&size| size == sizes[2]), "{name}: {sizes:?}");
        }
        if let Some((_, shares)) = SHARES.iter().find(|(of, _)| *of == name) {
            for ((size, yardstick), share) in
                [sizes[2], sizes[4], sizes[6]].into_iter().zip(YARDSTICK).zip(shares)
            {
                println!("{name}: {:.3} of {yardstick}", size as f64 / yardstick as f64);
                assert!(1000 * size <= share * yardstick, "{name}: {size} of {yardstick}");
            }
        }
    }
    println!("{table}");
    insta::assert_snapshot!(table);
}
