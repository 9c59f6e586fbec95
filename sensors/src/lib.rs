//! From a sensor to windows for a model and from its scores to events, over embedded-hal 1.0: no heap, and
//! floats only where you ask for them.
//!
//! A [`Source`] gives one step at a time: an [`Accelerometer`] (any driver of the `accelerometer` traits,
//! over I2C or SPI), a [`SpiConverter`], a [`Uart`], or any [`Function`], as for the converter of a chip, for
//! which embedded-hal has no trait. [`Paced`] takes a step each period, [`Affine`] and [`Magnitude`] change
//! what it is, and a [`Window`] collects steps until there are as many as a model takes. A [`Detector`] says
//! when something begins and ends, out of the scores of one window after the other:
//!
//! ```
//! # use fixformer_sensors::{Affine, Detector, Event, Function, Probability, Settings, Window};
//! fixformer::model! {
//!     struct Net = concat!(env!("CARGO_MANIFEST_DIR"), "/../models/digits.fxm")
//! }
//! static ARENA: fixformer::Arena<Net> = fixformer::Arena::new();
//!
//! # fn main() -> Result<(), Box<dyn core::error::Error>> {
//! # let mut count = 0;
//! # let mut read_adc = || -> Result<[i16; 1], core::convert::Infallible> { count += 1; Ok([count]) };
//! let mut source = Affine { source: Function(read_adc), gain: 16.0 / 4096.0, offset: 0.0 };
//! let mut window = Window::<{ Net::MAX_INPUT }, 1>::new(); // one channel
//! let mut net = ARENA.take()?;
//! let smooth = Settings { smoothing: 2, leave: Probability::lit("0.3"), ..Settings::DEFAULT };
//! let mut detector = Detector::<{ Net::CLASSES }>::new(smooth)?;
//! for _ in 0..3 {
//!     let scores = net.run(window.fill(&mut source)?)?;
//!     match detector.push(&scores) {
//!         Some(Event::Began(digit)) => println!("class {} ({:.2})", digit.class, digit.probability),
//!         Some(Event::Ended(digit)) => println!("class {} after {}", digit.class, digit.decisions),
//!         None => {}
//!     }
//!     window.advance(16); // steps: the next window overlaps this one by three quarters
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Where an interrupt samples while the model runs, a [`Queue`] takes its steps to the main loop, and says
//! which are missing where it was too slow.

#![no_std]

mod change;
mod decision;
mod queue;
mod settings;
mod smooth;
mod source;
mod window;

pub use change::{Affine, Magnitude, Paced};
pub use decision::{Detection, Detector, Event};
/// `0 ..= 1` with 15 fractional bits; `Probability::lit("0.8")` makes one at compile time.
pub use fixformer::num::Probability;
pub use queue::{Consumer, Next, Producer, Queue};
pub use settings::{Settings, SettingsError};
pub use source::{Accelerometer, Function, Source, SpiConverter, Uart, UartError};
pub use window::Window;
