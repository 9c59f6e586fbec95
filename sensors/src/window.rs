//! The samples that a model sees at once.

use crate::Source;
use heapless::Vec;

/// Collects steps of `CHANNELS` samples until there are `VALUES` values, oldest first: steps of x, y and z
/// give `x y z x y z ...`, as a model takes them.
///
/// `VALUES` is most often `Net::MAX_INPUT`. It must be a multiple of the channels:
///
/// ```
/// let window = fixformer_sensors::Window::<141, 3>::new(); // 47 steps
/// ```
///
/// Anything else does not compile:
///
/// ```compile_fail
/// let window = fixformer_sensors::Window::<140, 3>::new();
/// ```
#[derive(Debug)]
pub struct Window<const VALUES: usize, const CHANNELS: usize> {
    values: Vec<i16, VALUES>,
    lost: u32,
}

impl<const VALUES: usize, const CHANNELS: usize> Window<VALUES, CHANNELS> {
    /// Steps of a full window.
    pub const STEPS: usize = VALUES / CHANNELS;

    /// Empty.
    pub const fn new() -> Self {
        const {
            assert!(
                CHANNELS > 0 && VALUES > 0 && VALUES.is_multiple_of(CHANNELS),
                "VALUES must be a multiple of CHANNELS, and neither may be zero"
            );
        }
        Self { values: Vec::new(), lost: 0 }
    }

    /// Adds a step; the values once the window is full. A step that finds it full already is dropped and
    /// counted: [`Window::lost`].
    pub fn push(&mut self, step: [i16; CHANNELS]) -> Option<&[i16]> {
        // An error is the lack of room.
        if self.values.extend_from_slice(&step).is_err() {
            self.lost = self.lost.saturating_add(1);
        }
        self.values.is_full().then_some(&self.values)
    }

    /// Reads until the window is full.
    ///
    /// # Errors
    /// Those of the source; what was read until then stays.
    pub fn fill<S: Source<CHANNELS>>(&mut self, source: &mut S) -> Result<&[i16], S::Error> {
        while !self.values.is_full() {
            self.push(source.read()?);
        }
        Ok(&self.values)
    }

    /// Drops the oldest `steps`, or all where there are fewer, so that the next window overlaps this one by
    /// the others.
    pub fn advance(&mut self, steps: usize) {
        let values = steps.saturating_mul(CHANNELS).min(self.values.len());
        self.values.rotate_left(values);
        self.values.truncate(self.values.len() - values);
    }

    /// Drops all steps, as where the next one does not follow on the last.
    pub fn clear(&mut self) {
        self.values.clear();
    }

    /// Steps that found no room since the window was made. Where it grows, what is pushed next does not
    /// follow on what the window holds.
    pub fn lost(&self) -> u32 {
        self.lost
    }
}

impl<const VALUES: usize, const CHANNELS: usize> Default for Window<VALUES, CHANNELS> {
    fn default() -> Self {
        Self::new()
    }
}
