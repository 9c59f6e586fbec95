//! `classify` with its memory placed: the arena in `.dtcm`, which nobody clears at start-up, the weights in `.qspi`.
//! For boards whose `memory.x` has these sections.

#![cfg_attr(target_os = "none", no_std, no_main)]

fixformer_boards::entry!(board::main);

#[cfg(target_os = "none")]
mod board {
    #![allow(unsafe_code)] // Sections, and memory written behind the arena's back.

    use fixformer::{Arena, memory::Once};
    use fixformer_boards::classifier::{self, Error};

    fixformer::model! {
        /// The model of this build.
        struct Net = env!("FIXFORMER_MODEL");
        #[unsafe(link_section = ".qspi")]
        static WEIGHTS;
    }

    #[unsafe(link_section = ".dtcm")]
    static ARENA: Arena<Net> = Arena::new();
    static INPUT: Once<[i16; Net::MAX_INPUT]> = Once::new([0; Net::MAX_INPUT]);

    pub(crate) fn main() -> Result<(), Error> {
        warm_reset();
        classifier::embedded(&ARENA, &INPUT)
    }

    /// An emulator's memory starts at zero; a warm reset leaves what the last run had there.
    fn warm_reset() {
        unsafe extern "C" {
            static mut _dtcm_start: u32;
            static mut _dtcm_end: u32;
        }
        let (mut word, end) = (&raw mut _dtcm_start, &raw mut _dtcm_end);
        while word < end {
            // SAFETY: aligned, inside the section, and nothing in it is in use yet.
            unsafe {
                word.write_volatile(u32::MAX);
                word = word.add(1);
            }
        }
    }
}
