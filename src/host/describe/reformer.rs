//! Hugging Face's Reformer: layers of LSH and of local attention, reversible.

use std::format;
use std::string::String;
use std::vec::Vec;

use super::{Layers, Shapes, Text, linear, norm, usual_heads};

pub(super) fn describe(shapes: &Shapes) -> Option<Result<Text, String>> {
    let layers = Layers::find(shapes, "attention.self_attention.value.weight")?;
    Some(of(shapes, &layers))
}

fn of(shapes: &Shapes, layers: &Layers) -> Result<Text, String> {
    let [joined, width] = layers.shape(shapes, "attention.self_attention.value.weight")?[..] else {
        return Err(String::from("its value is no matrix"));
    };
    let hidden = layers.shape(shapes, "feed_forward.dense.dense.weight")?[0];
    let base = layers.before.strip_suffix("encoder.layers.").unwrap_or_default();
    let root = base.strip_suffix("reformer.").unwrap_or_default();
    let pattern = |name: &str| layers.pattern(name);
    let mut text = Text::default();
    text.quoted("", "name", "reformer");
    text.quoted("input", "kind", "tokens");
    text.set("encoder", "layers", layers.count);
    text.set("encoder", "width", width);
    text.guess("encoder", "heads", usual_heads(joined), "`num_attention_heads` of its config.json");
    if joined != width {
        let what = "`attention_head_size` of its config.json";
        text.guess("encoder", "head_width", joined / usual_heads(joined), what);
    }
    text.set("encoder", "hidden", hidden);
    text.guess("encoder", "activation", "\"relu\"", "`hidden_act` of its config.json");
    text.quoted("encoder", "norm", "reversible");
    text.guess("encoder", "epsilon", "1e-12", "`layer_norm_eps` of its config.json");
    text.set("encoder", "final_norm", true);
    let is_lsh = |layer: usize| {
        shapes.contains_key(
            &pattern("attention.self_attention.query_key.weight").replace("{layer}", &format!("{layer}")),
        )
    };
    let kinds: Vec<bool> = (0..layers.count).map(is_lsh).collect();
    let lines = kinds.iter().map(|lsh| match lsh {
        true => "    { kind = \"lsh\", buckets = 8, rounds = 2, chunk = 64 },",
        false => "    { kind = \"local\", chunk = 64 },",
    });
    let lines: Vec<&str> = lines.collect();
    let what = "`num_buckets`, `num_hashes` and the chunk lengths of its config.json, for every layer";
    text.guess("encoder", "attention", "[", what);
    text.line("encoder", format!("{}\n]", lines.join("\n")));
    text.quoted("pooling", "kind", "first");
    text.quoted("head", "hidden", "tanh");
    text.quoted("tensors", "layout", "out-in");
    let embedding = |name: &str| format!("{base}embeddings.{name}");
    text.quoted("tensors", "table", &embedding("word_embeddings.weight"));
    let axial = [0, 1].map(|axis| embedding(&format!("position_embeddings.weights.{axis}")));
    if axial.iter().all(|name| shapes.contains_key(name)) {
        text.quoted("positions", "kind", "axial");
        text.set("tensors", "axial", format!("[\"{}\", \"{}\"]", axial[0], axial[1]));
    } else {
        text.quoted("tensors", "positions", &embedding("position_embeddings.embedding.weight"));
    }
    let projection = |name: &str| {
        let layer = kinds.iter().position(|lsh| *lsh == (name == "query_key")).unwrap_or(0);
        let name = pattern(&format!("attention.self_attention.{name}"));
        let bias = shapes.contains_key(&format!("{name}.bias").replace("{layer}", &format!("{layer}")));
        let bias = if bias { format!("\"{name}.bias\"") } else { String::from("false") };
        format!("{{ weight = \"{name}.weight\", bias = {bias} }}")
    };
    if kinds.contains(&true) {
        text.set("tensors", "query_key", projection("query_key"));
    }
    for key in ["query", "key", "value"] {
        text.set("tensors", key, projection(key));
    }
    text.set("tensors", "output", linear(shapes, &pattern("attention.output.dense")));
    text.set("tensors", "norm1", norm(&pattern("attention.layer_norm")));
    text.set("tensors", "norm2", norm(&pattern("feed_forward.layer_norm")));
    text.set("tensors", "expand", linear(shapes, &pattern("feed_forward.dense.dense")));
    text.set("tensors", "contract", linear(shapes, &pattern("feed_forward.output.dense")));
    text.set("tensors", "final_norm", norm(&format!("{base}encoder.layer_norm")));
    for (key, name) in [("hidden", "dense"), ("head", "out_proj")] {
        let name = format!("{root}classifier.{name}");
        if !shapes.contains_key(&format!("{name}.weight")) {
            return Err(format!("it has no `{name}.weight`: it is no sequence classifier"));
        }
        text.set("tensors", key, linear(shapes, &name));
    }
    Ok(text)
}
