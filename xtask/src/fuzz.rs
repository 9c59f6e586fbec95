//! Drawn models of every mechanism and option, on the cores and on the host: which run differs first.

use crate::board::Board;
use crate::boards::TRIALS;
use crate::cases::digits_file;
use crate::command::{cargo, run as run_to_end, shown, target};
use crate::demo::put;
use crate::{firmware, host, qemu, setup, zoo};
use anyhow::{Context, Result, anyhow, bail, ensure};
use fixformer::kernels::portable_only;
use fixformer_boards::trials::{self, Memory};
use fixformer_fuzz::campaign::{self, Found};
use fixformer_fuzz::trials::case;
use indicatif::ProgressBar;
use serde_json::json;
use std::num::NonZero;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Command;
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
    /// The first model's or file's number: what a fault names, to draw it again
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Print one JSON object a line for each core, and nothing else
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    match options.files {
        Some(count) => files([options.seed, count, options.every.get()], options.json),
        None if options.bits => bits(options.json),
        None => models(options),
    }
}

/// Changed model files on this machine.
fn files([first, count, every]: [u64; 3], as_json: bool) -> Result<()> {
    let bar = ProgressBar::new(count);
    let found = campaign::files(&campaign::originals(ORIGINALS), [first, count, every], |found| {
        bar.set_position(found.parses);
    });
    bar.finish_and_clear();
    let Found { parses, accepted, runs, faults } = found;
    faults.iter().for_each(|fault| eprintln!("{fault}"));
    let count = faults.len();
    match as_json {
        true => {
            println!("{}", json!({ "parses": parses, "accepted": accepted, "runs": runs, "faults": count }))
        }
        false => println!("{parses} parses, {accepted} accepted, {runs} runs, {count} faults"),
    }
    ensure!(faults.is_empty(), "{} of the files are no good", faults.len());
    Ok(())
}

/// Models that are drawn for files to be changed; the smaller third of them is.
const ORIGINALS: u64 = 900;

/// Every bit of every model file of the zoo.
fn bits(as_json: bool) -> Result<()> {
    let mut sums = [0; 3];
    for recipe in zoo::with_files()? {
        let words = host::words(&recipe.file())?;
        let unseen = campaign::unseen_flips(&words);
        let [files, flips, missed] = &mut sums;
        (*files, *flips, *missed) = (*files + 1, *flips + 32 * words.len(), *missed + unseen.len());
        unseen.iter().for_each(|bit| eprintln!("{}: bit {bit}", recipe.name));
    }
    let [files, flips, missed] = sums;
    match as_json {
        true => println!("{}", json!({ "files": files, "flips": flips, "unseen": missed })),
        false => println!("{files} files, {flips} flipped bits, {missed} unseen"),
    }
    ensure!(missed == 0, "flipped bits are not seen");
    Ok(())
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
    if options.boards.is_empty() || names.len() < options.boards.len() {
        cores.push(Core::i686()?);
    }
    let seeds = options.seed..options.seed + options.models;
    let counts = Mutex::new(vec![Count::default(); cores.len()]);
    let batches: Vec<_> = seeds.clone().step_by(BATCH).collect();
    let queue = Mutex::new(batches.into_iter());
    let work = |worker: usize| -> Result<()> {
        while let Some(first) = queue.lock().map_err(|_| anyhow!("another worker failed"))?.next() {
            let batch = Batch::draw(first..seeds.end.min(first + BATCH as u64), worker)?;
            for (index, core) in cores.iter().enumerate() {
                let count = batch.on(core).with_context(|| core.name().to_owned())?;
                count.faults.iter().for_each(|fault| eprintln!("{fault}"));
                if let Some(sum) = counts.lock().map_err(|_| anyhow!("another worker failed"))?.get_mut(index)
                {
                    sum.add(count);
                }
            }
            eprintln!("{} of {} models", first + BATCH as u64 - seeds.start, options.models);
        }
        Ok(())
    };
    thread::scope(|scope| {
        let workers = thread::available_parallelism().map_or(1, |count| count.get());
        let work = &work;
        let started: Vec<_> = (0..workers).map(|worker| scope.spawn(move || work(worker))).collect();
        started.into_iter().try_for_each(|worker| worker.join().map_err(|_| anyhow!("a worker failed"))?)
    })?;
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
    for first in (0..models).step_by(BATCH) {
        count.add(Batch::draw(first..models.min(first + BATCH as u64), 0)?.on(core)?);
    }
    ensure!(count.faults.is_empty(), "{}", count.faults.join("; "));
    Ok(())
}

/// Whether models that are drawn fit its memory.
pub(crate) fn has_room(board: &Board) -> bool {
    board.replay_bytes().is_ok_and(|bytes| bytes >= 1 << 20)
}

/// This machine as a host of 32 bits.
const I686: &str = "i686";

/// Models of a file of cases.
const BATCH: usize = 25;

/// What runs cases.
enum Core {
    Board(Board, PathBuf),
    I686(PathBuf),
}

impl Core {
    fn board(board: &Board) -> Result<Self> {
        let elf = firmware::build(board, TRIALS, &digits_file())?;
        // Nobody counts instructions here, and without that the emulator is several times as fast.
        let mut emulator = board.emulator.clone();
        if let Some(at) = emulator.iter().position(|argument| argument == "-icount") {
            emulator.drain(at..(at + 2).min(emulator.len()));
        }
        Ok(Self::Board(Board { emulator, ..board.clone() }, elf))
    }

    fn i686() -> Result<Self> {
        const TARGET: &str = "i686-unknown-linux-musl";
        let mut cargo = cargo();
        cargo.args([
            "build",
            "--quiet",
            "--package",
            "fixformer-boards",
            "--bin",
            TRIALS,
            "--target",
            TARGET,
        ]);
        run_to_end(&mut cargo)?;
        Ok(Self::I686(target().join(TARGET).join("debug").join(TRIALS)))
    }

    fn name(&self) -> &str {
        match self {
            Self::Board(board, _) => &board.name,
            Self::I686(_) => I686,
        }
    }

    /// The lines that it prints of a file of cases.
    fn lines(&self, file: &Path) -> Result<Vec<String>> {
        let (folder, name) = (file.parent().context("a folder")?, file.file_name().context("a file")?);
        match self {
            Self::Board(board, elf) => {
                qemu::run(board, elf, Some(&name.to_string_lossy()), folder, |_| {})?.success()
            }
            Self::I686(program) => {
                let mut command = Command::new(program);
                let output = command.arg(file).output().with_context(|| shown(&command))?;
                let errors = String::from_utf8_lossy(&output.stderr);
                ensure!(output.status.success(), "{} failed: {errors}", shown(&command));
                Ok(String::from_utf8(output.stdout)?.lines().map(String::from).collect())
            }
        }
    }
}

/// What came of some models.
#[derive(Clone, Default)]
struct Count {
    models: u64,
    recordings: usize,
    faults: Vec<String>,
}

impl Count {
    fn add(&mut self, other: Self) {
        self.models += other.models;
        self.recordings += other.recordings;
        self.faults.extend(other.faults);
    }
}

/// Some models, and what the host makes of their recordings.
struct Batch {
    seeds: Range<u64>,
    file: PathBuf,
    expected: Vec<String>,
}

impl Batch {
    /// The models of these numbers, in a file of the worker's own.
    fn draw(seeds: Range<u64>, worker: usize) -> Result<Self> {
        let bytes: Vec<u8> = seeds.clone().flat_map(case).flat_map(u32::to_le_bytes).collect();
        let file = target().join("fuzz").join(format!("cases-{worker}.bin"));
        put(&file, &bytes)?;
        let [portable, expected] = both_kernels(&bytes)?;
        let batch = Self { seeds, file, expected };
        let faults = batch.differences("the portable kernels of this machine", &portable);
        ensure!(faults.is_empty(), "{}", faults.join("; "));
        Ok(batch)
    }

    fn on(&self, core: &Core) -> Result<Count> {
        let faults = self.differences(core.name(), &core.lines(&self.file)?);
        Ok(Count { models: self.seeds.end - self.seeds.start, recordings: self.expected.len(), faults })
    }

    /// Each run of which `core` says something else than the host.
    fn differences(&self, core: &str, lines: &[String]) -> Vec<String> {
        let number = |line: &str| line.split_whitespace().nth(1).and_then(|case| case.parse::<u64>().ok());
        let pairs = self.expected.iter().enumerate().map(|(index, expected)| (expected, lines.get(index)));
        let different = pairs.filter(|(expected, line)| line.is_none_or(|line| line != *expected));
        let told = different.map(|(expected, line)| {
            let seed = self.seeds.start + number(expected).unwrap_or(0);
            let line = line.map_or("nothing", String::as_str);
            format!("seed {seed}: {core} says `{line}`, the host `{expected}`")
        });
        told.collect()
    }
}

/// What this machine says with the portable kernels and with those of its own instructions.
fn both_kernels(file: &[u8]) -> Result<[Vec<String>; 2]> {
    // Which ones it takes is said for all threads.
    static CHOICE: Mutex<()> = Mutex::new(());
    let _choice = CHOICE.lock().map_err(|_| anyhow!("another worker failed"))?;
    portable_only(true);
    let portable = here(file)?;
    portable_only(false);
    Ok([portable, here(file)?])
}

/// What this machine says of a file of cases.
fn here(file: &[u8]) -> Result<Vec<String>> {
    let (mut words, mut input, mut mask) = (vec![0; 1 << 20], vec![0; 1 << 15], vec![false; 1 << 15]);
    let memory = Memory { words: &mut words, input: &mut input, mask: &mut mask };
    let mut lines = Vec::new();
    trials::all(file, memory, &mut |line| lines.push(line.to_string()))?;
    Ok(lines)
}
