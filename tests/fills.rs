//! What is in the memory before a run has no part in it, whatever it is: a run, a stream and passes give the same scores in an
//! arena filled with anything, of every mechanism with sizes that leave something over everywhere.

use fixformer::host::calibrate::calibrate;
use fixformer::host::quantize::integers;
use fixformer::host::reference::attention::favor::{Features, Offsets};
use fixformer::host::reference::{AttentionKind, Input, Level};
use fixformer::kernels::portable_only;
use fixformer::model::{Epsilon, write};
use fixformer::{Model, Passes, Plan, Session, Stream};
use fixformer_fuzz::FILLS;
use fixformer_fuzz::random::kinds::{KINDS, MAX_TOKENS, favor, hierarchical, kinds, options};
use fixformer_fuzz::random::{Source, all_wide, length, mask, network};

/// Memory of so many words with fill number `fill`; after the last of [`FILLS`] any bits.
fn memory(words: usize, fill: usize) -> Vec<u32> {
    let mut source = Source(fill as u64);
    let any = |_| (source.uniform() * f64::from(u32::MAX)) as u32;
    FILLS.get(fill).map_or_else(|| (0..words).map(any).collect(), |&word| vec![word; words])
}

const FILL_COUNT: usize = FILLS.len() + 1;

/// A model and recordings of it.
struct Case {
    what: String,
    words: Vec<u32>,
    recordings: Vec<(Vec<i16>, Option<Vec<bool>>)>,
    /// Values of a step.
    channels: usize,
}

/// A model with the options of number `i` and these mechanisms, and what `change` makes of its file.
fn case(
    source: &mut Source,
    i: usize,
    causal: bool,
    kind: impl Fn(&mut Source, [usize; 3]) -> AttentionKind,
    change: impl Fn(&mut write::Block),
) -> Case {
    let options = options(i, causal);
    let mut network = network(source, options);
    if let (Input::Samples { level, .. }, true) = (&mut network.input, causal) {
        *level = Level::RunningStandardized { forgetting: 5, floor: 0.1 };
    }
    for (layer, block) in network.blocks.iter_mut().enumerate() {
        block.attention.kind = kind(source, [options.heads, options.width / options.heads, layer]);
        if let (AttentionKind::Favor(favor), true) =
            (&mut block.attention.kind, causal && i.is_multiple_of(2))
        {
            favor.offsets = Offsets::Seen;
        }
    }
    let mut recording = |tokens| source.recording(length(&network, tokens), &network.input);
    let calibrated: Vec<Vec<i16>> = (1..6).map(|i| recording(20 * i)).collect();
    let recordings = [1, 18, MAX_TOKENS - 1, 67].map(&mut recording);
    let ranges = calibrate(&network, &calibrated, || {}).unwrap();
    let mut file = integers(&network, &ranges, &all_wide()).unwrap();
    file.blocks.iter_mut().for_each(change);
    let words = file.words();
    let model = Model::parse(&words).unwrap();
    let channels = model.input.step_values();
    let masked = |(row, recording): (usize, Vec<i16>)| {
        let mask = mask(row, model.input.tokens(recording.len()));
        (recording, (row % 2 == 1).then_some(mask))
    };
    let recordings = recordings.into_iter().enumerate().map(masked).collect();
    let what = format!("{}, causal {causal}, {options:?}", model.blocks().next().unwrap().attention.kind);
    Case { what, words, recordings, channels }
}

/// All scores of a model, with its memory filled anew before each recording.
fn scores(case: &Case, fill: usize) -> Vec<Vec<i16>> {
    let model = Model::parse(&case.words).unwrap();
    let mut all = Vec::new();
    for (recording, mask) in &case.recordings {
        let mut arena = memory(Plan::of(&model).words(), fill);
        let mut session = Session::new(model, &mut arena).unwrap();
        all.push(session.run_traced(recording, mask.as_deref(), &mut ()).unwrap().raw().to_vec());
        if let (Ok(plan), None) = (Plan::of_passes(&model), mask) {
            let mut arena = memory(plan.words(), fill);
            let mut passes = Passes::new(model, &mut arena).unwrap();
            all.push(passes.run(&mut &recording[..]).unwrap().raw().to_vec());
        }
    }
    if let Ok(plan) = Plan::of_stream(&model) {
        let mut arena = memory(plan.words(), fill);
        let mut stream = Stream::new(model, &mut arena).unwrap();
        let (recording, _) = &case.recordings[3];
        for (index, step) in recording.chunks(case.channels).enumerate() {
            // The first of them before there is any row.
            if index % 29 == 0 {
                stream.skip(1).unwrap();
            }
            all.extend(stream.push(step).unwrap().map(|scores| scores.raw().to_vec()));
        }
    }
    all
}

fn check(case: &Case) {
    let expected = scores(case, 0);
    assert!(expected.iter().flatten().any(|&score| score != 0), "{}", case.what);
    for fill in 1..FILL_COUNT {
        // What a kernel of this machine does not read, another may.
        portable_only(fill % 2 == 0);
        assert_eq!(scores(case, fill), expected, "{}, fill {fill}", case.what);
    }
    portable_only(false);
}

#[test]
fn every_mechanism_in_memory_filled_with_anything() {
    let mut source = Source(91);
    for causal in [false, true] {
        for i in 0..KINDS {
            let kind = |source: &mut Source, [heads, width, layer]: [usize; 3]| {
                kinds(source, heads, width, layer).swap_remove(i)
            };
            check(&case(&mut source, i, causal, kind, |_| {}));
        }
    }
}

/// No row is made of a step that is missing: in the place of its query lies what the one before attended to, which is too large
/// for keys at their limit.
#[test]
fn steps_that_are_missing_where_rows_are_largest() {
    let mut source = Source(94);
    for i in 0..KINDS {
        let kind = |source: &mut Source, [heads, width, layer]: [usize; 3]| {
            kinds(source, heads, width, layer).swap_remove(i)
        };
        let largest = |block: &mut write::Block| {
            block.gain = 2;
            for linear in
                [Some(&mut block.query), block.key.as_mut(), Some(&mut block.value)].into_iter().flatten()
            {
                linear.weights.values.fill(0);
                linear.bias.fill(i32::MAX);
                linear.multipliers.fill(i16::MAX);
            }
        };
        check(&case(&mut source, i, true, kind, largest));
    }
}

/// Odd numbers of directions leave a row over, odd tiles a key, and every epsilon a feature of its own.
#[test]
fn every_form_of_favor_in_memory_filled_with_anything() {
    let mut source = Source(92);
    let mut number = 0;
    for features in [Features::Exponential, Features::Hyperbolic, Features::Relu] {
        for (directions, tile) in [(1, 5), (7, 1), (33, 63), (64, 16)] {
            for of_epsilon in [Epsilon::Zero, Epsilon::Seen, Epsilon::Fixed, Epsilon::Sequence] {
                for causal in [false, true] {
                    number += 1;
                    let kind = |_: &mut Source, [_, width, layer]: [usize; 3]| {
                        let epsilon = if of_epsilon == Epsilon::Zero { 0.0 } else { 1e-3 };
                        favor(features, directions, width, layer, epsilon)
                    };
                    let change = |block: &mut write::Block| {
                        let write::AttentionKind::Favor(favor) = &mut block.kind else { panic!() };
                        (favor.tile, favor.epsilon) = (tile, of_epsilon);
                    };
                    let mut case = case(&mut source, number, causal, kind, change);
                    case.what += &format!(", {of_epsilon:?}, tile of {tile}");
                    check(&case);
                }
            }
        }
    }
}

/// Blocks larger than the sequence, and biases.
#[test]
fn every_block_of_the_hierarchy_in_memory_filled_with_anything() {
    let mut source = Source(93);
    for (number, block) in [2, 4, 6, 10, 32, 64, 256].into_iter().enumerate() {
        for causal in [false, true] {
            let kind = |source: &mut Source, [heads, ..]: [usize; 3]| {
                let bias = (0..heads).map(|_| source.values(4 * block - 1, 0.7));
                hierarchical(block, if block % 4 == 2 { bias.collect() } else { Vec::new() })
            };
            check(&case(&mut source, number, causal, kind, |_| {}));
        }
    }
}
