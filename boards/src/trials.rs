//! Models and recordings in one file, each run in one of the ways there are: what makes a core comparable with the host.
//!
//! The file is a sequence of cases, each a word that says how many words follow. A case is a word that says how long its model
//! is, the model, and then its runs. A run is four words (number of the way, what fills the arena before, values, flags of
//! the mask or 0 for none), the values two to a word, and the flags 32 to a word, the lowest bits first.

use core::fmt;

use crate::source::{Buffered, Source};
use fixformer::session::{
    InputError, PassError, Passes, PassesError, Plan, Recording, ShortRecording, StreamError,
};
use fixformer::{ArenaError, Digest, Model, ModelError, Scores, Session, Stream};

/// Runs every run of a file and hands a line for each to `line`: `case C run R: ` and the digest of the scores, the best class and
/// how many values were saturated, or what was wrong.
///
/// # Errors
/// [`Broken`] where the file is cut off, or larger than the memory here.
pub fn all<S: Source>(
    file: S,
    memory: Memory<'_>,
    line: &mut dyn FnMut(fmt::Arguments<'_>),
) -> Result<(), Broken> {
    let Memory { words, input, mask } = memory;
    let mut file = Buffered::new(file);
    let mut next = || {
        let mut word = [0; 4];
        match file.fill(&mut word) {
            Ok(0) => Ok(None),
            Ok(4) => Ok(Some(u32::from_le_bytes(word))),
            _ => Err(Broken),
        }
    };
    let mut number = 0;
    while let Some(length) = next()? {
        let (case, words) = words.split_at_mut_checked(length as usize).ok_or(Broken)?;
        for word in &mut *case {
            *word = next()?.ok_or(Broken)?;
        }
        let mut run = 0;
        each(case, Memory { words, input, mask }, &mut |said| {
            match said {
                Ok(said) => line(format_args!("case {number} run {run}: {said}")),
                Err(error) => line(format_args!("case {number} run {run}: {error}")),
            }
            run += 1;
        })?;
        number += 1;
    }
    Ok(())
}

/// Where cases are run.
pub struct Memory<'m> {
    /// For a case and the arena of its model.
    pub words: &'m mut [u32],
    /// For a recording.
    pub input: &'m mut [i16],
    /// For its mask.
    pub mask: &'m mut [bool],
}

/// The file of cases cannot be read on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broken;

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the file of cases is cut off or larger than the memory here")
    }
}

impl core::error::Error for Broken {}

/// Runs every run of a case.
fn each(
    case: &[u32],
    Memory { words: arena, input, mask }: Memory<'_>,
    said: &mut dyn FnMut(Result<Said, Refused>),
) -> Result<(), Broken> {
    let (length, rest) = case.split_first().ok_or(Broken)?;
    let (model, mut runs) = rest.split_at_checked(*length as usize).ok_or(Broken)?;
    let model = match Model::parse(model) {
        Ok(model) => model,
        Err(error) => {
            said(Err(error.into()));
            return Ok(());
        }
    };
    while let [way, fill, values, flags, rest @ ..] = runs {
        let (values, flags) = (*values as usize, *flags as usize);
        let (packed, rest) = rest.split_at_checked(values.div_ceil(2)).ok_or(Broken)?;
        let (bits, rest) = rest.split_at_checked(flags.div_ceil(32)).ok_or(Broken)?;
        let input = input.get_mut(..values).ok_or(Broken)?;
        let mask = mask.get_mut(..flags).ok_or(Broken)?;
        for (pair, packed) in input.chunks_mut(2).zip(packed) {
            let values = [*packed as i16, (packed >> 16) as i16];
            pair.iter_mut().zip(values).for_each(|(to, value)| *to = value);
        }
        for (flags, bits) in mask.chunks_mut(32).zip(bits) {
            flags.iter_mut().enumerate().for_each(|(bit, flag)| *flag = bits >> bit & 1 == 1);
        }
        let way = *Way::ALL.get(*way as usize).ok_or(Broken)?;
        let plan = match way {
            Way::Whole | Way::Slices => Some(Plan::of(&model)),
            Way::Stream => Plan::of_stream(&model).ok(),
            Way::Passes => Plan::of_passes(&model).ok(),
        };
        // No more than it needs, which saves the emulator most of its work.
        let needed = plan.map_or(0, |plan| plan.words());
        let arena = arena.get_mut(..needed).ok_or(Broken)?;
        arena.fill(*fill);
        let mask = (flags > 0).then_some(&*mask);
        said(match way {
            Way::Whole => whole(model, arena, input, mask),
            Way::Slices => slices(model, arena, input, mask),
            Way::Stream => stream(model, arena, input),
            Way::Passes => passes(model, arena, input, mask),
        });
        runs = rest;
    }
    Ok(())
}

/// How a recording is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// At one go.
    Whole,
    /// In steps of bounded work.
    Slices,
    /// Step by step of the recording, whatever the mask; the digest is that of the scores after every token.
    Stream,
    /// With only a part in memory, read again and again.
    Passes,
}

impl Way {
    /// Each at the place of its number.
    pub const ALL: [Self; 4] = [Self::Whole, Self::Slices, Self::Stream, Self::Passes];
}

/// A run of a case, to be written.
#[cfg(not(target_os = "none"))]
pub struct Run {
    /// How it is run.
    pub way: Way,
    /// What fills the arena before.
    pub fill: u32,
    /// The recording.
    pub values: std::vec::Vec<i16>,
    /// Its mask; empty for none.
    pub mask: std::vec::Vec<bool>,
}

/// The words of a case, the first of which says how many follow.
#[cfg(not(target_os = "none"))]
pub fn write(model: &[u32], runs: &[Run]) -> std::vec::Vec<u32> {
    let mut words = std::vec![0, model.len() as u32];
    words.extend(model);
    for Run { way, fill, values, mask } in runs {
        words.extend([*way as u32, *fill, values.len() as u32, mask.len() as u32]);
        let pair = |pair: &[i16]| pair.iter().rev().fold(0, |word, &x| word << 16 | u32::from(x as u16));
        words.extend(values.chunks(2).map(pair));
        let flags = |flags: &[bool]| flags.iter().rev().fold(0, |word, &flag| word << 1 | u32::from(flag));
        words.extend(mask.chunks(32).map(flags));
    }
    words[0] = words.len() as u32 - 1;
    words
}

/// What came of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Said {
    digest: Digest,
    best: usize,
    saturated: u32,
}

impl Said {
    fn of(scores: &Scores<'_>) -> Self {
        let mut said = Self::default();
        said.add(scores);
        said
    }

    fn add(&mut self, scores: &Scores<'_>) {
        self.digest.scores(scores.raw());
        (self.best, self.saturated) = (scores.best(), scores.saturated());
    }
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { digest, best, saturated } = self;
        write!(f, "digest {digest} best {best} saturated {saturated}")
    }
}

fn whole(model: Model<'_>, arena: &mut [u32], input: &[i16], mask: Option<&[bool]>) -> Result<Said, Refused> {
    let mut session = Session::new(model, arena)?;
    Ok(Said::of(&session.run_traced(input, mask, &mut ())?))
}

fn slices(
    model: Model<'_>,
    arena: &mut [u32],
    input: &[i16],
    mask: Option<&[bool]>,
) -> Result<Said, Refused> {
    let mut session = Session::new(model, arena)?;
    let mut running = session.start_masked(input, mask)?;
    while running.step()?.is_pending() {}
    running.scores().map(|scores| Said::of(&scores)).ok_or(Refused::NoScores)
}

fn stream(model: Model<'_>, arena: &mut [u32], input: &[i16]) -> Result<Said, Refused> {
    let channels = model.input.step_values();
    let mut stream = Stream::new(model, arena)?;
    let mut said = None;
    for step in input.chunks(channels) {
        if let Some(scores) = stream.push(step)? {
            said.get_or_insert_with(Said::default).add(&scores);
        }
    }
    said.ok_or(Refused::NoScores)
}

fn passes(
    model: Model<'_>,
    arena: &mut [u32],
    input: &[i16],
    mask: Option<&[bool]>,
) -> Result<Said, Refused> {
    let mut passes = Passes::new(model, arena)?;
    let scores = passes.run(&mut Masked { input, mask })?;
    Ok(Said::of(&scores))
}

/// A recording in memory of which some tokens do not count.
struct Masked<'r> {
    input: &'r [i16],
    mask: Option<&'r [bool]>,
}

impl Recording for Masked<'_> {
    type Error = ShortRecording;

    fn values(&mut self) -> Result<usize, ShortRecording> {
        self.input.values()
    }

    fn read(&mut self, first: usize, values: &mut [i16]) -> Result<(), ShortRecording> {
        self.input.read(first, values)
    }

    fn counts(&mut self, token: usize) -> Result<bool, ShortRecording> {
        self.mask.map_or(Ok(true), |mask| mask.get(token).copied().ok_or(ShortRecording))
    }
}

/// Why a run gave no scores.
#[derive(Clone, Copy, Debug, PartialEq)]
#[allow(missing_docs, reason = "the message of each says what it is")]
pub enum Refused {
    Model(ModelError),
    Arena(ArenaError),
    Input(InputError),
    Stream(StreamError),
    Passes(PassesError),
    Pass(PassError<ShortRecording>),
    NoScores,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Model(error) => error.fmt(f),
            Self::Arena(error) => error.fmt(f),
            Self::Input(error) => error.fmt(f),
            Self::Stream(error) => error.fmt(f),
            Self::Passes(error) => error.fmt(f),
            Self::Pass(error) => error.fmt(f),
            Self::NoScores => f.write_str("the recording makes no token"),
        }
    }
}

macro_rules! from {
    ($($variant:ident($error:ty),)*) => {
        $(impl From<$error> for Refused {
            fn from(error: $error) -> Self {
                Self::$variant(error)
            }
        })*
    };
}

from! {
    Model(ModelError), Arena(ArenaError), Input(InputError), Stream(StreamError), Passes(PassesError),
    Pass(PassError<ShortRecording>),
}
