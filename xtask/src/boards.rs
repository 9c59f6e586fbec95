//! Every model on every emulated board: the same bits as on the host, and what they cost.

use crate::board::Board;
use crate::command::target;
use crate::demo::write;
use crate::host::{fixed, sizes};
use crate::report::{self, Report};
use crate::zoo::{Folders, cases, digits_file, digits_swapped};
use crate::{firmware, qemu, setup};
use anyhow::{Context, Result, ensure};
use comfy_table::{CellAlignment, Table, presets};
use serde_json::json;
use std::fs;
use std::path::PathBuf;

#[derive(clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    folders: Folders,
    /// Only this board; may be repeated
    #[arg(long = "core", value_name = "NAME")]
    cores: Vec<String>,
    /// Recordings of each model, spread evenly over all of the test
    #[arg(long, value_name = "N", default_value_t = 5)]
    rows: usize,
    /// Print one JSON object a line for each board and model, and nothing else
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let boards = if options.cores.is_empty() { Board::all()? } else { Board::named(&options.cores)? };
    setup::ready(&boards)?;
    let models = Model::all(&options.folders, options.rows)?;
    let mut rows = Vec::new();
    for board in &boards {
        for (model, run) in models.iter().zip(measure(board, &models)?) {
            let row = Row { board: board.name.clone(), model: model.name.clone(), run: run? };
            match options.json {
                true => println!("{}", row.json(&model.digest)),
                false => eprintln!("{}: {}", row.board, row.model),
            }
            rows.push(row);
        }
    }
    if !options.json {
        println!("{}", table(&rows));
    }
    Ok(())
}

/// A model file, some recordings, and what the host makes of them.
pub(crate) struct Model {
    pub(crate) name: String,
    file: PathBuf,
    recordings: String,
    digest: String,
    scores: Vec<Vec<i16>>,
    /// What [`REPLAY`] has to hold.
    bytes: u64,
}

impl Model {
    /// The digits with each mechanism of attention in turn, and what else is here.
    pub(crate) fn all(folders: &Folders, rows: usize) -> Result<Vec<Self>> {
        let mut models = Vec::new();
        let cases = cases(folders)?;
        let digits = cases.first().context("the digits are always here")?;
        let swapped = digits_swapped()?.into_iter().map(|(name, file)| (name, file, &digits.test));
        let all =
            cases.iter().map(|case| (case.name.to_owned(), case.file.clone(), &case.test)).chain(swapped);
        for (name, file, test) in all {
            let test = test.spread(rows.max(1));
            let recordings = format!("{name}.rec");
            write(&folder().join(&recordings), &test)?;
            let host = fixed(&file, &test.rows)?;
            let bytes = sizes(&file)?;
            models.push(Self { name, file, recordings, digest: host.digest(), scores: host.scores, bytes });
        }
        Ok(models)
    }

    fn check(&self, report: Report) -> Result<Report> {
        ensure!(report.scores == self.scores, "{:?}, on the host {:?}", report.scores, self.scores);
        ensure!(report.digest == self.digest, "digest {}, on the host {}", report.digest, self.digest);
        Ok(report)
    }
}

/// The program that reads its model from the host.
pub(crate) const REPLAY: &str = "replay";

fn folder() -> PathBuf {
    target().join("recordings")
}

/// One run a model, or nothing where the board has no room for it. The digits, which may be as large as the whole
/// memory, are part of their firmware.
pub(crate) fn measure(board: &Board, models: &[Model]) -> Result<Vec<Result<Option<Report>>>> {
    let replay = firmware::build(board, REPLAY, &digits_file())?;
    let room = board.replay_bytes()?;
    let run = |model: &Model| -> Result<Option<Report>> {
        let lines = if model.file == digits_file() {
            let elf = firmware::build(board, "classify", &model.file)?;
            qemu::run(board, &elf, Some(&model.recordings), &folder(), |_| {})?.success()?
        } else if model.bytes <= room {
            let name = format!("{}.fxm", model.name);
            fs::copy(&model.file, folder().join(&name))?;
            let argument = format!("{name} {}", model.recordings);
            qemu::run(board, &replay, Some(&argument), &folder(), |_| {})?.success()?
        } else {
            return Ok(None);
        };
        report::read(&lines).and_then(|report| model.check(report)).map(Some)
    };
    let run = |model: &Model| run(model).with_context(|| format!("{} on {}", model.name, board.name));
    Ok(models.iter().map(run).collect())
}

/// A line of the table.
pub(crate) struct Row {
    pub(crate) board: String,
    pub(crate) model: String,
    /// Nothing where the model does not fit.
    pub(crate) run: Option<Report>,
}

impl Row {
    fn json(&self, expected: &str) -> serde_json::Value {
        let Self { board, model, run } = self;
        match run {
            None => json!({ "board": board, "model": model, "fits": false }),
            Some(run) => json!({
                "board": board, "model": model, "fits": true, "rows": run.classes.len(),
                "digest": run.digest, "digest_host": expected, "instructions": run.instructions,
                "arena_bytes": run.arena_bytes, "stack_bytes": run.stack_bytes,
            }),
        }
    }
}

pub(crate) fn table(rows: &[Row]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_BORDERS_ONLY);
    table.set_header(["board", "model", "digest, as on the host", "instructions", "stack"]);
    for row in rows {
        let cells = match &row.run {
            None => ["does not fit".to_owned(), String::new(), String::new()],
            Some(run) => [run.digest.clone(), run.instructions.to_string(), format!("{} B", run.stack_bytes)],
        };
        table.add_row([row.board.clone(), row.model.clone()].into_iter().chain(cells));
    }
    for column in table.column_iter_mut().skip(3) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}
