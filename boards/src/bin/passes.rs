//! Runs a model in passes over recordings: `-append FILE` names the file, which may be longer than any memory here, and is
//! read again in every pass. The model is the one that `FIXFORMER_MODEL` named when this was built.

#![cfg_attr(target_os = "none", no_std, no_main)]

fixformer_boards::entry!(board::main);

#[cfg(target_os = "none")]
mod board {
    use fixformer::memory::Once;
    use fixformer::{Arena, InPasses, Passes};
    use fixformer_boards::rereader::{self, Error};

    fixformer::model! {
        /// The model of this build.
        struct Net = env!("FIXFORMER_MODEL")
    }

    static MEMORY: Arena<Net, InPasses> = Arena::new();
    static PASSES: Once<Option<Passes<'static>>> = Once::new(None);

    pub(crate) fn main() -> Result<(), Error> {
        rereader::all::<Net>(|| MEMORY.take(), &PASSES)
    }
}
