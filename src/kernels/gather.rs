//! Keys and values that lie anywhere, in the loops of each core.

#[cfg(fixformer_dsp)]
mod dsp;

#[cfg(not(fixformer_dsp))]
pub use super::portable::gather;
#[cfg(fixformer_dsp)]
pub use dsp::gather;
