//! Where the statics of `placed` lie: in the memories of the board that its sections stand for.

use crate::board::Board;
use crate::boards::classify;
use crate::model::Model;
use crate::{elf, firmware};
use anyhow::{Result, ensure};
use std::path::Path;

/// The board whose `memory.x` has the sections of [`PROGRAM`].
pub(crate) const BOARD: &str = "m55";
const PROGRAM: &str = "placed";
/// Statics, and the regions of `memory.x` that they belong to.
const PLACES: [(&str, &str); 2] = [("ARENA", "DTCM"), ("WEIGHTS", "QSPI")];

/// Fails unless `model` runs from there with the bits of the host.
pub(crate) fn run(board: &Board, model: &Model) -> Result<()> {
    let elf = firmware::build(board, PROGRAM, &model.file)?;
    classify(board, &elf, model)?;
    hold(board, &elf)
}

/// Fails with the first static of the image `elf` that lies elsewhere.
pub(crate) fn hold(board: &Board, elf: &Path) -> Result<()> {
    for (name, region) in PLACES {
        let place = elf::variable(elf, name)?;
        let memory = board.memory(region)?;
        let inside = memory.start <= place.start && place.end <= memory.end;
        ensure!(inside, "{name} is at {place:#x?}, {region} at {memory:#x?}");
    }
    Ok(())
}
