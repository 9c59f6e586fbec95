//! Checkpoints with the names that a description has where it does not say others.

use std::fs;
use std::path::Path;

use fixformer::host::describe::describe;
use fixformer::host::import;
use fixformer::host::reference::{AttentionKind, Input, NormOrder, Pooling, Positions};

use super::{Folder, alone, renamed, root};

/// `[inputs, outputs]` and `[outputs]`.
fn map(weight: &str, bias: &str, inputs: usize, outputs: usize) -> Vec<(String, Vec<usize>)> {
    [alone(weight, &[inputs, outputs]), alone(bias, &[outputs])].concat()
}

fn norm(name: &str, width: usize) -> Vec<(String, Vec<usize>)> {
    [alone(&format!("{name}.g"), &[width]), alone(&format!("{name}.b"), &[width])].concat()
}

/// Blocks of width 16 with 32 hidden values, and a head for three classes.
fn blocks(layers: usize, keys: bool) -> Vec<(String, Vec<usize>)> {
    let mut tensors = [norm("lnf", 16), map("head.w", "head.b", 16, 3)].concat();
    for layer in 0..layers {
        let at = |name: &str| format!("l{layer}.{name}");
        for name in ["q", "k", "v", "o"].iter().filter(|name| keys || **name != "k") {
            tensors.extend(map(&at(&format!("w{name}")), &at(&format!("b{name}")), 16, 16));
        }
        tensors.extend([norm(&at("ln1"), 16), norm(&at("ln2"), 16)].concat());
        tensors.extend(map(&at("ff1.w"), &at("ff1.b"), 16, 32));
        tensors.extend(map(&at("ff2.w"), &at("ff2.b"), 32, 16));
    }
    tensors
}

#[test]
fn the_models_of_the_repository() {
    let folder = Folder::new("own");
    let weights = root().join("models/digits.safetensors");
    let (described, network) =
        folder.import(&weights, &[("scale", "0.0625"), ("window", "{ width = 8, stride = 1 }")]);
    assert!(described.family.contains("names of a description"), "{}", described.family);
    let expected = import::network(&root().join("models/digits.toml"), &weights).unwrap();
    assert_eq!(renamed(network, &expected), expected, "{}", described.toml);
    // Nothing has to be said of names, and what the weights have is no guess.
    assert!(!described.toml.contains("\n[tensors]"), "{}", described.toml);
    assert!(described.toml.contains("channels = 1\n") && described.toml.contains("hidden = 64\n"));

    // Shards, and a wrapper before every name.
    let case = root().join("tests/cases/sharded");
    let text = fs::read_to_string(case.join("m.toml")).unwrap();
    let scale = text.lines().find_map(|line| line.strip_prefix("scale = ")).unwrap();
    let window = text.lines().find_map(|line| line.strip_prefix("window = ")).unwrap();
    let set = [("heads", "2"), ("scale", scale), ("window", window)];
    let expected = import::network(&case.join("m.toml"), &case.join("whole.safetensors")).unwrap();
    for weights in ["model.safetensors.index.json", "whole.safetensors", ""] {
        let (described, network) = folder.import(&case.join(weights), &set);
        assert_eq!(renamed(network, &expected), expected, "{}", described.toml);
    }
}

/// Windows of symbols have no mean: the mark on `kind` says what to write then.
#[test]
fn windows_of_symbols() {
    let folder = Folder::new("own-symbols");
    let tensors = [blocks(2, true), map("stem.w", "stem.b", 12, 16), alone("pos", &[20, 16])].concat();
    let weights = folder.weights(&tensors);
    let described = describe(&weights).unwrap();
    let keep =
        |line: &&str| !["channels", "scale", "normalize", "window"].iter().any(|key| line.starts_with(key));
    let text: Vec<&str> = described.toml.lines().filter(keep).collect();
    let text = text
        .join("\n")
        .replace("\"samples\" ", "\"one-hot\"\nsymbols = 4\nwindow = { width = 3, stride = 1 } ");
    assert!(described.toml.contains("has `symbols = …` in place of `channels`, `scale` and `normalize`"));
    let path = folder.0.join("m.toml");
    fs::write(&path, &text).unwrap();
    let network = import::network(&path, &weights).unwrap_or_else(|error| panic!("{error}\n{text}"));
    assert!(matches!(&network.input, Input::OneHot { symbols: 4, stem, .. } if stem.inputs == 12));
}

#[test]
fn wrapped_tokens_with_a_class_token_and_a_head_of_two_layers() {
    let folder = Folder::new("own-tokens");
    let tensors = [
        blocks(2, true),
        alone("embed", &[12, 16]),
        alone("pos", &[9, 16]),
        alone("cls", &[1, 1, 16]),
        norm("lne", 16),
        norm("lnp", 16),
        map("hidden.w", "hidden.b", 16, 8),
        alone("step", &[1]),
    ];
    let mut tensors = tensors.concat();
    tensors.retain(|(name, _)| !name.starts_with("lnf") && name != "l0.bq" && name != "l1.bq");
    for (name, shape) in &mut tensors {
        if name == "head.w" {
            *shape = vec![8, 3];
        }
        *name = format!("module.{name}");
    }
    let weights = folder.weights(&tensors);
    let (described, network) = folder.import(&weights, &[("heads", "4")]);
    assert!(described.toml.contains("ignore = [\"module.step\"]"), "{}", described.toml);
    assert!(matches!(network.input, Input::Tokens { vocabulary: 12, .. }));
    assert_eq!((network.blocks.len(), network.blocks[1].attention.heads, network.max_tokens), (2, 4, 9));
    assert_eq!((network.pooling, network.class_token.is_some()), (Pooling::First, true));
    assert_eq!(network.blocks[0].attention.query.bias, [0.0; 16]);
    assert!(
        network.final_norm.is_none() && network.pooled_norm.is_some() && network.embedding_norm.is_some()
    );
    assert_eq!(network.hidden.unwrap().map.outputs, 8);
}

#[test]
fn weights_of_torch_and_of_convolutions() {
    let folder = Folder::new("own-torch");
    let mut tensors = [blocks(1, true), alone("stem.w", &[16, 2, 4]), alone("stem.b", &[16])].concat();
    for (name, shape) in &mut tensors {
        if shape.len() == 2 && name != "pos" {
            shape.reverse();
        }
    }
    let weights = folder.weights(&tensors);
    let set = [("norm", "\"post\""), ("max_tokens", "20"), ("window", "{ width = 4, stride = 2 }")];
    let (described, network) = folder.import(&weights, &set);
    assert!(described.toml.contains("layout = \"out-in\"") && described.toml.contains("channels = 2\n"));
    assert!(matches!(network.input, Input::Samples { channels: 2, .. }));
    assert_eq!((&network.positions, network.max_tokens), (&Positions::None, 20));
    assert_eq!(network.blocks[0].order, NormOrder::Post);
    assert!(network.forward(&[5; 16], None, &mut |_, _| {}).is_ok());
}

#[test]
fn mechanisms_by_what_they_store() {
    let folder = Folder::new("own-kinds");
    type Is = fn(&AttentionKind) -> bool;
    let cases: [(&str, &[usize], &str, Is); 4] = [
        (
            "rpb",
            &[15, 2],
            "{ kind = \"hierarchical\", block = 4 }",
            |kind| matches!(kind, AttentionKind::Hierarchical { bias, .. } if bias.len() == 2),
        ),
        (
            "w",
            &[10, 8],
            "{ kind = \"favor\", epsilon = 1e-4 }",
            |kind| matches!(kind, AttentionKind::Favor(favor) if favor.projection.as_ref().unwrap().len() == 80),
        ),
        (
            "r",
            &[1, 8, 2, 4],
            "{ kind = \"lsh\", buckets = 8, rounds = 2, chunk = 4 }",
            |kind| matches!(kind, AttentionKind::Lsh { rotations, .. } if rotations.len() == 1),
        ),
        ("none", &[1], "{ kind = \"exact\", causal = true }", |kind| matches!(kind, AttentionKind::Exact)),
    ];
    for (stored, shape, attention, is) in cases {
        let mut tensors =
            [blocks(2, stored != "r"), alone("embed", &[12, 16]), alone("pos", &[32, 16])].concat();
        if stored != "none" {
            (0..2).for_each(|layer| tensors.extend(alone(&format!("l{layer}.{stored}"), shape)));
        }
        let weights = folder.weights(&tensors);
        let mut set = vec![("attention", attention)];
        if ["r", "none"].contains(&stored) {
            set.push(("heads", "2"));
        }
        let (described, network) = folder.import(&weights, &set);
        let found = &network.blocks[1].attention;
        assert!(is(&found.kind) && found.heads == 2, "{:?}\n{}", found.kind, described.toml);
    }
}

#[test]
fn what_is_missing_is_named() {
    let folder = Folder::new("own-missing");
    let refused = |missing: &str| {
        let mut tensors = [blocks(1, true), alone("embed", &[12, 16])].concat();
        tensors.retain(|(name, _)| name != missing);
        describe(&folder.weights(&tensors)).unwrap_err().to_string()
    };
    for name in ["head.w", "l0.ln1.g", "l0.wv", "l0.ff2.w"] {
        assert!(refused(name).contains(&format!("it has no `{name}`")), "{}", refused(name));
    }
    assert!(refused("embed").contains("it has no `stem.w`"), "{}", refused("embed"));
    assert!(describe(Path::new("nothing.safetensors")).is_err());
}
