//! Flash and RAM of every board's programs.

use crate::board::Board;
use crate::cases::digits_file;
use crate::command::root;
use crate::elf::{self, Sizes};
use crate::{firmware, setup};
use anyhow::{Context, Result};
use comfy_table::{CellAlignment, Table, presets};
use serde_json::json;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Print one JSON object a line for each board and program, and nothing else
    #[arg(long)]
    json: bool,
}

const PROGRAMS: [&str; 2] = ["classify", "selftest"];
/// The engine, the runtime and this program, for any model of the same kind.
const WITHOUT_MODEL: &str = "classify without the model";
const MODEL: &str = "model";

pub(crate) fn run(options: &Options) -> Result<()> {
    let boards = Board::all()?;
    setup::ready(&boards)?;
    for board in &boards {
        let programs = programs(board)?;
        if options.json {
            for (program, sizes) in &programs {
                let Sizes { flash, ram, parts } = sizes;
                println!(
                    "{}",
                    json!({
                        "board": board.name, "program": program,
                        "flash_bytes": flash, "ram_bytes": ram, "parts": parts,
                    })
                );
            }
        } else {
            println!("\n{} ({})\n{}", board.name, board.target, table(&programs));
        }
        if FAMILIES.contains(&&*board.name) {
            for model in MECHANISMS {
                let program = format!("{WITHOUT_MODEL}, {model}");
                let Sizes { flash, ram, .. } = without_model(board, &zoo_file(model))?;
                if options.json {
                    println!(
                        "{}",
                        json!({
                            "board": board.name, "program": program,
                            "flash_bytes": flash, "ram_bytes": ram,
                        })
                    );
                } else {
                    println!("{program}: {flash} bytes of flash");
                }
            }
        }
    }
    Ok(())
}

/// Flash of `classify` without its model, here the digits with exact attention: what fixformer itself costs.
pub(crate) fn flash_without_model(board: &Board) -> Result<u64> {
    Ok(without_model(board, &digits_file())?.flash)
}

/// The boards on which the flash of each mechanism is measured, one for either family of cores.
pub(crate) const FAMILIES: [&str; 2] = ["m4", "riscv32"];
/// Models of `models/zoo` with the mechanisms.
pub(crate) const MECHANISMS: [&str; 7] = [
    "digits-bigbird",
    "digits-hierarchical",
    "digits-favor",
    "digits-lsh",
    "marks-hierarchical",
    "marks-favor",
    // Causal and bidirectional.
    "listops-favor",
];

/// A model of `models/zoo`.
pub(crate) fn zoo_file(name: &str) -> PathBuf {
    root().join("models/zoo").join(name).with_extension("fxm")
}

/// `classify` without `model`, but with the mechanisms that it names.
pub(crate) fn without_model(board: &Board, model: &Path) -> Result<Sizes> {
    let bytes = fs::metadata(model).with_context(|| format!("cannot read {}", model.display()))?.len();
    let sizes = elf::sizes(&firmware::build(board, "classify", model)?)?;
    Ok(Sizes { flash: sizes.flash - bytes, ..sizes })
}

fn programs(board: &Board) -> Result<Vec<(&'static str, Sizes)>> {
    let model = digits_file();
    let model_bytes = fs::metadata(&model).with_context(|| format!("cannot read {}", model.display()))?.len();
    let mut list = Vec::new();
    for program in PROGRAMS {
        let mut sizes = elf::sizes(&firmware::build(board, program, &model)?)?;
        if program == "classify" {
            separate(&mut sizes, model_bytes);
            let mut parts = sizes.parts.clone();
            parts.remove(MODEL);
            let without = Sizes { flash: sizes.flash - model_bytes, ram: sizes.ram, parts };
            list.push((WITHOUT_MODEL, without));
        }
        list.push((program, sizes));
    }
    Ok(list)
}

/// Moves the model, a constant of known size, to a part of its own.
fn separate(sizes: &mut Sizes, model: u64) {
    let largest = sizes.parts.values_mut().filter(|size| **size >= model).max();
    if let Some(part) = largest {
        *part -= model;
        sizes.parts.insert(MODEL.to_string(), model);
    }
}

fn table(programs: &[(&str, Sizes)]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_BORDERS_ONLY);
    table.set_header([""].into_iter().chain(programs.iter().map(|(program, _)| *program)));
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    let mut row = |name: &str, value: &dyn Fn(&Sizes) -> Option<u64>| {
        let cells = programs.iter().map(|(_, sizes)| value(sizes).map_or(String::new(), |n| n.to_string()));
        table.add_row([name.to_string()].into_iter().chain(cells));
    };
    row("flash, bytes", &|sizes| Some(sizes.flash));
    let names: BTreeSet<_> = programs.iter().flat_map(|(_, sizes)| sizes.parts.keys()).collect();
    for name in names {
        row(&format!("  {name}"), &|sizes| sizes.parts.get(name).copied());
    }
    row("RAM without stack, bytes", &|sizes| Some(sizes.ram));
    table
}
