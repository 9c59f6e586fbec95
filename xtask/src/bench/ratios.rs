//! Cycles an instruction of kernels and heads, which `fit` multiplies its estimates with.

use super::row::Row;
use crate::command::root;
use anyhow::{Context, Result, bail};
use std::collections::BTreeMap;
use std::fs;

/// Lines `CORE NAME RATIO`, with the names of the rates beside it.
const FILE: &str = "src/host/fit/cost/cycles.txt";
/// Most by which a ratio may differ from the one that is known.
const TOLERANCE: f64 = 0.02;

/// By core and name: as known, and as measured now.
pub(super) struct Ratios {
    known: BTreeMap<(String, String), f64>,
    measured: BTreeMap<(String, String), f64>,
}

impl Ratios {
    pub(super) fn read() -> Result<Self> {
        let text = fs::read_to_string(root().join(FILE)).unwrap_or_default();
        let read = |line: &str| {
            let [core, name, ratio] = line.split(' ').collect::<Vec<_>>()[..] else { return None };
            Some(((core.to_owned(), name.to_owned()), ratio.parse().ok()?))
        };
        let known = text.lines().map(|line| read(line).with_context(|| format!("{FILE}: {line}")));
        Ok(Self { known: known.collect::<Result<_>>()?, measured: BTreeMap::new() })
    }

    /// Takes in the rows of a core: their cycles over their instructions, for each name.
    pub(super) fn add(&mut self, core: &str, rows: &[Row]) {
        let mut sums: BTreeMap<String, [u64; 2]> = BTreeMap::new();
        for row in rows {
            let direction = row.text("direction");
            let name =
                if direction.is_empty() { row.name.clone() } else { format!("{}_{direction}", row.name) };
            let sum = sums.entry(name).or_default();
            for (sum, field) in sum.iter_mut().zip(["cycles", "instructions"]) {
                *sum += row.number(field).unwrap_or_default();
            }
        }
        let ratios = sums.into_iter().map(|(name, [cycles, instructions])| {
            ((core.to_owned(), name), cycles as f64 / instructions as f64)
        });
        self.measured.extend(ratios);
    }

    /// Puts what was measured in the place of what was known.
    pub(super) fn write(mut self) -> Result<()> {
        let cores: Vec<_> = self.measured.keys().map(|(core, _)| core.clone()).collect();
        self.known.retain(|(core, _), _| !cores.contains(core));
        self.known.append(&mut self.measured);
        let lines = self.known.iter().map(|((core, name), ratio)| format!("{core} {name} {ratio:.2}\n"));
        fs::write(root().join(FILE), lines.collect::<String>())
            .with_context(|| format!("cannot write {FILE}"))
    }

    pub(super) fn compare(self) -> Result<()> {
        let differs =
            |key, ratio: f64| self.known.get(key).is_none_or(|known| (known - ratio).abs() > TOLERANCE);
        let differing = self.measured.iter().filter(|&(key, &ratio)| differs(key, ratio));
        let lines: Vec<_> =
            differing.map(|((core, name), ratio)| format!("{core} {name} {ratio:.2}")).collect();
        match lines.is_empty() {
            true => Ok(()),
            false => bail!(
                "cycles an instruction that {FILE} has otherwise (`--update` rewrites it):\n{}",
                lines.join("\n")
            ),
        }
    }
}
