//! Classifies recordings one after the other and prints what it finds.

use crate::host::{self, File};
use crate::program::{self, InRow};
use crate::recordings::Recordings;
use crate::{counter, println, stack};
use core::fmt;
use fixformer::memory::Once;
use fixformer::trace::{Row, Rows};
use fixformer::{Arena, ArenaError, Digest, Embedded, InputError, Scores, Session};

/// What to print besides the scores.
#[derive(Clone, Copy, Eq, PartialEq)]
pub enum Show {
    /// Nothing.
    Scores,
    /// The input, and a digest of each row of each tensor: what `fixformer diff` reads.
    Digests,
    /// The values of these rows too.
    Values,
    /// How long each step of a run takes; see [`crate::steps`].
    Steps,
}

/// Classifies the recordings that `-append FILE` names with a model that is part of the program, as [`all`] does.
pub fn embedded<M: Embedded, const VALUES: usize>(
    arena: &'static Arena<M>,
    input: &'static Once<[i16; VALUES]>,
) -> Result<(), Error> {
    let input = input.take().ok_or(Error::Arena(ArenaError::Taken))?;
    let file = host::argument(File::open).and_then(|file| file).map_err(Error::Host)?;
    // By reference: another copy of the session would stay on the stack.
    match (&mut arena.take(), &mut Recordings::open(file, M::MODEL.input.step_values())) {
        (Ok(net), Ok(recordings)) => all(net, recordings, input, Show::Scores),
        (Err(error), _) => Err(Error::Arena(*error)),
        (_, Err(error)) => Err(Error::Recording(*error)),
    }
}

/// Prints for each recording a line `row R class C scores S...`, at the end a line
/// `summary rows=R digest=H instructions=MEAN max=MAX arena=BYTES stack=BYTES`.
pub fn all(
    net: &mut Session<'_>,
    recordings: &mut Recordings<File>,
    input: &mut [i16],
    show: Show,
) -> Result<(), Error> {
    let arena = net.plan().bytes();
    stack::paint();
    let mut digest = Digest::new();
    let (mut row, mut total, mut most) = (0_u32, 0_u64, 0_u64);
    while let Some(samples) = recordings.next(input).map_err(Error::Recording)? {
        let (result, executed) = match show {
            Show::Scores => counter::measure(|| net.run(samples)),
            _ => (traced(net, samples, row, show), 0),
        };
        let scores = result.map_err(|error| Error::Run(InRow { row, error }))?;
        digest.scores(scores.raw());
        print_row(row, &scores);
        total += executed;
        most = most.max(executed);
        row += 1;
    }

    let deepest = stack::high_water();
    if deepest == stack::size() {
        return Err(Error::Stack { size: deepest });
    }
    print_summary(row, digest.value(), [total, most], [arena, deepest]);
    Ok(())
}

// Not inlined: what prints would stay on the stack of what runs the model.

#[inline(never)]
pub(crate) fn print_row(row: u32, scores: &Scores<'_>) {
    println!("row {row} class {} scores{}", scores.best(), Spaced(scores.raw()));
}

#[inline(never)]
fn print_summary(rows: u32, digest: u64, [total, most]: [u64; 2], [arena, stack]: [usize; 2]) {
    let mean = total / u64::from(rows.max(1));
    println!(
        "summary rows={rows} digest={digest:016x} instructions={mean} max={most} arena={arena} stack={stack}"
    );
}

/// What keeps a program from classifying.
pub type Error = program::Error<InRow<InputError>>;

/// Not inlined: its stack is not that of a run that shows nothing.
#[inline(never)]
fn traced<'n>(
    net: &'n mut Session<'_>,
    samples: &[i16],
    row: u32,
    show: Show,
) -> Result<Scores<'n>, InputError> {
    println!("input {row}{}", Spaced(samples));
    let mut print = Rows(|row: Row<'_>| match show {
        Show::Values => println!("{row} values{}", Spaced(row.values)),
        _ => println!("{row}"),
    });
    net.run_traced(samples, None, &mut print)
}

struct Spaced<'a>(&'a [i16]);

impl fmt::Display for Spaced<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|value| write!(f, " {value}"))
    }
}
