//! The kernels of a host with NEON, under an emulator of its processor: their bits, and those of small models of every mechanism.

use super::totals::Totals;
use crate::command::cargo;
use crate::setup::{self, NEON, NEON_EMULATOR};
use anyhow::Result;

/// The test files of the package `fixformer-fuzz` that use every backend.
const TESTS: [&str; 2] = ["backends", "small"];

pub(super) fn run(totals: &Totals) -> Result<()> {
    if !setup::emulates_neon() {
        println!("\n== host with NEON: left out, it runs on x86-64 Linux alone");
        return Ok(());
    }
    setup::neon()?;
    println!("\n== host with NEON: every backend's kernels for {NEON}, under {NEON_EMULATOR}");
    let variable = |name: &str| format!("CARGO_TARGET_{}_{name}", NEON.replace('-', "_").to_uppercase());
    let mut command = cargo();
    command.args(["test", "--target", NEON, "--no-fail-fast", "--package", "fixformer-fuzz"]);
    command.args(TESTS.iter().flat_map(|test| ["--test", test]));
    // No C compiler for it is asked for: Rust's own linker, and a C library that comes with the target.
    command.env(variable("LINKER"), "rust-lld").env(variable("RUNNER"), NEON_EMULATOR);
    totals.cargo(&mut command)
}
