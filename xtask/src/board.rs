//! A board is a folder with `config.toml` and `memory.x`; what is needed here is read from there.

use crate::command::{root, target};
use anyhow::{Context, Result, ensure};
use std::fs;
use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;
use toml::Table;

/// One emulated board.
#[derive(Clone)]
pub(crate) struct Board {
    pub(crate) name: String,
    /// The Rust target.
    pub(crate) target: String,
    /// The emulator and its arguments; the program's file comes last.
    pub(crate) emulator: Vec<String>,
    /// A run longer than this has hung.
    pub(crate) limit: Duration,
    /// Where cargo builds its firmware.
    pub(crate) build: PathBuf,
}

/// What `boards/build.rs` takes where a board says nothing.
const REPLAY_BYTES: u64 = 3407872;

impl Board {
    /// Every emulated board of the repository, by name.
    pub(crate) fn all() -> Result<Vec<Self>> {
        let folder = root().join("boards");
        let mut names: Vec<String> = fs::read_dir(&folder)
            .with_context(|| format!("cannot read {}", folder.display()))?
            .filter_map(|entry| entry.ok())
            .filter(|entry| entry.path().join("config.toml").is_file())
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        let all: Vec<Self> = names.into_iter().map(Self::read).collect::<Result<_>>()?;
        Ok(all.into_iter().filter(|board| board.emulator[0].starts_with("qemu-system-")).collect())
    }

    /// Those of these names.
    pub(crate) fn named<S: AsRef<str>>(names: &[S]) -> Result<Vec<Self>> {
        let all = Self::all()?;
        let known = || all.iter().map(|board| board.name.as_str()).collect::<Vec<_>>().join(", ");
        for name in names.iter().map(AsRef::as_ref) {
            ensure!(all.iter().any(|board| board.name == name), "no board `{name}`; there are {}", known());
        }
        Ok(all.into_iter().filter(|board| names.iter().any(|name| name.as_ref() == board.name)).collect())
    }

    /// Cargo's configuration for this board.
    pub(crate) fn config(&self) -> PathBuf {
        config(&self.name)
    }

    /// Its memory, as the linker is told.
    pub(crate) fn memory_map(&self) -> Result<String> {
        let file = self.config().with_file_name("memory.x");
        fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))
    }

    /// The addresses of a region of its memory.
    pub(crate) fn memory(&self, region: &str) -> Result<Range<u64>> {
        range(&self.memory_map()?, region).with_context(|| format!("{}: memory.x: {region}", self.name))
    }

    /// Bytes that `replay` has for a model and its arena.
    pub(crate) fn replay_bytes(&self) -> Result<u64> {
        let table: Table = fs::read_to_string(self.config())?.parse()?;
        let bytes = table.get("env").and_then(|env| env.get("FIXFORMER_REPLAY_BYTES")?.as_str());
        bytes.map_or(Ok(REPLAY_BYTES), |bytes| bytes.parse().context("FIXFORMER_REPLAY_BYTES"))
    }

    fn read(name: String) -> Result<Self> {
        let file = config(&name);
        let text = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        let (triple, runner) = parse(&text).with_context(|| file.display().to_string())?;

        // `timeout` serves a plain `cargo run`; here the limit is kept without that program.
        let (limit, emulator) = match &runner[..] {
            [timeout, seconds, emulator @ ..] if timeout == "timeout" => {
                (seconds.parse().context("runner: seconds after `timeout`")?, emulator.to_vec())
            }
            _ => (300, runner),
        };
        ensure!(!emulator.is_empty(), "{}: the runner names no emulator", file.display());
        let limit = Duration::from_secs(limit);
        Ok(Self { name, target: triple, emulator, limit, build: target() })
    }
}

fn config(name: &str) -> PathBuf {
    root().join("boards").join(name).join("config.toml")
}

/// Of a line like `DTCM : ORIGIN = 0x30000000, LENGTH = 512K - 4K`.
pub(crate) fn range(map: &str, region: &str) -> Option<Range<u64>> {
    let bytes = |text: &str| {
        let number = text.trim_end_matches(['K', 'M']);
        let unit = match &text[number.len()..] {
            "" => 1,
            "K" => 1 << 10,
            "M" => 1 << 20,
            _ => return None,
        };
        number.parse::<u64>().ok()?.checked_mul(unit)
    };
    let of_region = |line: &&str| line.split_whitespace().next() == Some(region);
    let (start, length) =
        map.lines().find(of_region)?.split_once("ORIGIN = 0x")?.1.split_once(", LENGTH = ")?;
    let start = u64::from_str_radix(start, 16).ok()?;
    let mut terms = length.split(" - ").map(|term| bytes(term.trim()));
    let length = terms.next()??;
    let end = terms.try_fold(start.checked_add(length)?, |end, term| end.checked_sub(term?))?;
    Some(start..end)
}

/// The target and its runner.
fn parse(text: &str) -> Result<(String, Vec<String>)> {
    let table: Table = text.parse()?;
    let target = table
        .get("build")
        .and_then(|build| build.get("target")?.as_str())
        .context("expected `build.target`, a string")?;
    // Cargo takes the dot in `thumbv8m.main-none-eabihf` for one of TOML's.
    let settings = target.split('.').fold(table.get("target"), |table, word| table?.get(word));
    let runner = settings
        .and_then(|settings| settings.get("runner")?.as_array())
        .with_context(|| format!("expected `target.{target}.runner`, an array of strings"))?
        .iter()
        .map(|word| word.as_str().map(String::from).context("runner: expected strings"))
        .collect::<Result<_>>()?;
    Ok((target.to_string(), runner))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boards_are_read() {
        let boards = Board::all().unwrap();
        let names: Vec<_> = boards.iter().map(|board| board.name.as_str()).collect();
        let expected = [
            "lm3s6965evb",
            "m0",
            "m3",
            "m33",
            "m4",
            "m55",
            "m7",
            "microbit",
            "riscv32",
            "riscv32imc",
            "sifive_e",
        ];
        assert_eq!(names, expected);
        for board in &boards {
            assert!(board.emulator[0].starts_with("qemu-system-"), "{:?}", board.emulator);
            assert_eq!(board.emulator.last().unwrap(), "-kernel");
        }
    }

    #[test]
    fn boards_are_picked_by_name() {
        let picked = Board::named(&["riscv32", "m4"]).unwrap();
        assert_eq!(picked.iter().map(|board| &board.name[..]).collect::<Vec<_>>(), ["m4", "riscv32"]);
        let error = Board::named(&["m5"]).err().unwrap().to_string();
        assert!(error.starts_with("no board `m5`; there are lm3s6965evb, m0, m3, m33, m4"), "{error}");
    }

    /// The firmware is told how long an instruction takes, the emulator makes it so.
    #[test]
    fn constants_match_the_emulator() {
        for board in Board::all().unwrap().iter().filter(|board| board.target.starts_with("thumb")) {
            let text = fs::read_to_string(board.config()).unwrap();
            let table: Table = text.parse().unwrap();
            let value = table["env"]["FIXFORMER_INSTRUCTION_NS"].as_str().unwrap();
            let nanoseconds: u32 = value.parse().unwrap();
            let shift = format!("shift={}", nanoseconds.ilog2());
            assert!(nanoseconds.is_power_of_two() && board.emulator.contains(&shift), "{}", board.name);
        }
    }

    #[test]
    fn regions_are_read() {
        let map =
            "DTCM  : ORIGIN = 0x30000000, LENGTH = 512K\n  RAM : ORIGIN = 0x20001000, LENGTH = 16K - 4K";
        assert_eq!(range(map, "DTCM"), Some(0x3000_0000..0x3008_0000));
        assert_eq!(range(map, "RAM"), Some(0x2000_1000..0x2000_4000));
        assert_eq!(range(map, "QSPI"), None);
        assert_eq!(range("RAM : ORIGIN = 0x0, LENGTH = 2MM", "RAM"), None);
        for board in Board::all().unwrap() {
            assert!(board.memory("RAM").unwrap().start > 0, "{}", board.name);
        }
    }

    #[test]
    fn a_board_without_runner_is_refused() {
        let error = parse("[build]\ntarget = 'thumbv6m-none-eabi'").unwrap_err();
        assert!(error.to_string().contains("target.thumbv6m-none-eabi.runner"), "{error}");
    }
}
