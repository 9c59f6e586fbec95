//! Checkpoints whose tensors are called as a description without `[tensors]` has them: what `fixformer-train` writes, and
//! what people export for such a description.

use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

use super::{HEADS, Shapes, Text, usual_heads};

/// The tensor that every such model has in its first layer.
const FIRST: &str = "l0.wq";

pub(super) fn describe(shapes: &Shapes) -> Option<Result<Text, String>> {
    let before = shapes.keys().find_map(|name| {
        let before = name.strip_suffix(FIRST)?;
        (before.is_empty() || before.ends_with('.')).then_some(before)
    })?;
    // Words that wrappers put before all names are looked through on import.
    Some(Own { shapes, before, used: Vec::new() }.text())
}

struct Own<'s> {
    shapes: &'s Shapes,
    before: &'s str,
    used: Vec<String>,
}

impl<'s> Own<'s> {
    fn has(&self, name: &str) -> bool {
        self.shapes.contains_key(&format!("{}{name}", self.before))
    }

    /// The shape of a tensor, if there is one.
    fn shape(&mut self, name: &str) -> Option<&'s [usize]> {
        let name = format!("{}{name}", self.before);
        let shape = self.shapes.get(&name)?;
        self.used.push(name);
        Some(shape)
    }

    /// How many values a vector has.
    fn length(&mut self, name: &str) -> Result<usize, String> {
        let shape = self.shape(name).ok_or_else(|| format!("it has no `{name}`"))?;
        Ok(shape.iter().product())
    }

    /// Inputs and outputs of a linear map, one of which is known by the vector beside it.
    fn map(&mut self, name: &str, known: [Option<usize>; 2]) -> Result<[usize; 2], String> {
        let shape = self.shape(name).ok_or_else(|| format!("it has no `{name}`"))?;
        let count: usize = shape.iter().product();
        match known {
            [Some(inputs), _] if count.is_multiple_of(inputs.max(1)) => Ok([inputs, count / inputs.max(1)]),
            [None, Some(outputs)] if count.is_multiple_of(outputs.max(1)) => {
                Ok([count / outputs.max(1), outputs])
            }
            _ => Err(format!("`{name}` has the shape {shape:?}, which the other tensors do not fit")),
        }
    }

    /// A bias, or a line that says that there is none; `key` and `weight` are those of the description.
    fn bias(&mut self, text: &mut Text, [key, word, weight, bias]: [&str; 4]) {
        if self.shape(&bias.replace("{layer}", "0")).is_none() {
            text.set("tensors", key, format!("{{ {word} = \"{weight}\", bias = false }}"));
        }
    }

    fn text(mut self) -> Result<Text, String> {
        let mut text = Text::default();
        let width = self.length("l0.ln1.g")?;
        let hidden = match self.has("l0.ff1.b") {
            true => self.length("l0.ff1.b")?,
            false => self.map("l0.ff1.w", [Some(width), None])?[1],
        };
        text.quoted("", "name", "transformer");
        self.input(&mut text, width)?;
        self.positions(&mut text);
        self.encoder(&mut text, width, hidden)?;
        self.pooling(&mut text)?;
        for (key, word, weight, bias) in [
            ("norm1", "gain", "l{layer}.ln1.g", "l{layer}.ln1.b"),
            ("query", "weight", "l{layer}.wq", "l{layer}.bq"),
            ("value", "weight", "l{layer}.wv", "l{layer}.bv"),
            ("output", "weight", "l{layer}.wo", "l{layer}.bo"),
            ("norm2", "gain", "l{layer}.ln2.g", "l{layer}.ln2.b"),
            ("expand", "weight", "l{layer}.ff1.w", "l{layer}.ff1.b"),
            ("contract", "weight", "l{layer}.ff2.w", "l{layer}.ff2.b"),
            ("head", "weight", "head.w", "head.b"),
        ] {
            self.length(&weight.replace("{layer}", "0"))?;
            self.bias(&mut text, [key, word, weight, bias]);
        }
        let in_layer = |name: &str| {
            let rest = name.strip_prefix(self.before).and_then(|name| name.strip_prefix('l'));
            let number = rest.and_then(|rest| rest.split_once('.'));
            number.map_or(name.to_string(), |(number, rest)| match number.parse::<usize>() {
                Ok(_) => format!("{}l0.{rest}", self.before),
                Err(_) => name.to_string(),
            })
        };
        let others = self.shapes.keys().filter(|name| !self.used.contains(&in_layer(name)));
        let others: Vec<String> = others.map(|name| format!("\"{name}\"")).collect();
        if !others.is_empty() {
            let list = format!("[{}]", others.join(", "));
            text.guess("tensors", "ignore", list, "whether the scores need these");
        }
        Ok(text)
    }

    fn input(&mut self, text: &mut Text, width: usize) -> Result<(), String> {
        if let Some(table) = self.shape("embed") {
            text.quoted("input", "kind", "tokens");
            return if table.last() == Some(&width) {
                Ok(())
            } else {
                Err("its `embed` has another width".into())
            };
        }
        let [values, _] = self.map("stem.w", [None, Some(width)])?;
        let normalized = self.has("norm.mean");
        let (channels, known) = match self.shape("stem.w") {
            _ if normalized => (self.length("norm.mean")?, true),
            // Of a convolution, in the order of either framework.
            Some([_, channels, _]) => (*channels, true),
            _ => (1, false),
        };
        self.shape("norm.std");
        match normalized {
            true => text.quoted("input", "kind", "samples"),
            false => text.guess(
                "input",
                "kind",
                "\"samples\"",
                "\"one-hot\" of symbols, which has `symbols = …` in place of `channels`, `scale` and `normalize`",
            ),
        }
        text.channels(channels, known);
        text.guess("input", "scale", "1.0", "the real value of one raw unit");
        if !normalized {
            text.set("input", "normalize", false);
        }
        let steps = values / channels.max(1);
        text.guess("input", "window", format!("{{ width = {steps}, stride = {steps} }}"), "the stride");
        self.bias(text, ["stem", "weight", "stem.w", "stem.b"]);
        Ok(())
    }

    fn positions(&mut self, text: &mut Text) {
        if self.shape("pos").is_some() {
            return;
        }
        if [0, 1].iter().all(|axis| self.shape(&format!("pos.{axis}")).is_some()) {
            return text.quoted("positions", "kind", "axial");
        }
        text.guess("positions", "kind", "\"none\"", "\"sinusoidal\" where they are computed");
        text.guess("", "max_tokens", 256, "the longest sequence, which the memory grows with");
    }

    fn encoder(&mut self, text: &mut Text, width: usize, hidden: usize) -> Result<(), String> {
        let layers = (0..).take_while(|layer| self.has(&format!("l{layer}.wq"))).count();
        let [_, joined] = self.map(FIRST, [Some(width), None])?;
        text.set("encoder", "layers", layers);
        text.set("encoder", "width", width);
        let heads = self.attention(text, joined)?;
        match heads {
            Some(heads) => text.set("encoder", "heads", heads),
            None => text.guess("encoder", "heads", usual_heads(joined), HEADS),
        }
        if joined != width {
            let head_width = joined / heads.unwrap_or(usual_heads(joined)).max(1);
            text.guess("encoder", "head_width", head_width, &format!("{joined} / heads"));
        }
        text.set("encoder", "hidden", hidden);
        text.guess("encoder", "activation", "\"relu\"", "\"gelu\", \"gelu-tanh\" or \"tanh\"");
        let last = if self.has("lnf.g") { Some(self.length("lnf.g")?) } else { None };
        match last == Some(2 * width) {
            true => text.quoted("encoder", "norm", "reversible"),
            false => text.guess("encoder", "norm", "\"pre\"", "\"post\" where norms follow the sums"),
        }
        text.guess("encoder", "epsilon", "1e-5", "of the norms");
        match last {
            Some(_) => self.bias(text, ["final_norm", "gain", "lnf.g", "lnf.b"]),
            None => text.set("encoder", "final_norm", false),
        }
        if self.shape("lne.g").is_some() {
            text.set("encoder", "embedding_norm", true);
            self.bias(text, ["embedding_norm", "gain", "lne.g", "lne.b"]);
        }
        // Square matrices say nothing of the order of their axes.
        let expand = format!("{}l0.ff1.w", self.before);
        let is_torch = self.shapes.get(&expand).is_some_and(|shape| shape[..] == [hidden, width]);
        if is_torch && hidden != width {
            text.quoted("tensors", "layout", "out-in");
        }
        Ok(())
    }

    /// What the tensors of the first layer say of its attention, and its number of heads, where they do.
    fn attention(&mut self, text: &mut Text, joined: usize) -> Result<Option<usize>, String> {
        let mut heads = None;
        let value = if let Some(bias) = self.shape("l0.rpb") {
            let &[rows, count] = bias else { return Err("its `l0.rpb` is no matrix".to_string()) };
            heads = Some(count);
            text.quoted("tensors", "position_bias", "l{layer}.rpb");
            format!("{{ kind = \"hierarchical\", block = {} }}", rows.div_ceil(4))
        } else if let Some(projection) = self.shape("l0.w") {
            heads = projection.last().map(|head_width| joined / head_width.max(&1));
            text.quoted("tensors", "projection", "l{layer}.w");
            "{ kind = \"favor\" }".to_string()
        } else if let Some(plan) = self.shape("l0.plan") {
            let &[count, _, random] = plan else {
                return Err("its `l0.plan` has not three axes".to_string());
            };
            heads = Some(count);
            text.quoted("tensors", "plan", "l{layer}.plan");
            format!("{{ kind = \"bigbird\", block = 16, random = {random} }}")
        } else if !self.has("l0.wk") {
            if self.shape("l0.r").is_some() {
                text.quoted("tensors", "rotations", "l{layer}.r");
            }
            "{ kind = \"lsh\", buckets = 8, rounds = 2, chunk = 16 }".to_string()
        } else {
            "{ kind = \"exact\" }".to_string()
        };
        if self.shape("l0.wk").is_some() {
            self.bias(text, ["key", "weight", "l{layer}.wk", "l{layer}.bk"]);
        }
        text.guess("encoder", "attention", value, "its kind and what that takes, and `causal`");
        Ok(heads)
    }

    fn pooling(&mut self, text: &mut Text) -> Result<(), String> {
        let class = self.shape("cls").is_some();
        let kind = if class { "\"first\"" } else { "\"mean\"" };
        text.guess("pooling", "kind", kind, "\"mean\", \"max\", \"first\" or \"last\"");
        if class {
            text.quoted("tensors", "class_token", "cls");
        }
        if self.shape("lnp.g").is_some() {
            text.set("pooling", "norm", true);
            self.bias(text, ["pooled_norm", "gain", "lnp.g", "lnp.b"]);
        }
        if self.shape("hidden.w").is_some() {
            let what = "its activation: \"relu\", \"gelu\", \"gelu-tanh\" or \"tanh\"";
            text.guess("head", "hidden", "\"relu\"", what);
            self.bias(text, ["hidden", "weight", "hidden.w", "hidden.b"]);
        }
        Ok(())
    }
}
