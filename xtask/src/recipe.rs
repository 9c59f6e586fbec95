//! The model zoo: trains the recipes of `models/zoo`, quantises and evaluates them, and keeps the table of what came
//! out.

use crate::board::Board;
use crate::command::{cargo, root, run as execute, target};
use crate::demo::on_boards;
use crate::host::fixed;
use crate::setup;
use crate::zoo::{Recordings, digits_test, recordings, spread};
use anyhow::{Context, Result, bail, ensure};
use fixformer::Model;
use fixformer::host::data::{self, Split};
use fixformer::host::evaluate::evaluate;
use fixformer::host::fit::{BOARDS, Need, cost::Core};
use fixformer::host::import;
use fixformer::host::quantize::{Settings, quantize};
use fixformer::model::Input;
use fixformer::session::Plan;
use indicatif::{ProgressBar, ProgressStyle};
use safetensors::SafeTensors;
use std::fs;
use std::path::{Path, PathBuf};

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Recipes of models/zoo, by name; without one, the table is printed, or with --trained every checkpoint evaluated
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
    /// Evaluate the checkpoints that are in target/zoo already
    #[arg(long)]
    trained: bool,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    ensure!(options.rows > 0 && options.seeds > 0, "--rows and --seeds must be at least 1");
    fs::create_dir_all(folder())?;
    let names = match options.names.is_empty() && options.trained {
        true => trained()?,
        false => options.names.clone(),
    };
    let board = Board::named(&[BOARD])?;
    if !names.is_empty() {
        setup::ready(&board)?;
    }
    for name in &names {
        let recipe = Recipe::read(name)?;
        let data = recipe.data(&options.data)?;
        for seed in (0..options.seeds).filter(|_| !options.trained) {
            let checkpoint = recipe.checkpoint(seed);
            let mut trainer = trainer("run");
            trainer.arg(&recipe.path).arg("--data").arg(&data).arg("-o").arg(checkpoint);
            execute(trainer.arg("--seed").arg(seed.to_string()))?;
        }
        let row = recipe.row(&data, &board, options.rows).with_context(|| name.clone())?;
        let before = fs::read_to_string(page())?;
        fs::write(page_part(), with_row(&before, name, &row))?;
        fs::rename(page_part(), page())?;
    }
    let table = fs::read_to_string(page())?;
    table.lines().filter(|line| line.starts_with('|')).for_each(|line| println!("{line}"));
    Ok(())
}

/// Where a model is run besides the host.
const BOARD: &str = "m4";
/// The board of the data sheets whose core is estimated: a Cortex-M0+.
const SMALL: &str = "rp2040";

/// Training recordings that show the ranges, spread evenly over all: the float reference takes its time.
const CALIBRATION: usize = 2000;

/// Names of the recipes that have a checkpoint.
fn trained() -> Result<Vec<String>> {
    Ok(names()?.into_iter().filter(|name| checkpoint(name, 0).is_file()).collect())
}

/// Names of all recipes.
fn names() -> Result<Vec<String>> {
    let names = fs::read_dir(recipes())?.filter_map(|entry| {
        let path = entry.ok()?.path();
        let name = path.file_stem()?.to_str()?.to_owned();
        (path.extension()? == "toml").then_some(name)
    });
    let mut names: Vec<String> = names.collect();
    names.sort();
    Ok(names)
}

/// Every recipe that has a model file: its name, the file, and the name of its data.
pub(crate) fn models() -> Result<Vec<(String, PathBuf, String)>> {
    let recipes = names()?.into_iter().map(|name| Recipe::read(&name)).collect::<Result<Vec<_>>>()?;
    let files = recipes.into_iter().map(|recipe| (recipe.file(), recipe));
    let files = files.filter(|(file, _)| file.is_file());
    Ok(files.map(|(file, recipe)| (recipe.name, file, recipe.data)).collect())
}

/// The test recordings of `data`, if it needs no training to have them: in the folder `given` or generated before.
pub(crate) fn at_hand(data: &str, given: &Path) -> Result<Option<Recordings>> {
    if data == "digits.npz" {
        return Ok(Some(digits_test()));
    }
    let file = [folder().join(data), given.join(data)].into_iter().find(|file| file.is_file());
    file.map(|file| recordings(&file, Split::Test)).transpose()
}

/// What can be had without a transformer, on the test recordings of each data file.
const BASELINES: [(&str, &str); 10] = [
    ("digits.npz", "MiniRocket 97.8 %"),
    ("ecg5000.npz", "MiniRocket 98.7 %"),
    ("fsdd_logmel128.npz", "MiniRocket 98.0 %"),
    ("fsdd_raw4096.npz", "MiniRocket 90.0 %"),
    ("gue_prom300_tata.npz", "logistic regression 86.3 %"),
    ("listops.npz", "class by root operator 33.6 %"),
    ("listops512.npz", "class by root operator 33.6 %"),
    ("mitbih_vent1024_ds1.npz", "MiniRocket 75.5 %"),
    ("needle.npz", "the marks without their order 75 %"),
    ("uci_splice60.npz", "logistic regression 94.7 %"),
];

/// Data files that `fixformer-train generate` makes.
const GENERATED: [&str; 3] = ["digits", "listops", "needle"];

struct Recipe {
    name: String,
    path: PathBuf,
    /// File name of its recordings.
    data: String,
    /// Kinds of attention.
    attention: String,
}

impl Recipe {
    fn read(name: &str) -> Result<Recipe> {
        let path = recipes().join(name).with_extension("toml");
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let table: toml::Table = toml::from_str(&text)?;
        let data = table.get("train").and_then(|train| train.get("data")).and_then(toml::Value::as_str);
        let data = data.with_context(|| format!("{}: no `train.data`", path.display()))?.to_owned();
        let attention = table.get("encoder").and_then(|encoder| encoder.get("attention"));
        let kind =
            |attention: &toml::Value| attention.get("kind").and_then(toml::Value::as_str).map(str::to_owned);
        let kinds: Vec<String> = match attention {
            Some(toml::Value::Array(layers)) => layers.iter().filter_map(kind).collect(),
            Some(attention) => kind(attention).into_iter().collect(),
            None => vec!["exact".to_owned()],
        };
        Ok(Recipe { name: name.to_owned(), path, data, attention: kinds.join(", ") })
    }

    fn checkpoint(&self, seed: u64) -> PathBuf {
        checkpoint(&self.name, seed)
    }

    /// The model file.
    fn file(&self) -> PathBuf {
        self.path.with_extension("fxm")
    }

    /// The file of recordings, generated if it is of that kind and not there.
    fn data(&self, given: &Path) -> Result<PathBuf> {
        let stem = self.data.trim_end_matches(".npz");
        let path = match GENERATED.contains(&stem) {
            true => folder().join(&self.data),
            false => given.join(&self.data),
        };
        if GENERATED.contains(&stem) && !path.is_file() {
            execute(trainer("generate").arg(stem).arg("-o").arg(&path))?;
        }
        ensure!(path.is_file(), "no {} (see --data)", path.display());
        Ok(path)
    }

    /// Quantises, evaluates on the test recordings and on the board, and says it in a row of the table.
    fn row(&self, data: &Path, board: &[Board], rows: usize) -> Result<String> {
        let result = self.evaluate(data, 0)?;
        // The others of the same recipe, if they were trained.
        let others = (1..).take_while(|&seed| self.checkpoint(seed).is_file());
        let others = others.map(|seed| Ok(self.evaluate(data, seed)?.fixed)).collect::<Result<Vec<f64>>>()?;
        let others: String = others.iter().map(|fixed| format!(" / {:.2}", 100.0 * fixed)).collect();

        let Evaluated { float, fixed: share, parameters, words, test } = result;
        let model = Model::parse(&words)?;
        let device = self.on_device(&test.spread(rows), board)?;
        let baseline =
            BASELINES.iter().find(|(file, _)| *file == self.data).map_or("", |(_, baseline)| baseline);
        let cells = [
            self.name.clone(),
            model.max_tokens.to_string(),
            self.attention.clone(),
            thousands(parameters),
            format!("{:.2} %", 100.0 * float),
            format!("{:.2}{others} %", 100.0 * share),
            format!("{} B", thousands(Plan::of(&model).bytes())),
            format!("{} B", thousands(model.bytes())),
            device,
            small(&model, &test)?,
            baseline.to_owned(),
        ];
        Ok(format!("| {} |", cells.join(" | ")))
    }

    /// Quantises the checkpoint of `seed` and evaluates it on the test recordings.
    fn evaluate(&self, data: &Path, seed: u64) -> Result<Evaluated> {
        let checkpoint = self.checkpoint(seed);
        let network = import::network(&self.path, &checkpoint)?;
        let bytes = fs::read(&checkpoint)?;
        let tensors = SafeTensors::deserialize(&bytes)?;
        let parameters: usize = tensors.iter().map(|(_, view)| view.shape().iter().product::<usize>()).sum();

        let train = data::load(data, Split::Train, data::Options::default())?.rows;
        let train: Vec<_> = spread(train.len(), CALIBRATION).map(|row| train[row].clone()).collect();
        let test = data::load(data, Split::Test, data::Options::default())?;
        let labels = test.labels.context("the test recordings have no labels")?;
        let style = ProgressStyle::with_template("{msg} [{bar:30}] {pos}/{len} {elapsed}")?;
        let bar = |what: &str, length: usize| {
            ProgressBar::new(length as u64)
                .with_style(style.clone())
                .with_message(format!("{what} {}", self.name))
        };
        let progress = bar("quantising", train.len());
        let quantized = quantize(&network, &train, Settings::default(), |_| progress.inc(1))?;
        progress.finish_and_clear();
        if seed == 0 {
            fs::write(self.file(), quantized.bytes())?;
        }
        let model = Model::parse(&quantized.words)?;
        let progress = bar("evaluating", test.rows.len());
        let result = evaluate(model, Some(&network), &test.rows, Some(&labels), &|| progress.inc(1))?;
        progress.finish_and_clear();
        let share = |right: Option<usize>| result.share(right.unwrap_or_default());
        Ok(Evaluated {
            float: share(result.float_right),
            fixed: share(result.fixed_right),
            parameters,
            words: quantized.words,
            test: Recordings { channels: test.channels.try_into()?, rows: test.rows, labels },
        })
    }

    /// Mean instructions of the board for `test`, if every score is that of the host.
    fn on_device(&self, test: &Recordings, board: &[Board]) -> Result<String> {
        let runs = on_boards(&self.name, &self.file(), test, board)?;
        let host = fixed(&self.file(), &test.rows)?;
        for run in &runs {
            if let Some(difference) = run.difference(&host) {
                bail!("different on the board: {difference}");
            }
        }
        let instructions = runs.first().map_or(0, |run| run.report.instructions);
        Ok(format!("{}, {}", millions(instructions as f64), host.digest()))
    }
}

/// What a checkpoint came to.
struct Evaluated {
    /// Shares of right answers.
    float: f64,
    fixed: f64,
    parameters: usize,
    words: Vec<u32>,
    test: Recordings,
}

fn trainer(command: &str) -> std::process::Command {
    let mut cargo = cargo();
    cargo.args(["run", "--quiet", "--package", "fixformer-train", "--profile", "training", "--", command]);
    cargo
}

/// Mean instructions for the recordings on a Cortex-M0+, as `fixformer fit` estimates them.
fn small(model: &Model<'_>, test: &Recordings) -> Result<String> {
    let board = BOARDS.iter().find(|board| board.name == SMALL).context("no such board")?;
    if !Need::of(model).fits(board.flash, board.ram) {
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
        core.layers(model, tokens).iter().map(|layer| layer.instructions).sum::<f64>()
    };
    Ok(millions(test.rows.iter().map(estimate).sum::<f64>() / test.rows.len() as f64))
}

fn millions(instructions: f64) -> String {
    format!("{:.1} M", instructions / 1e6)
}

fn checkpoint(name: &str, seed: u64) -> PathBuf {
    match seed {
        0 => folder().join(format!("{name}.safetensors")),
        seed => folder().join(format!("{name}-seed{seed}.safetensors")),
    }
}

fn folder() -> PathBuf {
    target().join("zoo")
}

fn recipes() -> PathBuf {
    root().join("models/zoo")
}

/// The page with the table.
fn page() -> PathBuf {
    root().join("models/README.md")
}

fn page_part() -> PathBuf {
    page().with_extension("md.part")
}

/// `page` with `row` in its table: in the place of the row of that name, or in the order of names.
fn with_row(page: &str, name: &str, row: &str) -> String {
    let is_row = |line: &str| line.starts_with("| ") && !line.starts_with("| recipe ");
    let named = |line: &str| line.split('|').nth(1).unwrap_or_default().trim().to_owned();
    let mut lines: Vec<&str> = page.lines().filter(|line| !(is_row(line) && named(line) == name)).collect();
    let head = lines.iter().rposition(|line| line.starts_with("|-")).map_or(lines.len(), |line| line + 1);
    let after = lines[head..].iter().position(|line| !is_row(line) || *named(line) > *name);
    lines.insert(after.map_or(lines.len(), |after| head + after), row);
    lines.join("\n") + "\n"
}

fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_takes_its_place() {
        let page = "# Page\n\n| recipe | x |\n|---|---|\n| b | 1 |\n| d | 2 |\n\nmore\n";
        let rows = |page: &str| page.lines().skip(4).take(3).map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(rows(&with_row(page, "c", "| c | 9 |")), ["| b | 1 |", "| c | 9 |", "| d | 2 |"]);
        assert_eq!(rows(&with_row(page, "e", "| e | 9 |")), ["| b | 1 |", "| d | 2 |", "| e | 9 |"]);
        assert_eq!(with_row(page, "d", "| d | 3 |"), page.replace("| d | 2 |", "| d | 3 |"));
        assert_eq!(with_row("|---|\n", "a", "| a |"), "|---|\n| a |\n");
    }

    #[test]
    fn thousands_have_commas() {
        assert_eq!([0, 999, 1000, 1_234_567].map(thousands), ["0", "999", "1,000", "1,234,567"]);
    }
}
