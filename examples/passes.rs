//! A recording that lies outside the RAM is read again and again, instead of being kept: `cargo run --example passes`.
//!
//! The memory does not depend on its length. Here it lies in a file; on a device in external flash or on a card.

use std::error::Error;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};

use fixformer::{Arena, InPasses, Recording};

fixformer::model! {
    /// Heart beats of 140 samples to five classes.
    struct Ecg = concat!(env!("CARGO_MANIFEST_DIR"), "/models/zoo/ecg5000-favor.fxm")
}

// Does not compile for a model that cannot run in passes.
static PASSES: Arena<Ecg, InPasses> = Arena::new();

/// Little-endian samples in a file.
struct Samples {
    file: File,
    reads: usize,
}

impl Recording for Samples {
    type Error = io::Error;

    fn values(&mut self) -> io::Result<usize> {
        Ok(self.file.metadata()?.len() as usize / size_of::<i16>())
    }

    fn read(&mut self, first: usize, values: &mut [i16]) -> io::Result<()> {
        self.reads += 1;
        self.file.seek(SeekFrom::Start((first * size_of::<i16>()) as u64))?;
        for value in values {
            let mut bytes = [0; size_of::<i16>()];
            self.file.read_exact(&mut bytes)?;
            *value = i16::from_le_bytes(bytes);
        }
        Ok(())
    }
}

/// Runs over a file with a beat.
///
/// # Errors
/// Those of the arena, of the file and of the recording.
pub fn main() -> Result<(), Box<dyn Error>> {
    let mut file = tempfile::tempfile()?;
    for step in 0..140_i16 {
        let beat = if (20..28).contains(&step) { 900 } else { step - 70 };
        file.write_all(&beat.to_le_bytes())?;
    }
    let mut samples = Samples { file, reads: 0 };
    let mut passes = PASSES.take()?;
    let best = passes.run(&mut samples).map_err(|error| format!("{error:?}"))?.best();
    println!(
        "class {best}, in {} bytes; the file was read in {} pieces",
        size_of_val(&PASSES),
        samples.reads
    );
    Ok(())
}
