//! Classifies recordings streamed from the host: `-append FILE` names the file.
//! The model is the one that `FIXFORMER_MODEL` named when this was built.

#![cfg_attr(target_os = "none", no_std, no_main)]

fixformer_boards::entry!(board::main);

#[cfg(target_os = "none")]
mod board {
    use fixformer::{Arena, memory::Once};
    use fixformer_boards::classifier::{self, Error};

    fixformer::model! {
        /// The model of this build.
        struct Net = env!("FIXFORMER_MODEL")
    }

    static ARENA: Arena<Net> = Arena::new();
    static INPUT: Once<[i16; Net::MAX_INPUT]> = Once::new([0; Net::MAX_INPUT]);

    pub(crate) fn main() -> Result<(), Error> {
        classifier::embedded(&ARENA, &INPUT)
    }
}
