//! From a sensor to windows for a model, over embedded-hal 1.0: no heap, and floats only where you ask for them.
//!
//! A [`Source`] gives one step at a time: an [`Accelerometer`] (any driver of the `accelerometer` traits, over I2C or
//! SPI), a [`SpiConverter`], a [`Uart`], or any [`Function`], as for the converter of a chip, for which embedded-hal
//! has no trait. [`Paced`] takes a step each period, [`Affine`] and [`Magnitude`] change what it is, and a [`Window`]
//! collects steps until there are as many as a model takes:
//!
//! ```
//! # use fixformer_sensors::{Affine, Function, Window};
//! fixformer::model! {
//!     struct Net = concat!(env!("CARGO_MANIFEST_DIR"), "/../models/digits.fxm")
//! }
//! static ARENA: fixformer::Arena<Net> = fixformer::Arena::new();
//!
//! # let mut count = 0;
//! # let mut read_adc = || -> Result<[i16; 1], core::convert::Infallible> { count += 1; Ok([count]) };
//! let mut source = Affine { source: Function(read_adc), gain: 16.0 / 4096.0, offset: 0.0 };
//! let mut window = Window::<{ Net::MAX_INPUT }, 1>::new();
//! let mut net = ARENA.take().unwrap();
//! for _ in 0..3 {
//!     let scores = net.run(window.fill(&mut source).unwrap()).unwrap();
//!     println!("class {}", scores.best());
//!     window.advance(16); // the next window overlaps this one by three quarters
//! }
//! ```

#![no_std]

mod change;
mod source;
mod window;

pub use change::{Affine, Magnitude, Paced};
pub use source::{Accelerometer, Function, Source, SpiConverter, Uart, UartError};
pub use window::Window;
