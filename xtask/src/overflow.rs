//! The firmware with a check at every addition, product and shift: with the right answers at the end, none overflowed.

use crate::board::Board;
use crate::boards::{self, CLASSIFY, REPLAY};
use crate::cases::{digits_file, digits_test};
use crate::command::root;
use crate::model::Model;
use crate::{elf, firmware};
use anyhow::{Context, Result, ensure};
use std::path::{Path, PathBuf};

/// Recordings for each model.
const RECORDINGS: usize = 2;

/// `classify` with exact attention.
pub(crate) fn classify(board: &Board) -> Result<()> {
    let elf = checked(board, CLASSIFY)?;
    boards::classify(board, &elf, &digits("exact", &digits_file())?)?;
    Ok(())
}

/// `replay` with every other mechanism of attention.
pub(crate) fn replay(board: &Board) -> Result<()> {
    let elf = checked(board, REPLAY)?;
    for mechanism in ["bigbird", "favor", "hierarchical", "lsh"] {
        let file = root().join(format!("models/zoo/digits-{mechanism}.fxm"));
        boards::replay(board, &elf, &digits(mechanism, &file)?).context(mechanism)?;
    }
    Ok(())
}

fn digits(mechanism: &str, file: &Path) -> Result<Model> {
    Model::recorded(&format!("overflow-{mechanism}"), file, &digits_test().spread(RECORDINGS))
}

/// The program with checks; without any this would prove nothing.
fn checked(board: &Board, program: &str) -> Result<PathBuf> {
    let elf = firmware::build_checked(board, program, &digits_file())?;
    let symbols = elf::symbols(&elf)?;
    for operation in ["add", "sub", "mul"] {
        let check = format!("panic_const_{operation}_overflow");
        ensure!(symbols.iter().any(|name| name.ends_with(&check)), "the image has no `{check}`");
    }
    Ok(elf)
}
