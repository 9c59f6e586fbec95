//! Any model file over any recordings, both read from the host: `-append "MODEL RECORDINGS"`, so that one build serves
//! all models. With a third word, `digests` or `values`, it prints what `fixformer diff` compares with the host; with
//! `steps` how long each step of a run takes.

#![cfg_attr(target_os = "none", no_std, no_main)]

fixformer_boards::entry!(board::main);

#[cfg(target_os = "none")]
mod board {
    use core::ffi::CStr;
    use core::fmt;
    use fixformer::{ArenaError, Model, ModelError, Session, memory::Once};
    use fixformer_boards::classifier::{self, Error, Show};
    use fixformer_boards::host::{self, File, HostError};
    use fixformer_boards::recordings::Recordings;
    use fixformer_boards::source::Buffered;
    use fixformer_boards::steps;

    /// Room for the model, its arena and a recording.
    const WORDS: usize = match usize::from_str_radix(env!("FIXFORMER_REPLAY_BYTES"), 10) {
        Ok(bytes) => bytes / 4,
        Err(_) => panic!("FIXFORMER_REPLAY_BYTES: expected a whole number"),
    };
    static MEMORY: Once<[u32; WORDS]> = Once::new([0; WORDS]);
    /// Most values of a recording.
    const VALUES: usize = WORDS / 16;
    static INPUT: Once<[i16; VALUES]> = Once::new([0; VALUES]);

    pub(crate) fn main() -> Result<(), ReplayError> {
        let taken = Error::Arena(ArenaError::Taken);
        let (input, replay) = (INPUT.take().ok_or(taken)?, REPLAY.take().ok_or(taken)?);
        open(replay)?;
        match replay {
            Some(Replay { net, recordings, show: Show::Steps }) => steps::all(net, recordings, input)?,
            Some(Replay { net, recordings, show }) => classifier::all(net, recordings, input, *show)?,
            None => {}
        }
        Ok(())
    }

    /// A parsed model and its plan are not small: here they are not on the stack while the model runs.
    static REPLAY: Once<Option<Replay>> = Once::new(None);

    /// What keeps this program from classifying.
    #[derive(Clone, Copy)]
    pub(crate) enum ReplayError {
        Model(ModelError),
        ModelFile,
        Classifier(Error),
    }

    impl From<Error> for ReplayError {
        fn from(error: Error) -> Self {
            Self::Classifier(error)
        }
    }

    impl fmt::Display for ReplayError {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            match self {
                Self::Model(error) => error.fmt(f),
                Self::ModelFile => {
                    f.write_str("the model file cannot be read or is larger than the memory here")
                }
                Self::Classifier(error) => error.fmt(f),
            }
        }
    }

    struct Replay {
        net: Session<'static>,
        recordings: Recordings<File>,
        show: Show,
    }

    /// Not inlined: what it needs to get there would stay on the stack.
    #[inline(never)]
    fn open(replay: &mut Option<Replay>) -> Result<(), ReplayError> {
        let memory = MEMORY.take().ok_or(Error::Arena(ArenaError::Taken))?;
        let arguments = host::argument(arguments).and_then(|opened| opened).map_err(Error::Host)?;
        let Arguments { model, recordings, show } = arguments;
        let length = read(model, memory).ok_or(ReplayError::ModelFile)?;
        let (file, arena) = memory.split_at_mut_checked(length).ok_or(ReplayError::ModelFile)?;
        let model = Model::parse(file).map_err(ReplayError::Model)?;
        let recordings = Recordings::open(recordings, model.input.step_values()).map_err(Error::Recording)?;
        let net = Session::new(model, arena).map_err(Error::Arena)?;
        *replay = Some(Replay { net, recordings, show });
        Ok(())
    }

    struct Arguments {
        model: File,
        recordings: File,
        show: Show,
    }

    fn arguments(line: &CStr) -> Result<Arguments, HostError> {
        let mut words = line.to_bytes().split(|&byte| byte == b' ').filter(|word| !word.is_empty());
        let model = open_word(words.next())?;
        let recordings = open_word(words.next())?;
        let show = match words.next() {
            None => Show::Scores,
            Some(b"digests") => Show::Digests,
            Some(b"values") => Show::Values,
            Some(b"steps") => Show::Steps,
            Some(_) => return Err(HostError::CommandLine),
        };
        Ok(Arguments { model, recordings, show })
    }

    fn open_word(word: Option<&[u8]>) -> Result<File, HostError> {
        let word = word.ok_or(HostError::NoArgument)?;
        let mut path = [0; 256];
        path.get_mut(..word.len()).ok_or(HostError::CommandLine)?.copy_from_slice(word);
        File::open(CStr::from_bytes_until_nul(&path).map_err(|_| HostError::CommandLine)?)
    }

    /// Fills the front of `memory` with the words of the file; how many, if all were read.
    fn read(file: File, memory: &mut [u32]) -> Option<usize> {
        let mut bytes = Buffered::new(file);
        let mut length = 0;
        loop {
            let mut word = [0; 4];
            match bytes.fill(&mut word).ok()? {
                0 => return Some(length),
                4 => *memory.get_mut(length)? = u32::from_le_bytes(word),
                _ => return None,
            }
            length += 1;
        }
    }
}
