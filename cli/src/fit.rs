//! `fixformer fit`.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use clap::builder::PossibleValuesParser;
use fixformer::Model;
use fixformer::host::count::thousands;
use fixformer::host::fit::cost::{Core, LayerCost};
use fixformer::host::fit::{BOARDS, Board, Knob, Need, Program, knobs, window_bytes};
use fixformer::host::printable::printable;
use fixformer::session::Plan;
use serde::Serialize;

use crate::layers::{Kind, layers};
use crate::model_file::ModelFile;
use crate::plan;
use crate::table::Table;

/// The model does not fit the board that was asked for.
const MISFIT: u8 = 3;

#[derive(Args)]
pub(crate) struct Arguments {
    /// Model file
    #[arg(value_name = "FXM")]
    file: PathBuf,
    /// Only this board; exit code 3 if the model does not fit it
    #[arg(long, value_name = "NAME", value_parser = PossibleValuesParser::new(BOARDS.iter().map(|board| board.name)))]
    board: Option<String>,
    /// RAM in one piece, for example 16K; with --flash instead of --board
    #[arg(long, value_name = "BYTES", value_parser = bytes, requires = "flash", conflicts_with = "board")]
    ram: Option<usize>,
    /// Flash, for example 256K; with --ram instead of --board
    #[arg(long, value_name = "BYTES", value_parser = bytes, requires = "ram", conflicts_with = "board")]
    flash: Option<usize>,
    /// Print one JSON object a board instead of the tables
    #[arg(long)]
    json: bool,
}

/// A board of the table or one from the command line.
struct Target<'a> {
    name: &'a str,
    part: &'a str,
    /// Of a board on the command line nobody knows the core.
    core: Option<Core>,
    flash: usize,
    ram: usize,
    program: Program,
}

impl Target<'_> {
    fn need(&self, model: &Model<'_>) -> Need {
        Need::of(model, &self.program)
    }

    fn fits(&self, model: &Model<'_>) -> bool {
        self.need(model).fits(self.flash, self.ram)
    }
}

pub(crate) fn run(arguments: &Arguments, out: &mut impl Write) -> Result<ExitCode> {
    let file = ModelFile::read(&arguments.file)?;
    let model = file.model()?;
    let (targets, asked) = targets(arguments);
    let name = file.name(&model);
    if arguments.json {
        for target in &targets {
            json(&name, &model, target, out)?;
        }
    } else {
        let tokens = model.max_tokens;
        let (name, width) = (printable(&name), model.width);
        writeln!(out, "{name}: up to {tokens} tokens of width {width}, {}\n", steps(&model, tokens))?;
        ram(&model, out)?;
        flash(&model, out)?;
        boards(&model, &targets, out)?;
        instructions(&model, &targets, out)?;
    }
    let misfit = targets.iter().any(|target| !target.fits(&model));
    Ok(if asked && misfit { ExitCode::from(MISFIT) } else { ExitCode::SUCCESS })
}

/// `16384`, `16K`, `1M`; K is 1024.
fn bytes(text: &str) -> Result<usize, String> {
    let upper = text.to_ascii_uppercase();
    let plain = upper.trim_end_matches('B').trim_end_matches('I');
    let (digits, unit) = match plain.strip_suffix(['K', 'M']) {
        Some(digits) if plain.ends_with('K') => (digits, 1 << 10),
        Some(digits) => (digits, 1 << 20),
        None => (plain, 1),
    };
    let count: Option<usize> = digits.trim().parse().ok();
    let bytes = count.and_then(|count| count.checked_mul(unit));
    bytes.ok_or_else(|| "expected a number of bytes, for example 16384, 16K or 1M".to_owned())
}

/// The boards to look at, and whether the command line named one.
fn targets(arguments: &Arguments) -> (Vec<Target<'_>>, bool) {
    if let (Some(flash), Some(ram)) = (arguments.flash, arguments.ram) {
        let program = Program::UNKNOWN;
        return (vec![Target { name: "custom", part: "as given", core: None, flash, ram, program }], true);
    }
    let wanted = arguments.board.as_deref();
    let boards = BOARDS.iter().filter(|board| wanted.is_none_or(|name| name == board.name));
    let target = |board: &'static Board| Target {
        name: board.name,
        part: board.part,
        core: Core::named(board.core),
        flash: board.flash,
        ram: board.ram,
        program: board.program,
    };
    (boards.map(target).collect(), wanted.is_some())
}

/// Where the RAM goes.
fn ram(model: &Model<'_>, out: &mut impl Write) -> Result<()> {
    let plan = Plan::of(model);
    let mut table = Table::new(1, &["RAM", "bytes"]);
    for buffer in plan::used(&plan) {
        table.row([buffer.name.to_owned(), thousands(4 * buffer.words), buffer.about.to_owned()]);
    }
    table.row([
        "arena".to_owned(),
        thousands(plan.bytes()),
        "all above, what is never needed together in one place".to_owned(),
    ]);
    table.row([
        "window".to_owned(),
        thousands(window_bytes(model)),
        "of the program: the longest recording".to_owned(),
    ]);
    table.write(out)?;
    match Plan::of_stream(model) {
        Ok(plan) => writeln!(out, "\n  {}", plan::as_stream(&plan))?,
        Err(error) => writeln!(out, "\n  no stream: {error}")?,
    }
    match Plan::of_passes(model) {
        Ok(plan) => writeln!(out, "  {}\n", plan::in_passes(&plan))?,
        Err(error) => writeln!(out, "  no passes: {error}\n")?,
    }
    Ok(())
}

/// Where the flash goes.
fn flash(model: &Model<'_>, out: &mut impl Write) -> Result<()> {
    let layers = layers(model);
    let mut table = Table::new(1, &["flash", "bytes"]);
    let mut rest = model.bytes();
    for kind in Kind::ALL {
        let bytes = layers.iter().filter(|layer| layer.kind == kind).map(|layer| layer.bytes).sum();
        if bytes > 0 {
            rest -= bytes;
            table.row([kind.name().to_owned(), thousands(bytes)]);
        }
    }
    table.row(["header".to_owned(), thousands(rest), "sizes, formats".to_owned()]);
    table.row(["model".to_owned(), thousands(model.bytes()), "all above".to_owned()]);
    table.write(out)?;
    Ok(writeln!(out)?)
}

fn boards(model: &Model<'_>, targets: &[Target<'_>], out: &mut impl Write) -> Result<()> {
    let (ram, flash) = (Plan::of(model).bytes() + window_bytes(model), model.bytes());
    writeln!(
        out,
        "needs {} bytes of RAM (arena + window) and {} of flash (model), beside what the program takes:",
        thousands(ram),
        thousands(flash)
    )?;
    let headings = ["board", "RAM", "stack", "variables", "used", "flash", "code", "used", "fits"];
    let mut table = Table::new(1, &headings);
    for target in targets {
        let (need, program) = (target.need(model), &target.program);
        table.row([
            target.name.to_owned(),
            size(target.ram),
            size(program.stack),
            size(program.variables),
            share(need.ram, target.ram),
            size(target.flash),
            size(program.flash(model)),
            share(need.flash, target.flash),
            if target.fits(model) { "yes" } else { "NO" }.to_owned(),
            target.part.to_owned(),
        ]);
    }
    table.write(out)?;
    for target in targets.iter().filter(|target| !target.fits(model)) {
        writeln!(out, "\n{} is too small:", target.name)?;
        let missing = |what, needed: usize, there| match needed.checked_sub(there) {
            Some(missing) if missing > 0 => format!("  {} bytes of {what} are missing\n", thousands(missing)),
            _ => String::new(),
        };
        let need = target.need(model);
        write!(out, "{}", missing("RAM", need.ram, target.ram))?;
        write!(out, "{}", missing("flash", need.flash, target.flash))?;
        for line in remedies(model, target) {
            writeln!(out, "  {line}")?;
        }
    }
    Ok(())
}

/// Which layer costs what on each core of the targets.
fn instructions(model: &Model<'_>, targets: &[Target<'_>], out: &mut impl Write) -> Result<()> {
    let used =
        |core: &Core| targets.iter().filter_map(|target| target.core).any(|of| of.name() == core.name());
    let cores: Vec<Core> = Core::all().into_iter().filter(used).collect();
    if cores.is_empty() {
        return Ok(());
    }
    let columns: Vec<Vec<LayerCost>> =
        cores.iter().map(|core| core.layers(model, model.max_tokens)).collect();
    let headings: Vec<&str> = ["kilo-instructions"].into_iter().chain(cores.iter().map(Core::name)).collect();
    let mut table = Table::new(1, &headings);
    let kilo = |instructions: f64| thousands((instructions / 1000.0).round() as usize);
    for (index, layer) in columns[0].iter().enumerate() {
        let cells = columns.iter().map(|layers| kilo(layers[index].cost));
        table.row([layer.name.clone()].into_iter().chain(cells));
    }
    let sums = columns.iter().map(|layers| kilo(total(layers)));
    table.row(["inference".to_owned()].into_iter().chain(sums));
    let cycles = cores.iter().map(|core| kilo(total(&core.in_cycles().layers(model, model.max_tokens))));
    table.row(["its kilo-cycles".to_owned()].into_iter().chain(cycles));
    let passes: Option<Vec<_>> = cores.iter().map(|core| core.passes(model, model.max_tokens)).collect();
    if let Some(passes) = passes {
        let count = passes.first().map_or(0, |(count, _)| *count);
        let sums = passes.iter().map(|&(_, instructions)| kilo(instructions));
        table.row([format!("in {count} passes")].into_iter().chain(sums));
    }
    if Plan::of_stream(model).is_ok() {
        let tokens =
            columns.iter().map(|layers| format!("{:.1}", a_token(layers, model.max_tokens) / 1000.0));
        table.row(["a token of a stream".to_owned()].into_iter().chain(tokens));
        let worst = cores.iter().map(|core| format!("{:.1}", worst_token(core, model) / 1000.0));
        table.row(["its worst token".to_owned()].into_iter().chain(worst));
    }
    writeln!(out)?;
    table.write(out)?;
    let tokens = model.max_tokens;
    Ok(writeln!(
        out,
        "\nEstimated for {tokens} tokens from counts of kernels and heads; a board program counts. Cycles are estimated from the\n\
         published tables of the cores (of m0: Cortex-M0+): memory without wait states or caches, nothing done two at a time."
    )?)
}

/// Of a stream: the head runs for every token.
fn a_token(layers: &[LayerCost], tokens: usize) -> f64 {
    let head = layers.last().map_or(0.0, |head| head.cost);
    (total(layers) - head) / tokens as f64 + head
}

/// Of the longest stream.
fn worst_token(core: &Core, model: &Model<'_>) -> f64 {
    core.worst_token(model, Plan::of_stream(model).map_or(model.max_tokens, |plan| plan.tokens()))
}

fn total(layers: &[LayerCost]) -> f64 {
    layers.iter().map(|layer| layer.cost).sum()
}

/// Which knobs to turn, in words.
fn remedies(model: &Model<'_>, target: &Target<'_>) -> Vec<String> {
    let words = |knob| match knob {
        Knob::MaxTokens(tokens) => {
            format!("RAM: import with `max_tokens = {tokens}` ({})", steps(model, tokens))
        }
        Knob::ArenaWidth(width) => format!("RAM: or train with a `width` of about {width} or less"),
        Knob::FlashWidth(width) => {
            format!("flash: train with a `width` of about {width} or less, or with fewer layers")
        }
    };
    let Target { flash, ram, ref program, .. } = *target;
    let mut lines: Vec<String> = knobs(model, program, flash, ram).into_iter().map(words).collect();
    if target.need(model).ram > ram && Need::in_passes(model, program).is_some_and(|need| need.ram <= ram) {
        lines.push("RAM: or run in passes over a recording outside the RAM".to_owned());
    }
    if lines.is_empty() { vec!["no setting of this model makes it fit".to_owned()] } else { lines }
}

/// How long recordings can be.
fn steps(model: &Model<'_>, tokens: usize) -> String {
    let mut shorter = *model;
    shorter.max_tokens = tokens;
    format!("recordings up to {} steps", thousands(shorter.max_input() / model.input.step_values()))
}

fn size(bytes: usize) -> String {
    match bytes {
        bytes if bytes.is_multiple_of(1 << 20) => format!("{}M", bytes >> 20),
        bytes if bytes.is_multiple_of(1 << 10) => format!("{}K", bytes >> 10),
        bytes => thousands(bytes),
    }
}

fn share(used: usize, there: usize) -> String {
    format!("{:.0}%", (100.0 * used as f64 / there.max(1) as f64).ceil())
}

#[derive(Serialize)]
struct Line<'a> {
    model: &'a str,
    arena_bytes: usize,
    model_bytes: usize,
    /// The longest recording, which a program collects.
    window_bytes: usize,
    /// The arena of a stream; absent where the model cannot run as one.
    stream_bytes: Option<usize>,
    /// What is kept of it from token to token.
    state_bytes: Option<usize>,
    /// The arena of passes; absent where the model cannot run in them.
    passes_bytes: Option<usize>,
    board: &'a str,
    /// Of the program, in RAM.
    stack_bytes: usize,
    variables_bytes: usize,
    /// Of the program, in flash.
    code_bytes: usize,
    /// All that is needed.
    ram_bytes: usize,
    flash_bytes: usize,
    board_ram_bytes: usize,
    board_flash_bytes: usize,
    fits: bool,
    remedies: Vec<String>,
    core: Option<&'a str>,
    /// Estimated, for the longest sequence.
    instructions: Option<u64>,
    /// Estimated from those by the published table of the core: no wait states, no caches, nothing two at a time.
    cycles: Option<u64>,
    /// Estimated, for a token of a stream in the mean of the longest sequence.
    stream_instructions: Option<u64>,
    /// Estimated, for the token of the longest stream that takes most.
    worst_token_instructions: Option<u64>,
    /// How often a recording is read in passes.
    passes: Option<usize>,
    /// Estimated, for the longest sequence in passes: what is computed again included.
    passes_instructions: Option<u64>,
    layers: Vec<LayerLine>,
}

#[derive(Serialize)]
struct LayerLine {
    layer: String,
    instructions: u64,
}

fn json(name: &str, model: &Model<'_>, target: &Target<'_>, out: &mut impl Write) -> Result<()> {
    let (need, fits) = (target.need(model), target.fits(model));
    let layers = target.core.map(|core| core.layers(model, model.max_tokens));
    let stream = Plan::of_stream(model).ok();
    let passes = target.core.and_then(|core| core.passes(model, model.max_tokens));
    let layer_line =
        |layer: &LayerCost| LayerLine { layer: layer.name.clone(), instructions: layer.cost.round() as u64 };
    let line = Line {
        model: name,
        arena_bytes: Plan::of(model).bytes(),
        model_bytes: model.bytes(),
        window_bytes: window_bytes(model),
        stream_bytes: stream.map(|plan| plan.bytes()),
        state_bytes: stream.map(|plan| plan.state_bytes()),
        passes_bytes: Plan::of_passes(model).ok().map(|plan| plan.bytes()),
        board: target.name,
        stack_bytes: target.program.stack,
        variables_bytes: target.program.variables,
        code_bytes: target.program.flash(model),
        ram_bytes: need.ram,
        flash_bytes: need.flash,
        board_ram_bytes: target.ram,
        board_flash_bytes: target.flash,
        fits,
        remedies: if fits { Vec::new() } else { remedies(model, target) },
        core: target.core.as_ref().map(Core::name),
        instructions: layers.as_deref().map(|layers| total(layers).round() as u64),
        cycles: target
            .core
            .map(|core| total(&core.in_cycles().layers(model, model.max_tokens)).round() as u64),
        stream_instructions: stream
            .and(layers.as_deref())
            .map(|layers| a_token(layers, model.max_tokens).round() as u64),
        worst_token_instructions: stream
            .and(target.core)
            .map(|core| worst_token(&core, model).round() as u64),
        passes: passes.map(|(count, _)| count),
        passes_instructions: passes.map(|(_, instructions)| instructions.round() as u64),
        layers: layers.iter().flatten().map(layer_line).collect(),
    };
    Ok(writeln!(out, "{}", serde_json::to_string(&line)?)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_as_people_write_them() {
        for (text, expected) in [
            ("16384", Some(16384)),
            ("16K", Some(16384)),
            ("16k", Some(16384)),
            ("16KiB", Some(16384)),
            ("16 KB", Some(16384)),
            ("2M", Some(2 << 20)),
            ("", None),
            ("K", None),
            ("-1", None),
            ("1.5K", None),
            ("99999999999999999999M", None),
        ] {
            assert_eq!(bytes(text).ok(), expected, "{text}");
        }
    }
}
