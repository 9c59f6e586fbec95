//! Cycles of kernels and heads: every instruction that the emulator executes between two marks, by a published table.

use super::row::Row;
use super::timing::{Core, Instruction, instruction};
use crate::board::Board;
use crate::{elf, qemu, setup};
use anyhow::{Context, Result, ensure};
use std::collections::HashMap;
use std::path::Path;
use std::process::Command;

/// Most by which a trace may be longer than what the firmware counted: the readings of the counter.
const READINGS: u64 = 200;

/// The function of the firmware that marks, and the argument with which it does.
const MARK: &str = "mark";
const TRACED: &str = "trace";

/// The rows of `elf`, each with its cycles.
pub(super) fn measure(board: &Board, elf: &Path) -> Result<Vec<Row>> {
    let (code, core, mark) = (disassemble(elf)?, Core::of(&board.name)?, elf::function(elf, MARK)?);
    let (mut marks, mut unknown) = (Vec::new(), 0_u64);
    // Instructions and cycles so far, and the last two instructions.
    let (mut sums, mut before, mut last) = ([0, 0], None, None::<&(Instruction, u64)>);
    let ended = qemu::traced(board, elf, TRACED, |address| {
        if address == mark {
            marks.push(sums);
        }
        let now = code.get(&address);
        if let (Some((instruction, next)), Some((after, _))) = (last, now) {
            let cycles = instruction.cycles(core, before, after, address != *next);
            sums = [sums[0] + 1, sums[1] + u64::from(cycles)];
        }
        // What runs before the program is not its own.
        unknown += u64::from(now.is_none() && !marks.len().is_multiple_of(2));
        (before, last) = (last.map(|(instruction, _)| instruction), now);
    })?;
    let lines = ended.success()?;
    ensure!(unknown == 0, "board {}: {unknown} instructions that llvm-objdump does not know", board.name);
    ensure!(
        marks.len() == 2 * lines.len(),
        "board {}: {} marks, {} lines",
        board.name,
        marks.len(),
        lines.len()
    );
    let row = |(line, pair): (&String, &[[u64; 2]])| {
        let [executed, cycles] = [0, 1].map(|sum| pair[1][sum] - pair[0][sum]);
        let row = Row::read(&format!("{line} cycles {cycles}"))?;
        let counted = row.number("instructions").unwrap_or_default();
        ensure!(
            (counted..=counted + READINGS).contains(&executed),
            "{line}: {executed} instructions in the trace"
        );
        Ok(row)
    };
    lines.iter().zip(marks.chunks_exact(2)).map(row).collect()
}

/// The instructions of a program by their addresses, each with the address behind it.
fn disassemble(elf: &Path) -> Result<HashMap<u64, (Instruction, u64)>> {
    let tool = setup::llvm_tool("llvm-objdump")?;
    let mut objdump = Command::new(&tool);
    objdump.args(["--disassemble", "--mattr=+mve,+dsp,+lob,+m,+c"]).arg(elf);
    let output = objdump.output().with_context(|| format!("cannot start {}", tool.display()))?;
    ensure!(output.status.success(), "llvm-objdump: {}", String::from_utf8_lossy(&output.stderr));
    let lines = String::from_utf8_lossy(&output.stdout);
    Ok(lines
        .lines()
        .filter_map(instruction)
        .map(|(place, instruction)| (place.start, (instruction, place.end)))
        .collect())
}
