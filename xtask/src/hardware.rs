//! Firmware for boards on a desk: built and linked, so that what a user flashes exists.

use crate::command::{cargo, root, shown, target};
use crate::demo::put;
use crate::drawn;
use crate::elf;
use crate::firmware::NO_ROOM;
use crate::host::words;
use anyhow::{Context, Result, bail, ensure};
use fixformer::host::fit::{Board, Knob, Program, knobs, window_bytes};
use fixformer::host::reference::{AttentionKind::Exact, Positions};
use fixformer::model::MAX_TOKENS;
use fixformer::{Model, Plan};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// One image: where its package is, with which configuration it is built, and whether the memory map is ours.
pub(crate) struct Image {
    pub(crate) name: &'static str,
    /// What `fit` calls the board.
    board: &'static str,
    package: &'static str,
    config: &'static str,
    /// The memory map, where it is ours.
    map: Option<&'static str>,
    /// A workspace of its own.
    alone: bool,
    target: &'static str,
}

/// In the order in which they share most of what is compiled.
static IMAGES: [Image; 8] = [
    image("nrf52840-dk", "nrf52840", M4F),
    image("nrf52840-dk-embassy", "nrf52840-embassy", M4F),
    image("stm32f411-discovery", "stm32f411", M4F),
    image("pico", "rp2040", "thumbv6m-none-eabi"),
    image("pico2", "rp2350", "thumbv8m.main-none-eabihf"),
    Image {
        package: "pico2",
        config: "config-riscv.toml",
        map: Some("memory-riscv.x"),
        ..image("pico2-riscv", "rp2350-riscv", "riscv32imac-unknown-none-elf")
    },
    Image { alone: true, map: None, ..image("esp32c3", "esp32-c3", "riscv32imc-unknown-none-elf") },
    Image { alone: true, ..image("hifive1", "hifive1-b", "riscv32imac-unknown-none-elf") },
];

/// Those of these names; all, if there are none.
pub(crate) fn named(names: &[String]) -> Result<Vec<&'static Image>> {
    let known = |name: &String| IMAGES.iter().any(|image| image.name == name);
    if let Some(unknown) = names.iter().find(|name| !known(name)) {
        let all: Vec<_> = IMAGES.iter().map(|image| image.name).collect();
        bail!("no image `{unknown}`; there are {}", all.join(", "));
    }
    let asked = |image: &&Image| names.is_empty() || names.iter().any(|name| name == image.name);
    Ok(IMAGES.iter().filter(asked).collect())
}

const M4F: &str = "thumbv7em-none-eabihf";

/// What esp-hal says where a program leaves too little for the stack.
const NO_STACK: &str = "Main stack is smaller than";
/// Bytes of variables that `fit` may see more than there are: gaps between what is aligned.
const MOST_SLACK: usize = 16;
/// The same of code, which each new compiler makes anew.
const MOST_CODE_SLACK: usize = 2048;

const fn image(name: &'static str, board: &'static str, target: &'static str) -> Image {
    Image { name, board, package: name, config: "config.toml", map: Some("memory.x"), alone: false, target }
}

impl Image {
    /// The largest model that `fit` accepts for the board, by its tokens, and the next one.
    pub(crate) fn models(&self) -> Result<[PathBuf; 2]> {
        let board = self.board()?;
        let mut network =
            drawn::network("largest", vec![Exact], false, Positions::Sinusoidal, MAX_TOKENS as usize);
        let path = folder().join("largest.fxm");
        put(&path, &drawn::file(&network)?)?;
        let longest = words(&path)?;
        let model = Model::parse(&longest)?;
        let knobs = knobs(&model, &board.program, board.flash, board.ram);
        let most = knobs.iter().find_map(|knob| match knob {
            Knob::MaxTokens(tokens) => Some(*tokens),
            _ => None,
        });
        let most = most.with_context(|| format!("no model is too large for {}", board.name))?;
        let mut file = |tokens| -> Result<PathBuf> {
            network.max_tokens = tokens;
            let path = folder().join(format!("{}-{tokens}.fxm", self.name));
            put(&path, &drawn::file(&network)?)?;
            Ok(path)
        };
        Ok([file(most)?, file(most + 1)?])
    }

    /// Builds and links it with `model`, and looks where the linker has put things and whether they are as large as `fit`
    /// says.
    pub(crate) fn links(&self, model: &Path) -> Result<()> {
        let mut build = self.command(model);
        let output = run(&mut build)?;
        ensure!(
            output.status.success(),
            "{} failed\n{}",
            shown(&build),
            String::from_utf8_lossy(&output.stderr)
        );
        // The memory map of the ESP32-C3 is that of its HAL.
        if self.map.is_some() {
            elf::stack_is_lowest(&self.elf())?;
        }
        self.agrees(model)
    }

    /// A model that is too large is an error of the linker.
    pub(crate) fn refuses(&self, model: &Path) -> Result<()> {
        let output = run(&mut self.command(model))?;
        let messages = String::from_utf8_lossy(&output.stderr);
        ensure!(!output.status.success(), "{} links into {}", model.display(), self.name);
        ensure!(messages.contains(NO_ROOM) || messages.contains(NO_STACK), "unexpected errors:\n{messages}");
        Ok(())
    }

    /// Whether stack, variables and code are what `fit` takes them for.
    fn agrees(&self, model: &Path) -> Result<()> {
        let (elf, board) = (self.elf(), self.board()?);
        let Program { stack, variables, .. } = board.program;
        let words = words(model)?;
        let model = Model::parse(&words)?;
        let (sizes, found_stack) = (elf::sizes(&elf)?, elf::stack(&elf)? as usize);
        // esp-hal gives the stack what is left.
        let (taken, is_stack) = match self.map {
            Some(_) => (sizes.ram as usize, found_stack == stack),
            None => (board.ram - found_stack, found_stack >= stack),
        };
        let found = taken - Plan::of(&model).bytes() - window_bytes(&model);
        let code = board.program.flash(&model);
        let found_code = sizes.flash as usize - model.bytes();
        ensure!(is_stack, "{found_stack} bytes of stack, `fit` says {stack}");
        ensure!(
            found <= variables && variables < found + MOST_SLACK,
            "{found} bytes of variables, `fit` says {variables}"
        );
        ensure!(
            found_code <= code && code < found_code + MOST_CODE_SLACK,
            "{found_code} bytes of code, `fit` says {code}"
        );
        Ok(())
    }

    /// What `fit` has of it.
    fn board(&self) -> Result<&'static Board> {
        Board::named(self.board).with_context(|| format!("`fit` knows no board `{}`", self.board))
    }

    fn command(&self, model: &Path) -> Command {
        let mut cargo = cargo();
        let workspace = root().join("boards/hardware");
        let package = workspace.join(self.package);
        cargo
            .current_dir(if self.alone { &package } else { &workspace })
            .args(["build", "--quiet", "--release", "--locked", "--config"])
            .arg(package.join(self.config))
            .env_remove("RUSTFLAGS")
            .env_remove("CARGO_ENCODED_RUSTFLAGS")
            .env("FIXFORMER_MODEL", model)
            .env("CARGO_TARGET_DIR", folder())
            .stdin(Stdio::null());
        if !self.alone {
            cargo.args(["--package", self.package]);
        }
        cargo
    }

    fn elf(&self) -> PathBuf {
        folder().join(self.target).join("release").join(self.package)
    }
}

fn folder() -> PathBuf {
    target().join("hardware")
}

fn run(command: &mut Command) -> Result<Output> {
    command.output().with_context(|| format!("cannot start {}", shown(command)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::board::range;
    use std::fs;

    /// What needs no linker to be compared.
    #[test]
    fn fit_has_the_memory_maps() {
        for image in &IMAGES {
            let board = image.board().unwrap();
            let Some(map) = image.map else { continue };
            let map = root().join("boards/hardware").join(image.package).join(map);
            let map = fs::read_to_string(map).unwrap();
            let length = |region| range(&map, region).map_or(0, |range| (range.end - range.start) as usize);
            // First in RAM with cortex-m-rt, and a region with riscv-rt.
            let first =
                map.lines().find_map(|line| line.strip_prefix("_fixformer_stack = ")?.strip_suffix("K;"));
            let stack = first.map_or(length("STACK"), |kib| kib.parse::<usize>().unwrap() * 1024);
            assert_eq!(stack, board.program.stack, "{}", board.name);
            assert_eq!(length("STACK") + length("RAM") + length("DATA"), board.ram, "{}", board.name);
            assert_eq!(length("BOOT2") + length("FLASH"), board.flash, "{}", board.name);
        }
    }
}
