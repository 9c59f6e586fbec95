//! Test results in the words of libtest.

use crate::println;
use core::fmt;

/// Prints each test as it ends, and counts.
#[derive(Default)]
pub struct Tally {
    passed: u32,
    failed: u32,
    ignored: u32,
}

impl Tally {
    /// A test that ran.
    pub fn test(&mut self, name: impl fmt::Display, result: Result<(), impl fmt::Display>) {
        match result {
            Ok(()) => {
                self.passed += 1;
                println!("test {name} ... ok");
            }
            Err(reason) => {
                self.failed += 1;
                println!("test {name} ... FAILED: {reason}");
            }
        }
    }

    /// A test that cannot run here.
    pub fn ignore(&mut self, name: impl fmt::Display, reason: impl fmt::Display) {
        self.ignored += 1;
        println!("test {name} ... ignored, {reason}");
    }

    /// Prints the summary.
    pub fn finish(self) -> Result<(), Failed> {
        let Self { passed, failed, ignored } = self;
        let verdict = if failed == 0 { "ok" } else { "FAILED" };
        println!("test result: {verdict}. {passed} passed; {failed} failed; {ignored} ignored");
        if failed == 0 { Ok(()) } else { Err(Failed(failed)) }
    }
}

/// Some tests failed.
pub struct Failed(u32);

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} tests failed", self.0)
    }
}
