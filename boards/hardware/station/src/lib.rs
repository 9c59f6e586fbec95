//! What every board here does: it reads an LIS3DH, and each time that enough samples are there it classifies them and
//! hands the result to the board's own log.

#![no_std]

use core::convert::Infallible;
use core::fmt;
use embedded_hal::delay::DelayNs;
use embedded_hal::i2c::I2c;
use fixformer::memory::Once;
use fixformer::{Arena, ArenaError, Embedded, InputError};
use fixformer_sensors::{Accelerometer, Affine, Magnitude, Paced, Window};
use lis3dh::{Configuration, Lis3dh, SlaveAddr};

fixformer::model! {
    /// The model of this build: one channel.
    pub struct Net = env!("FIXFORMER_MODEL")
}

/// Its memory.
pub static ARENA: Arena<Net> = Arena::new();
/// What it is about to see. Not on the stack, whose size the linker does not hold against what is put there.
static WINDOW: Once<Window<{ Net::MAX_INPUT }, 1>> = Once::new(Window::new());
const _: () = assert!(<Net as Embedded>::MODEL.input.step_values() == 1, "the model must have one channel");

/// What a board says of one window.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Seen {
    /// Which window, from 0.
    pub window: u32,
    /// The class.
    pub class: usize,
    /// Its probability in hundredths.
    pub percent: u8,
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "window {}: class {}, {} %", self.window, self.class, self.percent)
    }
}

/// Why there is no more to see.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum StationError {
    /// The arena was taken before.
    Arena(ArenaError),
    /// The model cannot take the window.
    Input(InputError),
    /// No LIS3DH answers at address 0x18.
    NoSensor,
    /// The bus failed.
    Bus,
}

/// Watches until something fails, and says what. Between two windows three quarters stay.
pub fn watch(i2c: impl I2c, delay: impl DelayNs, tell: impl FnMut(Seen)) -> StationError {
    match look(i2c, delay, tell) {
        Ok(never) => match never {},
        Err(error) => error,
    }
}

fn look(i2c: impl I2c, delay: impl DelayNs, mut tell: impl FnMut(Seen)) -> Result<Infallible, StationError> {
    const HERTZ: u32 = 100;
    let mut net = ARENA.take().map_err(StationError::Arena)?;
    let window = WINDOW.take().ok_or(StationError::Arena(ArenaError::Taken))?;
    let driver = Lis3dh::new_i2c_with_config(i2c, SlaveAddr::Default, Configuration::default())
        .map_err(|_| StationError::NoSensor)?;
    let paced = Paced { source: Accelerometer(driver), delay, nanoseconds: 1_000_000_000 / HERTZ };
    // One g is 16,384 of the sensor, 8 of the model.
    let mut source = Affine { source: Magnitude(paced), gain: 8.0 / 16_384.0, offset: 0.0 };
    let mut number = 0;
    loop {
        let samples = window.fill(&mut source).map_err(|_| StationError::Bus)?;
        let scores = net.run(samples).map_err(StationError::Input)?;
        let percent = (u32::from(scores.probability(scores.best()).to_bits()) * 100 + (1 << 14)) >> 15;
        tell(Seen { window: number, class: scores.best(), percent: percent as u8 });
        window.advance(Net::MAX_INPUT / 4);
        number += 1;
    }
}
