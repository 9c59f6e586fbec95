//! Keys and values that lie anywhere, in the loops of each core.

#[cfg(fixformer_dsp)]
mod dsp;
#[cfg(fixformer_thumb1)]
mod thumb1;

#[cfg(not(any(fixformer_dsp, fixformer_thumb1)))]
pub use super::portable::gather;
#[cfg(fixformer_dsp)]
pub use dsp::gather;
#[cfg(fixformer_thumb1)]
pub use thumb1::gather;
