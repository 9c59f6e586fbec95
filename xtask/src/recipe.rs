//! The model zoo: trains the recipes of `models/zoo`, quantises and evaluates them, and keeps the table of what came
//! out.

use crate::command::{cargo, root, run as execute, target};
use anyhow::{Context, Result, ensure};
use fixformer::Model;
use fixformer::host::data::{self, Split};
use fixformer::host::evaluate::evaluate;
use fixformer::host::import;
use fixformer::host::quantize::{Settings, quantize};
use fixformer::session::Plan;
use indicatif::{ProgressBar, ProgressStyle};
use safetensors::SafeTensors;
use std::fs;
use std::path::{Path, PathBuf};

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Recipes of models/zoo, by name; without one, the table is printed
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// Folder of the data sets that are not generated
    #[arg(long, value_name = "DIR", default_value_os_t = root().join("../shared/data"))]
    data: PathBuf,
    /// Evaluate the checkpoints that are in target/zoo already
    #[arg(long)]
    trained: bool,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    fs::create_dir_all(folder())?;
    for name in &options.names {
        let recipe = Recipe::read(name)?;
        let data = recipe.data(&options.data)?;
        if !options.trained {
            let (data, checkpoint) = (data.as_os_str(), recipe.checkpoint());
            let arguments =
                [recipe.path.as_os_str(), "--data".as_ref(), data, "-o".as_ref(), checkpoint.as_os_str()];
            execute(trainer("run").args(arguments))?;
        }
        let row = recipe.evaluate(&data).with_context(|| name.clone())?;
        let before = fs::read_to_string(page())?;
        fs::write(page_part(), with_row(&before, name, &row))?;
        fs::rename(page_part(), page())?;
    }
    let table = fs::read_to_string(page())?;
    table.lines().filter(|line| line.starts_with('|')).for_each(|line| println!("{line}"));
    Ok(())
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
    ("needle.npz", "one class 25 %"),
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
        let path = root().join("models/zoo").join(name).with_extension("toml");
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

    fn checkpoint(&self) -> PathBuf {
        folder().join(&self.name).with_extension("safetensors")
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

    /// Quantises, evaluates on the test recordings, and says it in a row of the table.
    fn evaluate(&self, data: &Path) -> Result<String> {
        let checkpoint = self.checkpoint();
        let network = import::network(&self.path, &checkpoint)?;
        let bytes = fs::read(&checkpoint)?;
        let tensors = SafeTensors::deserialize(&bytes)?;
        let parameters: usize = tensors.iter().map(|(_, view)| view.shape().iter().product::<usize>()).sum();

        let train = data::load(data, Split::Train, data::Options::default())?.rows;
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
        fs::write(folder().join(&self.name).with_extension("fxm"), quantized.bytes())?;
        let model = Model::parse(&quantized.words)?;
        let progress = bar("evaluating", test.rows.len());
        let result = evaluate(model, Some(&network), &test.rows, Some(&labels), &|| progress.inc(1))?;
        progress.finish_and_clear();

        let percent = |right: Option<usize>| {
            right.map_or(String::new(), |right| format!("{:.2} %", 100.0 * result.share(right)))
        };
        let baseline =
            BASELINES.iter().find(|(file, _)| *file == self.data).map_or("", |(_, baseline)| baseline);
        Ok(format!(
            "| {} | {} | {} | {} | {} | {} | {} B | {} B | {} |",
            self.name,
            model.max_tokens,
            self.attention,
            thousands(parameters),
            percent(result.float_right),
            percent(result.fixed_right),
            thousands(Plan::of(&model).bytes()),
            thousands(quantized.bytes().len()),
            baseline
        ))
    }
}

fn trainer(command: &str) -> std::process::Command {
    let mut cargo = cargo();
    cargo.args(["run", "--quiet", "--package", "fixformer-train", "--profile", "training", "--", command]);
    cargo
}

fn folder() -> PathBuf {
    target().join("zoo")
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
