//! Reads recordings again and again for a model that runs in passes, and prints what comes of them.

use crate::host::File;
use crate::program::{self, InRow};
use crate::recordings::{RecordingError, Recordings};
use crate::{counter, println, stack};
use fixformer::memory::Once;
use fixformer::{ArenaError, Digest, Embedded, PassError, Passes, Recording, Scores};

/// Values between two lines that say how far a pass is.
const PROGRESS: usize = 1 << 14;

/// Runs the recordings that `-append FILE` names, and prints for each, every so often, a line `values N` with the number of
/// those that were read in all passes so far, and at its end a line `passes row=R values=N digest=H instructions=SUM
/// arena=BYTES stack=BYTES`.
pub fn all<M: Embedded>(
    take: fn() -> Result<Passes<'static>, ArenaError>,
    place: &'static Once<Option<Passes<'static>>>,
) -> Result<(), Error> {
    program::in_place(take, place, M::MODEL.input.step_values(), each)
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
            Err(error) => return Err(Error::Run(InRow { row, error })),
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
pub type Error = program::Error<InRow<PassError<RecordingError>>>;
