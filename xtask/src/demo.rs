//! Real recordings through the firmware of every board, compared with the host bit by bit.

use crate::board::Board;
use crate::cases::{Case, Folders, Recordings, cases, spread};
use crate::command::target;
use crate::host::{Answers, accuracy, fixed, float};
use crate::picture::{draw, side_by_side, width};
use crate::{elf, firmware, long, qemu, report, setup};
use anyhow::{Context, Result, anyhow, bail, ensure};
use comfy_table::{CellAlignment, Table, presets};
use fixformer::host::file;
use fixformer_boards::recordings;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

#[derive(clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    folders: Folders,
    /// Test recordings that each board classifies, spread evenly over all; the host classifies all
    #[arg(long, value_name = "N", default_value_t = 50)]
    rows: usize,
    /// A million tokens through streams on boards with 16 KB of RAM instead, and 65,536 through passes on a Cortex-M4
    #[arg(long)]
    long: bool,
    /// Tokens of a stream of `--long`, and at most so many in passes
    #[arg(long, value_name = "N", default_value_t = long::TOKENS, requires = "long")]
    tokens: usize,
    /// Only the passes of `--long`
    #[arg(long, requires = "long")]
    passes: bool,
    /// Print one JSON object a line for each board and model, and nothing else
    #[arg(long)]
    json: bool,
}

/// One of each family of cores, so that the demo stays short; the tests run all.
const BOARDS: [&str; 2] = ["m4", "riscv32"];

/// Recordings drawn for each model.
const PICTURES: usize = 4;

pub(crate) fn run(options: &Options) -> Result<()> {
    ensure!(options.rows > 0, "--rows must be at least 1");
    ensure!(options.tokens > 0, "--tokens must be at least 1");
    if options.long {
        return long::run(options.tokens, !options.passes, options.json);
    }
    let boards = Board::named(&BOARDS)?;
    setup::ready(&boards)?;
    let mut differences = 0;
    for case in &cases(&options.folders)? {
        differences += show(case, &boards, options).with_context(|| case.title)?;
    }
    match differences {
        0 => Ok(()),
        count => bail!("{count} runs on a board differ from the host"),
    }
}

/// Shows one model on every board; returns on how many it differs from the host.
fn show(case: &Case, boards: &[Board], options: &Options) -> Result<usize> {
    let spinner = ProgressBar::new_spinner().with_message(format!("{} on the host", case.name));
    spinner.enable_steady_tick(Duration::from_millis(100));
    let all = Host {
        labels: &case.test.labels,
        float: float(&case.network, &case.test.rows)?,
        fixed: fixed(&case.file, &case.test.rows)?,
    };
    spinner.finish_and_clear();

    // What the boards see, and what the host says to it.
    let test = case.test.spread(options.rows);
    let host = all.fixed.pick(spread(case.test.rows.len(), options.rows));
    let runs = on_boards(case.name, &case.file, &test, boards)?;
    let differences: Vec<_> = runs.iter().filter_map(|run| run.difference(&host)).collect();

    if options.json {
        runs.iter().for_each(|run| println!("{}", json(case, run, &test, &host, &all)));
    } else {
        println!("\n{}\n", case.title);
        println!("{}", pictures(case, &test, &runs));
        println!("{}", table(&test, &runs, &host, &all));
    }
    for difference in &differences {
        eprintln!("DIFFERENT: {difference}");
    }
    if !options.json && differences.is_empty() {
        println!(
            "The scores of these {} recordings are the same, bit by bit, on the host and on {} boards: digest {}.",
            test.rows.len(),
            runs.len(),
            host.digest()
        );
    }
    Ok(differences.len())
}

/// What the host says to all test recordings.
struct Host<'a> {
    labels: &'a [usize],
    float: Vec<usize>,
    fixed: Answers,
}

/// One board's answers.
pub(crate) struct Run {
    board: String,
    pub(crate) report: report::Report,
    flash: u64,
    ram: u64,
}

impl Run {
    /// Where this run and the host part ways.
    pub(crate) fn difference(&self, host: &Answers) -> Option<String> {
        let at = |what: String| Some(format!("{}: {what}", self.board));
        let (found, expected) = (self.report.scores.len(), host.scores.len());
        if found != expected {
            return at(format!("{found} of {expected} recordings answered"));
        }
        let pairs = self.report.scores.iter().zip(&host.scores);
        if let Some((row, (device, host))) = pairs.enumerate().find(|(_, (a, b))| a != b) {
            return at(format!("recording {row}: {device:?}, on the host {host:?}"));
        }
        let classes = self.report.classes.iter().zip(&host.classes);
        if let Some((row, (device, host))) = classes.enumerate().find(|(_, (a, b))| a != b) {
            return at(format!("recording {row}: class {device}, on the host {host}"));
        }
        let (found, expected) = (&self.report.digest, host.digest());
        if *found != expected {
            return at(format!("digest {found}, on the host {expected}"));
        }
        None
    }
}

/// Builds for one board after the other; runs all of them side by side.
pub(crate) fn on_boards(model: &str, file: &Path, test: &Recordings, boards: &[Board]) -> Result<Vec<Run>> {
    let folder = target().join("recordings");
    let name = format!("{model}.rec");
    write(&folder.join(&name), test)?;

    let bars = MultiProgress::new();
    let style = ProgressStyle::with_template("{msg} [{bar:30}] {pos}/{len} {elapsed}")?;
    thread::scope(|scope| {
        let mut started = Vec::new();
        for board in boards {
            let bar = bars.add(ProgressBar::new(test.rows.len() as u64).with_style(style.clone()));
            bar.set_message(format!("{model} on {}", board.name));
            let elf = firmware::build(board, "classify", file)?;
            let (folder, name) = (&folder, &name);
            started.push(scope.spawn(move || -> Result<Run> {
                let ended = qemu::run(board, &elf, Some(name), folder, |line| {
                    bar.inc(u64::from(line.starts_with("row ")));
                })?;
                bar.finish_and_clear();
                let lines = ended.success().with_context(|| format!("board {}", board.name))?;
                let size = elf::sizes(&elf)?;
                let report = report::read(&lines)?;
                Ok(Run { board: board.name.clone(), report, flash: size.flash, ram: size.ram })
            }));
        }
        started.into_iter().map(|run| run.join().map_err(|_| anyhow!("a run on a board panicked"))?).collect()
    })
}

/// Writes a file of recordings for a board to read.
pub(crate) fn write(file: &Path, test: &Recordings) -> Result<()> {
    let mut bytes = Vec::new();
    recordings::write(&mut bytes, test.channels, test.rows.iter().map(Vec::as_slice))
        .with_context(|| format!("cannot write {}", file.display()))?;
    put(file, &bytes)
}

/// Puts a file where boards read it. Whole: the same one may be read on another board meanwhile.
pub(crate) fn put(path: &Path, bytes: &[u8]) -> Result<()> {
    fs::create_dir_all(path.parent().context("a file in a folder")?)?;
    Ok(file::replace(path, bytes)?)
}

fn json(case: &Case, run: &Run, test: &Recordings, host: &Answers, all: &Host<'_>) -> Value {
    json!({
        "board": run.board,
        "model": case.name,
        "rows": test.rows.len(),
        "accuracy": accuracy(&run.report.classes, &test.labels),
        "digest": run.report.digest,
        "instructions": run.report.instructions,
        "instructions_max": run.report.instructions_max,
        "arena_bytes": run.report.arena_bytes,
        "stack_bytes": run.report.stack_bytes,
        "flash_bytes": run.flash,
        "ram_bytes": run.ram,
        "digest_host": host.digest(),
        "rows_host": all.labels.len(),
        "accuracy_float": accuracy(&all.float, all.labels),
        "accuracy_fixed": accuracy(&all.fixed.classes, all.labels),
    })
}

/// Some recordings, with what the first board says about them.
fn pictures(case: &Case, test: &Recordings, runs: &[Run]) -> String {
    let name = |class: usize| case.classes.get(class).copied().unwrap_or("?");
    let found = runs.first().map_or(&[][..], |run| &run.report.classes);
    let pictures: Vec<_> = spread(found.len(), PICTURES)
        .map(|row| {
            let (found, truth) = (name(found[row]), name(test.labels[row]));
            let mark = if found == truth { "" } else { "   WRONG" };
            let caption = format!("found {found}, true {truth}{mark}");
            (caption, draw(case.look, &test.rows[row], test.channels.into()))
        })
        .collect();
    let widest = pictures.iter().map(width).max().unwrap_or(1);
    // As many as fit a terminal of 80 columns.
    pictures.chunks((80 / widest).max(1)).map(side_by_side).collect::<Vec<_>>().join("\n")
}

/// The first lines are the host's, on all recordings; then come the boards, on those given to them.
fn table(test: &Recordings, runs: &[Run], host: &Answers, all: &Host<'_>) -> String {
    let mut table = Table::new();
    table.load_style(presets::UTF8_BORDERS_ONLY);
    table.set_header(["", "recordings", "accuracy", "instructions", "arena", "stack", "RAM", "flash"]);
    let mut row = |name: &str, classes: &[usize], labels: &[usize], more: [String; 5]| {
        let percent = format!("{:.1} %", 100.0 * accuracy(classes, labels));
        let cells = [name.to_string(), labels.len().to_string(), percent];
        table.add_row(cells.into_iter().chain(more));
    };
    let nothing = || [""; 5].map(String::from);
    let bytes = |count: u64| format!("{count} B");

    row("float, host", &all.float, all.labels, nothing());
    row("fixed, host", &all.fixed.classes, all.labels, nothing());
    row("fixed, host", &host.classes, &test.labels, nothing());
    for Run { board, report, flash, ram } in runs {
        let figures = [
            report.instructions.to_string(),
            bytes(report.arena_bytes),
            bytes(report.stack_bytes),
            bytes(*ram),
            bytes(*flash),
        ];
        row(&format!("fixed, {board}"), &report.classes, &test.labels, figures);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(scores: &[[i16; 2]], classes: &[usize], digest: String) -> Run {
        let scores = scores.iter().map(|row| row.to_vec()).collect();
        let report = report::Report { scores, classes: classes.to_vec(), digest, ..Default::default() };
        Run { board: "m4".into(), report, flash: 0, ram: 0 }
    }

    #[test]
    fn one_bit_is_a_difference() {
        let host = Answers { scores: vec![vec![1, 2], vec![-3, -4]], classes: vec![1, 0] };
        let digest = || host.digest();
        let same = run(&[[1, 2], [-3, -4]], &[1, 0], digest());
        assert_eq!(same.difference(&host), None);

        let bit = run(&[[1, 2], [-3, -3]], &[1, 0], digest());
        assert_eq!(bit.difference(&host).unwrap(), "m4: recording 1: [-3, -3], on the host [-3, -4]");
        let class = run(&[[1, 2], [-3, -4]], &[1, 1], digest());
        assert_eq!(class.difference(&host).unwrap(), "m4: recording 1: class 1, on the host 0");
        let fewer = run(&[[1, 2]], &[1], digest());
        assert_eq!(fewer.difference(&host).unwrap(), "m4: 1 of 2 recordings answered");
        let hash = run(&[[1, 2], [-3, -4]], &[1, 0], "0".into());
        assert!(hash.difference(&host).unwrap().starts_with("m4: digest 0, on the host"));
    }
}
