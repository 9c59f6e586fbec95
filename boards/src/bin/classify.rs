//! Classifies recordings streamed from the host: `-append FILE` names the file.
//!
//! For each recording a line `row R class C scores S...`, at the end a line
//! `summary rows=R digest=H instructions=MEAN max=MAX arena=BYTES stack=BYTES`.
//! The model is the one that `FIXFORMER_MODEL` named when this was built.

#![cfg_attr(target_os = "none", no_std, no_main)]

fixformer_boards::entry!(board::main);

#[cfg(target_os = "none")]
mod board {
    use core::fmt;
    use fixformer::{Arena, ArenaError, Digest, Embedded, InputError, arena::Once};
    use fixformer_boards::host::{self, File, HostError};
    use fixformer_boards::recordings::{RecordingError, Recordings};
    use fixformer_boards::{counter, println, stack};

    fixformer::model! {
        /// The model of this build.
        struct Net = env!("FIXFORMER_MODEL")
    }

    static ARENA: Arena<Net> = Arena::new();
    static INPUT: Once<[i16; Net::MAX_INPUT]> = Once::new([0; Net::MAX_INPUT]);
    const CHANNELS: usize = <Net as Embedded>::MODEL.input.step_values();

    pub(crate) fn main() -> Result<(), Error> {
        let mut net = ARENA.take().map_err(Error::Arena)?;
        let input = INPUT.take().ok_or(Error::Arena(ArenaError::Taken))?;
        let file = host::argument(File::open).and_then(|file| file).map_err(Error::Host)?;
        let mut recordings = Recordings::open(file, CHANNELS).map_err(Error::Recording)?;

        stack::paint();
        let mut digest = Digest::new();
        let (mut row, mut total, mut most) = (0_u32, 0_u64, 0_u64);
        while let Some(samples) = recordings.next(input).map_err(Error::Recording)? {
            let (result, executed) = counter::measure(|| net.run(samples));
            let scores = result.map_err(|error| Error::Input { row, error })?;
            digest.scores(scores.raw());
            println!("row {row} class {} scores{}", scores.best(), Spaced(scores.raw()));
            total += executed;
            most = most.max(executed);
            row += 1;
        }

        let deepest = stack::high_water();
        if deepest == stack::size() {
            return Err(Error::Stack { size: deepest });
        }
        let mean = total / u64::from(row.max(1));
        println!(
            "summary rows={row} digest={:016x} instructions={mean} max={most} arena={} stack={deepest}",
            digest.value(),
            Net::ARENA_BYTES,
        );
        Ok(())
    }

    /// Why a run ended early.
    pub(crate) enum Error {
        Arena(ArenaError),
        Host(HostError),
        Recording(RecordingError),
        Input { row: u32, error: InputError },
        Stack { size: usize },
    }

    impl fmt::Display for Error {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            match self {
                Self::Arena(error) => error.fmt(f),
                Self::Host(error) => error.fmt(f),
                Self::Recording(error) => error.fmt(f),
                Self::Input { row, error } => write!(f, "recording {row}: {error}"),
                Self::Stack { size } => write!(f, "the stack of {size} bytes overflowed"),
            }
        }
    }

    struct Spaced<'a>(&'a [i16]);

    impl fmt::Display for Spaced<'_> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            self.0.iter().try_for_each(|value| write!(f, " {value}"))
        }
    }
}
