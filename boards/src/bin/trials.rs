//! Runs the cases of the file that `-append FILE` names, and prints a line for each run: see [`fixformer_boards::trials`]. On the
//! host the file is the argument, so that any processor can be compared with any other.

#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
fixformer_boards::entry!(board::main);

/// Room for a case and its arena.
const WORDS: usize = match usize::from_str_radix(env!("FIXFORMER_REPLAY_BYTES"), 10) {
    Ok(bytes) => bytes / 4,
    Err(_) => panic!("FIXFORMER_REPLAY_BYTES: expected a whole number"),
};
/// Most values of a recording.
const VALUES: usize = WORDS / 32;

#[cfg(target_os = "none")]
mod board {
    use core::fmt;

    use super::{VALUES, WORDS};
    use fixformer::memory::Once;
    use fixformer_boards::host::{self, File, HostError};
    use fixformer_boards::println;
    use fixformer_boards::trials::{self, Broken, Memory};

    static WORKED_IN: Once<[u32; WORDS]> = Once::new([0; WORDS]);
    static INPUT: Once<[i16; VALUES]> = Once::new([0; VALUES]);
    static MASK: Once<[bool; VALUES]> = Once::new([false; VALUES]);

    pub(crate) fn main() -> Result<(), TrialsError> {
        let memory = (WORKED_IN.take(), INPUT.take(), MASK.take());
        let (Some(words), Some(input), Some(mask)) = memory else {
            return Err(TrialsError::File(Broken));
        };
        let file = host::argument(File::open).and_then(|file| file).map_err(TrialsError::Host)?;
        let memory = Memory { words, input, mask };
        trials::all(file, memory, &mut |line| println!("{line}")).map_err(TrialsError::File)
    }

    /// What keeps the program from going on.
    #[derive(Clone, Copy)]
    pub(crate) enum TrialsError {
        Host(HostError),
        File(Broken),
    }

    impl fmt::Display for TrialsError {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            match self {
                Self::Host(error) => error.fmt(f),
                Self::File(error) => error.fmt(f),
            }
        }
    }
}

#[cfg(not(target_os = "none"))]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    use fixformer_boards::trials::{self, Memory};

    let path = std::env::args_os().nth(1).ok_or("expected a file of cases")?;
    let (mut words, mut input, mut mask) = (vec![0; WORDS], vec![0; VALUES], vec![false; VALUES]);
    let memory = Memory { words: &mut words, input: &mut input, mask: &mut mask };
    trials::all(&*std::fs::read(path)?, memory, &mut |line| println!("{line}"))?;
    Ok(())
}
