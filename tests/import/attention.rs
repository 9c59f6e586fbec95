//! Attention kinds of a description.

use fixformer::host::draw::{RowLength, bigbird_plan, favor_projection, lsh_signs};
use fixformer::host::reference::AttentionKind;
use fixformer::host::reference::attention::favor::{Features, Offsets};
use fixformer::host::reference::attention::lsh::{Duplicates, ScoreScale};

use super::Case;

/// The small model with `attention = { … }`.
fn case(attention: &str) -> Case {
    let mut case = Case::new();
    case.replace("hidden = 3", &format!("hidden = 3\nattention = {{ {attention} }}"));
    case
}

/// Its input as 40 tokens without a position table.
fn long(attention: &str) -> Case {
    let mut case = case(attention);
    case.replace(r#"name = "small""#, "name = \"small\"\nmax_tokens = 40");
    case.replace("[encoder]", "[positions]\nkind = \"none\"\n[encoder]");
    case.remove(&["pos"]);
    case
}

#[test]
fn hierarchical() {
    let network = case(r#"kind = "hierarchical", block = 2, causal = true"#).import().unwrap();
    let attention = &network.blocks[0].attention;
    let AttentionKind::Hierarchical { parameters, bias } = &attention.kind else { panic!("{attention:?}") };
    assert!(attention.causal && parameters.causal && parameters.block == 2 && bias.is_empty());
    assert!(network.forward(&[1, 5, -3, 7, 9, 2], None, &mut |_, _| {}).is_ok());

    let mut case = case(r#"kind = "hierarchical", block = 2"#);
    case.description += "\n[tensors]\nposition_bias = \"l{layer}.rpb\"\n";
    case.fill("l0.rpb", &[7, 2]);
    let kind = case.import().unwrap().blocks.remove(0).attention.kind;
    let AttentionKind::Hierarchical { bias, .. } = kind else { panic!("{kind:?}") };
    assert_eq!(bias, [[1.0, 3.0, 5.0, 7.0, 9.0, 11.0, 13.0], [2.0, 4.0, 6.0, 8.0, 10.0, 12.0, 14.0]]);
    case.fill("l0.rpb", &[7]);
    assert!(case.import().unwrap_err().to_string().contains("tensors.position_bias"));
    case.remove(&["l0.rpb"]);
    assert!(case.import().unwrap_err().to_string().contains("no tensor `l0.rpb`"));
}

#[test]
fn bigbird() {
    let kind = |attention: &str| long(attention).import().unwrap().blocks.remove(0).attention.kind;
    let AttentionKind::BigBird { parameters, plans } =
        kind(r#"kind = "bigbird", block = 4, random = 2, plan = "drawn", seed = 5, dense_up_to = 8"#)
    else {
        panic!()
    };
    assert_eq!((parameters.block, parameters.random, parameters.dense_up_to), (4, 2, 8));
    assert_eq!(plans, [0, 1].map(|head| bigbird_plan(10, 2, 5, 0, head).unwrap()));
    let AttentionKind::BigBird { plans, .. } =
        kind(r#"kind = "bigbird", block = 4, random = 3, plan = "zero""#)
    else {
        panic!()
    };
    assert_eq!(plans, vec![vec![vec![0; 3]; 8]; 2]);
    let AttentionKind::BigBird { parameters, plans } = kind(r#"kind = "bigbird", block = 7"#) else {
        panic!()
    };
    assert_eq!((parameters.random, parameters.dense_up_to, plans.len()), (0, 0, 0));
}

#[test]
fn favor() {
    let kind = |case: Case| match case.import().unwrap().blocks.remove(0).attention.kind {
        AttentionKind::Favor(favor) => favor,
        kind => panic!("{kind:?}"),
    };
    // Two heads of width 1.
    let drawn = |length, seed| Some(favor_projection(5, 1, length, seed, 0));
    let favor = kind(long(r#"kind = "favor", directions = 5"#));
    assert_eq!(favor.projection, drawn(RowLength::Random, 0));
    assert_eq!((favor.features, favor.epsilon, favor.input_scale), (Features::Exponential, 0.0, 1.0));
    assert!(!favor.causal && favor.renormalize && favor.offsets == Offsets::Projection);
    let favor = kind(long(
        r#"kind = "favor", directions = 5, features = "hyperbolic", scaling = "sqrt-width", seed = 3, epsilon = 1e-4"#,
    ));
    assert_eq!(favor.projection, drawn(RowLength::Fixed, 3));
    assert_eq!((favor.features, favor.epsilon), (Features::Hyperbolic, 1e-4));
    let favor = kind(long(r#"kind = "favor", features = "relu", epsilon = 0, causal = true"#));
    assert!(favor.causal && favor.projection.is_none() && favor.features == Features::Relu);

    // What epsilon is relative to in causal attention.
    let attention = |keys: &str| long(&format!(r#"kind = "favor", directions = 5, {keys}"#));
    assert_eq!(kind(attention("causal = true, epsilon = 1e-4")).offsets, Offsets::Seen);
    assert_eq!(kind(attention(r#"causal = true, epsilon = 1e-4, offset = "seen""#)).offsets, Offsets::Seen);
    let authors = attention(r#"causal = true, epsilon = 1e-4, offset = "sequence""#);
    assert_eq!(kind(authors).offsets, Offsets::Projection);
    for useless in [r#"epsilon = 1e-4, offset = "seen""#, r#"causal = true, offset = "sequence""#] {
        let error = attention(useless).import().unwrap_err().to_string();
        assert!(error.contains("encoder.attention.offset"), "{error}");
    }

    // Keys that a causal layer adds to its sums together.
    assert_eq!(
        [kind(attention("causal = true")).tile, kind(attention("causal = true, tile = 9")).tile],
        [None, Some(9)]
    );
    for (keys, problem) in [
        ("causal = true, tile = 0", "is 0; give 1 to 64 keys"),
        ("causal = true, tile = 65", "is 65; give 1 to 64 keys"),
        ("tile = 9", "is 9; give a multiple of 4 keys"),
        (r#"causal = true, tile = 8, features = "relu""#, "key by key"),
        (r#"causal = true, tile = 8, epsilon = 1e-4, offset = "sequence""#, "one by one"),
    ] {
        let error = attention(keys).import().unwrap_err().to_string();
        assert!(error.contains("encoder.attention.tile") && error.contains(problem), "{error}");
    }

    for (attention, works) in [
        (r#"kind = "favor""#, true),
        (r#"kind = "favor", directions = 3"#, true),
        (r#"kind = "favor", directions = 4"#, false),
        (r#"kind = "favor", seed = 0"#, false),
        (r#"kind = "favor", scaling = "gaussian""#, false),
        (r#"kind = "exact""#, false),
    ] {
        let mut case = long(attention);
        case.description += "\n[tensors]\nprojection = \"l{layer}.w\"\n";
        case.fill("l0.w", &[3, 1]);
        match works {
            true => assert_eq!(kind(case).projection.unwrap(), [1.0, 2.0, 3.0]),
            false => {
                let error = case.import().unwrap_err().to_string();
                let named =
                    ["tensors.projection", "encoder.attention."].iter().any(|key| error.contains(key));
                assert!(named, "{attention}: {error}");
            }
        }
    }
}

#[test]
fn lsh() {
    let attention = r#"kind = "lsh", buckets = 4, rounds = 3, chunk = 8"#;
    assert!(long(attention).import().unwrap_err().to_string().contains("l0.wk"));
    let import = |attention: &str| {
        let mut case = long(attention);
        case.remove(&["l0.wk", "l0.bk"]);
        let network = case.import().unwrap();
        assert!(network.forward(&[3; 40], None, &mut |_, _| {}).is_ok());
        let attention = &network.blocks[0].attention;
        let AttentionKind::Lsh { parameters, rotations } = attention.kind.clone() else { panic!() };
        (parameters, rotations)
    };
    let (lsh, rotations) = import(attention);
    assert_eq!((&lsh.buckets[..], lsh.rounds, lsh.chunk, lsh.before, lsh.after), (&[4][..], 3, 8, 1, 0));
    assert_eq!((lsh.scale, lsh.duplicates), (ScoreScale::Unit, Duplicates::Counted));
    assert!(!lsh.in_bucket && lsh.padding_bucket);
    let signs: Vec<f64> = lsh_signs(12, 0, 0).into_iter().map(f64::from).collect();
    assert_eq!(rotations, [signs[..6].to_vec(), signs[6..].to_vec()]);

    let (lsh, rotations) = import(
        r#"kind = "lsh", buckets = [2, 4], rounds = 2, chunk = 8, before = 0, after = 2, in_bucket = true,
           skip_duplicates = true, scale = "sqrt-width", seed = 9, causal = true"#,
    );
    assert_eq!((&lsh.buckets[..], lsh.before, lsh.after), (&[2, 4][..], 0, 2));
    assert_eq!((lsh.scale, lsh.duplicates), (ScoreScale::SqrtWidth, Duplicates::Skipped));
    assert!(lsh.in_bucket && lsh.causal);
    let signs: Vec<f64> = lsh_signs(12, 9, 0).into_iter().map(f64::from).collect();
    assert_eq!(rotations.concat(), signs);
}

#[test]
fn contradictions_are_refused_by_name() {
    for (attention, key) in [
        (r#"kind = "hierarchical", block = 7"#, "encoder.attention.block"),
        (r#"kind = "hierarchical", block = 0"#, "encoder.attention.block"),
        (r#"kind = "hierarchical", block = 1026"#, "encoder.attention.block"),
        (r#"kind = "hierarchical", block = 8, random = 1"#, "random"),
        (r#"kind = "hierarchical""#, "block"),
        (r#"kind = "exact", block = 8"#, "block"),
        (r#"kind = "longformer""#, "longformer"),
        (r#"kind = "bigbird", block = 0"#, "encoder.attention.block"),
        (r#"kind = "bigbird", block = 4, random = 1"#, "encoder.attention.plan"),
        (r#"kind = "bigbird", block = 4, plan = "zero""#, "encoder.attention.plan"),
        (r#"kind = "bigbird", block = 4, random = 65, plan = "zero""#, "encoder.attention.random"),
        (r#"kind = "bigbird", block = 4, random = 6, plan = "drawn""#, "encoder.attention.random"),
        (r#"kind = "bigbird", block = 4, random = 1, plan = "zero", seed = 1"#, "encoder.attention.seed"),
        (r#"kind = "bigbird", block = 4, dense_up_to = 6"#, "encoder.attention.dense_up_to"),
        (r#"kind = "favor""#, "encoder.attention.directions"),
        (r#"kind = "favor", directions = 0"#, "encoder.attention.directions"),
        (r#"kind = "favor", directions = 1025"#, "encoder.attention.directions"),
        (r#"kind = "favor", directions = 8, epsilon = -1e-3"#, "encoder.attention.epsilon"),
        (r#"kind = "favor", directions = 8, epsilon = nan"#, "encoder.attention.epsilon"),
        (r#"kind = "favor", directions = 8, features = "cosine""#, "cosine"),
        (r#"kind = "favor", directions = 8, block = 4"#, "block"),
        (r#"kind = "favor", features = "relu", seed = 1"#, "encoder.attention.seed"),
        (r#"kind = "favor", features = "relu", scaling = "gaussian""#, "encoder.attention.scaling"),
        (r#"kind = "lsh", rounds = 1, chunk = 8"#, "buckets"),
        (r#"kind = "lsh", buckets = 3, rounds = 1, chunk = 8"#, "encoder.attention.buckets"),
        (r#"kind = "lsh", buckets = 0, rounds = 1, chunk = 8"#, "encoder.attention.buckets"),
        (r#"kind = "lsh", buckets = [], rounds = 1, chunk = 8"#, "encoder.attention.buckets"),
        (r#"kind = "lsh", buckets = [4, 5], rounds = 1, chunk = 8"#, "encoder.attention.buckets"),
        (r#"kind = "lsh", buckets = [128, 128], rounds = 1, chunk = 8"#, "encoder.attention.buckets"),
        (r#"kind = "lsh", buckets = 4, rounds = 0, chunk = 8"#, "encoder.attention.rounds"),
        (r#"kind = "lsh", buckets = 4, rounds = 9, chunk = 8"#, "encoder.attention.rounds"),
        (r#"kind = "lsh", buckets = 4, rounds = 1, chunk = 0"#, "encoder.attention.chunk"),
        (r#"kind = "lsh", buckets = 4, rounds = 1, chunk = 8, before = 256"#, "encoder.attention.before"),
        (r#"kind = "lsh", buckets = 4, rounds = 1, chunk = 8, after = 256"#, "encoder.attention.after"),
        (
            r#"kind = "lsh", buckets = 4, rounds = 2, chunk = 8, skip_duplicates = true"#,
            "encoder.attention.skip_duplicates",
        ),
    ] {
        let error = long(attention).import().unwrap_err().to_string();
        assert!(error.contains(key), "{attention}: {error}");
    }
    let mut case = case(r#"kind = "exact""#);
    case.description += "\n[tensors]\nposition_bias = \"l{layer}.rpb\"\n";
    case.fill("l0.rpb", &[7, 2]);
    assert!(case.import().unwrap_err().to_string().contains("tensors.position_bias"));
}
