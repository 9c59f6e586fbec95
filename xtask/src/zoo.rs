//! The model zoo: trains the recipes of `models/zoo`, quantises and evaluates them, and keeps the table of what came
//! out.

pub(crate) mod recipe;
mod table;

use crate::board::Board;
use crate::cases::{Recordings, recordings};
use crate::command::root;
use crate::demo::on_boards;
use crate::host::{fixed, words};
use crate::setup;
use anyhow::{Context, Result, bail, ensure};
use fixformer::Model;
use fixformer::host::count::thousands;
use fixformer::host::data::Split;
use fixformer::host::evaluate::{Evaluation, evaluate};
use fixformer::host::file::replace;
use fixformer::host::fit::{BOARDS, Need, cost::Core};
use fixformer::host::quantize::{Quantized, Settings, quantize};
use fixformer::host::targets::Targets;
use fixformer::host::{import, reference::Network};
use fixformer::model::Input;
use fixformer::session::Plan;
use indicatif::{ProgressBar, ProgressStyle};
use recipe::Recipe;
use safetensors::SafeTensors;
use std::fs;
use std::path::{Path, PathBuf};
use table::Row;

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Recipes of models/zoo, by name; without one, the table is printed, or with --trained all of it made again
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// Train with the seeds 0 to N - 1; the model is the one of the first, the others show how much luck it had
    #[arg(long, value_name = "N", default_value_t = 1)]
    seeds: u64,
    /// Test recordings that the emulated Cortex-M4 classifies, spread evenly over all
    #[arg(long, value_name = "N", default_value_t = 10)]
    rows: usize,
    /// Folder of the data sets that are not generated
    #[arg(long, value_name = "DIR", default_value_os_t = root().join("../shared/data"))]
    data: PathBuf,
    /// Train nothing: evaluate the checkpoints in target/zoo, and where there is none the model file
    #[arg(long)]
    trained: bool,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    ensure!(options.rows > 0 && options.seeds > 0, "--rows and --seeds must be at least 1");
    let recipes: Vec<Recipe> = match options.names.is_empty() && options.trained {
        true => Recipe::all()?.into_iter().filter(was_trained).collect(),
        false => options.names.iter().map(|name| Recipe::read(name)).collect::<Result<_>>()?,
    };
    let board = Board::named(&[BOARD])?;
    if !recipes.is_empty() {
        setup::ready(&board)?;
    }
    for recipe in &recipes {
        match recipe.data(&options.data) {
            Err(error) if options.names.is_empty() => eprintln!("skipped {}: {error}", recipe.name),
            data => row(recipe, &data?, &board, options).with_context(|| recipe.name.clone())?,
        }
    }
    let table = fs::read_to_string(page())?;
    table.lines().filter(|line| line.starts_with('|')).for_each(|line| println!("{line}"));
    Ok(())
}

fn was_trained(recipe: &Recipe) -> bool {
    recipe.file().is_file() || recipe.checkpoint(0).is_file()
}

/// Every recipe that has a model file.
pub(crate) fn with_files() -> Result<Vec<Recipe>> {
    let mut recipes = Recipe::all()?;
    recipes.retain(|recipe| recipe.file().is_file());
    Ok(recipes)
}

/// Where a model is run besides the host.
const BOARD: &str = "m4";
/// The board of the data sheets whose core is estimated: a Cortex-M0+.
const SMALL: &str = "rp2040";

/// What can be had without a transformer, on the test recordings of each data file.
const BASELINES: [(&str, &str); 11] = [
    ("digits.npz", "MiniRocket 97.8 %"),
    ("ecg5000.npz", "MiniRocket 98.7 %"),
    ("fsdd_logmel128.npz", "MiniRocket 98.0 %"),
    ("fsdd_raw4096.npz", "MiniRocket 90.0 %"),
    ("gue_prom300_tata.npz", "logistic regression 86.3 %"),
    ("listops.npz", "class by root operator 33.6 %"),
    ("listops512.npz", "class by root operator 33.6 %"),
    ("marks.npz", "the marks without their order 73.6 %"),
    ("mitbih_vent1024_ds1.npz", "MiniRocket 75.5 %"),
    ("needle.npz", "the marks without their order 75 %"),
    ("uci_splice60.npz", "logistic regression 94.7 %"),
];

/// Trains `recipe`, unless only what was trained is asked for, evaluates it, and writes its row to both pages.
fn row(recipe: &Recipe, data: &Path, board: &[Board], options: &Options) -> Result<()> {
    for seed in (0..options.seeds).filter(|_| !options.trained) {
        recipe.train(data, seed)?;
    }
    let test = recordings(data, Split::Test)?;
    let known = table::rows(&fs::read_to_string(page())?).into_iter().find(|row| row.recipe == recipe.name);
    let row = measured(recipe, data, &test, known, board, options.rows)?;
    // That took its time: another run may have written a row of its own.
    let page_now = table::with_row(&fs::read_to_string(page())?, row)?;
    replace(&page(), page_now.as_bytes())?;
    let readme = root().join("README.md");
    let tasks = table::with_tasks(&fs::read_to_string(&readme)?, &table::rows(&page_now))?;
    Ok(replace(&readme, tasks.as_bytes())?)
}

/// What comes out of `recipe` now. Of a model without checkpoint the file is evaluated, and what only checkpoints can say
/// stays as it is `known`.
fn measured(
    recipe: &Recipe,
    data: &Path,
    test: &Recordings,
    known: Option<Row>,
    board: &[Board],
    rows: usize,
) -> Result<Row> {
    let file = recipe.file();
    let (result, float, parameters, others) = match recipe.checkpoint(0).is_file() {
        true => {
            let (network, model) = quantised(recipe, data, 0)?;
            replace(&file, &model.bytes())?;
            let result = evaluated(recipe, &model.words, Some(&network), test)?;
            let float = format!("{} %", percent(result.accuracy_float()));
            (result, float, thousands(parameters(&recipe.checkpoint(0))?), Vec::new())
        }
        false => {
            let known = known.with_context(|| format!("no {}: train it", recipe.checkpoint(0).display()))?;
            let others = known.other_seeds();
            let result = evaluated(recipe, &words(&file)?, None, test)?;
            (result, known.float, known.parameters, others)
        }
    };
    let mut by_seed = vec![percent(result.accuracy_fixed())];
    for seed in 1.. {
        if recipe.checkpoint(seed).is_file() {
            let result = evaluated(recipe, &quantised(recipe, data, seed)?.1.words, None, test)?;
            by_seed.push(percent(result.accuracy_fixed()));
        } else if let Some(known) = others.get(by_seed.len() - 1) {
            by_seed.push(known.clone());
        } else {
            break;
        }
    }

    let words = words(&file)?;
    let model = Model::parse(&words)?;
    let baseline =
        BASELINES.iter().find(|(file, _)| *file == recipe.data).map_or("", |(_, baseline)| baseline);
    Ok(Row {
        recipe: recipe.name.clone(),
        tokens: model.max_tokens.to_string(),
        attention: recipe.attention.clone(),
        parameters,
        float,
        fixed: format!("{} %", by_seed.join(" / ")),
        arena: format!("{} B", thousands(Plan::of(&model).bytes())),
        file: format!("{} B", thousands(model.bytes())),
        device: on_device(recipe, &test.spread(rows), board)?,
        small: small(&model, test)?,
        baseline: baseline.to_owned(),
    })
}

/// The checkpoint of `seed`, and the model file that `fixformer quantize` makes of it.
fn quantised(recipe: &Recipe, data: &Path, seed: u64) -> Result<(Network, Quantized)> {
    let network = import::network(&recipe.path, &recipe.checkpoint(seed))?;
    let train = recordings(data, Split::Train)?.rows;
    let progress = bar("quantising", recipe, train.len())?;
    let quantized = quantize(&network, &train, Settings::default(), |_| progress.inc(1))?;
    progress.finish_and_clear();
    Ok((network, quantized))
}

/// The model file, and the float reference if there is one, over the test recordings.
fn evaluated(
    recipe: &Recipe,
    words: &[u32],
    network: Option<&Network>,
    test: &Recordings,
) -> Result<Evaluation> {
    let progress = bar("evaluating", recipe, test.rows.len())?;
    let targets = Targets::classes(&test.labels);
    let result = evaluate(Model::parse(words)?, network, &test.rows, Some(&targets), &|| progress.inc(1))?;
    progress.finish_and_clear();
    Ok(result)
}

/// How many numbers were trained.
fn parameters(checkpoint: &Path) -> Result<usize> {
    let bytes = fs::read(checkpoint)?;
    let tensors = SafeTensors::deserialize(&bytes)?;
    Ok(tensors.iter().map(|(_, view)| view.shape().iter().product::<usize>()).sum())
}

/// Mean instructions of the board for `test`, if every score is that of the host.
fn on_device(recipe: &Recipe, test: &Recordings, board: &[Board]) -> Result<String> {
    let runs = on_boards(&recipe.name, &recipe.file(), test, board)?;
    let host = fixed(&recipe.file(), &test.rows)?;
    for run in &runs {
        if let Some(difference) = run.difference(&host) {
            bail!("different on the board: {difference}");
        }
    }
    let instructions = runs.first().map_or(0, |run| run.report.instructions);
    Ok(format!("{}, {}", millions(instructions as f64), host.digest()))
}

/// Mean instructions for the recordings on a Cortex-M0+, as `fixformer fit` estimates them.
fn small(model: &Model<'_>, test: &Recordings) -> Result<String> {
    let board = BOARDS.iter().find(|board| board.name == SMALL).context("no such board")?;
    if !Need::of(model, &board.program).fits(board.flash, board.ram) {
        return Ok("does not fit".to_owned());
    }
    let core = Core::named(board.core).context("no such core")?;
    // The estimate grows smoothly with the length: a sample will do.
    let test = test.spread(100);
    let estimate = |row: &Vec<i16>| {
        let steps = row.len() / usize::from(test.channels);
        let tokens = match model.input {
            Input::Samples { window, .. } | Input::OneHot { window, .. } => window.tokens(steps),
            Input::Tokens { .. } => steps,
        };
        core.layers(model, tokens).iter().map(|layer| layer.cost).sum::<f64>()
    };
    Ok(millions(test.rows.iter().map(estimate).sum::<f64>() / test.rows.len() as f64))
}

fn millions(instructions: f64) -> String {
    format!("{:.1} M", instructions / 1e6)
}

fn percent(share: Option<f64>) -> String {
    format!("{:.2}", 100.0 * share.unwrap_or_default())
}

fn bar(what: &str, recipe: &Recipe, length: usize) -> Result<ProgressBar> {
    let style = ProgressStyle::with_template("{msg} [{bar:30}] {pos}/{len} {elapsed}")?;
    Ok(ProgressBar::new(length as u64).with_style(style).with_message(format!("{what} {}", recipe.name)))
}

/// The page with the table.
fn page() -> PathBuf {
    root().join("models/README.md")
}
