//! The layers of a model and the flash that each takes.

use fixformer::Model;
use fixformer::model::{AttentionKind, Input, Linear, Norm, Positions, Table, Weights};

/// A layer with parameters.
pub(crate) struct Layer {
    /// `block 0 query`.
    pub(crate) name: String,
    /// What it is for.
    pub(crate) kind: Kind,
    /// `24 -> 32`.
    pub(crate) shape: String,
    /// Bits of a weight.
    pub(crate) bits: u32,
    /// Fractional bits of the output.
    pub(crate) frac: i32,
    /// Bytes of parameters in the file, with the padding to whole words.
    pub(crate) bytes: usize,
}

/// What the parameters of a layer are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Embedding,
    Positions,
    Attention,
    FeedForward,
    Norms,
    Head,
}

impl Kind {
    /// Every kind, in the order of the forward pass.
    pub(crate) const ALL: [Self; 6] =
        [Self::Embedding, Self::Positions, Self::Attention, Self::FeedForward, Self::Norms, Self::Head];

    /// Name in reports.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Embedding => "embedding",
            Self::Positions => "positions",
            Self::Attention => "attention",
            Self::FeedForward => "feed-forward",
            Self::Norms => "norms",
            Self::Head => "head",
        }
    }
}

/// Every layer, in the order of the forward pass.
pub(crate) fn layers(model: &Model<'_>) -> Vec<Layer> {
    let mut layers = Vec::new();
    layers.push(match &model.input {
        Input::Samples { stem, .. } | Input::OneHot { stem, .. } => linear("stem", Kind::Embedding, stem),
        Input::Tokens { table: rows } => table("table", Kind::Embedding, rows),
    });
    layers.extend(model.class_token.map(|row| Layer {
        name: "class token".to_owned(),
        kind: Kind::Embedding,
        shape: row.len().to_string(),
        bits: 16,
        frac: model.input.frac(),
        bytes: padded(row),
    }));
    match &model.positions {
        Positions::None => {}
        Positions::Learned(rows) => layers.push(table("positions", Kind::Positions, rows)),
        Positions::Axial(tables) => {
            layers.push(table("positions 0", Kind::Positions, &tables[0]));
            layers.push(table("positions 1", Kind::Positions, &tables[1]));
        }
        Positions::Sinusoidal(steps) => layers.push(Layer {
            name: "angular steps".to_owned(),
            kind: Kind::Positions,
            shape: steps.len().to_string(),
            bits: 32,
            frac: 32,
            bytes: size_of_val(*steps),
        }),
    }
    layers.extend(model.embedding_norm.as_ref().map(|layer| norm("embedding norm", layer)));
    for (index, block) in model.blocks().enumerate() {
        let name = |layer: &str| format!("block {index} {layer}");
        let (attention, network) = (&block.attention, &block.feed_forward);
        layers.push(norm(&name("norm1"), &block.norm1));
        layers.push(linear(&name("query"), Kind::Attention, &attention.query));
        layers.extend(attention.key.map(|key| linear(&name("key"), Kind::Attention, &key)));
        layers.push(linear(&name("value"), Kind::Attention, &attention.value));
        layers.push(linear(&name("output"), Kind::Attention, &attention.output));
        layers.extend(of_mechanism(&name, &attention.kind, model.heads));
        layers.push(norm(&name("norm2"), &block.norm2));
        layers.push(linear(&name("expand"), Kind::FeedForward, &network.expand));
        layers.push(linear(&name("contract"), Kind::FeedForward, &network.contract));
    }
    layers.extend(model.final_norm.as_ref().map(|layer| norm("final norm", layer)));
    layers.extend(model.pooled_norm.as_ref().map(|layer| norm("pooled norm", layer)));
    layers.extend(model.head_hidden.map(|layer| linear("hidden", Kind::Head, &layer.linear)));
    layers.push(linear("head", Kind::Head, &model.head));
    layers
}

/// What a mechanism of attention keeps in the file.
fn of_mechanism(name: &dyn Fn(&str) -> String, kind: &AttentionKind<'_>, heads: usize) -> Option<Layer> {
    let (layer, values, frac) = match kind {
        AttentionKind::Hierarchical(parameters) => ("position bias", parameters.bias, 10),
        AttentionKind::BigBird(parameters) => ("random blocks", parameters.plan, 0),
        _ => return None,
    };
    (!values.is_empty()).then(|| Layer {
        name: name(layer),
        kind: Kind::Attention,
        shape: format!("{heads} x {}", values.len() / heads),
        bits: 16,
        frac,
        bytes: padded(values),
    })
}

fn linear(name: &str, kind: Kind, layer: &Linear<'_>) -> Layer {
    let Linear { inputs, outputs, weights, channels, frac, .. } = layer;
    Layer {
        name: name.to_owned(),
        kind,
        shape: format!("{inputs} -> {outputs}"),
        bits: weights.bits(),
        frac: *frac,
        bytes: bytes(weights) + padded(channels.multipliers) + padded(channels.bias),
    }
}

fn table(name: &str, kind: Kind, layer: &Table<'_>) -> Layer {
    let Table { rows, width, weights, multipliers, frac, .. } = layer;
    Layer {
        name: name.to_owned(),
        kind,
        shape: format!("{rows} x {width}"),
        bits: weights.bits(),
        frac: *frac,
        bytes: bytes(weights) + padded(multipliers),
    }
}

fn norm(name: &str, layer: &Norm<'_>) -> Layer {
    Layer {
        name: name.to_owned(),
        kind: Kind::Norms,
        shape: layer.parameters.gain.len().to_string(),
        bits: 16,
        frac: layer.frac,
        bytes: padded(layer.parameters.gain) + padded(layer.parameters.bias),
    }
}

fn bytes(weights: &Weights<'_>) -> usize {
    match weights {
        Weights::Int8(values) => padded(values),
        Weights::Int16(values) => padded(values),
    }
}

/// Arrays begin at whole words.
fn padded<T>(values: &[T]) -> usize {
    size_of_val(values).next_multiple_of(4)
}
