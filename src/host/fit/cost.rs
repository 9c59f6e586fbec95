//! Instructions of a model on each emulated core, layer by layer, estimated from what kernels and heads were
//! counted to take (`cargo xtask bench`), and cycles of the core, estimated from those.
//!
//! A count is taken as a sum of rates times what there is to do: products, outputs, rows, calls, pairs of a query
//! and a key. `costs.txt` holds the rates; [`derive()`] makes it from the counts.

mod rates;

use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

pub use rates::derive;

use crate::attention::{Order, Way};
use crate::kernels::Activation;
use crate::model::{AttentionKind, Block, Input, Linear, Model, Norm, NormOrder, Positions};
use crate::session::{Plan, Stage};

/// `CORE NAME RATE...`, one line each.
pub const TABLE: &str = include_str!("cost/costs.txt");

/// `CORE NAME RATIO`: cycles an instruction, by the published tables of the cores (`cargo xtask bench --cycles`).
const CYCLES: &str = include_str!("cost/cycles.txt");

/// Rows that pass through a layer in one call.
const ROWS_PER_CALL: usize = 4;

/// What an element takes that is added to a sum of 64 bits, or for which one of its position is made: on the cores that were
/// counted 18 to 23, but for positions on Cortex-M0 (41).
const WIDE: f64 = 20.0;

/// What a layer is estimated to cost.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerCost {
    /// `embed`, `block0.attend`, … as in the profile of `cargo xtask bench`.
    pub name: String,
    /// Executed instructions, or cycles: what its core counts in.
    pub cost: f64,
}

/// The rates of one core.
#[derive(Clone, Copy, Debug)]
pub struct Core {
    name: &'static str,
    /// What its estimates count.
    unit: Unit,
}

#[derive(Clone, Copy, Debug)]
enum Unit {
    Instructions,
    Cycles,
}

impl Core {
    /// Every core that was counted.
    pub fn all() -> Vec<Self> {
        let mut names: Vec<_> = TABLE.lines().filter_map(|line| line.split(' ').next()).collect();
        names.dedup();
        names.into_iter().map(|name| Self { name, unit: Unit::Instructions }).collect()
    }

    /// The core of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::all().into_iter().find(|core| core.name == name)
    }

    /// The same core, whose estimates count cycles instead of instructions: without wait states of the memory, without
    /// caches, and without what a core does two at a time.
    pub fn in_cycles(self) -> Self {
        Self { unit: Unit::Cycles, ..self }
    }

    /// Name of its board: `m4`.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The layers of `model` for a sequence of `tokens`, in the order of the forward pass.
    pub fn layers(&self, model: &Model<'_>, tokens: usize) -> Vec<LayerCost> {
        let mut layers = Vec::new();
        let mut push = |name: &str, cost| {
            layers.push(LayerCost { name: name.to_string(), cost });
        };
        push(Stage::Embed.name(), self.embedding(model, tokens));
        let side_by_side = Plan::of(model).is_side_by_side();
        for (index, block) in model.blocks().enumerate() {
            for (stage, instructions) in self.block(model, &block, tokens, side_by_side) {
                push(&format!("block{index}.{stage}"), instructions);
            }
        }
        let norm = model.final_norm.as_ref().map_or(0.0, |norm| self.norm(norm, tokens));
        let pooled = tokens * model.output_width();
        let pool = norm + self.each("add", pooled) + self.wide(pooled);
        let hidden = model.head_hidden.as_ref().map_or(0.0, |layer| {
            let outputs = layer.linear.outputs;
            self.linear(&layer.linear, 1, outputs) + self.each(activation(layer.activation), outputs)
        });
        let norm = model.pooled_norm.as_ref().map_or(0.0, |norm| self.norm(norm, 1));
        let head = norm + hidden + self.linear(&model.head, 1, model.outputs());
        // Where each token has scores, they are made as it is pooled.
        let [of_tokens, of_pooled] =
            if model.is_per_token() { [tokens as f64 * head, 0.0] } else { [0.0, head] };
        push(Stage::Pool.name(), pool + of_tokens);
        push(Stage::Head.name(), of_pooled);
        layers
    }

    /// How often [`Passes`](crate::Passes) read a recording, samples that are only measured apart, and what all passes
    /// take together for a sequence of `tokens`; `None` where the model cannot run that way.
    pub fn passes(&self, model: &Model<'_>, tokens: usize) -> Option<(usize, f64)> {
        let plan = Plan::of_passes(model).ok()?;
        let first = |block: &Block<'_>| {
            Way::of(&block.attention.kind, block.attention.causal).order == Order::KeysFirst
        };
        let opens: Vec<usize> =
            model.blocks().enumerate().filter(|(_, block)| first(block)).map(|(index, _)| index).collect();
        let passes = opens.len() + 1;
        let mut sum = passes as f64 * self.embedding(model, tokens);
        for (index, block) in model.blocks().enumerate() {
            let parts = self.block(model, &block, tokens, plan.is_side_by_side());
            let all: f64 = parts.iter().map(|(_, instructions)| instructions).sum();
            // A block runs again for every later one that takes in its keys, and once more at the end.
            let runs = 1 + opens.iter().filter(|&&open| open > index).count();
            // Half of what a head does is to take in its keys; that is done once, as are their projections.
            let heads = self.head(&block.attention.kind, tokens, model.head_width, block.attention.causal);
            let keys = if first(&block) { parts[0].1 + model.heads as f64 * heads / 2.0 } else { 0.0 };
            sum += keys + runs as f64 * (all - keys);
        }
        let layers = self.layers(model, tokens);
        let ends = layers.iter().rev().take(2).map(|layer| layer.cost).sum::<f64>();
        Some((passes, sum + ends))
    }

    /// Instructions of one head.
    pub fn head(&self, kind: &AttentionKind<'_>, tokens: usize, width: usize, causal: bool) -> f64 {
        let direction = if causal { "causal" } else { "bidirectional" };
        let name = format!("{}_{direction}", kind.name());
        self.sum(&name, &rates::head_work(kind, tokens, width, causal))
    }

    /// Instructions of the token of a stream that takes most; `tokens` is the longest stream.
    ///
    /// Heads of a layer do their most at the same token, and so do the layers.
    pub fn worst_token(&self, model: &Model<'_>, tokens: usize) -> f64 {
        let (n, width) = (model.max_tokens, model.head_width);
        let layers = self.layers(model, n);
        let (head, rest) = layers.split_last().map_or((0.0, &layers[..]), |(head, rest)| (head.cost, rest));
        let mean = rest.iter().map(|layer| layer.cost).sum::<f64>() / n as f64 + head;
        let more = model.blocks().map(|Block { attention, .. }| {
            let worst = self.worst_head(&attention.kind, tokens, width);
            model.heads as f64 * (worst - self.head(&attention.kind, n, width, true) / n as f64)
        });
        mean + more.sum::<f64>()
    }

    /// The same of one head. Mechanisms that were not counted take what local attention takes for as many keys.
    pub fn worst_head(&self, kind: &AttentionKind<'_>, tokens: usize, width: usize) -> f64 {
        let work = rates::worst_work(kind, tokens, width);
        match kind {
            AttentionKind::Hierarchical(_) | AttentionKind::Favor(_) => {
                self.sum(&format!("{}_worst", kind.name()), &work)
            }
            _ => self.sum("local_worst", &work),
        }
    }

    fn embedding(&self, model: &Model<'_>, tokens: usize) -> f64 {
        let elements = tokens * model.width;
        let rows = match &model.input {
            Input::Samples { stem, .. } | Input::OneHot { stem, .. } => {
                self.linear(stem, tokens, stem.outputs) + self.each("add", tokens * stem.inputs)
            }
            Input::Tokens { .. } => self.each("add", elements),
        };
        let positions = match &model.positions {
            Positions::None => 0.0,
            // A row is looked up, then added.
            Positions::Learned(_) | Positions::Axial(_) | Positions::Sinusoidal(_) => {
                2.0 * self.each("add", elements) + self.wide(elements)
            }
        };
        rows + positions + model.embedding_norm.as_ref().map_or(0.0, |norm| self.norm(norm, tokens))
    }

    fn block(
        &self,
        model: &Model<'_>,
        block: &Block<'_>,
        tokens: usize,
        side_by_side: bool,
    ) -> [(Stage, f64); 4] {
        let (attention, network) = (&block.attention, &block.feed_forward);
        let (heads, width) = (model.heads, model.head_width);
        let elements = tokens * model.width;
        let post = block.order == NormOrder::Post;
        let (norm1, norm2) = (self.norm(&block.norm1, tokens), self.norm(&block.norm2, tokens));
        let of_head = |layer| self.linear(layer, tokens, width) + self.each("clamp", tokens * width);
        let norm1_before = if post { 0.0 } else { norm1 };
        let query = of_head(&attention.query);
        let key_and_value = attention.key.as_ref().map_or(0.0, of_head) + of_head(&attention.value);
        let Way { order, constant } = Way::of(&attention.kind, attention.causal);
        let side_by_side = constant && side_by_side;
        // Of each sweep over the keys: the heads of a group share the norm of a row.
        let norms = if side_by_side { 1 } else { heads };
        // With the keys come those queries that wait for them; the others are made when they are answered.
        let (sweeps, with_keys, again) = match order {
            Order::Backwards | Order::Together => (1, heads, 0),
            Order::KeysFirst if attention.kind.shares_query() => (1, heads, 1),
            Order::KeysFirst if side_by_side => (1, 0, heads),
            Order::KeysFirst => (1, heads - 1, 1),
            // The second sweep makes the keys again.
            Order::Twice if side_by_side => (2, heads, 0),
            Order::Twice => (2, 2 * heads - 1, 0),
        };
        let again_norm = if again > 0 { norm1_before } else { 0.0 };
        let attend = self.head(&attention.kind, tokens, width, attention.causal);
        let add = self.each("add", elements);
        let all = |layer: &Linear<'_>| self.linear(layer, tokens, layer.outputs);
        [
            (
                Stage::Project,
                sweeps as f64 * (heads as f64 * key_and_value + norms as f64 * norm1_before)
                    + with_keys as f64 * query,
            ),
            (Stage::Attend, heads as f64 * attend + again as f64 * query + again_norm),
            // The heads side by side: a copy.
            (Stage::Join, all(&attention.output) + 2.0 * add + if post { norm1 } else { 0.0 }),
            (
                Stage::Feed,
                all(&network.expand)
                    + self.each(activation(network.activation), tokens * network.expand.outputs)
                    + all(&network.contract)
                    + add
                    + norm2,
            ),
        ]
    }

    fn linear(&self, layer: &Linear<'_>, rows: usize, outputs: usize) -> f64 {
        let name = if layer.weights.bits() == 8 { "linear" } else { "linear_i16" };
        let calls = rows.div_ceil(ROWS_PER_CALL);
        let work = [rows * layer.inputs * outputs, rows * outputs, rows, calls];
        self.sum(name, &work.map(|count| count as f64))
    }

    fn norm(&self, norm: &Norm<'_>, rows: usize) -> f64 {
        rows as f64 * self.sum("layer_norm", &[norm.parameters.gain.len() as f64, 1.0])
    }

    fn each(&self, name: &str, elements: usize) -> f64 {
        self.sum(name, &[elements as f64])
    }

    fn wide(&self, elements: usize) -> f64 {
        self.each_takes("add") * WIDE * elements as f64
    }

    /// Rates times work.
    fn sum(&self, name: &str, work: &[f64]) -> f64 {
        let rates = self.line(TABLE, name).unwrap_or_default();
        let rates = rates.split(' ').filter_map(|rate| rate.parse::<f64>().ok());
        self.each_takes(name) * rates.zip(work).map(|(rate, work)| rate * work).sum::<f64>()
    }

    /// What an instruction of this name counts.
    fn each_takes(&self, name: &str) -> f64 {
        match self.unit {
            Unit::Instructions => 1.0,
            Unit::Cycles => self.cycles_an_instruction(name).unwrap_or(1.0),
        }
    }

    /// Cycles an instruction of what has this name in [`TABLE`].
    pub fn cycles_an_instruction(&self, name: &str) -> Option<f64> {
        // The worst token of a stream is one of a causal head.
        let name = name.strip_suffix("_worst").map_or(name.into(), |head| format!("{head}_causal"));
        self.line(CYCLES, &name)?.parse().ok()
    }

    /// What a table has under a name.
    fn line<'a>(&self, table: &'a str, name: &str) -> Option<&'a str> {
        table.lines().find_map(|line| {
            let rest = line.strip_prefix(self.name)?.strip_prefix(' ')?.strip_prefix(name)?;
            rest.strip_prefix(' ')
        })
    }
}

/// The name under which it was counted.
const fn activation(activation: Activation) -> &'static str {
    match activation {
        Activation::Relu => "relu",
        Activation::GeluErf => "gelu_erf",
        Activation::GeluTanh => "gelu_tanh",
        Activation::Tanh => "tanh",
    }
}
