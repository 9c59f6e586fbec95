//! `fixformer describe`.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Args;
use fixformer::host::describe::describe;
use fixformer::host::file;

use crate::say::say;

#[derive(Args)]
pub(crate) struct Arguments {
    /// Weights: a safetensors file, the index of its shards, or the folder of either
    #[arg(value_name = "SAFETENSORS")]
    weights: PathBuf,
    /// The description to write; one that is there is kept [default: standard output]
    #[arg(short, long, value_name = "TOML")]
    output: Option<PathBuf>,
}

pub(crate) fn run(arguments: &Arguments, out: &mut impl Write) -> Result<ExitCode> {
    let described = describe(&arguments.weights)?;
    match &arguments.output {
        Some(path) if path.exists() => {
            bail!("{}: is there, and may have been edited; remove it or name another file", path.display())
        }
        Some(path) => file::replace(path, described.toml.as_bytes())?,
        None => write!(out, "{}", described.toml)?,
    }
    say(format_args!(
        "{}: {}; {} values are marked \"not in the weights\": set them, then check them with `fixformer quantize --expect`",
        arguments.weights.display(),
        described.family,
        described.marked
    ));
    Ok(ExitCode::SUCCESS)
}
