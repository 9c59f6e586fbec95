//! Drawn models of every mechanism and option, on the cores and on the host; and model files that are nearly right.

mod cases;
mod cores;
mod files;

use crate::board::Board;
use crate::setup::{self, runs_narrow};
use anyhow::{Context, Result, anyhow, bail, ensure};
use cores::{BATCH, Batch, Core, Count, I686};
use indicatif::ProgressBar;
use serde_json::json;
use std::num::NonZero;
use std::ops::Range;
use std::sync::Mutex;
use std::thread;

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Only this board, or `i686`, a host of 32 bits; may be repeated
    #[arg(long = "board", visible_alias = "core", value_name = "NAME")]
    boards: Vec<String>,
    /// Models to draw, each with six recordings
    #[arg(long, value_name = "N", default_value_t = 100)]
    models: u64,
    /// Not models on cores: so many model files with a few fields changed, which are parsed here, and run where they are
    /// accepted
    #[arg(long, value_name = "N", conflicts_with_all = ["boards", "models"])]
    files: Option<u64>,
    /// One of so many accepted files is run
    #[arg(long, value_name = "N", default_value = "1", requires = "files")]
    every: NonZero<u64>,
    /// Not models on cores: every bit of every model file of the zoo, flipped, must be found
    #[arg(long, conflicts_with_all = ["boards", "models", "files"])]
    bits: bool,
    /// Not models on cores: draw the models of checks/tests/known anew
    #[arg(long, conflicts_with_all = ["boards", "models", "files", "bits"])]
    known: bool,
    /// The first model's or file's number: what a fault names, to draw it again
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Print one JSON object a line for each core, and nothing else
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    match options.files {
        Some(count) => files::changed([options.seed, count, options.every.get()], options.json),
        None if options.bits => files::flipped(options.json),
        None if options.known => files::known(),
        None => models(options),
    }
}

fn models(options: &Options) -> Result<()> {
    let names: Vec<_> = options.boards.iter().filter(|name| *name != I686).collect();
    let boards = match options.boards.is_empty() {
        true => Board::all()?.into_iter().filter(has_room).collect(),
        false => Board::named(&names)?,
    };
    if let Some(board) = boards.iter().find(|board| !has_room(board)) {
        bail!("board {}: its memory is too small for drawn models", board.name);
    }
    setup::ready(&boards)?;
    let mut cores: Vec<Core> = boards.iter().map(Core::board).collect::<Result<_>>()?;
    if (options.boards.is_empty() && runs_narrow()) || names.len() < options.boards.len() {
        cores.push(Core::i686()?);
    }
    let seeds = options.seed..options.seed + options.models;
    let counts = Mutex::new(vec![Count::default(); cores.len()]);
    let queue = Mutex::new(batches(seeds));
    let bar = ProgressBar::new(options.models);
    let work = |worker: usize| -> Result<()> {
        while let Some(batch) = queue.lock().map_err(|_| anyhow!("another worker failed"))?.next() {
            let models = batch.end - batch.start;
            let batch = Batch::draw(batch, worker)?;
            for (index, core) in cores.iter().enumerate() {
                let count = batch.on(core).with_context(|| core.name().to_owned())?;
                bar.suspend(|| count.faults.iter().for_each(|fault| eprintln!("{fault}")));
                if let Some(sum) = counts.lock().map_err(|_| anyhow!("another worker failed"))?.get_mut(index)
                {
                    sum.add(count);
                }
            }
            bar.inc(models);
        }
        Ok(())
    };
    thread::scope(|scope| {
        let workers = thread::available_parallelism().map_or(1, |count| count.get());
        let work = &work;
        let started: Vec<_> = (0..workers).map(|worker| scope.spawn(move || work(worker))).collect();
        started.into_iter().try_for_each(|worker| worker.join().map_err(|_| anyhow!("a worker failed"))?)
    })?;
    bar.finish_and_clear();
    let counts = counts.into_inner().map_err(|_| anyhow!("a worker failed"))?;
    for (core, count) in cores.iter().zip(&counts) {
        let (core, different) = (core.name(), count.faults.len());
        let Count { models, recordings, .. } = count;
        match options.json {
            true => println!(
                "{}",
                json!({ "core": core, "models": models, "recordings": recordings, "different": different })
            ),
            false => println!("{core}: {models} models, {recordings} recordings, {different} different"),
        }
    }
    ensure!(counts.iter().all(|count| count.faults.is_empty()), "scores differ");
    Ok(())
}

/// Draws `models` models and runs them on a board: what differs from the host.
pub(crate) fn on_board(board: &Board, models: u64) -> Result<()> {
    holds(&Core::board(board)?, models)
}

/// The same on a host of 32 bits.
pub(crate) fn on_i686(models: u64) -> Result<()> {
    holds(&Core::i686()?, models)
}

fn holds(core: &Core, models: u64) -> Result<()> {
    let mut count = Count::default();
    for batch in batches(0..models) {
        count.add(Batch::draw(batch, 0)?.on(core)?);
    }
    ensure!(count.faults.is_empty(), "{}", count.faults.join("; "));
    Ok(())
}

/// The numbers of the models, some at a time.
fn batches(seeds: Range<u64>) -> impl Iterator<Item = Range<u64>> {
    seeds.clone().step_by(BATCH as usize).map(move |first| first..seeds.end.min(first + BATCH))
}

/// Whether models that are drawn fit its memory.
pub(crate) fn has_room(board: &Board) -> bool {
    board.replay_bytes().is_ok_and(|bytes| bytes >= 1 << 20)
}
