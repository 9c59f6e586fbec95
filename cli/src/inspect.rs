//! `fixformer inspect`.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, anyhow};
use clap::Args;
use fixformer::Model;
use fixformer::host::count::thousands;
use fixformer::host::judge::Judge;
use fixformer::host::printable::printable;
use fixformer::kernels::Activation;
use fixformer::model::{
    Causality, Input, Level, NormOrder, Pooling, PoolingWindow, Positions, Task, VERSION, Window,
};
use fixformer::session::Plan;

use crate::layers::layers;
use crate::model_file::ModelFile;
use crate::plan;
use crate::table::Table;
use crate::threshold::Found;

#[derive(Args)]
pub(crate) struct Arguments {
    /// Model file
    #[arg(value_name = "FXM")]
    file: PathBuf,
    /// Only the arena: which buffer lies where, and in which stages of a run it is needed
    #[arg(long)]
    plan: bool,
    /// The plan of a stream, not that of a whole run
    #[arg(long, requires = "plan")]
    stream: bool,
    /// The plan of passes over a recording that is read again and again
    #[arg(long, requires = "plan", conflicts_with = "stream")]
    passes: bool,
    /// The plan as one JSON object
    #[arg(long, requires = "plan")]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments, out: &mut impl Write) -> Result<ExitCode> {
    let file = ModelFile::read(&arguments.file)?;
    let model = file.model()?;
    let plan = if arguments.stream {
        Plan::of_stream(&model).map_err(|error| anyhow!("{}: {error}", arguments.file.display()))?
    } else if arguments.passes {
        Plan::of_passes(&model).map_err(|error| anyhow!("{}: {error}", arguments.file.display()))?
    } else {
        Plan::of(&model)
    };
    if arguments.json {
        plan::json(&file.name(&model), &plan, out)?;
        return Ok(ExitCode::SUCCESS);
    }
    if arguments.plan {
        plan::write(&plan, out)?;
        return Ok(ExitCode::SUCCESS);
    }
    let (bytes, checksum) = (thousands(model.bytes()), file.checksum());
    let name = file.name(&model);
    let name = printable(&name);
    writeln!(out, "{name}: format version {VERSION}, {bytes} bytes, CRC-32 {checksum:08x}")?;
    for (key, text) in summary(&model) {
        writeln!(out, "  {key:<10} {text}")?;
    }
    writeln!(out)?;
    parameters(&model, out)?;
    writeln!(out)?;
    plan::write(&plan, out)?;
    Ok(ExitCode::SUCCESS)
}

fn summary(model: &Model<'_>) -> Vec<(&'static str, String)> {
    let steps = model.max_input() / model.input.step_values();
    let positions = match &model.positions {
        Positions::None => "none",
        Positions::Learned(_) => "learned",
        Positions::Sinusoidal(_) => "sinusoidal",
        Positions::Axial(_) => "axial",
    };
    let pooling = match model.pooling {
        Pooling::None => "none: every token has scores of its own".to_owned(),
        Pooling::Mean => "mean of the tokens".to_owned(),
        Pooling::Max => "maximum of the tokens".to_owned(),
        Pooling::First => "first token".to_owned(),
        Pooling::Last => "last token".to_owned(),
        Pooling::WindowMean(window) => format!("mean of the tokens of {}", recent(window)),
        Pooling::WindowMax(window) => format!("maximum of the tokens of {}", recent(window)),
    };
    let pooling = if model.pooled_norm.is_some() { pooling + ", then a norm" } else { pooling };
    let class = if model.class_token.is_some() { " with the class token" } else { "" };
    vec![
        ("input", input(model)),
        ("length", format!("up to {} tokens{class}, {} steps", model.max_tokens, thousands(steps))),
        (
            "stream",
            Plan::of_stream(model).map_or_else(|error| format!("no: {error}"), |plan| plan::as_stream(&plan)),
        ),
        (
            "passes",
            Plan::of_passes(model).map_or_else(|error| format!("no: {error}"), |plan| plan::in_passes(&plan)),
        ),
        ("positions", positions.to_owned()),
        ("blocks", blocks(model)),
        ("pooling", pooling),
        (
            "head",
            model.head_hidden.map_or("linear".to_owned(), |layer| {
                format!("{} hidden {}, then linear", layer.linear.outputs, activation(layer.activation))
            }),
        ),
        ("answers", answers(model)),
    ]
}

/// What the scores say, of what, and from where on it is yes.
fn answers(model: &Model<'_>) -> String {
    let answers = &model.answers;
    let count = answers.named();
    let named = |index: usize| match (answers.name(index), answers.unit(index)) {
        (Some(name), Some(unit)) => format!("{name} in {unit}"),
        (None, Some(unit)) => format!("{index} in {unit}"),
        (name, None) => name.map_or_else(|| index.to_string(), str::to_owned),
    };
    let known = (0..count).any(|index| answers.name(index).is_some() || answers.unit(index).is_some());
    let names = if known {
        format!(": {}", (0..count).map(named).collect::<Vec<_>>().join(", "))
    } else {
        String::new()
    };
    let what = match answers.task {
        Task::Multiclass => format!("one of {count} classes{names}"),
        Task::Multilabel if answers.outputs == 1 => format!("yes or no{names}"),
        Task::Multilabel => format!("{count} labels, each yes or no{names}"),
        Task::Regression if count == 1 => format!("a number{names}"),
        Task::Regression => format!("{count} numbers{names}"),
    };
    let each = if model.is_per_token() { ", of each token" } else { "" };
    let thresholds: Vec<String> = match answers.has_thresholds() {
        true => Found::all(&Judge::of(model)).iter().map(Found::shown).collect(),
        false => Vec::new(),
    };
    let above = if thresholds.is_empty() {
        String::new()
    } else {
        format!("; yes above a probability of {}", thresholds.join(", "))
    };
    format!("{what}{each}{above}")
}

fn recent(PoolingWindow { block, blocks }: PoolingWindow) -> String {
    format!("the last {blocks} blocks of {block}, the open one included")
}

fn input(model: &Model<'_>) -> String {
    let windows = |window: &Window| format!("windows of {} steps every {}", window.width, window.stride);
    match &model.input {
        Input::Samples { channels, window, level, .. } => {
            let scales: Vec<f32> =
                model.sample_scale_bits().iter().map(|&bits| f32::from_bits(bits)).collect();
            let level = match level {
                Level::Raw => String::new(),
                Level::Centred => ", mean of the recording removed".to_owned(),
                Level::Standardized => ", standardized over the recording".to_owned(),
                Level::RunningCentred { forgetting } => {
                    format!(", running mean over about {} samples removed", thousands(1 << forgetting))
                }
                Level::RunningStandardized { forgetting, floor } => format!(
                    ", standardized over about {} samples so far, deviation at least {}",
                    thousands(1 << forgetting),
                    *floor as f32 / 256.0 * scales.first().copied().unwrap_or(1.0)
                ),
            };
            let per_step = if *channels == 1 { "1 value" } else { &format!("{channels} values") };
            let with_unit = |(channel, scale): (usize, &f32)| match model.input_unit(channel) {
                Some(unit) => format!("{scale} {unit}"),
                None => scale.to_string(),
            };
            // One scale may be that of channels with units of their own.
            let each = if scales.len() == 1 && model.input_unit(0) != model.input_unit(channels - 1) {
                vec![scales[0]; *channels]
            } else {
                scales
            };
            let scales: Vec<String> = each.iter().enumerate().map(with_unit).collect();
            let units = if scales.is_empty() { "their own".to_owned() } else { scales.join(", ") };
            format!("samples, {per_step} a step in units of {units}, {}{level}", windows(window))
        }
        Input::OneHot { symbols, window, .. } => {
            format!("symbols 0 to {} (any other is a zero row), {}", symbols - 1, windows(window))
        }
        Input::Tokens { table } => format!("tokens 0 to {}", table.rows - 1),
    }
}

/// What all blocks have in common, or each for itself.
fn blocks(model: &Model<'_>) -> String {
    let mut kinds: Vec<String> = model
        .blocks()
        .map(|block| {
            let order = match block.order {
                NormOrder::Pre => "norm before",
                NormOrder::Post => "norm after",
                NormOrder::Reversible => "reversible, norm before",
            };
            let activation = activation(block.feed_forward.activation);
            let causal = match block.attention.causality() {
                Causality::Bidirectional => "bidirectional",
                Causality::Masked => "masked causal",
                Causality::Strict => "strictly causal",
            };
            let hidden = block.feed_forward.expand.outputs;
            let mechanism = block.attention.kind.to_string();
            format!("{causal} {mechanism} attention, {hidden} hidden {activation}, {order} each sublayer")
        })
        .collect();
    kinds.dedup();
    let (count, width, heads) = (model.block_count, model.width, model.heads);
    format!("{count} of width {width} with {heads} heads; {}", kinds.join(" | "))
}

fn activation(activation: Activation) -> &'static str {
    match activation {
        Activation::Relu => "ReLU",
        Activation::GeluErf => "GELU (erf)",
        Activation::GeluTanh => "GELU (tanh)",
        Activation::Tanh => "tanh",
    }
}

fn parameters(model: &Model<'_>, out: &mut impl Write) -> Result<()> {
    let layers = layers(model);
    let mut table = Table::new(2, &["layer", "shape", "bits", "frac", "bytes"]);
    for layer in &layers {
        table.row([
            layer.name.clone(),
            layer.shape.clone(),
            layer.bits.to_string(),
            layer.frac.to_string(),
            thousands(layer.bytes),
        ]);
    }
    let parameters: usize = layers.iter().map(|layer| layer.bytes).sum();
    let header = ["header", "", "", "", &thousands(model.bytes() - parameters)].map(str::to_owned);
    let total = ["all", "", "", "", &thousands(model.bytes())].map(str::to_owned);
    table.row(header);
    table.row(total);
    Ok(table.write(out)?)
}
