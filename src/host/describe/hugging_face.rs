//! Hugging Face's BERT and its kin, and DistilBERT.

use std::format;
use std::string::String;

use super::{Layers, Shapes, Text, linear, norm, usual_heads};

/// BERT, and BigBird and RoBERTa, whose names are the same but for the head.
pub(super) fn bert(shapes: &Shapes) -> Option<Result<Text, String>> {
    let layers = Layers::find(shapes, "attention.self.query.weight")?;
    Some(of_bert(shapes, &layers))
}

fn of_bert(shapes: &Shapes, layers: &Layers) -> Result<Text, String> {
    let [joined, width] = layers.shape(shapes, "attention.self.query.weight")?[..] else {
        return Err(String::from("its query is no matrix"));
    };
    let hidden = layers.shape(shapes, "intermediate.dense.weight")?[0];
    let base = layers.before.strip_suffix("encoder.layer.").unwrap_or_default();
    let outside = base.rsplit_once('.').map_or("", |(front, _)| front);
    let root = outside.rsplit_once('.').map_or(String::new(), |(front, _)| format!("{front}."));
    let mut text = Text::default();
    let two_layers = shapes.contains_key(&format!("{root}classifier.out_proj.weight"));
    text.quoted("", "name", if two_layers { "bigbird" } else { "bert" });
    start(&mut text, layers, [width, joined, hidden]);
    if two_layers {
        text.guess(
            "encoder",
            "attention",
            "{ kind = \"bigbird\", block = 64, random = 3, plan = \"zero\", dense_up_to = 704 }",
            "`block_size`, `num_random_blocks` and (5 + 2 random) block of its config.json; { kind = \"exact\" } of \"original_full\"",
        );
    }
    text.set("encoder", "embedding_norm", true);
    text.quoted("pooling", "kind", "first");
    let embedding = |name: &str| format!("{base}embeddings.{name}");
    embeddings(&mut text, shapes, &embedding);
    let pattern = |name: &str| layers.pattern(name);
    for (key, name) in [("query", "query"), ("key", "key"), ("value", "value")] {
        text.set("tensors", key, linear(shapes, &pattern(&format!("attention.self.{name}"))));
    }
    text.set("tensors", "output", linear(shapes, &pattern("attention.output.dense")));
    text.set("tensors", "norm1", norm(&pattern("attention.output.LayerNorm")));
    text.set("tensors", "expand", linear(shapes, &pattern("intermediate.dense")));
    text.set("tensors", "contract", linear(shapes, &pattern("output.dense")));
    text.set("tensors", "norm2", norm(&pattern("output.LayerNorm")));
    let pooler = format!("{base}pooler.dense");
    let has_pooler = shapes.contains_key(&format!("{pooler}.weight"));
    let mut ignore = format!("\"{base}embeddings.position_ids\"");
    if two_layers {
        let what = "`hidden_act` of BigBird, \"tanh\" of RoBERTa";
        text.guess("head", "hidden", "\"gelu-tanh\"", what);
        text.set("tensors", "hidden", linear(shapes, &format!("{root}classifier.dense")));
        text.set("tensors", "head", linear(shapes, &format!("{root}classifier.out_proj")));
        ignore += &format!(", \"{base}pooler.*\"");
    } else {
        if has_pooler {
            text.quoted("head", "hidden", "tanh");
            text.set("tensors", "hidden", linear(shapes, &pooler));
        }
        head(&mut text, shapes, &root)?;
    }
    text.set("tensors", "ignore", format!("[{ignore}]"));
    Ok(text)
}

pub(super) fn distilbert(shapes: &Shapes) -> Option<Result<Text, String>> {
    let layers = Layers::find(shapes, "attention.q_lin.weight")?;
    Some(of_distilbert(shapes, &layers))
}

fn of_distilbert(shapes: &Shapes, layers: &Layers) -> Result<Text, String> {
    let [joined, width] = layers.shape(shapes, "attention.q_lin.weight")?[..] else {
        return Err(String::from("its query is no matrix"));
    };
    let hidden = layers.shape(shapes, "ffn.lin1.weight")?[0];
    let base = layers.before.strip_suffix("transformer.layer.").unwrap_or_default();
    let root = base.strip_suffix("distilbert.").unwrap_or_default();
    let mut text = Text::default();
    text.quoted("", "name", "distilbert");
    start(&mut text, layers, [width, joined, hidden]);
    text.set("encoder", "embedding_norm", true);
    text.quoted("pooling", "kind", "first");
    embeddings(&mut text, shapes, &|name: &str| format!("{base}embeddings.{name}"));
    let pattern = |name: &str| layers.pattern(name);
    for (key, name) in [("query", "q_lin"), ("key", "k_lin"), ("value", "v_lin"), ("output", "out_lin")] {
        text.set("tensors", key, linear(shapes, &pattern(&format!("attention.{name}"))));
    }
    text.set("tensors", "norm1", norm(&pattern("sa_layer_norm")));
    text.set("tensors", "expand", linear(shapes, &pattern("ffn.lin1")));
    text.set("tensors", "contract", linear(shapes, &pattern("ffn.lin2")));
    text.set("tensors", "norm2", norm(&pattern("output_layer_norm")));
    if shapes.contains_key(&format!("{root}pre_classifier.weight")) {
        text.quoted("head", "hidden", "relu");
        text.set("tensors", "hidden", linear(shapes, &format!("{root}pre_classifier")));
    }
    head(&mut text, shapes, root)?;
    Ok(text)
}

/// What all of them have: post-norm blocks, GELU, an epsilon of 1e-12.
fn start(text: &mut Text, layers: &Layers, [width, joined, hidden]: [usize; 3]) {
    text.quoted("input", "kind", "tokens");
    text.set("encoder", "layers", layers.count);
    text.set("encoder", "width", width);
    text.guess(
        "encoder",
        "heads",
        usual_heads(joined),
        "`num_attention_heads` (`n_heads`) of its config.json",
    );
    text.set("encoder", "hidden", hidden);
    text.guess("encoder", "activation", "\"gelu\"", "`hidden_act`: \"gelu_new\" is \"gelu-tanh\"");
    text.quoted("encoder", "norm", "post");
    text.guess("encoder", "epsilon", "1e-12", "`layer_norm_eps` of its config.json");
    text.set("encoder", "final_norm", false);
    text.quoted("tensors", "layout", "out-in");
}

fn embeddings(text: &mut Text, shapes: &Shapes, name: &dyn Fn(&str) -> String) {
    text.quoted("tensors", "table", &name("word_embeddings.weight"));
    let types = name("token_type_embeddings.weight");
    if shapes.contains_key(&types) {
        text.quoted("tensors", "token_type", &types);
    }
    text.quoted("tensors", "positions", &name("position_embeddings.weight"));
    text.set("tensors", "embedding_norm", norm(&name("LayerNorm")));
}

fn head(text: &mut Text, shapes: &Shapes, root: &str) -> Result<(), String> {
    let name = format!("{root}classifier");
    if !shapes.contains_key(&format!("{name}.weight")) {
        return Err(format!("it has no `{name}.weight`: it is no sequence classifier"));
    }
    text.set("tensors", "head", linear(shapes, &name));
    Ok(())
}
