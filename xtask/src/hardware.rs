//! Firmware for boards on a desk: built and linked, so that what a user flashes exists.

use crate::command::{cargo, root, shown, target};
use crate::elf;
use crate::firmware::NO_ROOM;
use anyhow::{Context, Result, ensure};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// One image: where its package is, with which configuration it is built, and whether the memory map is ours.
pub(crate) struct Image {
    pub(crate) name: &'static str,
    package: &'static str,
    config: &'static str,
    /// A workspace of its own.
    alone: bool,
    target: &'static str,
}

/// In the order in which they share most of what is compiled.
pub(crate) const IMAGES: [Image; 8] = [
    image("nrf52840-dk", "nrf52840-dk", "config.toml", false, "thumbv7em-none-eabihf"),
    image("nrf52840-dk-embassy", "nrf52840-dk-embassy", "config.toml", false, "thumbv7em-none-eabihf"),
    image("stm32f411-discovery", "stm32f411-discovery", "config.toml", false, "thumbv7em-none-eabihf"),
    image("pico", "pico", "config.toml", false, "thumbv6m-none-eabi"),
    image("pico2", "pico2", "config.toml", false, "thumbv8m.main-none-eabihf"),
    image("pico2-riscv", "pico2", "config-riscv.toml", false, "riscv32imac-unknown-none-elf"),
    image("esp32c3", "esp32c3", "config.toml", true, "riscv32imc-unknown-none-elf"),
    image("hifive1", "hifive1", "config.toml", true, "riscv32imac-unknown-none-elf"),
];

const fn image(
    name: &'static str,
    package: &'static str,
    config: &'static str,
    alone: bool,
    target: &'static str,
) -> Image {
    Image { name, package, config, alone, target }
}

impl Image {
    /// Builds and links it, and looks where the linker has put things.
    pub(crate) fn holds(&self) -> Result<()> {
        let mut build = self.command();
        let output = run(&mut build)?;
        ensure!(
            output.status.success(),
            "{} failed\n{}",
            shown(&build),
            String::from_utf8_lossy(&output.stderr)
        );
        // The memory map of the ESP32-C3 is that of its HAL.
        if self.name != "esp32c3" {
            elf::stack_is_lowest(&self.elf())?;
        }
        Ok(())
    }

    /// A model that is too large is an error of the linker.
    pub(crate) fn refuses(&self, model: &Path) -> Result<()> {
        let output = run(self.command().env("FIXFORMER_MODEL", model))?;
        let messages = String::from_utf8_lossy(&output.stderr);
        ensure!(!output.status.success(), "{} links into {}", model.display(), self.name);
        ensure!(messages.contains(NO_ROOM), "unexpected errors:\n{messages}");
        Ok(())
    }

    fn command(&self) -> Command {
        let mut cargo = cargo();
        let workspace = root().join("boards/hardware");
        let package = workspace.join(self.package);
        cargo
            .current_dir(if self.alone { &package } else { &workspace })
            .args(["build", "--quiet", "--release", "--locked", "--config"])
            .arg(package.join(self.config))
            .env_remove("RUSTFLAGS")
            .env_remove("CARGO_ENCODED_RUSTFLAGS")
            .env_remove("FIXFORMER_MODEL")
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
