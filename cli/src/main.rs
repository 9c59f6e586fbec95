//! `fixformer`: from a float checkpoint to a model file for a microcontroller, and what is known of it.

use std::env;
use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::{Result, ensure};
use clap::{Parser, Subcommand};
use fixformer::host::printable::Printer;
use fixformer::kernels::Backend;
use say::say;

mod describe;
mod diff;
mod eval;
mod expect;
mod fit;
mod imported;
mod inspect;
mod layers;
mod levels;
mod model_file;
mod names;
mod network;
#[cfg(feature = "onnx")]
mod onnx;
mod plan;
mod problem;
mod progress;
mod quantize;
mod recordings;
mod run;
mod say;
mod scores;
mod table;
mod threshold;

const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  the operation failed: a file is missing, damaged or does not match another
  2  the command line is wrong
  3  `fit`: the model does not fit the board that was asked for; `diff`: the device differs";

/// Transformers on microcontrollers: integer arithmetic, no heap, the same bits on every chip and on this machine.
#[derive(Parser)]
#[command(name = "fixformer", version, after_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Writes a description of a float model from the names and shapes of its tensors
    #[command(after_help = EXIT_CODES)]
    Describe(describe::Arguments),
    /// Turns a float checkpoint into a model file (.fxm), with the error of each layer
    #[command(after_help = EXIT_CODES)]
    Quantize(quantize::Arguments),
    /// Compares a model file with its labels and with the float checkpoint it was made of
    #[command(after_help = EXIT_CODES)]
    Eval(eval::Arguments),
    /// Says the class of recordings that have no labels
    #[command(after_help = EXIT_CODES)]
    Run(run::Arguments),
    /// Says whether a model fits a microcontroller, and which knob to turn if not
    #[command(after_help = EXIT_CODES)]
    Fit(fit::Arguments),
    /// Names the first layer, row and value where the log of a device and this machine differ
    #[command(after_help = EXIT_CODES)]
    Diff(diff::Arguments),
    /// Lists what is in a model file, layer by layer
    #[command(after_help = EXIT_CODES)]
    Inspect(inspect::Arguments),
}

fn main() -> ExitCode {
    let out = &mut Printer(io::stdout().lock());
    let command = Cli::parse().command;
    let result = backend_is_there().and_then(|()| match command {
        Command::Describe(arguments) => describe::run(&arguments, out),
        Command::Quantize(arguments) => quantize::run(&arguments, out),
        Command::Eval(arguments) => eval::run(&arguments, out),
        Command::Run(arguments) => run::run(&arguments, out),
        Command::Fit(arguments) => fit::run(&arguments, out),
        Command::Diff(arguments) => diff::run(&arguments, out),
        Command::Inspect(arguments) => inspect::run(&arguments, out),
    });
    match result.and_then(|code| Ok(out.flush().map(|()| code)?)) {
        Ok(code) => code,
        // The reader has seen enough, as in `fixformer inspect … | head`.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            say(format_args!("error: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// Fails where the environment asks for kernels that this machine does not have, or nobody has.
fn backend_is_there() -> Result<()> {
    let Some(name) = env::var_os("FIXFORMER_BACKEND") else { return Ok(()) };
    let names: Vec<_> = Backend::all().map(Backend::name).collect();
    ensure!(
        names.iter().any(|known| name == *known),
        "FIXFORMER_BACKEND is {name:?}; this process can have {}",
        names.join(", ")
    );
    Ok(())
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
