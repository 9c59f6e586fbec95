#![doc = include_str!("../README.md")]
#![no_std]

#[cfg(feature = "std")]
extern crate std;

pub mod attention;
pub mod digest;
#[cfg(feature = "std")]
pub mod host;
pub mod kernels;
mod layers;
pub mod memory;
pub mod model;
pub mod num;
pub mod session;
pub mod trace;
mod visible;

pub use digest::Digest;
pub use model::{Model, ModelError};
pub use session::{
    Arena, ArenaError, Embedded, InPasses, InputError, PassError, Passes, PassesError, Plan, Recording,
    Scores, Session, Stream, StreamError, Streamed,
};
