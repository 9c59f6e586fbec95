//! `cargo xtask`: builds firmware, runs it on emulated boards, and reports.

mod bench;
mod board;
mod boards;
mod cases;
mod command;
mod demo;
mod difference;
mod drawn;
mod elf;
mod estimate;
mod firmware;
mod fuzz;
mod golden;
mod guarantees;
mod hardware;
mod host;
mod long;
mod model;
mod overflow;
mod passes;
mod picture;
mod placement;
mod profile;
mod qemu;
mod report;
mod setup;
mod size;
mod test;
mod zoo;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Demo, tests and figures of fixformer on emulated boards")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Classify real recordings with firmware on an emulated Cortex-M4 and a RISC-V; fails if a bit differs from the host
    Demo(demo::Options),
    /// Run every test: host, documentation, every emulated board
    Test(test::Options),
    /// Every model on every emulated board: digest, instructions, stack; fails if a bit differs from the host
    Boards(boards::Options),
    /// Executed instructions of every kernel and mechanism on every emulated board
    Bench(bench::Options),
    /// Executed instructions of each layer of a model, logged by the firmware as defmt frames and decoded here
    Profile(profile::Options),
    /// Flash and RAM of every board's programs, by module
    Size(size::Options),
    /// Run golden files through the float reference and the fixed-point engine; fails past the limits
    Golden(golden::Options),
    /// Draw models of every mechanism and option, and run them on every core as on the host; fails if a bit differs
    Fuzz(fuzz::Options),
    /// Train, quantise and evaluate recipes of models/zoo, and keep the table in models/README.md
    Zoo(zoo::Options),
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Demo(options) => demo::run(&options),
        Command::Test(options) => test::run(&options),
        Command::Boards(options) => boards::run(&options),
        Command::Bench(options) => bench::run(&options),
        Command::Profile(options) => profile::run(&options),
        Command::Size(options) => size::run(&options),
        Command::Golden(options) => golden::run(&options),
        Command::Fuzz(options) => fuzz::run(&options),
        Command::Zoo(options) => zoo::run(&options),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
