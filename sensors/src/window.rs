//! The samples that a model sees at once.

use crate::Source;
use heapless::Vec;

/// Collects steps until there are `VALUES` values, oldest first.
#[derive(Debug, Default)]
pub struct Window<const VALUES: usize>(Vec<i16, VALUES>);

impl<const VALUES: usize> Window<VALUES> {
    /// Empty.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Adds a step; the values once there is no room for another one like it. A step that finds no room is dropped.
    pub fn push<const CHANNELS: usize>(&mut self, step: [i16; CHANNELS]) -> Option<&[i16]> {
        // An error is the lack of room.
        let _ = self.0.extend_from_slice(&step);
        (VALUES - self.0.len() < CHANNELS.max(1)).then_some(&self.0)
    }

    /// Reads until the window is full.
    ///
    /// # Errors
    /// Those of the source; what was read until then stays.
    pub fn fill<const CHANNELS: usize, S: Source<CHANNELS>>(
        &mut self,
        source: &mut S,
    ) -> Result<&[i16], S::Error> {
        while VALUES - self.0.len() >= CHANNELS.max(1) {
            self.push(source.read()?);
        }
        Ok(&self.0)
    }

    /// Drops the oldest `values`, a multiple of the channels, so that the next window overlaps this one by the others.
    pub fn advance(&mut self, values: usize) {
        let values = values.min(self.0.len());
        self.0.rotate_left(values);
        self.0.truncate(self.0.len() - values);
    }
}
