//! Reads recordings again and again for a model that runs in passes, and prints what comes of them.

use core::fmt;

use crate::host::{self, File, HostError};
use crate::recordings::{RecordingError, Recordings};
use crate::{counter, println, stack};
use fixformer::memory::Once;
use fixformer::{Arena, ArenaError, Digest, Embedded, InPasses, PassError, Passes, Recording, Scores};

/// Values between two lines that say how far a pass is.
const PROGRESS: usize = 1 << 14;

/// Runs the recordings that `-append FILE` names, and prints for each, every so often, a line `values N` with the number of
/// those that were read in all passes so far, and at its end a line `passes row=R values=N digest=H instructions=SUM
/// arena=BYTES stack=BYTES`.
///
/// The passes lie in `place`: their parsed model and their plan are not small, and would be on the stack while it runs.
pub fn all<M: Embedded>(
    arena: &'static Arena<M, InPasses>,
    place: &'static Once<Option<Passes<'static>>>,
) -> Result<(), Error> {
    let file = host::argument(File::open).and_then(|file| file).map_err(Error::Host)?;
    let place = place.take().ok_or(Error::Arena(ArenaError::Taken))?;
    begin(arena, place)?;
    // By reference: another copy would stay on the stack.
    match (place, &mut Recordings::open(file, M::MODEL.input.step_values())) {
        (Some(passes), Ok(recordings)) => each(passes, recordings),
        (None, _) => Err(Error::Arena(ArenaError::Taken)),
        (_, Err(error)) => Err(Error::Recording(*error)),
    }
}

/// Not inlined: the passes on their way would stay on the stack.
#[inline(never)]
fn begin<M: Embedded>(
    arena: &'static Arena<M, InPasses>,
    place: &mut Option<Passes<'static>>,
) -> Result<(), Error> {
    *place = Some(arena.take().map_err(Error::Arena)?);
    Ok(())
}

fn each(passes: &mut Passes<'_>, recordings: &mut Recordings<File>) -> Result<(), Error> {
    let arena = passes.plan().bytes();
    let mut row = 0;
    while let Some(values) = recordings.begin().map_err(Error::Recording)? {
        stack::paint();
        let mut on_host = OnHost { recordings, values, next: 0, read: 0 };
        let (ran, executed) = counter::measure(|| passes.run(&mut on_host));
        let deepest = stack::high_water();
        match ran {
            Err(PassError::Recording(error)) => return Err(Error::Recording(error)),
            Err(error) => return Err(Error::Pass { row, error }),
            _ if deepest == stack::size() => return Err(Error::Stack { size: deepest }),
            Ok(scores) => print(row, values, &scores, executed, [arena, deepest]),
        }
        row += 1;
    }
    Ok(())
}

/// A recording in a file of the host.
struct OnHost<'r> {
    recordings: &'r mut Recordings<File>,
    values: u32,
    /// The value that comes next.
    next: usize,
    /// Values that were read in all passes.
    read: usize,
}

impl Recording for OnHost<'_> {
    type Error = RecordingError;

    fn values(&mut self) -> Result<usize, RecordingError> {
        Ok(self.values as usize)
    }

    fn read(&mut self, first: usize, values: &mut [i16]) -> Result<(), RecordingError> {
        if first < self.next {
            self.recordings.again()?;
            self.next = 0;
        }
        // Windows may leave steps out.
        while self.next < first {
            self.recordings.value(self.values, self.next as u32)?;
            self.next += 1;
        }
        for value in values {
            *value = self.recordings.value(self.values, self.next as u32)?;
            self.next += 1;
            self.read += 1;
            if self.read.is_multiple_of(PROGRESS) {
                println!("values {}", self.read);
            }
        }
        Ok(())
    }
}

// Not inlined: what prints would stay on the stack of what runs the model.
#[inline(never)]
fn print(row: u32, values: u32, scores: &Scores<'_>, executed: u64, [arena, stack]: [usize; 2]) {
    let mut digest = Digest::new();
    digest.scores(scores.raw());
    let digest = digest.value();
    println!(
        "passes row={row} values={values} digest={digest:016x} instructions={executed} arena={arena} stack={stack}"
    );
}

/// What keeps a program from running in passes.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs, reason = "the message of each says what its fields are")]
pub enum Error {
    Arena(ArenaError),
    Host(HostError),
    Recording(RecordingError),
    Pass { row: u32, error: PassError<RecordingError> },
    Stack { size: usize },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Arena(error) => error.fmt(f),
            Self::Host(error) => error.fmt(f),
            Self::Recording(error) => error.fmt(f),
            Self::Pass { row, error } => write!(f, "recording {row}: {error}"),
            Self::Stack { size } => write!(f, "the stack of {size} bytes overflowed"),
        }
    }
}
