//! The estimate of a model's instructions, against what the emulated boards counted.

#[allow(dead_code, reason = "the parameters of the mechanisms are needed, the work is not")]
#[path = "../benches/workload/mod.rs"]
mod workload;

use std::collections::BTreeMap;

use fixformer::Model;
use fixformer::host::fit::cost::{Core, TABLE, derive};
use fixformer::model::{AttentionKind, BigBirdExtended, Local};
use fixformer::session::words;

const COUNTS: &str = include_str!("../boards/instructions.txt");
static DIGITS: [u32; include_bytes!("../models/digits.fxm").len() / 4] =
    words(include_bytes!("../models/digits.fxm"));

/// Most by which the estimate of a whole model may be off: 10 %.
const LIMIT: f64 = 0.10;

#[test]
fn the_rates_are_those_of_the_counts() {
    let derived = derive(COUNTS, workload::heads::kind);
    assert!(derived == TABLE, "run `cargo xtask bench --update`");
}

/// Most by which the estimate of one head may be off, and the mean of all of a mechanism: 15 %, 5 %.
const HEAD_LIMIT: f64 = 0.15;
const MEAN_LIMIT: f64 = 0.05;

#[test]
fn the_estimates_of_heads_are_close() {
    let cores = Core::all();
    let mut errors: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for line in COUNTS.lines() {
        let words: Vec<_> = line.split(' ').collect();
        let [core, "attention", mechanism, "n", n, _, d, _, direction, _, count, ..] = words[..] else {
            continue;
        };
        let (n, d, count): (usize, usize, f64) =
            (n.parse().unwrap(), d.parse().unwrap(), count.parse().unwrap());
        let core = cores.iter().find(|known| known.name() == core).unwrap();
        let kind = workload::heads::kind(mechanism, n, d).unwrap();
        let error = (core.head(&kind, n, d, direction == "causal") / count - 1.0).abs();
        errors.entry(mechanism).or_default().push(error);
    }
    assert_eq!(errors.len(), workload::heads::MECHANISMS.len());
    for (mechanism, errors) in errors {
        let most = errors.iter().copied().fold(0.0, f64::max);
        let mean = errors.iter().sum::<f64>() / errors.len() as f64;
        println!("{mechanism}: mean {:.1} %, at most {:.1} %", 100.0 * mean, 100.0 * most);
        assert!(most <= HEAD_LIMIT && mean <= MEAN_LIMIT, "{mechanism}: {most}, {mean}");
    }
}

/// Most by which the estimate of the worst token of a stream may be off: 10 %.
#[test]
fn the_estimates_of_worst_tokens_are_close() {
    let mut seen = 0;
    for line in COUNTS.lines() {
        let words: Vec<_> = line.split(' ').collect();
        let [core, "attention", mechanism, "d", d, _, "stream", _, mean, _, worst, ..] = words[..] else {
            continue;
        };
        let (d, mean, worst): (usize, f64, f64) =
            (d.parse().unwrap(), mean.parse().unwrap(), worst.parse().unwrap());
        let kind = workload::heads::kind(mechanism, workload::heads::HORIZON, d).unwrap();
        let found = Core::named(core).unwrap().worst_head(&kind, workload::heads::HORIZON, d);
        assert!(mean < worst && (found / worst - 1.0).abs() < 0.1, "{line}: {found}");
        seen += 1;
    }
    assert_eq!(seen, 7 * 3 * 2);
}

/// The radius of extended BigBird is in tokens; without one a token sees its own block and those beside it.
#[test]
fn a_window_in_tokens_costs_what_its_tokens_do() {
    let core = Core::named("m4").unwrap();
    let window = |radius, block| {
        AttentionKind::BigBirdExtended(BigBirdExtended {
            block,
            dense_tokens: 0,
            global: 0,
            radius,
            random: 0,
            rows: 0,
            plan: &[],
        })
    };
    for causal in [false, true] {
        let cost = |kind: AttentionKind<'_>| core.head(&kind, 1024, 16, causal);
        assert_eq!(cost(window(Some(8), 16)), cost(window(Some(8), 64)));
        let (narrow, wide) = (cost(window(Some(8), 16)), cost(window(Some(80), 16)));
        assert!(narrow < wide && wide < cost(AttentionKind::Exact), "{narrow} {wide}");
        let blocks = cost(window(None, 16));
        let (fewer, more) = if causal { (22, 25) } else { (22, 24) };
        assert!(cost(window(Some(fewer), 16)) < blocks && blocks < cost(window(Some(more), 16)), "{blocks}");
    }
    let worst = |kind: AttentionKind<'_>| core.worst_head(&kind, 1024, 16);
    let chunks = |before| AttentionKind::Local(Local { chunk: 16, before, after: 0, multiple: 16 });
    assert_eq!(worst(window(Some(15), 8)), worst(chunks(0)));
    assert_eq!(worst(window(None, 16)), worst(chunks(1)));
}

/// What a line counted for the digits says.
fn counted(core: &str, what: &str) -> f64 {
    let start = format!("{core} {what} instructions ");
    let line = COUNTS.lines().find_map(|line| line.strip_prefix(&start));
    line.unwrap_or_else(|| panic!("no line `{start}`")).parse().unwrap()
}

#[test]
fn the_estimate_of_the_digits_is_close_on_every_core() {
    let model = Model::parse(&DIGITS).unwrap();
    let cores = Core::all();
    assert_eq!(cores.len(), 7);
    for core in cores {
        let name = core.name();
        let layers = core.layers(&model, model.max_tokens);
        for layer in &layers {
            let found = counted(name, &format!("layer digits layer {}", layer.name));
            let error = layer.cost / found - 1.0;
            println!("{name} {}: {:.0} of {found}, {:+.1} %", layer.name, layer.cost, 100.0 * error);
        }
        let sum: f64 = layers.iter().map(|layer| layer.cost).sum();
        let error = sum / counted(name, "model digits") - 1.0;
        println!("{name}: {:+.1} %", 100.0 * error);
        assert!(error.abs() <= LIMIT, "{name}: {:+.1} %", 100.0 * error);
    }
}

/// Every rate has its cycles: the cores execute an instruction in one to four, all in all.
#[test]
fn every_rate_has_cycles() {
    let model = Model::parse(&DIGITS).unwrap();
    for core in Core::all() {
        for line in TABLE.lines().filter_map(|line| line.strip_prefix(core.name())?.strip_prefix(' ')) {
            let name = line.split(' ').next().unwrap();
            let ratio = core.cycles_an_instruction(name);
            assert!(
                ratio.is_some_and(|ratio| (1.0..4.0).contains(&ratio)),
                "{} {name}: {ratio:?}",
                core.name()
            );
        }
        let layers = |core: Core| core.layers(&model, model.max_tokens);
        for (layer, in_cycles) in layers(core).iter().zip(layers(core.in_cycles())) {
            let ratio = in_cycles.cost / layer.cost;
            assert!((1.0..2.5).contains(&ratio), "{} {}: {ratio}", core.name(), layer.name);
        }
    }
}
