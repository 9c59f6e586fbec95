//! Every model on every emulated board: the same bits as on the host, and what they cost.

use crate::board::Board;
use crate::cases::{Folders, digits_file};
use crate::demo::put;
use crate::model::{Model, folder};
use crate::report::{self, Report};
use crate::{firmware, qemu, setup};
use anyhow::{Context, Result};
use comfy_table::{CellAlignment, Table, presets};
use serde_json::json;
use std::fs;
use std::path::Path;

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
    let rows = options.rows.max(1);
    let models = Model::all(&options.folders, rows, rows)?;
    let mut rows = Vec::new();
    for board in &boards {
        for (model, run) in measure(board, &models)? {
            let row = Row::new(board, model, run?);
            match options.json {
                true => println!("{}", row.json()),
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

/// The program that reads its model from the host into RAM.
pub(crate) const REPLAY: &str = "replay";
/// The program that runs models and recordings of the host in every way.
pub(crate) const TRIALS: &str = "trials";
/// The program with its model in flash.
pub(crate) const CLASSIFY: &str = "classify";

/// What each model costs on `board`, in turn: nothing where the linker has no room for it, or would have none.
/// One build reads all models where there is RAM for them; the digits, and what fits no other way, are part of their
/// firmware.
pub(crate) fn measure<'m>(
    board: &'m Board,
    models: &'m [Model],
) -> Result<impl Iterator<Item = (&'m Model, Result<Option<Report>>)>> {
    let elf = firmware::build(board, REPLAY, &digits_file())?;
    let room = board.replay_bytes()?;
    let ram = board.memory("RAM")?;
    let run = move |model: &Model| {
        if model.file != digits_file() && model.fits(room) {
            return replay(board, &elf, model).map(Some);
        }
        if model.arena_bytes > ram.end - ram.start {
            return Ok(None);
        }
        match firmware::build(board, CLASSIFY, &model.file) {
            Err(error) if format!("{error:#}").contains(firmware::NO_ROOM) => Ok(None),
            elf => classify(board, &elf?, model).map(Some),
        }
    };
    let named = move |model: &Model| run(model).with_context(|| format!("{} on {}", model.name, board.name));
    Ok(models.iter().map(move |model| (model, named(model))))
}

/// A run of [`REPLAY`], which is `elf`.
pub(crate) fn replay(board: &Board, elf: &Path, model: &Model) -> Result<Report> {
    let name = format!("{}.fxm", model.name);
    put(&folder().join(&name), &fs::read(&model.file)?)?;
    let argument = format!("{name} {}", model.recordings);
    let lines = qemu::run(board, elf, Some(&argument), &folder(), |_| {})?.success()?;
    model.check(report::read(&lines)?)
}

/// A run of `elf`, which has the model inside.
pub(crate) fn classify(board: &Board, elf: &Path, model: &Model) -> Result<Report> {
    let lines = qemu::run(board, elf, Some(&model.recordings), &folder(), |_| {})?.success()?;
    model.check(report::read(&lines)?)
}

/// One model on one board.
pub(crate) struct Row {
    board: String,
    model: String,
    /// Like `5 recorded`.
    recordings: String,
    digest: String,
    /// Nothing where the model does not fit.
    run: Option<Report>,
}

impl Row {
    pub(crate) fn new(board: &Board, model: &Model, run: Option<Report>) -> Self {
        let recordings = format!("{} {}", model.rows, model.source);
        let (model, digest) = (model.name.clone(), model.digest.clone());
        Self { board: board.name.clone(), model, recordings, digest, run }
    }

    /// Whether it is that of a board.
    pub(crate) fn is_of(&self, board: &Board) -> bool {
        self.board == board.name
    }

    fn json(&self) -> serde_json::Value {
        let Self { board, model, recordings, digest, run } = self;
        match run {
            None => json!({ "board": board, "model": model, "fits": false }),
            Some(run) => json!({
                "board": board, "model": model, "fits": true, "rows": run.classes.len(),
                "recordings": recordings, "digest": run.digest, "digest_host": digest,
                "instructions": run.instructions, "arena_bytes": run.arena_bytes, "stack_bytes": run.stack_bytes,
            }),
        }
    }
}

/// A line a model, a column a board: millions of instructions; the last line has the deepest stack of each board. The
/// digest is the host's and every board's.
pub(crate) fn table(rows: &[Row]) -> Table {
    let mut boards: Vec<&str> = Vec::new();
    let mut models: Vec<&Row> = Vec::new();
    for row in rows {
        if !boards.contains(&&*row.board) {
            boards.push(&row.board);
        }
        if models.iter().all(|model| model.model != row.model) {
            models.push(row);
        }
    }
    let mut table = Table::new();
    table.load_style(presets::UTF8_BORDERS_ONLY);
    let head = ["million instructions", "recordings", "digest"];
    table.set_header(head.into_iter().chain(boards.iter().copied()));
    for Row { model, recordings, digest, .. } in models {
        let cell = |board: &&str| {
            let row = rows.iter().find(|row| row.board == *board && row.model == *model);
            match row.map(|row| &row.run) {
                None => "failed".to_owned(),
                Some(None) => "no room".to_owned(),
                Some(Some(run)) => format!("{:.1}", run.instructions as f64 / 1e6),
            }
        };
        let cells = [model.clone(), recordings.clone(), digest.clone()];
        table.add_row(cells.into_iter().chain(boards.iter().map(cell)));
    }
    let deepest = |board: &&str| {
        let runs = rows.iter().filter(|row| row.board == *board).filter_map(|row| row.run.as_ref());
        format!("{} B", runs.map(|run| run.stack_bytes).max().unwrap_or_default())
    };
    let name = ["deepest stack", "", ""].map(str::to_owned);
    table.add_row(name.into_iter().chain(boards.iter().map(deepest)));
    for column in table.column_iter_mut().skip(head.len()) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(board: &str, model: &str, run: Option<Report>) -> Row {
        let [board, model] = [board, model].map(str::to_owned);
        Row { board, model, recordings: "1 drawn".into(), digest: "00ff".into(), run }
    }

    #[test]
    fn the_table_has_what_ran_what_has_no_room_and_what_failed() {
        let run = |millions: u64, stack_bytes| {
            Some(Report { instructions: millions * 1_000_000, stack_bytes, ..Report::default() })
        };
        let rows = [row("m0", "a", run(7, 30)), row("m0", "b", run(8, 40)), row("m4", "a", None)];
        let table = table(&rows).to_string();
        let line = |start: &str| {
            let line = table.lines().find(|line| line.contains(start)).unwrap();
            line.split_whitespace().skip(1).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(line(" a "), "a 1 drawn 00ff 7.0 no room │");
        assert_eq!(line(" b "), "b 1 drawn 00ff 8.0 failed │");
        assert_eq!(line("deepest"), "deepest stack 40 B 0 B │");
    }
}
