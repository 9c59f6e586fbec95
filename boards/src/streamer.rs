//! Pushes recordings through a stream, and prints what comes of them.

use core::fmt;

use crate::host::File;
use crate::recordings::Recordings;
use crate::{counter, println, program, stack};
use fixformer::memory::Once;
use fixformer::{ArenaError, Digest, Embedded, InputError, Stream};

/// Most values of a step.
const CHANNELS: usize = 16;
/// Tokens between two lines that say how far the stream is.
const PROGRESS: u32 = 1 << 14;
/// Most tokens whose instructions are added up.
const SPAN: u32 = 1_000;

/// Pushes the recordings that `-append FILE` names, and prints for each, every so often, a line `tokens N`, and at its
/// end a line `stream row=R tokens=N digest=H instructions=MEAN worst=MAX early=SUM late=SUM arena=BYTES state=BYTES
/// stack=BYTES`.
///
/// The digest is that of the scores after every token. `late` are the instructions of the last [`SPAN`] tokens, `early`
/// those of as many a power of two of tokens before, at least half of the recording.
pub fn all<M: Embedded>(
    take: fn() -> Result<Stream<'static>, ArenaError>,
    place: &'static Once<Option<Stream<'static>>>,
) -> Result<(), Error> {
    program::in_place(take, place, M::MODEL.input.step_values(), each)
}

fn each(stream: &mut Stream<'_>, recordings: &mut Recordings<File>) -> Result<(), Error> {
    let mut row = 0;
    while let Some(values) = recordings.begin().map_err(Error::Recording)? {
        stack::paint();
        stream.reset();
        let ran = one(stream, recordings, values)?;
        let deepest = stack::high_water();
        if deepest == stack::size() {
            return Err(Error::Stack { size: deepest });
        }
        print(row, stream, &ran, deepest);
        row += 1;
    }
    Ok(())
}

/// What came of a recording.
struct Ran {
    digest: u64,
    total: u64,
    worst: u64,
    early: u64,
    late: u64,
}

fn one(stream: &mut Stream<'_>, recordings: &mut Recordings<File>, values: u32) -> Result<Ran, Error> {
    let (channels, window) = (stream.model().input.step_values(), stream.model().input.window());
    let mut step = [0; CHANNELS];
    let step = step.get_mut(..channels).ok_or(Error::Run(StepError::Channels))?;
    let tokens = window.tokens(values as usize / channels.max(1)) as u32;
    let span = SPAN.min(tokens / 4);
    let (late, before) = (tokens - span, (tokens - 2 * span).checked_ilog2().map_or(0, |log| 1 << log));
    let early = late - before;
    let mut ran = Ran { digest: 0, total: 0, worst: 0, early: 0, late: 0 };
    let (mut digest, mut token) = (Digest::new(), 0);
    for first in (0..values).step_by(channels.max(1)) {
        for (index, value) in (0..).zip(step.iter_mut()) {
            *value = recordings.value(values, first + index).map_err(Error::Recording)?;
        }
        let (pushed, executed) = counter::measure(|| stream.push(step));
        let pushed = pushed.map_err(|error| Error::Run(StepError::Input { step: first, error }))?;
        let complete = pushed.is_some();
        if let Some(scores) = pushed {
            digest.scores(scores.raw());
        }
        ran.total += executed;
        ran.worst = ran.worst.max(executed);
        if (early..early + span).contains(&token) {
            ran.early += executed;
        }
        if token >= late {
            ran.late += executed;
        }
        token += u32::from(complete);
        if complete && token.is_multiple_of(PROGRESS) {
            println!("tokens {token}");
        }
    }
    ran.digest = digest.value();
    Ok(ran)
}

// Not inlined: what prints would stay on the stack of what runs the model.
#[inline(never)]
fn print(row: u32, stream: &Stream<'_>, ran: &Ran, deepest: usize) {
    let Ran { digest, total, worst, early, late } = ran;
    let (tokens, plan) = (stream.tokens(), stream.plan());
    let (mean, arena, state) = (total / (tokens as u64).max(1), plan.bytes(), plan.state_bytes());
    println!(
        "stream row={row} tokens={tokens} digest={digest:016x} instructions={mean} worst={worst} early={early} \
         late={late} arena={arena} state={state} stack={deepest}"
    );
}

/// What keeps a program from streaming.
pub type Error = program::Error<StepError>;

/// What is wrong with a step.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs, reason = "the message of each says what its fields are")]
pub enum StepError {
    Channels,
    Input { step: u32, error: InputError },
}

impl fmt::Display for StepError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Channels => write!(f, "a step of this model has more than {CHANNELS} values"),
            Self::Input { step, error } => write!(f, "value {step}: {error}"),
        }
    }
}
