//! The counts under version control: one line of the firmware each, after the name of the core.

use super::row::Row;
use crate::command::root;
use anyhow::{Context, Result};
use std::fs;
use std::path::PathBuf;

/// Most that a number may rise: 2 %.
const RISE: f64 = 1.02;
/// The numbers of a line that are held; the others say what was measured.
const HELD: [&str; 6] = ["instructions", "worst", "arena_bytes", "largest_step", "count", "longest_wait"];

pub(crate) struct Snapshot {
    file: PathBuf,
    lines: Vec<String>,
}

/// The file of the counts, and that of the largest steps, in the repository.
pub(crate) const INSTRUCTIONS: &str = "boards/instructions.txt";
pub(crate) const STEPS: &str = "boards/steps.txt";

impl Snapshot {
    pub(crate) fn read(name: &str) -> Result<Self> {
        let file = root().join(name);
        let text = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        Ok(Self { file, lines: text.lines().map(String::from).collect() })
    }

    pub(crate) fn write(&self) -> Result<()> {
        fs::write(&self.file, self.text()).with_context(|| format!("cannot write {}", self.file.display()))
    }

    pub(crate) fn text(&self) -> String {
        self.lines.join("\n") + "\n"
    }

    /// Puts `rows` in the place of what was known; a part of the rows leaves the rest as it is.
    pub(crate) fn replace(&mut self, core: &str, rows: &[Row], part: bool) {
        let mut new: Vec<String> = rows.iter().map(|row| format!("{core} {}", row.line)).collect();
        let (mut own, mut others): (Vec<_>, Vec<_>) =
            self.lines.drain(..).partition(|line| line.split(' ').next() == Some(core));
        if part {
            for line in &mut own {
                if let Some(index) = new.iter().position(|new| key(new) == key(line)) {
                    *line = new.remove(index);
                }
            }
            own.append(&mut new);
        } else {
            own = new;
        }
        let place = others.iter().position(|line| line.as_str() > core).unwrap_or(others.len());
        others.splice(place..place, own);
        self.lines = others;
    }

    /// What rose, what is new, and what is no longer measured.
    pub(crate) fn faults(&self, core: &str, rows: &[Row], part: bool) -> Vec<String> {
        let mut faults = Vec::new();
        let new: Vec<String> = rows.iter().map(|row| format!("{core} {}", row.line)).collect();
        for line in &new {
            match self.lines.iter().find(|known| key(known) == key(line)) {
                None => faults.push(format!("not in the snapshot (`--update` adds it): {line}")),
                Some(known) => faults.extend(HELD.iter().filter_map(|field| risen(field, known, line))),
            }
        }
        let known = self.lines.iter().filter(|line| !part && line.split(' ').next() == Some(core));
        let gone = known.filter(|line| !new.iter().any(|new| key(new) == key(line)));
        faults.extend(gone.map(|line| format!("no longer measured (`--update` removes it): {line}")));
        faults
    }
}

/// The words of a line without the numbers that are held.
fn key(line: &str) -> Vec<&str> {
    let words: Vec<_> = line.split(' ').collect();
    let held = |index: usize| index > 0 && HELD.contains(&words[index - 1]);
    words.iter().enumerate().filter(|(index, _)| !held(*index)).map(|(_, word)| *word).collect()
}

fn risen(field: &str, known: &str, new: &str) -> Option<String> {
    let number = |line: &str| -> Option<f64> {
        let words: Vec<_> = line.split(' ').collect();
        words.windows(2).find(|pair| pair[0] == field)?[1].parse().ok()
    };
    let (before, now) = (number(known)?, number(new)?);
    let percent = 100.0 * (now / before - 1.0);
    (now > RISE * before).then(|| format!("{field} rose by {percent:.1} % from {before}: {new}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(lines: &[&str]) -> Vec<Row> {
        lines.iter().map(|line| Row::read(line).unwrap()).collect()
    }

    fn snapshot(lines: &[&str]) -> Snapshot {
        Snapshot { file: PathBuf::new(), lines: lines.iter().map(|line| line.to_string()).collect() }
    }

    #[test]
    fn a_rise_is_a_fault() {
        let known = snapshot(&["m4 kernel a instructions 1000 macs 5", "m4 kernel b instructions 7"]);
        let faults = |lines: &[&str], part| known.faults("m4", &rows(lines), part);
        let b = "kernel b instructions 7";
        assert!(faults(&["kernel a instructions 1020 macs 5", b], false).is_empty());
        assert!(faults(&["kernel a instructions 10 macs 5"], true).is_empty());
        let rise = faults(&["kernel a instructions 1021 macs 5", b], false);
        assert_eq!(rise, ["instructions rose by 2.1 % from 1000: m4 kernel a instructions 1021 macs 5"]);
        let other = faults(&["kernel a instructions 1000 macs 6", b], false);
        assert!(other[0].starts_with("not in the snapshot") && other[1].starts_with("no longer measured"));
    }

    #[test]
    fn an_update_keeps_what_was_not_measured() {
        let mut known =
            snapshot(&["m4 a x instructions 1", "m4 b x instructions 2", "riscv32 a x instructions 3"]);
        known.replace("m4", &rows(&["b x instructions 9", "c x instructions 4"]), true);
        let expected = [
            "m4 a x instructions 1",
            "m4 b x instructions 9",
            "m4 c x instructions 4",
            "riscv32 a x instructions 3",
        ];
        assert_eq!(known.lines, expected);
        known.replace("m33", &rows(&["a x instructions 5"]), false);
        known.replace("m4", &rows(&["a x instructions 6"]), false);
        let expected = ["m33 a x instructions 5", "m4 a x instructions 6", "riscv32 a x instructions 3"];
        assert_eq!(known.lines, expected);
    }
}
