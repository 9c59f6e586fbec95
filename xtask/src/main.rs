//! `cargo xtask`: builds firmware, runs it on emulated boards, and reports.

mod board;
mod command;
mod demo;
mod elf;
mod firmware;
mod host;
mod picture;
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
    /// Classify real recordings with firmware on every emulated board; fails if a bit differs from the host
    Demo(demo::Options),
    /// Run every test: host, documentation, every emulated board
    Test(test::Options),
    /// Flash and RAM of every board's programs, by module
    Size(size::Options),
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Demo(options) => demo::run(&options),
        Command::Test(options) => test::run(&options),
        Command::Size(options) => size::run(&options),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
