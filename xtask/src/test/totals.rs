//! What passed and what failed, told as the test runner of Rust does.

use crate::board::Board;
use crate::command::shown;
use anyhow::{Context, Result, bail};
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

/// What all suites came to.
#[derive(Default)]
pub(super) struct Totals {
    passed: u64,
    failed: u64,
}

impl Totals {
    pub(super) fn finish(&self) -> Result<()> {
        println!("\n{} passed, {} failed", self.passed, self.failed);
        match self.failed {
            0 => Ok(()),
            _ => bail!("tests failed"),
        }
    }

    /// Runs cargo's tests with their output shown, and counts what they say.
    pub(super) fn cargo(&mut self, command: &mut Command) -> Result<()> {
        let words = shown(command);
        let mut child =
            command.stdout(Stdio::piped()).spawn().with_context(|| format!("cannot start {words}"))?;
        let output = child.stdout.take().context("cargo's output")?;
        let failed = self.failed;
        for line in BufReader::new(output).lines() {
            let line = line?;
            println!("{line}");
            self.count(&line);
        }
        if !child.wait()?.success() && self.failed == failed {
            // A suite that does not compile or does not end has no summary.
            println!("{words} failed");
            self.failed += 1;
        }
        Ok(())
    }

    /// Adds up a line like `test result: ok. 3 passed; 0 failed; ...`.
    pub(super) fn count(&mut self, line: &str) {
        let Some(result) = line.trim().strip_prefix("test result: ") else { return };
        let words: Vec<_> = result.split([' ', ';']).collect();
        for pair in words.windows(2) {
            let count = pair[0].parse().unwrap_or(0);
            match pair[1] {
                "passed" => self.passed += count,
                "failed" => self.failed += count,
                _ => {}
            }
        }
    }

    /// Runs a board's tests; what keeps them from running is a failed test too.
    pub(super) fn board(&mut self, board: &Board, tests: impl FnOnce(&mut Suite) -> Result<()>) {
        self.suite(&board.name, tests);
    }

    pub(super) fn suite(&mut self, name: &str, tests: impl FnOnce(&mut Suite) -> Result<()>) {
        let mut suite = Suite { name: name.to_owned(), passed: 0, failed: 0 };
        if let Err(error) = tests(&mut suite) {
            suite.test("runs", Err(error));
        }
        let Suite { passed, failed, .. } = suite;
        let verdict = if failed == 0 { "ok" } else { "FAILED" };
        println!("test result: {verdict}. {passed} passed; {failed} failed");
        self.passed += passed;
        self.failed += failed;
    }
}

/// The tests of one board.
pub(super) struct Suite {
    name: String,
    passed: u64,
    failed: u64,
}

impl Suite {
    pub(super) fn test(&mut self, name: &str, result: Result<()>) {
        let suite = &self.name;
        match result {
            Ok(()) => {
                self.passed += 1;
                println!("test {suite}::{name} ... ok");
            }
            Err(error) => {
                self.failed += 1;
                println!("test {suite}::{name} ... FAILED: {error:#}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Totals;

    #[test]
    fn results_add_up() {
        let mut totals = Totals::default();
        totals.count("test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; finished in 0.01s");
        totals.count("test result: FAILED. 3 passed; 2 failed");
        totals.count("test sum ... ok");
        assert_eq!((totals.passed, totals.failed), (15, 2));
    }
}
