//! The layers of a model and the flash that each takes.

use fixformer::Model;
use fixformer::model::{AttentionKind, Input, Linear, Norm, Positions, Rotations, Table, Weights};

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
    Names,
}

impl Kind {
    /// Every kind, in the order of the forward pass.
    pub(crate) const ALL: [Self; 7] = [
        Self::Embedding,
        Self::Positions,
        Self::Attention,
        Self::FeedForward,
        Self::Norms,
        Self::Head,
        Self::Names,
    ];

    /// Name in reports.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Embedding => "embedding",
            Self::Positions => "positions",
            Self::Attention => "attention",
            Self::FeedForward => "feed-forward",
            Self::Norms => "norms",
            Self::Head => "head",
            Self::Names => "names",
        }
    }
}

/// Every layer, in the order of the forward pass.
pub(crate) fn layers(model: &Model<'_>) -> Vec<Layer> {
    let mut layers = Vec::new();
    layers.extend(array("sample scale", Kind::Embedding, model.sample_scale_bits(), 0));
    layers.push(match &model.input {
        Input::Samples { stem, .. } | Input::OneHot { stem, .. } => linear("stem", Kind::Embedding, stem),
        Input::Tokens { table: rows } => table("table", Kind::Embedding, rows),
    });
    let class_token = model.class_token.unwrap_or_default();
    layers.extend(array("class token", Kind::Embedding, class_token, model.input.frac()));
    match &model.positions {
        Positions::None => {}
        Positions::Learned(rows) => layers.push(table("positions", Kind::Positions, rows)),
        Positions::Axial(tables) => {
            layers.push(table("positions 0", Kind::Positions, &tables[0]));
            layers.push(table("positions 1", Kind::Positions, &tables[1]));
        }
        Positions::Sinusoidal(steps) => {
            layers.extend(array("angular steps", Kind::Positions, steps, 32));
        }
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
        layers.extend(of_mechanism(&name, &attention.kind, model));
        layers.push(norm(&name("norm2"), &block.norm2));
        layers.push(linear(&name("expand"), Kind::FeedForward, &network.expand));
        layers.push(linear(&name("contract"), Kind::FeedForward, &network.contract));
    }
    layers.extend(model.final_norm.as_ref().map(|layer| norm("final norm", layer)));
    layers.extend(model.pooled_norm.as_ref().map(|layer| norm("pooled norm", layer)));
    layers.extend(model.head_hidden.map(|layer| linear("hidden", Kind::Head, &layer.linear)));
    layers.push(linear("head", Kind::Head, &model.head));
    layers.extend(array("thresholds", Kind::Head, model.answers.thresholds(), model.head.frac));
    layers.extend(array("names", Kind::Names, &vec![0_u8; model.text_bytes()], 0));
    layers
}

/// What a mechanism of attention keeps in the file.
fn of_mechanism(name: &dyn Fn(&str) -> String, kind: &AttentionKind<'_>, model: &Model<'_>) -> Vec<Layer> {
    let (attention, heads) = (Kind::Attention, model.heads);
    let of_heads = |layer, values: &[i16], frac| {
        let shape = format!("{heads} x {}", values.len() / heads);
        array(&name(layer), attention, values, frac).map(|layer| Layer { shape, ..layer })
    };
    let layers = match kind {
        AttentionKind::Exact | AttentionKind::Local(_) => [None, None],
        AttentionKind::Hierarchical(parameters) => [
            of_heads("position bias", parameters.bias, 10),
            array(&name("extra bits"), attention, parameters.extra, 0),
        ],
        AttentionKind::BigBird(parameters) => [of_heads("random blocks", parameters.plan, 0), None],
        AttentionKind::BigBirdExtended(parameters) => [of_heads("random blocks", parameters.plan, 0), None],
        AttentionKind::Favor(parameters) => {
            let (rows, values) = (parameters.directions, parameters.projection);
            let shape = format!("{rows} x {}", values.len() / rows);
            let projection = array(&name("projection"), attention, values, 0);
            [projection.map(|layer| Layer { shape, ..layer }), None]
        }
        AttentionKind::Lsh(parameters) => {
            let (rotations, columns) = (name("rotations"), parameters.columns());
            let (heads, rounds, width) = (parameters.rotation_heads, parameters.rounds, model.head_width);
            let shape = format!("{heads} x {rounds} x {columns} x {width}");
            let layer = match parameters.rotations {
                Rotations::Signs(words) => {
                    array(&rotations, attention, words, 0).map(|layer| Layer { bits: 1, ..layer })
                }
                Rotations::Int8(values) => array(&rotations, attention, values, 0),
                Rotations::Int16(values) => array(&rotations, attention, values, 0),
            };
            [
                array(&name("bucket factors"), attention, parameters.factors, 0),
                layer.map(|layer| Layer { shape, ..layer }),
            ]
        }
        _ => [None, None],
    };
    layers.into_iter().flatten().collect()
}

/// Values that are no layer of their own; none if there are none.
fn array<T>(name: &str, kind: Kind, values: &[T], frac: i32) -> Option<Layer> {
    (!values.is_empty()).then(|| Layer {
        name: name.to_owned(),
        kind,
        shape: values.len().to_string(),
        bits: 8 * size_of::<T>() as u32,
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
