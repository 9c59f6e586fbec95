//! Keys and values that lie anywhere, in the loops of each core.

#[cfg(fixformer_mla)]
mod thumb2;

#[cfg(not(fixformer_mla))]
pub use super::portable::gather;
#[cfg(fixformer_mla)]
pub use thumb2::gather;
