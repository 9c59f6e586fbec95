//! What passed and what failed, told as the test runner of Rust does.

use crate::board::Board;
use crate::command::shown;
use anyhow::{Context, Result, bail};
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};

/// What all suites came to.
#[derive(Default)]
pub(super) struct Totals {
    passed: AtomicU64,
    failed: AtomicU64,
}

impl Totals {
    pub(super) fn finish(&self) -> Result<()> {
        let [passed, failed] = [&self.passed, &self.failed].map(|count| count.load(Ordering::Relaxed));
        println!("\n{passed} passed, {failed} failed");
        match failed {
            0 => Ok(()),
            _ => bail!("tests failed"),
        }
    }

    /// Runs cargo's tests with their output shown, and counts what they say.
    pub(super) fn cargo(&self, command: &mut Command) -> Result<()> {
        let words = shown(command);
        let mut child =
            command.stdout(Stdio::piped()).spawn().with_context(|| format!("cannot start {words}"))?;
        let output = child.stdout.take().context("cargo's output")?;
        let failed = self.failed.load(Ordering::Relaxed);
        for line in BufReader::new(output).lines() {
            let line = line?;
            println!("{line}");
            self.count(&line);
        }
        if !child.wait()?.success() && self.failed.load(Ordering::Relaxed) == failed {
            // A suite that does not compile or does not end has no summary.
            println!("{words} failed");
            self.failed.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Adds up a line like `test result: ok. 3 passed; 0 failed; ...`.
    pub(super) fn count(&self, line: &str) {
        let Some(result) = line.trim().strip_prefix("test result: ") else { return };
        let words: Vec<_> = result.split([' ', ';']).collect();
        for pair in words.windows(2) {
            let count = pair[0].parse().unwrap_or(0);
            match pair[1] {
                "passed" => drop(self.passed.fetch_add(count, Ordering::Relaxed)),
                "failed" => drop(self.failed.fetch_add(count, Ordering::Relaxed)),
                _ => {}
            }
        }
    }

    /// Runs some of a board's tests; what keeps them from running is a failed test too.
    pub(super) fn board(&self, board: &Board, what: &str, tests: impl FnOnce(&mut Suite) -> Result<()>) {
        self.suite(&board.name, &format!("{}: {what}", board.name), tests);
    }

    pub(super) fn suite(&self, name: &str, heading: &str, tests: impl FnOnce(&mut Suite) -> Result<()>) {
        let told = format!("\n== {heading}\n");
        let mut suite = Suite { name: name.to_owned(), passed: 0, failed: 0, told };
        if let Err(error) = tests(&mut suite) {
            suite.test("runs", Err(error));
        }
        let Suite { passed, failed, told, .. } = suite;
        let verdict = if failed == 0 { "ok" } else { "FAILED" };
        // At one go: other suites end meanwhile.
        println!("{told}test result: {verdict}. {passed} passed; {failed} failed");
        self.passed.fetch_add(passed, Ordering::Relaxed);
        self.failed.fetch_add(failed, Ordering::Relaxed);
    }
}

/// Tests that belong together.
pub(super) struct Suite {
    name: String,
    passed: u64,
    failed: u64,
    /// What is told when all are done.
    told: String,
}

impl Suite {
    pub(super) fn test(&mut self, name: &str, result: Result<()>) {
        let suite = &self.name;
        let (count, outcome) = match result {
            Ok(()) => (&mut self.passed, "ok".to_owned()),
            Err(error) => (&mut self.failed, format!("FAILED: {error:#}")),
        };
        *count += 1;
        self.told += &format!("test {suite}::{name} ... {outcome}\n");
    }
}

#[cfg(test)]
mod tests {
    use super::Totals;

    #[test]
    fn results_add_up() {
        let totals = Totals::default();
        totals.count("test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; finished in 0.01s");
        totals.count("test result: FAILED. 3 passed; 2 failed");
        totals.count("test sum ... ok");
        assert_eq!((totals.passed.into_inner(), totals.failed.into_inner()), (15, 2));
    }
}
