//! Firmware for one board, built by cargo with that board's configuration.

use crate::board::Board;
use crate::command::{cargo, shown, target};
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The program that logs in defmt frames.
pub(crate) const LOGS: &str = "profile";

/// What the linker says of a program that is too large.
pub(crate) const NO_ROOM: &str = "will not fit in region";

/// Builds `program` with `model` inside and returns the ELF file, which a later build with another
/// model does not replace.
pub(crate) fn build(board: &Board, program: &str, model: &Path) -> Result<PathBuf> {
    let stem = model.file_stem().unwrap_or_default().to_string_lossy();
    finish(board, program, &stem, command(board, program, model))
}

/// [`build`] with checks for overflow in the arithmetic, which the firmware leaves out.
pub(crate) fn build_checked(board: &Board, program: &str, model: &Path) -> Result<PathBuf> {
    let mut cargo = command(board, program, model);
    cargo.args(["--config", "profile.firmware.overflow-checks=true"]);
    finish(board, program, "checked", cargo)
}

/// Runs the build and keeps its ELF file as `PROGRAM-KEPT.elf`.
fn finish(board: &Board, program: &str, kept: &str, mut cargo: Command) -> Result<PathBuf> {
    let output = cargo.output().with_context(|| format!("cannot start {}", shown(&cargo)))?;
    if !output.status.success() {
        let messages = String::from_utf8_lossy(&output.stderr);
        bail!("board {}: {} failed\n{messages}", board.name, shown(&cargo));
    }

    let built = board.build.join(&board.target).join("firmware").join(program);
    let folder = target().join("boards").join(&board.name);
    fs::create_dir_all(&folder)?;
    let kept = folder.join(format!("{program}-{kept}.elf"));
    fs::copy(&built, &kept).with_context(|| format!("cannot copy {}", built.display()))?;
    Ok(kept)
}

/// The build itself; `FIXFORMER_BOARD` may name another folder with a memory map.
pub(crate) fn command(board: &Board, program: &str, model: &Path) -> Command {
    let mut cargo = cargo();
    cargo
        .args(["build", "--quiet", "--package", "fixformer-boards", "--profile", "firmware"])
        .args(["--bin", program])
        .args(if program == LOGS { &["--features", "defmt"][..] } else { &[] })
        .arg("--config")
        .arg(board.config())
        // Either would replace the flags in the board's configuration.
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env("CARGO_TARGET_DIR", &board.build)
        .env("FIXFORMER_MODEL", model)
        .env("DEFMT_LOG", "info")
        .stdin(Stdio::null());
    cargo
}
