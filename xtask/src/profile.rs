//! What the program `profile` logs in defmt frames: instructions by layer, scores, an error.

use crate::board::Board;
use crate::cases::digits_file;
use crate::firmware::{self, LOGS};
use crate::{qemu, setup};
use anyhow::{Context, Result, anyhow, bail, ensure};
use defmt_decoder::{DecodeError, Table};
use std::fs;
use std::path::{Path, PathBuf};

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Board that runs the model
    #[arg(long = "core", value_name = "NAME", default_value = "m4")]
    core: String,
    /// Model file
    #[arg(long, value_name = "FXM", default_value_os_t = digits_file())]
    model: PathBuf,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let boards = Board::named(&[&options.core])?;
    setup::ready(&boards)?;
    let model = fs::canonicalize(&options.model).with_context(|| options.model.display().to_string())?;
    boards.iter().try_for_each(|board| {
        messages(board, &model)?.iter().for_each(|message| println!("{message}"));
        Ok(())
    })
}

/// The messages, each with its level: `INFO layer ...`.
pub(crate) fn messages(board: &Board, model: &Path) -> Result<Vec<String>> {
    let elf = firmware::build(board, LOGS, model)?;
    let frames = qemu::bytes(board, &elf)?;
    let table = Table::parse(&fs::read(&elf)?)?.context("the firmware has no table of messages")?;
    let mut decoder = table.new_stream_decoder();
    decoder.received(&frames);
    let mut messages = Vec::new();
    loop {
        match decoder.decode() {
            Ok(frame) => {
                let level = frame.level().map_or("", |level| level.as_str()).to_uppercase();
                messages.push(format!("{level} {}", frame.display_message()));
            }
            Err(DecodeError::UnexpectedEof) => return Ok(messages),
            Err(DecodeError::Malformed) => bail!("a malformed frame after {messages:?}"),
        }
    }
}

/// Fails unless the layers add up to the whole, but for what the log itself takes, and the error arrives in words.
pub(crate) fn adds_up(messages: &[String]) -> Result<()> {
    let number = |text: &str| -> Result<u64> {
        let digits = text.split_whitespace().find_map(|word| word.parse().ok());
        digits.ok_or_else(|| anyhow!("no number in `{text}`"))
    };
    let whole =
        messages.iter().find_map(|message| message.strip_prefix("INFO instructions ")).context("no sum")?;
    ensure!(whole.contains("Scores { raw: ["), "no scores: {whole}");
    let whole = number(whole)?;
    let layers = messages.iter().filter_map(|message| message.strip_prefix("INFO layer "));
    let layers: Vec<u64> =
        layers.map(|layer| number(layer.rsplit('}').next().unwrap_or(""))).collect::<Result<_>>()?;
    let sum: u64 = layers.iter().sum();
    ensure!(layers.len() > 3 && layers.iter().all(|&layer| layer > 0), "layers without work: {layers:?}");
    ensure!(sum <= whole && sum * 100 > whole * 95, "the layers took {sum} of {whole} instructions");
    ensure!(messages.last().is_some_and(|last| last == "WARN Empty"), "no error: {:?}", messages.last());
    Ok(())
}
