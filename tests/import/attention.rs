//! Attention kinds of a description.

use fixformer::host::draw::bigbird_plan;
use fixformer::host::reference::AttentionKind;

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
    ] {
        let error = long(attention).import().unwrap_err().to_string();
        assert!(error.contains(key), "{attention}: {error}");
    }
    let mut case = case(r#"kind = "exact""#);
    case.description += "\n[tensors]\nposition_bias = \"l{layer}.rpb\"\n";
    case.fill("l0.rpb", &[7, 2]);
    assert!(case.import().unwrap_err().to_string().contains("tensors.position_bias"));
}
