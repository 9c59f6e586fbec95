//! `torch.nn.TransformerEncoder`: fused projections, two linear maps, two norms.

use std::string::String;

use super::around::Style;
use super::{Around, HEADS, Layers, Shapes, Text, linear, norm, usual_heads};

pub(super) fn describe(shapes: &Shapes) -> Option<Result<Text, String>> {
    let layers = Layers::find(shapes, "self_attn.in_proj_weight")?;
    Some(of(shapes, &layers))
}

fn of(shapes: &Shapes, layers: &Layers) -> Result<Text, String> {
    let width = layers.shape(shapes, "self_attn.out_proj.weight")?[0];
    let hidden = layers.shape(shapes, "linear1.weight")?[0];
    let mut text = Text::default();
    text.quoted("", "name", "transformer");
    text.set("encoder", "layers", layers.count);
    text.set("encoder", "width", width);
    text.guess("encoder", "heads", usual_heads(width), HEADS);
    text.set("encoder", "hidden", hidden);
    text.guess("encoder", "activation", "\"relu\"", "`activation` of the layers; \"gelu\" is torch's gelu");
    text.guess("encoder", "norm", "\"post\"", "\"pre\" where `norm_first=True`");
    text.guess("encoder", "epsilon", "1e-5", "`layer_norm_eps` of the layers");
    text.quoted("tensors", "layout", "out-in");
    let pattern = |name: &str| layers.pattern(name);
    let bias = match shapes.contains_key(&pattern("self_attn.in_proj_bias").replace("{layer}", "0")) {
        true => std::format!("\"{}\"", pattern("self_attn.in_proj_bias")),
        false => String::from("false"),
    };
    let fused = std::format!("{{ weight = \"{}\", bias = {bias} }}", pattern("self_attn.in_proj_weight"));
    for key in ["query", "key", "value"] {
        text.set("tensors", key, &fused);
    }
    text.set("tensors", "output", linear(shapes, &pattern("self_attn.out_proj")));
    text.set("tensors", "expand", linear(shapes, &pattern("linear1")));
    text.set("tensors", "contract", linear(shapes, &pattern("linear2")));
    text.set("tensors", "norm1", norm(&pattern("norm1")));
    text.set("tensors", "norm2", norm(&pattern("norm2")));
    Around::of(&layers.others(shapes), width, Style::Torch).write(&mut text, width)?;
    Ok(text)
}
