//! Classifies recordings streamed from the host: `-append FILE` names the file.
//! The model is the one that `FIXFORMER_MODEL` named when this was built.

#![cfg_attr(target_os = "none", no_std, no_main)]

fixformer_boards::entry!(board::main);

#[cfg(target_os = "none")]
mod board {
    use fixformer::{Arena, ArenaError, Embedded, arena::Once};
    use fixformer_boards::classifier::{self, Error, Show};
    use fixformer_boards::host::{self, File};
    use fixformer_boards::recordings::Recordings;

    fixformer::model! {
        /// The model of this build.
        struct Net = env!("FIXFORMER_MODEL")
    }

    static ARENA: Arena<Net> = Arena::new();
    static INPUT: Once<[i16; Net::MAX_INPUT]> = Once::new([0; Net::MAX_INPUT]);
    const CHANNELS: usize = <Net as Embedded>::MODEL.input.step_values();

    pub(crate) fn main() -> Result<(), Error> {
        let input = INPUT.take().ok_or(Error::Arena(ArenaError::Taken))?;
        let file = host::argument(File::open).and_then(|file| file).map_err(Error::Host)?;
        // By reference: another copy of the session would stay on the stack.
        match (&mut ARENA.take(), &mut Recordings::open(file, CHANNELS)) {
            (Ok(net), Ok(recordings)) => classifier::all(net, recordings, input, Show::Scores),
            (Err(error), _) => Err(Error::Arena(*error)),
            (_, Err(error)) => Err(Error::Recording(*error)),
        }
    }
}
