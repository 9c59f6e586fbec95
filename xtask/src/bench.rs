//! Executed instructions of kernels, mechanisms and a model on every emulated board, held against a snapshot.

mod crossover;
mod ratios;
mod row;
mod snapshot;
mod steps;
mod timing;
mod trace;
#[allow(dead_code, reason = "the parameters of the mechanisms are needed, the work is not")]
#[path = "../../benches/workload/mod.rs"]
mod workload;

use crate::board::Board;
use crate::cases::digits_file;
use crate::command::{root, target};
use crate::{firmware, qemu, setup};
use anyhow::{Context, Result, anyhow, bail};
use fixformer::host::fit::cost::derive;
use ratios::Ratios;
use row::Row;
use snapshot::{INSTRUCTIONS, STEPS, Snapshot};
use std::fs;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Only this core; may be repeated
    #[arg(long = "core", value_name = "NAME")]
    cores: Vec<String>,
    /// Only heads of up to 256 tokens
    #[arg(long)]
    quick: bool,
    /// Only the largest step of a run of 16,384 tokens with each mechanism
    #[arg(long, conflicts_with = "quick")]
    steps: bool,
    /// Cycles of kernels and short heads, estimated from the cores' published tables: every instruction is looked up
    #[arg(long, conflicts_with_all = ["quick", "steps"])]
    cycles: bool,
    /// Rewrite boards/instructions.txt with what is measured, instead of comparing, and the rates that follow from it
    #[arg(long)]
    update: bool,
    /// Print one JSON object a line for each kernel, mechanism, model and layer, and nothing else
    #[arg(long)]
    json: bool,
}

/// One board a core: those with memory for heads of thousands of tokens.
const CORES: [&str; 7] = ["m0", "m3", "m4", "m7", "m33", "m55", "riscv32"];
/// Most tokens of a head in a quick run.
const QUICK: &str = "256";
/// A full run takes minutes.
const LIMIT: Duration = Duration::from_secs(3600);

pub(crate) fn run(options: &Options) -> Result<()> {
    let all: &[&str] = if options.steps { &steps::CORES } else { &CORES };
    let boards = if options.cores.is_empty() { Board::named(all)? } else { Board::named(&options.cores)? };
    setup::ready(&boards)?;
    if options.cycles {
        return cycles(&boards, options);
    }
    let mut snapshot = Snapshot::read(if options.steps { STEPS } else { INSTRUCTIONS })?;
    let mut faults = Vec::new();
    let jobs = thread::available_parallelism().map_or(1, NonZero::get);
    for boards in boards.chunks(jobs) {
        for (board, measured) in boards.iter().zip(side_by_side(boards, options)?) {
            let (rows, seconds) = measured;
            if options.json {
                rows.iter().for_each(|row| println!("{}", row.json(&board.name)));
            } else {
                println!("\n{} ({}), {seconds} s\n{}", board.name, board.target, row::table(&rows));
                print!("{}", crossover::report(&rows));
            }
            if options.update {
                snapshot.replace(&board.name, &rows, options.quick);
            } else {
                faults.extend(snapshot.faults(&board.name, &rows, options.quick));
            }
            let grown = row::grown(&rows).into_iter();
            faults.extend(grown.map(|what| format!("not linear: {}: {what}", board.name)));
        }
    }
    if options.update {
        snapshot.write()?;
        if options.steps {
            return Ok(());
        }
        let rates = root().join("src/host/fit/cost/costs.txt");
        fs::write(&rates, derive(&snapshot.text(), workload::heads::kind))
            .with_context(|| format!("cannot write {}", rates.display()))?;
    }
    match faults.is_empty() {
        true => Ok(()),
        false => bail!("{} faults:\n{}", faults.len(), faults.join("\n")),
    }
}

/// Estimates cycles, and holds their ratios to instructions against those that `fit` has.
fn cycles(boards: &[Board], options: &Options) -> Result<()> {
    let mut ratios = Ratios::read()?;
    for board in boards {
        let rows = trace::measure(board, &firmware::build(board, "bench", &digits_file())?)?;
        match options.json {
            true => rows.iter().for_each(|row| println!("{}", row.json(&board.name))),
            false => println!("\n{} ({})\n{}", board.name, board.target, row::table(&rows)),
        }
        ratios.add(&board.name, &rows);
    }
    if options.update { ratios.write() } else { ratios.compare() }
}

/// What a quick run of a board and the snapshot differ in.
pub(crate) fn quick(board: &Board) -> Result<Vec<String>> {
    let rows = measure(board, &firmware::build(board, "bench", &digits_file())?, true)?;
    Ok(Snapshot::read(INSTRUCTIONS)?.faults(&board.name, &rows, true))
}

/// Builds for one board after the other; runs all of them at once. What was counted, and the seconds it took.
fn side_by_side(boards: &[Board], options: &Options) -> Result<Vec<(Vec<Row>, u64)>> {
    if options.steps {
        return each(boards.iter().collect(), steps::measure);
    }
    let programs = boards.iter().map(|board| Ok((board, firmware::build(board, "bench", &digits_file())?)));
    let programs: Vec<(&Board, PathBuf)> = programs.collect::<Result<_>>()?;
    each(programs, |(board, elf)| measure(board, &elf, options.quick))
}

/// Does the same for each, all at once.
fn each<T: Send>(
    all: Vec<T>,
    measure: impl Fn(T) -> Result<Vec<Row>> + Sync,
) -> Result<Vec<(Vec<Row>, u64)>> {
    let measure = &measure;
    thread::scope(|scope| {
        let run = |one: T| -> Result<_> {
            let start = Instant::now();
            Ok((measure(one)?, start.elapsed().as_secs()))
        };
        let started: Vec<_> = all.into_iter().map(|one| scope.spawn(move || run(one))).collect();
        started.into_iter().map(|run| run.join().map_err(|_| anyhow!("a run on a board panicked"))?).collect()
    })
}

fn measure(board: &Board, elf: &Path, quick: bool) -> Result<Vec<Row>> {
    let patient = Board { limit: LIMIT, ..board.clone() };
    let lines = qemu::run(&patient, elf, quick.then_some(QUICK), &target(), |_| {})?.success()?;
    lines.iter().map(|line| Row::read(line)).collect()
}
