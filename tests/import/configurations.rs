//! Configurations of Hugging Face models with a key that cannot be, and what the message offers instead.

use std::path::{Path, PathBuf};

use fixformer::host::import::Source;
use fixformer::host::reference::{Network, Task};

fn weights(family: &str) -> PathBuf {
    let name = format!("tests/golden/models/model_{family}_seqcls_weights.safetensors");
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// The network with some keys in place of those of its own configuration.
fn with(family: &str, keys: &str) -> Result<Network, String> {
    let source = Source { weights: weights(family), overrides: Some(keys.to_owned()), ..Source::default() };
    source.network().map_err(|error| error.to_string())
}

#[test]
fn what_is_offered_is_taken() {
    // A last key that is the model's own gives the model.
    for (family, bad, words, good) in [
        (
            "bigbird",
            r#"{"attention_type": "sparse"}"#,
            "give `block_sparse` or `original_full`",
            &[r#"{"attention_type": "original_full"}"#, r#"{"attention_type": "block_sparse"}"#][..],
        ),
        (
            "bigbird",
            r#"{"is_decoder": true}"#,
            "give `original_full`, or `is_decoder` false",
            &[r#"{"is_decoder": true, "attention_type": "original_full"}"#, r#"{"is_decoder": false}"#],
        ),
        (
            "bigbird",
            r#"{"hidden_act": "silu"}"#,
            "the engine has relu, gelu, gelu_new and tanh",
            &[
                r#"{"hidden_act": "relu"}"#,
                r#"{"hidden_act": "gelu"}"#,
                r#"{"hidden_act": "tanh"}"#,
                r#"{"hidden_act": "gelu_new"}"#,
            ],
        ),
        ("bigbird", r#"{"problem_type": "ranking"}"#, "correct or remove it", &["{}"]),
        (
            "reformer",
            r#"{"num_buckets": null}"#,
            "give the number that it was trained with",
            &[r#"{"num_buckets": 8}"#],
        ),
        (
            "reformer",
            r#"{"attn_layers": ["lsh", "full", "lsh"]}"#,
            "a layer is `lsh` or `local`",
            &[r#"{"attn_layers": ["lsh", "local", "lsh"]}"#],
        ),
    ] {
        let said = with(family, bad).unwrap_err();
        assert!(said.contains(words), "{said}");
        let mended: Vec<Network> = good
            .iter()
            .map(|keys| with(family, keys).unwrap_or_else(|e| panic!("{said}\nobeyed: {e}")))
            .collect();
        assert_eq!(mended.last().unwrap(), &with(family, "{}").unwrap(), "{said}");
    }
    let several = with("bigbird", r#"{"problem_type": "multi_label_classification"}"#).unwrap();
    assert_eq!(several.answers.task, Task::Multilabel);
}
