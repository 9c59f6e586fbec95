//! What stands before and after the layers, by the shapes of tensors that belong to none.

use std::borrow::ToOwned;
use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

use super::Text;

/// A linear map outside the layers.
#[derive(Debug, Clone)]
struct Map {
    weight: String,
    bias: Option<String>,
    inputs: usize,
    outputs: usize,
}

impl Map {
    fn toml(&self) -> String {
        let bias = self.bias.as_ref().map_or("false".to_owned(), |bias| format!("\"{bias}\""));
        format!("{{ weight = \"{}\", bias = {bias} }}", self.weight)
    }
}

/// How a framework calls and lays out parameters.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// `name.weight`, `[outputs, inputs]`, `[outputs, channels, steps]`.
    Torch,
    /// `name/kernel`, `[inputs, outputs]`, `[steps, channels, outputs]`; `name/gamma`; `name/embeddings`.
    Keras,
}

impl Style {
    fn bias(self, weight: &str) -> String {
        match self {
            Self::Torch => format!("{}bias", weight.trim_end_matches("weight")),
            Self::Keras if weight.ends_with("gamma") => format!("{}beta", weight.trim_end_matches("gamma")),
            Self::Keras => format!("{}bias", weight.trim_end_matches("kernel")),
        }
    }
}

/// What was found.
#[derive(Default)]
pub(super) struct Around {
    table: Option<String>,
    /// A convolution: name, channels, steps.
    convolution: Option<(Map, usize, usize)>,
    positions: Option<String>,
    class_token: Option<String>,
    norms: Vec<(String, String)>,
    maps: Vec<Map>,
    ignored: Vec<String>,
}

impl Around {
    /// Sorts the tensors that belong to no layer of a model of this width.
    pub(super) fn of(tensors: &[(&str, &[usize])], width: usize, style: Style) -> Self {
        let mut found = Self::default();
        let has = |name: &str| tensors.iter().any(|(other, _)| *other == name);
        for &(name, shape) in tensors {
            let lower = name.to_lowercase();
            let bias = style.bias(name);
            let bias = (bias != name && has(&bias)).then_some(bias);
            let is_bias = [".weight", "/kernel", "/gamma"].iter().any(|ending| {
                let (short, long) = (["bias", "beta"], ending.trim_start_matches(['.', '/']));
                short
                    .iter()
                    .any(|word| name.strip_suffix(word).is_some_and(|front| has(&format!("{front}{long}"))))
            });
            let squeezed: Vec<usize> = shape.iter().copied().filter(|&extent| extent != 1).collect();
            match squeezed[..] {
                _ if is_bias => {}
                _ if lower.contains("cls") || lower.contains("class_token") => {
                    found.class_token = Some(name.to_owned());
                }
                [_, columns] if lower.contains("pos") && columns == width => {
                    found.positions = Some(name.to_owned());
                }
                [gain] if gain == width && bias.is_some() && shape.len() == 1 => {
                    found.norms.push((name.to_owned(), bias.unwrap_or_default()));
                }
                _ if shape.len() == 3 => {
                    let [a, b, c] = [shape[0], shape[1], shape[2]];
                    let (channels, steps, outputs) = match style {
                        Style::Torch => (b, c, a),
                        Style::Keras => (b, a, c),
                    };
                    if outputs == width {
                        let weight = name.to_owned();
                        let map = Map { weight, bias, inputs: channels * steps, outputs };
                        found.convolution = Some((map, channels, steps));
                    } else {
                        found.ignored.push(name.to_owned());
                    }
                }
                _ if shape.len() == 2 => {
                    let embeds = lower.contains("emb") && bias.is_none() && shape[1] == width;
                    if embeds && found.table.is_none() {
                        found.table = Some(name.to_owned());
                        continue;
                    }
                    let (inputs, outputs) = match style {
                        Style::Torch => (shape[1], shape[0]),
                        Style::Keras => (shape[0], shape[1]),
                    };
                    found.maps.push(Map { weight: name.to_owned(), bias, inputs, outputs });
                }
                _ => found.ignored.push(name.to_owned()),
            }
        }
        found
    }

    /// Writes what stands around the layers of a model of this width.
    pub(super) fn write(mut self, text: &mut Text, width: usize) -> Result<(), String> {
        self.input(text, width)?;
        if let Some(name) = &self.class_token {
            text.quoted("tensors", "class_token", name);
        }
        match &self.positions {
            Some(name) => text.quoted("tensors", "positions", name),
            None => {
                text.guess("positions", "kind", "\"none\"", "\"sinusoidal\" where they are computed");
                text.guess("", "max_tokens", 256, "the longest sequence, which the memory grows with");
            }
        }
        self.norms(text);
        self.head(text, width)?;
        if !self.ignored.is_empty() {
            let quoted: Vec<String> = self.ignored.iter().map(|name| format!("\"{name}\"")).collect();
            text.guess(
                "tensors",
                "ignore",
                format!("[{}]", quoted.join(", ")),
                "whether the scores need these",
            );
        }
        Ok(())
    }

    fn input(&mut self, text: &mut Text, width: usize) -> Result<(), String> {
        if let Some(table) = &self.table {
            text.quoted("input", "kind", "tokens");
            text.quoted("tensors", "table", table);
            return Ok(());
        }
        let (map, channels, steps, known) = match self.convolution.take() {
            Some((map, channels, steps)) => (map, channels, steps, true),
            None => {
                // The first map into the width that does not come from it, or any.
                let from_elsewhere = |map: &Map| map.outputs == width && map.inputs != width;
                let into = |map: &Map| map.outputs == width;
                let at =
                    self.maps.iter().position(from_elsewhere).or_else(|| self.maps.iter().position(into));
                let at =
                    at.ok_or("no tensor makes tokens of its input: no embedding, convolution or linear map")?;
                let map = self.maps.remove(at);
                let steps = map.inputs;
                (map, 1, steps, false)
            }
        };
        text.quoted("input", "kind", "samples");
        text.channels(channels, known);
        text.guess("input", "scale", "1.0", "the real value of one raw unit");
        text.guess(
            "input",
            "normalize",
            false,
            "true, and tensors.mean and tensors.deviation, where data are normalised",
        );
        let stride = steps;
        text.guess("input", "window", format!("{{ width = {steps}, stride = {stride} }}"), "the stride");
        text.set("tensors", "stem", map.toml());
        Ok(())
    }

    fn norms(&mut self, text: &mut Text) {
        let before = |name: &str| {
            ["emb", "input", "pre", "patch", "stem"].iter().any(|word| name.to_lowercase().contains(word))
        };
        let toml = |(gain, bias): &(String, String)| format!("{{ gain = \"{gain}\", bias = \"{bias}\" }}");
        let embedding = self.norms.iter().position(|(gain, _)| before(gain));
        if let Some(norm) = embedding.map(|at| self.norms.remove(at)) {
            text.set("encoder", "embedding_norm", true);
            text.set("tensors", "embedding_norm", toml(&norm));
        }
        match &self.norms[..] {
            [] => text.set("encoder", "final_norm", false),
            [norm] => {
                let what =
                    "it may stand after pooling: then false, `pooling.norm = true` and `tensors.pooled_norm`";
                text.guess("encoder", "final_norm", true, what);
                text.set("tensors", "final_norm", toml(norm));
            }
            [first, second, rest @ ..] => {
                text.guess("encoder", "final_norm", true, "which norm is which: this and that of `pooling`");
                text.set("tensors", "final_norm", toml(first));
                text.set("pooling", "norm", true);
                text.set("tensors", "pooled_norm", toml(second));
                self.ignored.extend(rest.iter().flat_map(|(gain, bias)| [gain.clone(), bias.clone()]));
            }
        }
    }

    fn head(&mut self, text: &mut Text, width: usize) -> Result<(), String> {
        let class = self.class_token.is_some();
        let kind = if class { "\"first\"" } else { "\"mean\"" };
        text.guess("pooling", "kind", kind, "\"mean\", \"max\", \"first\" or \"last\"");
        let missing = || "no linear map takes the width to scores".to_string();
        // A map from the width, and another one from what it gives.
        let from = |inputs: usize| move |map: &&Map| map.inputs == inputs;
        let hidden = self.maps.iter().filter(from(width)).find_map(|first| {
            let second = self
                .maps
                .iter()
                .find(|second| second.inputs == first.outputs && second.weight != first.weight)?;
            Some((first.clone(), second.clone()))
        });
        let (used, head) = match hidden {
            Some((first, second)) => {
                text.guess(
                    "head",
                    "hidden",
                    "\"relu\"",
                    "its activation: \"relu\", \"gelu\", \"gelu-tanh\" or \"tanh\"",
                );
                text.set("tensors", "hidden", first.toml());
                (Some(first.weight), second)
            }
            None => (None, self.maps.iter().find(from(width)).cloned().ok_or_else(missing)?),
        };
        text.set("tensors", "head", head.toml());
        let rest =
            self.maps.iter().filter(|map| map.weight != head.weight && Some(&map.weight) != used.as_ref());
        let rest: Vec<String> =
            rest.flat_map(|map| [Some(map.weight.clone()), map.bias.clone()]).flatten().collect();
        self.ignored.extend(rest);
        Ok(())
    }
}
