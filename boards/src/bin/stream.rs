//! Pushes recordings step by step through a stream: `-append FILE` names the file, which may be longer than any memory
//! here. The model is the one that `FIXFORMER_MODEL` named when this was built.

#![cfg_attr(target_os = "none", no_std, no_main)]

fixformer_boards::entry!(board::main);

#[cfg(target_os = "none")]
mod board {
    use fixformer::memory::Once;
    use fixformer::{Arena, Stream, Streamed};
    use fixformer_boards::streamer::{self, Error};

    fixformer::model! {
        /// The model of this build.
        struct Net = env!("FIXFORMER_MODEL")
    }

    static MEMORY: Arena<Net, Streamed> = Arena::new();
    static STREAM: Once<Option<Stream<'static>>> = Once::new(None);

    pub(crate) fn main() -> Result<(), Error> {
        streamer::all::<Net>(|| MEMORY.take(), &STREAM)
    }
}
