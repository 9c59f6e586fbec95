//! The firmware with a check at every addition, product and shift: with the right answers at the end, none overflowed.

use crate::board::Board;
use crate::boards::REPLAY;
use crate::command::{root, target};
use crate::demo::write;
use crate::zoo::{digits_file, digits_test};
use crate::{elf, firmware, host, qemu, report};
use anyhow::{Context, Result, ensure};
use std::fs;
use std::path::Path;

/// Recordings for each model.
const RECORDINGS: usize = 2;

/// `classify` with exact attention.
pub(crate) fn classify(board: &Board) -> Result<()> {
    let elf = checked(board, "classify")?;
    runs(board, &elf, &digits_file(), "overflow.rec")
}

/// `replay` with every other mechanism of attention.
pub(crate) fn replay(board: &Board) -> Result<()> {
    let elf = checked(board, REPLAY)?;
    for mechanism in ["bigbird", "favor", "hierarchical", "lsh"] {
        let file = root().join(format!("models/zoo/digits-{mechanism}.fxm"));
        fs::copy(&file, target().join("recordings/overflow.fxm"))?;
        runs(board, &elf, &file, "overflow.fxm overflow.rec").context(mechanism)?;
    }
    Ok(())
}

/// The program with checks; without any this would prove nothing.
fn checked(board: &Board, program: &str) -> Result<std::path::PathBuf> {
    let elf = firmware::build_checked(board, program, &digits_file())?;
    let symbols = elf::symbols(&elf)?;
    for operation in ["add", "sub", "mul"] {
        let check = format!("panic_const_{operation}_overflow");
        ensure!(symbols.iter().any(|name| name.ends_with(&check)), "the image has no `{check}`");
    }
    Ok(elf)
}

fn runs(board: &Board, elf: &Path, model: &Path, argument: &str) -> Result<()> {
    let folder = target().join("recordings");
    let test = digits_test().spread(RECORDINGS);
    write(&folder.join("overflow.rec"), &test)?;
    let lines = qemu::run(board, elf, Some(argument), &folder, |_| {})?.success()?;
    let (found, expected) = (report::read(&lines)?.digest, host::fixed(model, &test.rows)?.digest());
    ensure!(found == expected, "digest {found}, on the host {expected}");
    Ok(())
}
