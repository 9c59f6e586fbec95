//! What does not depend on later tokens, and the constants of a model that make it so.

use fixformer::host::calibrate::calibrate;
use fixformer::host::draw::{RowLength, orthogonal_projection};
use fixformer::host::quantize::{Settings, extra_bits, integers, quantize};
use fixformer::host::reference as float;
use fixformer::host::reference::attention::favor::Offsets;
use fixformer::host::reference::attention::hierarchical::Interpolation;
use fixformer::kernels::VALUE_LIMIT;
use fixformer::model::{
    AttentionKind, Causality, Epsilon, Favor, FavorInput, Features, Hierarchical, Local, write,
};
use fixformer::num::Requant;
use fixformer::session::Plan;
use fixformer::trace::{Row, Rows, Tensor};
use fixformer::{Model, Session};
use fixformer_fuzz::random::{Options, Source, all_wide, length, network};

/// A causal model of up to `tokens` tokens with `kind` in its first block.
fn causal(source: &mut Source, tokens: usize, kind: float::AttentionKind) -> float::Network {
    let options = Options {
        input: 2,
        positions: 0,
        order: float::NormOrder::Pre,
        hidden: None,
        activation: float::Activation::Relu,
        causal: true,
        heads: 2,
        width: 16,
        pooling: float::Pooling::Mean,
        norms: false,
        max_tokens: tokens,
    };
    let mut network = network(source, options);
    network.blocks[0].attention.kind = kind;
    network
}

fn hierarchical(block: usize) -> float::AttentionKind {
    let interpolation = Interpolation::Constant;
    let parameters = float::attention::hierarchical::Hierarchical {
        block,
        causal: true,
        interpolation,
        temperature: 1.0,
        guard: None,
    };
    float::AttentionKind::Hierarchical { parameters, bias: Vec::new() }
}

fn recordings(source: &mut Source, network: &float::Network, tokens: &[usize]) -> Vec<Vec<i16>> {
    tokens.iter().map(|&tokens| source.recording(length(network, tokens), &network.input)).collect()
}

/// A file of 40 tokens whose first block is causal and has this mechanism.
fn file(kind: write::AttentionKind) -> write::File {
    let mut source = Source(3);
    let network = causal(&mut source, 40, float::AttentionKind::Exact);
    let ranges = calibrate(&network, &recordings(&mut source, &network, &[40]), || {}).unwrap();
    let mut file = integers(&network, &ranges, &all_wide()).unwrap();
    if let write::AttentionKind::Lsh(_) = kind {
        file.blocks[0].key = None;
    }
    file.blocks[0].kind = kind;
    file
}

#[test]
fn each_mechanism_says_whether_later_tokens_have_an_influence() {
    use write::AttentionKind::{BigBird, BigBirdExtended, Exact, Lsh};
    let etc = |global: usize, random: usize, dense_tokens, radius| {
        let plan = vec![0; 2 * (40 - global).div_ceil(4) * random];
        BigBirdExtended(write::BigBirdExtended { block: 4, dense_tokens, global, radius, random, plan })
    };
    let local = |before, after| write::AttentionKind::Local(Local { chunk: 4, before, after, multiple: 4 });
    let favor = |epsilon| {
        let requant = Requant { multiplier: 1 << 14, shift: 4 };
        let input = FavorInput { projection: requant, norm: requant, epsilon: 0 };
        let (features, projection) = (Features::Exponential, vec![1; 3 * 8]);
        write::AttentionKind::Favor(write::Favor {
            features,
            directions: 3,
            projection,
            query: input,
            key: input,
            epsilon,
            tile: 3,
        })
    };
    let levels = Hierarchical::levels(16_384, 4);
    assert_eq!(levels, 11);
    let lsh = write::Lsh {
        factors: vec![4],
        rounds: 1,
        chunk: 4,
        before: 1,
        after: 0,
        multiple: 4,
        in_bucket: false,
        skip_duplicates: false,
        padding_bucket: true,
        epsilon: 0,
        rotation_heads: 1,
        rotations: write::Rotations { bits: 8, values: vec![1; 2 * 8] },
    };
    for (kind, expected) in [
        (Exact, Causality::Strict),
        (
            write::AttentionKind::Hierarchical(write::Hierarchical {
                block: 4,
                bias: vec![],
                extra: vec![0; levels],
            }),
            Causality::Strict,
        ),
        (BigBird(write::BigBird { block: 4, dense_blocks: 0, random: 0, plan: vec![] }), Causality::Masked),
        (Lsh(lsh), Causality::Masked),
        (etc(0, 0, 0, Some(5)), Causality::Strict),
        (etc(0, 0, 6, Some(5)), Causality::Strict),
        (etc(0, 0, 7, Some(5)), Causality::Masked),
        (etc(0, 0, 8, None), Causality::Strict),
        (etc(0, 0, 9, None), Causality::Masked),
        (etc(1, 0, 0, None), Causality::Masked),
        (etc(0, 1, 0, None), Causality::Masked),
        (local(1, 0), Causality::Strict),
        (local(2, 0), Causality::Masked),
        (local(1, 1), Causality::Masked),
        (favor(Epsilon::Zero), Causality::Strict),
        (favor(Epsilon::Seen), Causality::Strict),
        (favor(Epsilon::Fixed), Causality::Strict),
        (favor(Epsilon::Sequence), Causality::Masked),
    ] {
        let mut file = file(kind);
        let causality = |file: &write::File| {
            let words = file.words();
            let model = Model::parse(&words).unwrap_or_else(|error| panic!("{error}"));
            model.blocks().next().unwrap().attention.causality()
        };
        assert_eq!(causality(&file), expected, "{:?}", file.blocks[0].kind);
        file.blocks[0].causal = false;
        if let write::AttentionKind::Hierarchical(hierarchical) = &mut file.blocks[0].kind {
            hierarchical.extra.clear();
        }
        assert_eq!(causality(&file), Causality::Bidirectional);
    }
}

#[test]
fn extra_bits_that_the_horizon_does_not_ask_for_are_refused() {
    let parsed = |extra: &[i8], horizon: usize, causal: bool| {
        let (bias, extra) = (Vec::new(), extra.to_vec());
        let hierarchical = write::Hierarchical { block: 4, bias, extra };
        let mut file = file(write::AttentionKind::Hierarchical(hierarchical));
        (file.horizon, file.blocks[0].causal) = (horizon, causal);
        Model::parse(&file.words()).map(drop).map_err(|error| error.to_string())
    };
    // 64 tokens are 32, 16 and 8 rows, which are two blocks.
    for good in [[0, 0, 0], [1, 2, 3], [0, 1, 1]] {
        assert_eq!(parsed(&good, 64, true), Ok(()));
    }
    assert_eq!(parsed(&[1, 1, 1, 2], 65, true), Ok(()));
    assert_eq!(parsed(&[], 64, false), Ok(()));
    let deep = |most: i8| (1..=28).map(|level: i8| level.min(most)).collect::<Vec<_>>();
    let longest = fixformer::model::MAX_HORIZON as usize;
    assert_eq!(Hierarchical::levels(longest, 4), 27);
    assert_eq!(parsed(&deep(14)[..27], longest, true), Ok(()));
    let refused = |extra: &[i8], horizon, causal, what: &str| {
        let error = parsed(extra, horizon, causal).unwrap_err();
        assert!(error.starts_with("hierarchical.extra") && error.ends_with(what), "{error}");
    };
    refused(&[0, 0], 64, true, "2 found, 3 expected");
    refused(&[0, 0, 0], 65, true, "3 found, 4 expected");
    refused(&[0, 0, 0], 64, false, "3 found, 0 expected");
    refused(&[2, 2, 2], 64, true, "2 is outside 0 ..= 1");
    refused(&[1, 0, 0], 64, true, "0 is outside 1 ..= 2");
    refused(&[0, 1, 3], 64, true, "3 is outside 1 ..= 2");
    refused(&[-1, 0, 0], 64, true, "255 is outside 0 ..= 1");
    refused(&deep(15)[..27], longest, true, "15 is outside 14 ..= 14");
}

/// Against means of whole runs, taken from the values directly.
#[test]
fn extra_bits_are_those_that_the_means_leave_room_for() {
    let mut source = Source(5);
    let mut network = causal(&mut source, 300, hierarchical(4));
    network.blocks[1].attention.kind = hierarchical(2);
    // Values around a mean that is not zero shrink less.
    network.blocks[1].attention.value.bias.iter_mut().for_each(|bias| *bias = 0.3);
    let recordings = recordings(&mut source, &network, &[300, 40, 131]);
    let ranges = calibrate(&network, &recordings, || {}).unwrap();
    let words = integers(&network, &ranges, &all_wide()).unwrap().words();
    let model = Model::parse(&words).unwrap();
    let found = extra_bits(model, &recordings).unwrap();
    assert_eq!([found[0].len(), found[1].len()], [11, 12]);
    assert!(
        found[0] != found[1][..11] && found.iter().all(|bits| bits.iter().any(|&bits| bits > 0)),
        "{found:?}"
    );

    let mut memory = vec![0; Plan::of(&model).words()];
    let mut session = Session::new(model, &mut memory).unwrap();
    for (block, bits) in found.iter().enumerate() {
        let mut peaks = vec![0.0_f64; 8];
        for recording in &recordings {
            let mut rows = vec![vec![0_i64; 16]; recording.len()];
            let mut note = Rows(|row: Row<'_>| {
                if row.site.block == Some(block) && row.site.tensor == Tensor::Value {
                    let columns = rows[row.row].iter_mut().skip(row.column);
                    columns.zip(row.values).for_each(|(x, &value)| *x = value.into());
                }
            });
            session.run_traced(recording, None, &mut note).unwrap();
            for level in 1..=8 {
                for run in rows.chunks_exact(1 << level) {
                    for column in 0..16 {
                        let mean =
                            run.iter().map(|row| row[column]).sum::<i64>() as f64 / f64::from(1 << level);
                        peaks[level - 1] = peaks[level - 1].max(mean.abs());
                    }
                }
            }
        }
        let mut below = 0;
        for (&bits, peak) in bits.iter().zip(peaks) {
            let further = 1.2 * peak * f64::from(1 << (below + 1)) <= f64::from(VALUE_LIMIT);
            assert_eq!(bits, below + i8::from(further), "block {block}, {found:?}");
            below = bits;
        }
        assert!(bits[8..].iter().all(|&bits| bits == below), "no recording is that long: {found:?}");
    }
    let quantized = quantize(&network, &recordings, Settings::default(), |_| {}).unwrap();
    let written = quantized.file.blocks.iter().map(|block| match &block.kind {
        write::AttentionKind::Hierarchical(hierarchical) => hierarchical.extra.clone(),
        _ => Vec::new(),
    });
    assert!(written.zip(&found).all(|(written, found)| written.len() == found.len() && written.contains(&1)));
    assert!(quantized.fidelity.score_error < 0.02, "{:?}", quantized.fidelity);
}

/// The engine's running offset is that of the reference, which is exact: epsilon is no small thing here.
#[test]
fn epsilon_is_relative_to_the_keys_seen_where_the_network_says_so() {
    let mut source = Source(11);
    let favor = |offsets| {
        float::AttentionKind::Favor(float::attention::favor::Favor {
            features: float::attention::favor::Features::Exponential,
            projection: Some(orthogonal_projection(16, 8, RowLength::Random, 1)),
            causal: true,
            input_scale: 8_f64.powf(-0.25),
            epsilon: 0.02,
            offsets,
            guard: 0.0,
            key_sum_epsilon: 0.0,
            renormalize: true,
            tile: Some(8),
        })
    };
    let mut network = causal(&mut source, 60, favor(Offsets::Seen));
    network.blocks[1].attention.kind = favor(Offsets::Projection);
    let recordings = recordings(&mut source, &network, &[60, 47, 20, 60]);
    let quantized = quantize(&network, &recordings, Settings::default(), |_| {}).unwrap();
    let epsilon: Vec<Epsilon> = Model::parse(&quantized.words)
        .unwrap()
        .blocks()
        .map(|block| match block.attention.kind {
            AttentionKind::Favor(Favor { epsilon, .. }) => epsilon,
            kind => panic!("{kind:?}"),
        })
        .collect();
    assert_eq!(epsilon, [Epsilon::Seen, Epsilon::Sequence]);
    assert!(quantized.fidelity.score_error < 0.01, "{:?}", quantized.fidelity);
    // The reference of the whole sequence is another one.
    network.blocks[0].attention.kind = favor(Offsets::Projection);
    let other = quantize(&network, &recordings, Settings::default(), |_| {}).unwrap();
    assert_ne!(other.words, quantized.words);
}
