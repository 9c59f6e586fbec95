//! Sources that change what another gives.

use crate::Source;
use embedded_hal::delay::DelayNs;
use micromath::F32Ext;

/// Waits before each step. What reading takes comes on top: for an exact period let a timer or the sensor's own clock
/// say when the next step is there.
pub struct Paced<S, D> {
    /// What is read.
    pub source: S,
    /// What waits.
    pub delay: D,
    /// Nanoseconds to wait.
    pub nanoseconds: u32,
}

impl<S: Source<C>, D: DelayNs, const C: usize> Source<C> for Paced<S, D> {
    type Error = S::Error;

    fn read(&mut self) -> Result<[i16; C], S::Error> {
        self.delay.delay_ns(self.nanoseconds);
        self.source.read()
    }
}

/// `gain * sample + offset`, rounded to nearest: from the sensor's units to those that the model was calibrated with.
pub struct Affine<S> {
    /// What is read.
    pub source: S,
    /// Factor.
    pub gain: f32,
    /// Added after it.
    pub offset: f32,
}

impl<S: Source<C>, const C: usize> Source<C> for Affine<S> {
    type Error = S::Error;

    fn read(&mut self) -> Result<[i16; C], S::Error> {
        let step = self.source.read()?;
        Ok(step.map(|sample| rounded(self.gain * f32::from(sample) + self.offset)))
    }
}

/// The length of the vector of all channels: how strong an acceleration is, wherever it points. Within 4 % of it, as
/// the square root of `micromath` is.
pub struct Magnitude<S, const C: usize>(pub S);

impl<S: Source<C>, const C: usize> Source<1> for Magnitude<S, C> {
    type Error = S::Error;

    fn read(&mut self) -> Result<[i16; 1], S::Error> {
        let step = self.0.read()?;
        let squares: f32 = step.iter().map(|&sample| f32::from(sample) * f32::from(sample)).sum();
        Ok([rounded(F32Ext::sqrt(squares))])
    }
}

/// Named in full, so that a host with floats of its own computes the same.
fn rounded(x: f32) -> i16 {
    F32Ext::round(x) as i16
}
