//! What the programs that read recordings share: how they begin, and what keeps them from going on.

use core::fmt;

use crate::host::{self, File, HostError};
use crate::recordings::{RecordingError, Recordings};
use fixformer::ArenaError;
use fixformer::memory::Once;

/// What keeps a program from going on; `E` is what keeps its model from taking a recording.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs, reason = "the message of each says what its fields are")]
pub enum Error<E> {
    Arena(ArenaError),
    Host(HostError),
    Recording(RecordingError),
    Run(E),
    Stack { size: usize },
}

impl<E: fmt::Display> fmt::Display for Error<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Arena(error) => error.fmt(f),
            Self::Host(error) => error.fmt(f),
            Self::Recording(error) => error.fmt(f),
            Self::Run(error) => error.fmt(f),
            Self::Stack { size } => write!(f, "the stack of {size} bytes overflowed"),
        }
    }
}

/// What is wrong with a recording.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs, reason = "the message says what the fields are")]
pub struct InRow<E> {
    pub row: u32,
    pub error: E,
}

impl<E: fmt::Display> fmt::Display for InRow<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { row, error } = self;
        write!(f, "recording {row}: {error}")
    }
}

/// Takes what runs a model out of its arena into `place`, and gives it with the recordings that `-append FILE` names to `each`.
///
/// It lies in `place`: its parsed model and its plan are not small, and would be on the stack while it runs.
pub(crate) fn in_place<T, E>(
    take: fn() -> Result<T, ArenaError>,
    place: &'static Once<Option<T>>,
    channels: usize,
    each: fn(&mut T, &mut Recordings<File>) -> Result<(), Error<E>>,
) -> Result<(), Error<E>> {
    let file = host::argument(File::open).and_then(|file| file).map_err(Error::Host)?;
    let place = place.take().ok_or(Error::Arena(ArenaError::Taken))?;
    put(take, place).map_err(Error::Arena)?;
    // By reference: another copy would stay on the stack.
    match (place, &mut Recordings::open(file, channels)) {
        (Some(model), Ok(recordings)) => each(model, recordings),
        (None, _) => Err(Error::Arena(ArenaError::Taken)),
        (_, Err(error)) => Err(Error::Recording(*error)),
    }
}

/// Not inlined: the model on its way would stay on the stack.
#[inline(never)]
fn put<T>(take: fn() -> Result<T, ArenaError>, place: &mut Option<T>) -> Result<(), ArenaError> {
    *place = Some(take()?);
    Ok(())
}
