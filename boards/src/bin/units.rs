//! The engine's unit tests on the board. Prints what libtest prints; what the stack has no room for is ignored.
//!
//! `-append fail` adds a test that is wrong on purpose: so it is seen that a failure is seen.

#![cfg_attr(target_os = "none", no_std, no_main)]

fixformer_boards::entry!(board::main);

#[cfg(target_os = "none")]
mod board {
    use core::fmt;
    use fixformer_boards::{host, println, stack};
    use fixformer_checks::{Check, GROUPS, WRONG_ON_PURPOSE};

    /// Stack of this program itself.
    const OWN: usize = 1024;

    pub(crate) fn main() -> Result<(), Failed> {
        let mut run = Run::default();
        GROUPS.iter().copied().flatten().for_each(|check| run.test(check));
        // Without an argument there is nothing to add.
        let fail = host::argument(|argument| argument.to_bytes() == b"fail").unwrap_or(false);
        if fail {
            run.test(&WRONG_ON_PURPOSE);
        }
        run.finish()
    }

    #[derive(Default)]
    struct Run {
        passed: u32,
        failed: u32,
        ignored: u32,
    }

    impl Run {
        fn test(&mut self, check: &Check) {
            let Check { name, run, stack } = *check;
            if stack + OWN > stack::size() {
                self.ignored += 1;
                println!("test {name} ... ignored, {stack} bytes of stack");
                return;
            }
            stack::paint();
            let outcome = run();
            let deepest = stack::high_water();
            match outcome {
                Ok(()) if deepest > stack + OWN => {
                    self.failed += 1;
                    println!(
                        "test {name} ... FAILED: {deepest} bytes of stack, at most {} expected",
                        stack + OWN
                    );
                }
                Ok(()) => {
                    self.passed += 1;
                    println!("test {name} ... ok");
                }
                Err(failure) => {
                    self.failed += 1;
                    println!("test {name} ... FAILED: {failure}");
                }
            }
        }

        fn finish(self) -> Result<(), Failed> {
            let Self { passed, failed, ignored } = self;
            let verdict = if failed == 0 { "ok" } else { "FAILED" };
            println!("test result: {verdict}. {passed} passed; {failed} failed; {ignored} ignored");
            if failed == 0 { Ok(()) } else { Err(Failed(failed)) }
        }
    }

    /// Some tests failed.
    pub(crate) struct Failed(u32);

    impl fmt::Display for Failed {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "{} tests failed", self.0)
        }
    }
}
