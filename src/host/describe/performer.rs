//! Performers of performer-pytorch (lucidrains).

use std::format;
use std::string::String;
use std::vec::Vec;

use super::around::Style;
use super::{Around, HEADS, Layers, Shapes, Text, linear, norm, usual_heads};

pub(super) fn describe(shapes: &Shapes) -> Option<Result<Text, String>> {
    let layers = Layers::find(shapes, "0.fn.to_q.weight")?;
    Some(of(shapes, &layers))
}

fn of(shapes: &Shapes, layers: &Layers) -> Result<Text, String> {
    let [joined, width] = layers.shape(shapes, "0.fn.to_q.weight")?[..] else {
        return Err(String::from("its `to_q` is no matrix"));
    };
    let projection = layers.shape(shapes, "0.fn.fast_attention.projection_matrix").ok();
    let feed_forward = if layers.shape(shapes, "1.fn.fn.w1.weight").is_ok() { "1.fn.fn" } else { "1.fn" };
    let hidden = layers.shape(shapes, &format!("{feed_forward}.w1.weight"))?[0];
    let contracted = layers.shape(shapes, &format!("{feed_forward}.w2.weight"))?[1];
    if hidden != contracted {
        return Err(format!(
            "its feed-forward layers are gated (`ff_glu`: {hidden} and {contracted}), which the engine lacks"
        ));
    }
    layers
        .shape(shapes, "0.norm.weight")
        .map_err(|problem| format!("{problem}: it has ScaleNorm or ReZero"))?;
    let mut text = Text::default();
    text.quoted("", "name", "performer");
    text.set("encoder", "layers", layers.count);
    text.set("encoder", "width", width);
    match projection.and_then(|shape| shape.last()) {
        Some(head_width) => text.set("encoder", "heads", joined / head_width),
        None => text.guess("encoder", "heads", usual_heads(joined), HEADS),
    }
    if joined != width {
        let key = if projection.is_some() { "head_width" } else { "# head_width" };
        let of_head = projection.and_then(|shape| shape.last().copied()).unwrap_or(joined);
        text.set("encoder", key, of_head);
    }
    text.set("encoder", "hidden", hidden);
    text.guess("encoder", "activation", "\"gelu\"", "of the feed-forward layers");
    text.quoted("encoder", "norm", "pre");
    text.guess(
        "encoder",
        "attention",
        match projection {
            Some(_) => "{ kind = \"favor\", epsilon = 1e-4, causal = false }",
            None => "{ kind = \"favor\", features = \"relu\", epsilon = 1e-3, causal = false }",
        },
        "`causal`, and `features = \"relu\", epsilon = 1e-3` where `generalized_attention=True`",
    );
    text.quoted("tensors", "layout", "out-in");
    let pattern = |name: &str| layers.pattern(name);
    for (key, name) in [("query", "to_q"), ("key", "to_k"), ("value", "to_v"), ("output", "to_out")] {
        text.set("tensors", key, linear(shapes, &pattern(&format!("0.fn.{name}"))));
    }
    if projection.is_some() {
        text.quoted("tensors", "projection", &pattern("0.fn.fast_attention.projection_matrix"));
    }
    text.set("tensors", "norm1", norm(&pattern("0.norm")));
    text.set("tensors", "norm2", norm(&pattern("1.norm")));
    text.set("tensors", "expand", linear(shapes, &pattern(&format!("{feed_forward}.w1"))));
    text.set("tensors", "contract", linear(shapes, &pattern(&format!("{feed_forward}.w2"))));
    // Counters of redrawn projections.
    let counter = |name: &String| name.ends_with("calls_since_last_redraw");
    let counters: Vec<String> =
        shapes.keys().filter(|name| counter(name)).map(|name| format!("\"{name}\"")).collect();
    let others: Vec<_> =
        layers.others(shapes).into_iter().filter(|(name, _)| !counter(&String::from(*name))).collect();
    if !counters.is_empty() {
        text.set("tensors", "ignore", format!("[{}]", counters.join(", ")));
    }
    Around::of(&others, width, Style::Torch).write(&mut text, width)?;
    Ok(text)
}
