//! The engine's unit tests on the board. Prints what libtest prints; what the stack has no room for is ignored.
//!
//! `-append fail` adds a test that is wrong on purpose: so it is seen that a failure is seen.

#![cfg_attr(target_os = "none", no_std, no_main)]

fixformer_boards::entry!(board::main);

#[cfg(target_os = "none")]
mod board {
    use fixformer_boards::tally::{Failed, Tally};
    use fixformer_boards::{host, stack};
    use fixformer_checks::{Check, GROUPS, WRONG_ON_PURPOSE};

    /// Stack of this program itself.
    const OWN: usize = 1024;

    pub(crate) fn main() -> Result<(), Failed> {
        let mut tally = Tally::default();
        GROUPS.iter().copied().flatten().for_each(|check| run(check, &mut tally));
        // Without an argument there is nothing to add.
        let fail = host::argument(|argument| argument.to_bytes() == b"fail").unwrap_or(false);
        if fail {
            run(&WRONG_ON_PURPOSE, &mut tally);
        }
        tally.finish()
    }

    fn run(check: &Check, tally: &mut Tally) {
        let most = check.stack + OWN;
        if most > stack::size() {
            return tally.ignore(check.name, format_args!("{} bytes of stack", check.stack));
        }
        stack::paint();
        let outcome = (check.run)();
        match stack::high_water() {
            deepest if outcome.is_ok() && deepest > most => {
                tally
                    .test(check.name, Err(format_args!("{deepest} bytes of stack, at most {most} expected")));
            }
            _ => tally.test(check.name, outcome),
        }
    }
}
