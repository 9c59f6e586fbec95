//! The engine's tests for a host of 32 bits, where sizes have no more than on a core.

use super::totals::Totals;
use crate::command::cargo;
use crate::fuzz;
use crate::setup::{NARROW, runs_narrow};
use anyhow::Result;

/// The test files of what runs on a core too, of which no one takes long, and those of readers of files.
const TESTS: [&str; 26] = [
    "arena",
    "backends",
    "causal",
    "causality",
    "costs",
    "data",
    "data_formats",
    "data_text",
    "endless",
    "engine",
    "expect",
    "favor",
    "fills",
    "golden",
    "golden_reformer_bigbird",
    "heads",
    "import",
    "kernels",
    "known",
    "lsh",
    "num",
    "one_meaning",
    "passes",
    "sizes",
    "state_in_flash",
    "windows",
];

/// Models drawn for it.
const DRAWN: u64 = 200;

/// The engine's tests, those that a board has too among them, and drawn models.
pub(super) fn run(totals: &Totals) -> Result<()> {
    if !runs_narrow() {
        println!("\n== 32-bit host: left out, it runs on x86-64 Linux alone");
        return Ok(());
    }
    println!("\n== 32-bit host: the engine's tests for {NARROW}");
    let mut command = cargo();
    command.args(["test", "--target", NARROW, "--no-fail-fast", "--lib"]);
    command.args(["--package", "fixformer", "--package", "fixformer-checks", "--package", "fixformer-fuzz"]);
    command.args(TESTS.iter().flat_map(|test| ["--test", test]));
    totals.cargo(&mut command)?;
    totals.suite("i686", "32-bit host: drawn models", |suite| {
        suite.test("drawn_models", fuzz::on_i686(DRAWN));
        Ok(())
    });
    Ok(())
}
