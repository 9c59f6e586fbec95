//! A recording that lies outside the memory of a model.

use core::fmt;

/// Values that can be read again and again: in flash, on a card, in external RAM, in a file.
///
/// [`super::Passes`] reads it from the front to the back once a pass: values follow each other, and only where windows leave
/// steps out are some skipped. A source without random access has to do no more than to begin anew where `first` is 0. What
/// could not be read is asked for once more if the run goes on.
pub trait Recording {
    /// Why it cannot be read.
    type Error;

    /// Number of its values: `[steps, channels]` samples, symbols or token ids. It stays the same while a run lasts.
    ///
    /// # Errors
    /// That of the place.
    fn values(&mut self) -> Result<usize, Self::Error>;

    /// Fills `values` with those from number `first` on. Both are whole steps.
    ///
    /// # Errors
    /// That of the place.
    fn read(&mut self, first: usize, values: &mut [i16]) -> Result<(), Self::Error>;

    /// Whether a token counts, from 0; one that does not is masked, neither attended to nor pooled. Asked in every pass, always
    /// with the same answer.
    ///
    /// # Errors
    /// That of the place.
    fn counts(&mut self, _token: usize) -> Result<bool, Self::Error> {
        Ok(true)
    }
}

/// A recording ends before its last value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShortRecording;

impl core::error::Error for ShortRecording {}

impl fmt::Display for ShortRecording {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the recording ends before its last value")
    }
}

/// Values in memory: in RAM, or where flash is seen as memory.
impl Recording for &[i16] {
    type Error = ShortRecording;

    fn values(&mut self) -> Result<usize, ShortRecording> {
        Ok(self.len())
    }

    fn read(&mut self, first: usize, values: &mut [i16]) -> Result<(), ShortRecording> {
        let found = self.get(first..).and_then(|rest| rest.get(..values.len())).ok_or(ShortRecording)?;
        values.copy_from_slice(found);
        Ok(())
    }
}
