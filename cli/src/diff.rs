//! `fixformer diff`.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, anyhow};
use clap::Args;
use fixformer::host::difference::first_difference;
use fixformer::host::file;

use crate::model_file::ModelFile;

/// Exit code where the log differs.
const DIFFERENT: u8 = 3;

#[derive(Args)]
pub(crate) struct Arguments {
    /// Model file that the device ran
    #[arg(value_name = "FXM")]
    file: PathBuf,
    /// Log of the device: lines `input ...` and `trace ...`; other lines do not matter
    #[arg(value_name = "LOG")]
    log: PathBuf,
}

pub(crate) fn run(arguments: &Arguments, out: &mut impl Write) -> Result<ExitCode> {
    let file = ModelFile::read(&arguments.file)?;
    let name = arguments.log.display();
    let log = file::text(&arguments.log)
        .map_err(|error| anyhow!("{name}: cannot be read: {error}{}", file::advice(&error)))?;
    match first_difference(file.model()?, &log).map_err(|error| anyhow!("{name}: {error}"))? {
        Ok(same) => {
            writeln!(out, "the same: {} rows of tensors in {} recordings", same.rows, same.recordings)?;
            Ok(ExitCode::SUCCESS)
        }
        Err(difference) => {
            writeln!(out, "{difference}")?;
            Ok(ExitCode::from(DIFFERENT))
        }
    }
}
