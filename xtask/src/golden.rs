//! Golden files, the authors' own outputs, against the float reference and the fixed-point engine.

use anyhow::{Context, Result, bail, ensure};
use comfy_table::{CellAlignment, Table, presets};
use fixformer::host::golden::{self, Case, Extra, Loaded, Run, WholeModel};
use fixformer::host::report::{best, relative_l2};
use serde_json::json;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use walkdir::WalkDir;

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Folder with golden files (`.safetensors`), at any depth
    #[arg(value_name = "DIR")]
    folder: PathBuf,

    /// Print one JSON object a line for each file, and nothing else
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let files = files(&options.folder)?;
    let mut totals = Totals::default();
    let mut out = std::io::stdout().lock();
    for path in &files {
        let file = path.strip_prefix(&options.folder).unwrap_or(path).display().to_string();
        let outcome = Outcome::of(path);
        match options.json {
            true => writeln!(out, "{}", outcome.json(&file))?,
            false => writeln!(out, "{file:<90} {}", outcome.text())?,
        }
        totals.add(&file, &outcome);
    }
    if !options.json {
        totals.write(&mut out, files.len())?;
    }
    match totals.wrong.len() {
        0 => Ok(()),
        count => bail!(
            "{count} of {} files past a limit or unreadable:\n  {}",
            files.len(),
            totals.wrong.join("\n  ")
        ),
    }
}

fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    ensure!(folder.is_dir(), "{}: no such folder", folder.display());
    let mut files = Vec::new();
    for entry in WalkDir::new(folder).follow_links(true).sort_by_file_name() {
        let entry = entry.with_context(|| format!("cannot read {}", folder.display()))?;
        if entry.file_type().is_file() && entry.path().extension().is_some_and(|kind| kind == "safetensors") {
            files.push(entry.into_path());
        }
    }
    ensure!(!files.is_empty(), "{}: no golden file (.safetensors) in it or below", folder.display());
    Ok(files)
}

/// What became of one file.
enum Outcome {
    Compared(Compared),
    /// Not compared, and why; no failure.
    Skipped(&'static str, String),
    /// Not a golden file, or not a readable one.
    Broken(String),
}

struct Compared {
    mechanism: String,
    distribution: String,
    single: bool,
    reference: f64,
    reference_limit: f64,
    /// None for an option that the engine does not have.
    engine: Option<f64>,
    engine_limit: f64,
    buckets: Option<Buckets>,
    /// Of a whole classifier: whether reference and engine predict the authors' class.
    same_class: Option<bool>,
}

/// Buckets of LSH that are not those of the authors.
struct Buckets {
    all: usize,
    reference: Option<usize>,
    /// None for an option that the engine does not have.
    engine: Option<usize>,
    /// Whether integers hold the inputs and the rotations exactly: then no bucket may differ.
    exact: bool,
}

impl Outcome {
    fn of(path: &Path) -> Outcome {
        match golden::load(path) {
            Ok(Loaded::Case(case)) => Outcome::Compared(Compared::of(&case)),
            Ok(Loaded::NotBuilt { why }) => Outcome::Skipped("not built", why),
            Ok(Loaded::WholeModel(case)) => match Compared::whole(&case) {
                Ok(compared) => Outcome::Compared(compared),
                Err(error) => Outcome::Broken(format!("{error:#}")),
            },
            Ok(Loaded::Weights) => Outcome::Skipped("weights", "of whole classifiers".to_owned()),
            Ok(_) => {
                Outcome::Skipped("not built", "a kind of file that this command does not know".to_owned())
            }
            Err(error) => Outcome::Broken(error.to_string()),
        }
    }

    fn right(&self) -> bool {
        match self {
            Outcome::Compared(compared) => compared.reference_right() && compared.engine_right(),
            Outcome::Skipped(..) => true,
            Outcome::Broken(_) => false,
        }
    }

    fn text(&self) -> String {
        match self {
            Outcome::Compared(compared) => compared.text(),
            Outcome::Skipped(kind, why) => format!("{kind}: {why}"),
            Outcome::Broken(error) => format!("error: {error}"),
        }
    }

    fn json(&self, file: &str) -> serde_json::Value {
        match self {
            Outcome::Compared(compared) => {
                let mut line = json!({
                    "file": file,
                    "mechanism": compared.mechanism,
                    "distribution": compared.distribution,
                    "status": if compared.engine.is_some() { "compared" } else { "not in the engine" },
                    "reference_rel_l2": compared.reference,
                    "reference_limit": compared.reference_limit,
                    "engine_rel_l2": compared.engine,
                    "engine_limit": compared.engine_limit,
                    "within_limits": self.right(),
                });
                if let Some(same_class) = compared.same_class {
                    line["same_class"] = json!(same_class);
                }
                if let Some(buckets) = &compared.buckets {
                    // Of the engine, or of the reference where the engine has none.
                    let flips = buckets.engine.or(buckets.reference);
                    line["buckets_equal"] = json!(flips.map(|flips| flips == 0));
                    line["buckets"] = json!(buckets.all);
                    line["buckets_exact"] = json!(buckets.exact);
                    line["reference_bucket_flips"] = json!(buckets.reference);
                    line["engine_bucket_flips"] = json!(buckets.engine);
                }
                line
            }
            Outcome::Skipped(status, why) => nothing(file, status, why),
            Outcome::Broken(error) => nothing(file, "error", error),
        }
    }
}

impl Compared {
    fn of(case: &Case) -> Compared {
        Compared {
            mechanism: case.mechanism.name().to_owned(),
            distribution: case.distribution.clone(),
            single: case.single,
            reference: case.error(&case.reference()),
            reference_limit: case.limit(),
            engine: case.engine().map(|found| case.error(&found)),
            engine_limit: engine_limit(case.mechanism.name(), &case.distribution),
            buckets: Buckets::of(case),
            same_class: None,
        }
    }

    /// A classifier as the quantiser makes it, ranges from drawn sequences.
    fn whole(case: &WholeModel) -> Result<Compared> {
        let Run { reference, engine, buckets } = case.run()?;
        let class = best(&case.expected);
        let flipped = buckets.is_some_and(|(flips, _)| flips > 0);
        let buckets = buckets.map(|(flips, all)| Buckets {
            all,
            reference: Some(0),
            engine: Some(flips),
            exact: false,
        });
        Ok(Compared {
            mechanism: case.name(),
            distribution: "tokens".to_owned(),
            single: false,
            reference: relative_l2(&reference, &case.expected),
            reference_limit: 1e-9,
            engine: Some(relative_l2(&engine, &case.expected)),
            engine_limit: if flipped { OTHER_CHUNKS } else { WHOLE_MODEL },
            buckets,
            same_class: Some(best(&reference) == class && best(&engine) == class),
        })
    }

    // An error that is not a number is past every limit.
    fn reference_right(&self) -> bool {
        self.reference <= self.reference_limit
    }

    fn engine_right(&self) -> bool {
        let hashed = self.buckets.as_ref().is_none_or(Buckets::right);
        hashed && self.same_class != Some(false) && self.engine.is_none_or(|error| error <= self.engine_limit)
    }

    fn text(&self) -> String {
        let past = |right| if right { " " } else { "!" };
        let engine = match self.engine {
            Some(error) => format!("engine {error:.1e}{}", past(self.engine_right())),
            None => "not in the engine".to_owned(),
        };
        let class = match self.same_class {
            Some(true) => ", same class",
            Some(false) => ", ANOTHER CLASS",
            None => "",
        };
        let buckets = self.buckets.as_ref().map_or(String::new(), Buckets::text);
        let bits = if self.single { 32 } else { 64 };
        let reference = format!("f{bits} reference {:.1e}{}", self.reference, past(self.reference_right()));
        format!("{reference} {engine}{class}{buckets}")
    }
}

/// The line of a file that was not compared.
fn nothing(file: &str, status: &str, why: &str) -> serde_json::Value {
    json!({
        "file": file, "mechanism": null, "distribution": null, "status": status,
        "reference_rel_l2": null, "engine_rel_l2": null, "why": why,
    })
}

/// The largest error of a whole classifier's scores that counts as agreement of the engine.
const WHOLE_MODEL: f64 = 1e-2;
/// The same where a query on the edge of two buckets fell to the other side: the edges of all later chunks move, and
/// every implementation that rounds attends to other keys.
const OTHER_CHUNKS: f64 = 0.25;

/// The largest error that counts as agreement of the engine.
fn engine_limit(mechanism: &str, distribution: &str) -> f64 {
    match (distribution, mechanism) {
        ("hot", _) => 1e-2,
        (_, "favor") => 3e-3,
        _ => 1e-3,
    }
}

impl Buckets {
    /// None where there is nothing to hash, or no authors' buckets to compare with.
    fn of(case: &Case) -> Option<Buckets> {
        let (mut all, mut reference, mut exact) = (0, Some(0), true);
        for head in &case.heads {
            let Extra::Lsh { buckets: Some(expected), rotations } = &head.extra else { return None };
            let flips = case.reference_buckets(head).map(|found| {
                found.iter().zip(expected).filter(|(found, expected)| found != expected).count()
            });
            reference = reference.zip(flips).map(|(before, flips)| before + flips);
            all += expected.len();
            exact &= head.q.iter().chain(rotations).all(|value| (value * GRID).fract() == 0.0);
        }
        let engine = case.bucket_flips().map(|(flips, _)| flips);
        (reference.is_some() || engine.is_some()).then_some(Buckets { all, reference, engine, exact })
    }

    fn right(&self) -> bool {
        !self.exact || self.engine.is_none_or(|flips| flips == 0)
    }

    fn text(&self) -> String {
        let Some(flips) = self.engine.or(self.reference) else { return String::new() };
        let whose = if self.engine.is_some() { "" } else { " of the reference" };
        let exact = if self.exact { ", on the grid" } else { "" };
        format!(" {} of {} buckets{whose} equal{exact}", self.all - flips, self.all)
    }
}

/// Inputs that are multiples of its inverse are exact in 16 bits.
const GRID: f64 = 32.0;

#[derive(Default)]
struct Totals {
    /// By mechanism and distribution.
    worst: BTreeMap<(String, String), Worst>,
    /// Files that were not compared, by reason.
    skipped: BTreeMap<String, usize>,
    /// Buckets that the engine finds other than the authors and how many there are: of exact inputs, of others.
    buckets: [(usize, usize); 2],
    wrong: Vec<String>,
}

#[derive(Default)]
struct Worst {
    files: usize,
    /// Of the files in f64, then of those in f32.
    reference: [Option<f64>; 2],
    engine_files: usize,
    engine: Option<f64>,
    engine_limit: f64,
}

impl Totals {
    fn add(&mut self, file: &str, outcome: &Outcome) {
        match outcome {
            Outcome::Compared(compared) => {
                let key = (compared.mechanism.clone(), compared.distribution.clone());
                let worst = self.worst.entry(key).or_default();
                let reference = &mut worst.reference[usize::from(compared.single)];
                worst.files += 1;
                *reference = larger(*reference, Some(compared.reference));
                worst.engine_files += usize::from(compared.engine.is_some());
                worst.engine = larger(worst.engine, compared.engine);
                worst.engine_limit = compared.engine_limit;
                if let Some(Buckets { all, engine: Some(flips), exact, .. }) = compared.buckets {
                    let (sum, total) = &mut self.buckets[usize::from(!exact)];
                    (*sum, *total) = (*sum + flips, *total + all);
                }
            }
            Outcome::Skipped(kind, why) => *self.skipped.entry(format!("{kind}: {why}")).or_default() += 1,
            Outcome::Broken(_) => {}
        }
        if !outcome.right() {
            self.wrong.push(format!("{file}: {}", outcome.text()));
        }
    }

    fn write(&self, out: &mut impl Write, files: usize) -> Result<()> {
        let mut table = Table::new();
        table.load_style(presets::UTF8_BORDERS_ONLY);
        let header = ["mechanism", "inputs", "files", "reference, f64", "reference, f32", "in the engine"];
        table.set_header(header.into_iter().chain(["engine", "limit"]));
        for column in table.column_iter_mut().skip(2) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        let error = |error: Option<f64>| error.map_or(String::from("-"), |error| format!("{error:.1e}"));
        for ((mechanism, distribution), worst) in &self.worst {
            table.add_row([
                mechanism.clone(),
                distribution.clone(),
                worst.files.to_string(),
                error(worst.reference[0]),
                error(worst.reference[1]),
                worst.engine_files.to_string(),
                error(worst.engine),
                error(Some(worst.engine_limit)),
            ]);
        }
        writeln!(out, "\nWorst relative L2 error\n{table}")?;
        let compared: usize = self.worst.values().map(|worst| worst.files).sum();
        let engine: usize = self.worst.values().map(|worst| worst.engine_files).sum();
        writeln!(
            out,
            "{files} files: {compared} compared with the reference, {engine} of them with the engine"
        )?;
        if compared > engine {
            writeln!(out, "{} have an option that is not in the engine", compared - engine)?;
        }
        for ((flips, all), what) in self.buckets.iter().zip(["exact in 16 bits (grid)", "rounded"]) {
            if *all > 0 {
                writeln!(out, "LSH, inputs {what}: {flips} of {all} buckets of the engine differ")?;
            }
        }
        for (why, count) in &self.skipped {
            writeln!(out, "{count} {why}")?;
        }
        Ok(())
    }
}

/// The larger one; what is not a number is larger than all.
fn larger(a: Option<f64>, b: Option<f64>) -> Option<f64> {
    match (a, b) {
        (Some(a), Some(b)) => Some(if a >= b || a.is_nan() { a } else { b }),
        (a, b) => a.or(b),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::root;

    #[test]
    fn the_shipped_files_are_within_the_limits() {
        let folder = root().join("tests/golden");
        run(&Options { folder, json: false }).unwrap();
    }

    #[test]
    fn a_folder_without_golden_files_is_an_error() {
        let error = |folder: &str| run(&Options { folder: root().join(folder), json: false }).unwrap_err();
        assert!(error("no such folder").to_string().contains("no such folder"));
        assert!(error("xtask/src").to_string().contains("no golden file"));
    }

    #[test]
    fn what_is_past_a_limit_is_wrong() {
        let compared = |reference, engine| {
            Outcome::Compared(Compared {
                mechanism: "favor".to_owned(),
                distribution: "hot".to_owned(),
                single: false,
                reference,
                reference_limit: 1e-9,
                engine,
                engine_limit: engine_limit("favor", "hot"),
                buckets: None,
                same_class: None,
            })
        };
        assert!(compared(1e-9, None).right() && compared(0.0, Some(1e-2)).right());
        for (reference, engine) in
            [(1.1e-9, None), (f64::NAN, None), (0.0, Some(0.011)), (0.0, Some(f64::NAN))]
        {
            assert!(!compared(reference, engine).right());
        }
        assert_eq!(larger(Some(1.0), Some(f64::NAN)).map(f64::is_nan), Some(true));
        assert_eq!(larger(Some(1.0), None), Some(1.0));
        assert_eq!(["normal", "ar1", "hot"].map(|inputs| engine_limit("lsh", inputs)), [1e-3, 1e-3, 1e-2]);
    }
}
