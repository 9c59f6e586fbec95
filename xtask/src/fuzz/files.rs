//! Model files on this machine: with fields changed, and with bits flipped.

use crate::command::root;
use crate::{host, zoo};
use anyhow::{Context, Result, ensure};
use fixformer::Model;
use fixformer::model::Task;
use fixformer::model::write::with_thresholds;
use fixformer_fuzz::campaign::{self, Found};
use fixformer_fuzz::random::{Source, any};
use fixformer_fuzz::small;
use indicatif::ProgressBar;
use serde_json::json;
use std::fs;

/// Changed model files on this machine.
pub(super) fn changed([first, count, every]: [u64; 3], as_json: bool) -> Result<()> {
    let bar = ProgressBar::new(count);
    let mut told = 0;
    let found = campaign::files(&campaign::originals(ORIGINALS), [first, count, every], |found| {
        bar.set_position(found.parses);
        bar.suspend(|| found.faults[told..].iter().for_each(|fault| eprintln!("{fault}")));
        told = found.faults.len();
    });
    bar.finish_and_clear();
    let Found { parses, accepted, runs, faults } = found;
    let count = faults.len();
    match as_json {
        true => {
            println!("{}", json!({ "parses": parses, "accepted": accepted, "runs": runs, "faults": count }))
        }
        false => println!("{parses} parses, {accepted} accepted, {runs} runs, {count} faults"),
    }
    ensure!(faults.is_empty(), "{} of the files are no good", faults.len());
    Ok(())
}

/// Models that are drawn for files to be changed; the smaller third of them is.
const ORIGINALS: u64 = 900;

/// Models whose scores are kept: the smallest of every mechanism, and some with options at random.
pub(super) fn known() -> Result<()> {
    let drawn =
        (0..).map(|seed| decided(any::model(&mut Source(seed)).1)).filter(|words| words.len() < MOST_WORDS);
    let files: Vec<_> = small::files().into_iter().map(|(_, words)| words).chain(drawn.take(DRAWN)).collect();
    let words = files.iter().flat_map(|words| [words.len() as u32].into_iter().chain(words.iter().copied()));
    let bytes: Vec<u8> = words.flat_map(u32::to_le_bytes).collect();
    let path = root().join("checks/tests/known/models.bin");
    fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))?;
    println!("{}: {} models", path.display(), files.len());
    Ok(())
}

/// The file with a threshold for every output that is yes or no.
fn decided(words: Vec<u32>) -> Vec<u32> {
    match Model::parse(&words) {
        Ok(model) if model.answers.task == Task::Multilabel => {
            let thresholds: Vec<i32> = (0..model.outputs() as i32).map(|output| 300 * output - 200).collect();
            with_thresholds(&words, Task::Multilabel, &thresholds)
        }
        _ => words,
    }
}

/// How many of those there are, and the most words of each.
const DRAWN: usize = 120;
const MOST_WORDS: usize = 800;

/// Every bit of every model file of the zoo.
pub(super) fn flipped(as_json: bool) -> Result<()> {
    let mut sums = [0; 3];
    for recipe in zoo::with_files()? {
        let words = host::words(&recipe.file())?;
        let unseen = campaign::unseen_flips(&words);
        let [files, flips, missed] = &mut sums;
        (*files, *flips, *missed) = (*files + 1, *flips + 32 * words.len(), *missed + unseen.len());
        unseen.iter().for_each(|bit| eprintln!("{}: bit {bit}", recipe.name));
    }
    let [files, flips, missed] = sums;
    match as_json {
        true => println!("{}", json!({ "files": files, "flips": flips, "unseen": missed })),
        false => println!("{files} files, {flips} flipped bits, {missed} unseen"),
    }
    ensure!(missed == 0, "flipped bits are not seen");
    Ok(())
}
