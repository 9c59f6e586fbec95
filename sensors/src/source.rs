//! What gives samples.

use accelerometer::RawAccelerometer;
use accelerometer::vector::I16x3;
use embedded_hal::spi::SpiDevice;
use embedded_io::{Read, ReadExactError};

/// Gives one step of `CHANNELS` raw samples at a time.
pub trait Source<const CHANNELS: usize> {
    /// Why there is no sample.
    type Error;

    /// The next step.
    ///
    /// # Errors
    /// Those of the bus or of the device.
    fn read(&mut self) -> Result<[i16; CHANNELS], Self::Error>;
}

/// An accelerometer whose driver implements [`RawAccelerometer`], over whatever bus: x, y and z in its own units.
pub struct Accelerometer<A>(pub A);

impl<A: RawAccelerometer<I16x3>> Source<3> for Accelerometer<A> {
    type Error = accelerometer::Error<A::Error>;

    fn read(&mut self) -> Result<[i16; 3], Self::Error> {
        let I16x3 { x, y, z } = self.0.accel_raw()?;
        Ok([x, y, z])
    }
}

/// An analogue-to-digital converter on SPI that answers one transfer of 16 bits with a sample somewhere in them: an
/// MCP3201 (`shift: 1, bits: 12`), an ADS7042 (`shift: 2, bits: 12`).
pub struct SpiConverter<D> {
    /// The converter, with its own chip select.
    pub device: D,
    /// Bits below the sample.
    pub shift: u32,
    /// Bits of the sample, at most 15, so that it is never negative.
    pub bits: u32,
}

impl<D: SpiDevice> Source<1> for SpiConverter<D> {
    type Error = D::Error;

    fn read(&mut self) -> Result<[i16; 1], D::Error> {
        let mut bytes = [0; 2];
        self.device.read(&mut bytes)?;
        let mask = (1 << self.bits.min(15)) - 1;
        let sample = u16::from_be_bytes(bytes).checked_shr(self.shift).unwrap_or(0) & mask;
        Ok([sample.cast_signed()])
    }
}

/// Steps that another device sends over a serial line: the byte `0xA5`, the samples as little-endian `i16`, and a byte
/// that makes the sum of all of them zero. What does not sum up is skipped.
pub struct Uart<R>(pub R);

/// Why no step came over the line.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum UartError<E> {
    /// The line has ended.
    Closed,
    /// The line reported an error.
    Line(E),
}

impl<R: Read> Uart<R> {
    const START: u8 = 0xA5;

    fn byte(&mut self) -> Result<u8, UartError<R::Error>> {
        let mut byte = [0];
        self.0.read_exact(&mut byte).map_err(|error| match error {
            ReadExactError::UnexpectedEof => UartError::Closed,
            ReadExactError::Other(error) => UartError::Line(error),
        })?;
        Ok(byte[0])
    }
}

impl<R: Read, const CHANNELS: usize> Source<CHANNELS> for Uart<R> {
    type Error = UartError<R::Error>;

    fn read(&mut self) -> Result<[i16; CHANNELS], Self::Error> {
        loop {
            while self.byte()? != Self::START {}
            let (mut step, mut sum) = ([0; CHANNELS], Self::START);
            for sample in &mut step {
                let bytes = [self.byte()?, self.byte()?];
                sum = bytes.iter().fold(sum, |sum, &byte| sum.wrapping_add(byte));
                *sample = i16::from_le_bytes(bytes);
            }
            if sum.wrapping_add(self.byte()?) == 0 {
                return Ok(step);
            }
        }
    }
}

/// A function that reads a step.
pub struct Function<F>(pub F);

impl<F, E, const CHANNELS: usize> Source<CHANNELS> for Function<F>
where
    F: FnMut() -> Result<[i16; CHANNELS], E>,
{
    type Error = E;

    fn read(&mut self) -> Result<[i16; CHANNELS], E> {
        (self.0)()
    }
}
