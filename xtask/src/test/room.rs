//! What has no room in the RAM is an error of the linker: an arena, and the stack wherever a memory map puts it.

use super::totals::Suite;
use crate::board::Board;
use crate::cases::digits_file;
use crate::command::target;
use crate::{elf, firmware};
use anyhow::{Context, Result, ensure};
use std::fs;
use std::process::Output;

/// An arena larger than the RAM is an error of the linker, with the bytes that are missing.
pub(super) fn small_ram(board: &Board) -> Result<()> {
    let map = board.memory_map()?;
    let is_ram = |line: &str| line.trim_start().starts_with("RAM ");
    let ram = map.lines().find(|line| is_ram(line)).context("the memory map has no line of RAM")?;
    let (start, _) = ram.split_once("LENGTH = ").context("RAM without a length")?;
    let small = map.replace(ram, &format!("{start}LENGTH = 8K"));
    let output = link(board, "small-ram", &small, true)?;
    let messages = String::from_utf8_lossy(&output.stderr);
    ensure!(!output.status.success(), "12 KB of arena link into 8 KB of RAM");
    ensure!(messages.contains("will not fit in region 'RAM'"), "unexpected errors:\n{messages}");
    Ok(())
}

/// With 1 KB too little for the stack `classify` does not link, and with that it does, wherever the stack is.
pub(super) fn stack(board: &Board, suite: &mut Suite) -> Result<()> {
    let elf = firmware::build(board, "classify", &digits_file())?;
    let variables = elf::sizes(&elf)?.ram.next_multiple_of(16);
    let test = |place: Place, bytes| {
        let map = |stack| place.map(board, variables, stack, bytes);
        links_from(board, bytes, map, place == Place::First)
    };
    if board.target.starts_with("thumb") {
        suite.test("stack::first_in_ram", test(Place::First, NEEDED));
    }
    suite.test("stack::in_a_region", test(Place::Region, NEEDED));
    suite.test("stack::at_the_end_of_ram", test(Place::End, NEEDED));
    suite.test("stack::more_is_asked_for", test(Place::End, NEEDED + KIB));
    Ok(())
}

const KIB: u64 = 1024;
/// What `fixformer-stack.x` asks for where a map says nothing.
const NEEDED: u64 = 4 * KIB;
/// What it says where that is missing.
const NO_STACK: &str = "ERROR(fixformer): too little RAM is left for the stack";

/// Where a memory map has the stack.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    /// Where `fixformer-stack-first.x` puts it.
    First,
    Region,
    End,
}

impl Place {
    /// The map of `board` with so many bytes of RAM, of which the stack needs `needed`.
    fn map(self, board: &Board, variables: u64, stack: u64, needed: u64) -> Result<String> {
        let start = board.memory("RAM")?.start;
        let mut map = String::from("MEMORY\n{\n");
        if self == Self::Region {
            map += &format!("  STACK : ORIGIN = {start:#x}, LENGTH = {stack}\n");
            map += &format!("  RAM : ORIGIN = {:#x}, LENGTH = {variables}\n}}\n", start + stack);
            map += "_stack_end = ORIGIN(STACK);\n_stack_start = ORIGIN(STACK) + LENGTH(STACK);\n";
        } else {
            map += &format!("  RAM : ORIGIN = {start:#x}, LENGTH = {}\n}}\n", variables + stack);
        }
        if needed != NEEDED {
            map += &format!("_fixformer_stack = {needed};\n");
        }
        let ours = ["RAM ", "STACK ", "_stack_start ", "_stack_end ", "_fixformer_stack "];
        for line in board.memory_map()?.lines() {
            if ours.iter().any(|word| line.trim_start().starts_with(word)) {
                continue;
            }
            let end = self == Self::End && line.contains("REGION_STACK");
            map += &if end { line.replace("STACK)", "RAM)") } else { line.to_owned() };
            map.push('\n');
        }
        Ok(map)
    }
}

/// Whether `classify` links with `needed` bytes for the stack, and with 1 KB less is refused for that reason.
fn links_from(board: &Board, needed: u64, map: impl Fn(u64) -> Result<String>, first: bool) -> Result<()> {
    let output = link(board, "small-stack", &map(needed - KIB)?, first)?;
    let messages = String::from_utf8_lossy(&output.stderr);
    ensure!(!output.status.success(), "{} bytes of stack link", needed - KIB);
    ensure!(messages.contains(NO_STACK), "unexpected errors:\n{messages}");

    let output = link(board, "small-stack", &map(needed)?, first)?;
    let messages = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{needed} bytes of stack do not link:\n{messages}");
    Ok(())
}

/// Builds `classify` with this memory map, with the stack where the map says or `first` in RAM.
fn link(board: &Board, folder: &str, map: &str, first: bool) -> Result<Output> {
    let folder = target().join(folder).join(&board.name);
    fs::create_dir_all(&folder)?;
    fs::write(folder.join("memory.x"), map)?;
    let mut build = firmware::command(board, "classify", &digits_file());
    build.env("FIXFORMER_BOARD", &folder).env("FIXFORMER_STACK", if first { "first" } else { "elsewhere" });
    Ok(build.output()?)
}
