//! What runs drawn models, and where it differs from this machine.

use super::cases::case;
use crate::board::Board;
use crate::boards::TRIALS;
use crate::cases::digits_file;
use crate::command::{cargo, run, shown, target};
use crate::demo::put;
use crate::setup::NARROW;
use crate::{firmware, qemu};
use anyhow::{Context, Result, anyhow, ensure};
use fixformer::kernels::portable_only;
use fixformer_boards::trials::{self, Memory};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

/// This machine as a host of 32 bits.
pub(super) const I686: &str = "i686";

/// Models of a file of cases.
pub(super) const BATCH: u64 = 25;

/// What runs cases.
pub(super) enum Core {
    Board(Board, PathBuf),
    I686(PathBuf),
}

impl Core {
    pub(super) fn board(board: &Board) -> Result<Self> {
        let elf = firmware::build(board, TRIALS, &digits_file())?;
        // Nobody counts instructions here, and without that the emulator is several times as fast.
        let mut emulator = board.emulator.clone();
        if let Some(at) = emulator.iter().position(|argument| argument == "-icount") {
            emulator.drain(at..(at + 2).min(emulator.len()));
        }
        Ok(Self::Board(Board { emulator, ..board.clone() }, elf))
    }

    pub(super) fn i686() -> Result<Self> {
        let mut cargo = cargo();
        cargo.args(["build", "--quiet", "--package", "fixformer-boards", "--bin", TRIALS]);
        run(cargo.args(["--target", NARROW]))?;
        Ok(Self::I686(target().join(NARROW).join("debug").join(TRIALS)))
    }

    pub(super) fn name(&self) -> &str {
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
pub(super) struct Count {
    pub(super) models: u64,
    pub(super) recordings: usize,
    pub(super) faults: Vec<String>,
}

impl Count {
    pub(super) fn add(&mut self, other: Self) {
        self.models += other.models;
        self.recordings += other.recordings;
        self.faults.extend(other.faults);
    }
}

/// Some models, and what the host makes of their recordings.
pub(super) struct Batch {
    seeds: Range<u64>,
    file: PathBuf,
    expected: Vec<String>,
}

impl Batch {
    /// The models of these numbers, in a file of the worker's own.
    pub(super) fn draw(seeds: Range<u64>, worker: usize) -> Result<Self> {
        let bytes: Vec<u8> = seeds.clone().flat_map(case).flat_map(u32::to_le_bytes).collect();
        let file = target().join("fuzz").join(format!("cases-{worker}.bin"));
        put(&file, &bytes)?;
        let [portable, expected] = both_kernels(&bytes)?;
        let batch = Self { seeds, file, expected };
        let faults = batch.differences("the portable kernels of this machine", &portable);
        ensure!(faults.is_empty(), "{}", faults.join("; "));
        Ok(batch)
    }

    pub(super) fn on(&self, core: &Core) -> Result<Count> {
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
