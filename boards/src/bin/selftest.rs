//! Every kernel of this build against the portable one, and the runtime against known amounts.
//!
//! Prints what libtest prints. `-append panic`, `-append fault`, `-append overflow` and `-append fail` end it in that
//! way instead, for those who depend on the exit codes.

#![cfg_attr(target_os = "none", no_std, no_main)]

fixformer_boards::entry!(board::main);

#[cfg(target_os = "none")]
mod board {
    use core::fmt;
    use fixformer::kernels;
    use fixformer_boards::tally::{Failed, Tally};
    use fixformer_boards::{BACKEND, counter, host, stack};

    /// Stack that the checks of large layers and rows take.
    const LARGE_CHECKS: usize = 26 * 1024;

    pub(crate) fn main() -> Result<(), Failed> {
        let mut tally = Tally::default();
        // Without an argument there is nothing to do here.
        let _ = host::argument(|argument| match argument.to_bytes() {
            b"panic" => panic!("asked for"),
            b"fault" => fixformer_boards::crash(),
            b"overflow" => stack::overflow(),
            b"fail" => tally.test("board::asked_for", Err("asked for")),
            _ => {}
        });

        let backend = match kernels::backend() {
            BACKEND => Ok(()),
            other => Err(fmt::from_fn(move |f| write!(f, "expected `{BACKEND}`, built `{other}`"))),
        };
        tally.test("board::backend", backend);
        let ((), executed) = counter::measure(|| counter::known(50_000_000));
        let counted = match executed.abs_diff(100_000_000) {
            // On Arm some 15 of them for each wrap of SysTick, of which there are about ten.
            0..200 => Ok(()),
            _ => Err(fmt::from_fn(move |f| write!(f, "100000000 instructions counted as {executed}"))),
        };
        tally.test("board::counter", counted);
        let mut kernel = |name: &'static str, result: Result<(), kernels::check::Mismatch>| {
            let shown = |mismatch| fmt::from_fn(move |f| write!(f, "{mismatch:x?}"));
            tally.test(format_args!("kernels::{name}"), result.map_err(shown));
        };
        kernels::check::all(&mut kernel);
        if stack::size() > LARGE_CHECKS {
            kernels::check::large(&mut kernel);
        }
        let inside = stack::high_water() < stack::size();
        tally.test("board::stack", if inside { Ok(()) } else { Err("overflow") });
        tally.finish()
    }
}
