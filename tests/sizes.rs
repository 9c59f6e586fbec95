//! Every size that follows from the fields of a model has 32 bits, or the model is refused by the name of a field: on a host of
//! 64 bits too, so that what it accepts every core accepts.

use fixformer::host::draw::{RowLength, favor_projection};
use fixformer::model::write::{AttentionKind, BigBirdExtended, Favor, File, Hierarchical, Lsh, Rotations};
use fixformer::model::{Epsilon, FavorInput, Features, Level, Local, MAX_INPUT, MAX_TOKENS, MAX_WORDS};
use fixformer::num::Requant;
use fixformer::session::{ArenaError, StreamError};
use fixformer::{Model, ModelError, Plan, Session, Stream};
use fixformer_fuzz::random::bare::{file, samples};

/// The field for which a file is refused, and what was found there.
fn refused(file: &File) -> (&'static str, u32) {
    match Model::parse(&file.words()) {
        Err(ModelError::Range { field, found, .. }) => (field, found),
        other => panic!("{other:?}"),
    }
}

fn accepted(file: &File) {
    Model::parse(&file.words()).unwrap();
}

const MOST: usize = MAX_TOKENS as usize;

#[test]
fn values_of_a_recording_are_counted() {
    let longest = |channels, width, stride| File {
        max_tokens: MOST,
        horizon: MOST,
        input: samples(channels, width, stride),
        ..file(AttentionKind::Exact, false, 1, 1)
    };
    for (channels, width, stride) in [(64, 1, 1024), (1024, 1, 1024), (1024, 8, 64), (65, 126, 1009)] {
        let values = (MOST * stride + width - 1) as u64 * channels as u64;
        let file = longest(channels, width, stride);
        assert!(values > u64::from(MAX_INPUT));
        assert_eq!(
            refused(&file),
            (
                "max_tokens (values of a recording: tokens * stride * channels)",
                u32::try_from(values).unwrap_or(u32::MAX)
            )
        );
        // As many tokens as there are values for.
        let step = (MAX_INPUT as usize + 1).div_ceil(channels) - width;
        let (most, one_more) = (step / stride, step / stride + 1);
        assert_eq!(refused(&File { max_tokens: one_more, horizon: one_more, ..file.clone() }).0.len(), 62);
        let words = File { max_tokens: most, horizon: most, ..file }.words();
        let model = Model::parse(&words).unwrap();
        assert!(model.max_input() <= MAX_INPUT as usize && model.max_input() > (MAX_INPUT as usize) / 2);
        assert_eq!(model.input.tokens(model.max_input()), most);
    }
    let mut standardized = longest(1, 8, 1024);
    let fixformer::model::write::Input::Samples { level, .. } = &mut standardized.input else { panic!() };
    *level = Level::Standardized;
    assert_eq!(refused(&standardized).0, "max_tokens (steps of a standardized recording)");
}

#[test]
fn a_file_longer_than_a_slice_is_refused_before_it_is_read() {
    let mut words = file(AttentionKind::Exact, false, 1, 1).words();
    for length in [MAX_WORDS + 1, u32::MAX] {
        words[2] = length;
        let error = Model::parse(&words).unwrap_err();
        assert_eq!(error, ModelError::Range { field: "length", found: length, low: 1, high: MAX_WORDS });
    }
}

fn lsh(rounds: usize, chunk: usize, multiple: usize) -> File {
    let rotations = Rotations { bits: 1, values: vec![1; rounds * 4] };
    let parameters = Lsh {
        factors: vec![8],
        rounds,
        chunk,
        before: 1,
        after: 1,
        multiple,
        in_bucket: false,
        skip_duplicates: false,
        padding_bucket: false,
        epsilon: 0,
        rotation_heads: 1,
        rotations,
    };
    file(AttentionKind::Lsh(parameters), false, 1, 1)
}

/// Numbers of chunks are added up over all rounds.
#[test]
fn chunks_of_all_rounds_are_counted() {
    for (rounds, chunk) in [(4, 1), (8, 2), (1, 1), (8, 256), (2, 64)] {
        let (field, _) = refused(&lsh(rounds, chunk, 1 << 30));
        assert_eq!(
            field, "lsh.multiple (chunks of all rounds: rounds * multiple / chunk)",
            "{rounds} {chunk}"
        );
    }
    // The sequence is filled up to a multiple that no chunk of it comes near: any such multiple gives the same.
    let recording: Vec<i16> = (0..2000).map(|step| step * 13 % 401).collect();
    let scores = [1 << 13, 1 << 30].map(|multiple| {
        let words = File { max_tokens: 2000, horizon: 2000, ..lsh(8, 512, multiple) }.words();
        let model = Model::parse(&words).unwrap();
        let mut memory = vec![0; Plan::of(&model).words()];
        Session::new(model, &mut memory).unwrap().run(&recording).unwrap().raw().to_vec()
    });
    assert!(scores[0] == scores[1] && scores[0][0] != 0, "{scores:?}");
}

/// What a sum of weights has room for holds in a stream too, which is longer than any run.
#[test]
fn keys_of_a_query_of_a_stream_are_counted() {
    let local = |chunk, before, causal| {
        let kind = Local { chunk, before, after: 0, multiple: chunk };
        file(AttentionKind::Local(kind), causal, 1, 1)
    };
    let field = "local.chunk (keys of a query: chunk * (before + 1 + after))";
    assert_eq!(refused(&local(MOST, 1, true)), (field, 2 * MAX_TOKENS));
    accepted(&local(MOST, 0, true));
    accepted(&local(MOST / 2, 1, true));
    // A run has one chunk.
    accepted(&local(MOST, 1, false));

    let hierarchical = |block: usize, horizon: usize| {
        let levels = fixformer::model::Hierarchical::levels(horizon, block);
        let kind = Hierarchical { block, bias: Vec::new(), extra: vec![0; levels] };
        File { horizon, ..file(AttentionKind::Hierarchical(kind), true, 1, 1) }
    };
    let field = "hierarchical.block (keys of a query: block * (levels of the horizon + 2))";
    assert_eq!(refused(&hierarchical(1024, 1 << 30)), (field, 21 * 1024));
    accepted(&hierarchical(1024, 1 << 25));
    accepted(&hierarchical(512, 1 << 30));

    let window = |radius, max_tokens| {
        let kind = BigBirdExtended {
            block: 1,
            dense_tokens: 0,
            global: 0,
            radius: Some(radius),
            random: 0,
            plan: Vec::new(),
        };
        File { max_tokens, horizon: max_tokens, ..file(AttentionKind::BigBirdExtended(kind), true, 1, 1) }
    };
    assert_eq!(refused(&window(MOST, MOST)), ("bigbird_extended.radius", MAX_TOKENS));
    accepted(&window(MOST - 1, MOST));
    accepted(&window(100, 100));
}

/// Heads, blocks and words of a head, each within its limits, of a stream that no core of 32 bits has memory for.
#[test]
fn an_arena_that_no_core_can_address_is_none() {
    let input = FavorInput {
        projection: Requant { multiplier: 1 << 14, shift: 8 },
        norm: Requant { multiplier: 1 << 14, shift: 8 },
        epsilon: 0,
    };
    let favor = Favor {
        features: Features::Hyperbolic,
        directions: 1024,
        projection: favor_projection(1024, 1, RowLength::Random, 1, 0)
            .iter()
            .map(|&x| (100.0 * x) as i16)
            .collect(),
        query: input,
        key: input,
        epsilon: Epsilon::Fixed,
        tile: 64,
    };
    let mut file = file(AttentionKind::Favor(favor), true, 1024, 1);
    file.blocks = vec![file.blocks[0].clone(); 64];
    let words = file.words();
    let model = Model::parse(&words).unwrap();
    let plan = Plan::of_stream(&model).unwrap();
    assert_eq!(plan.words(), Plan::MOST_WORDS);
    assert!(u32::try_from(plan.bytes()).is_ok_and(|bytes| bytes == 1 << 31));
    let error = Stream::new(model, &mut [0; 64]).unwrap_err();
    let needed = Plan::MOST_WORDS;
    assert_eq!(error, StreamError::Arena(ArenaError::TooSmall { found: 64, needed }));
    // A run takes one head after the other.
    assert!(Plan::of(&model).words() < 1 << 20);
}
