//! Keys and values that lie anywhere, in the loops of each core.

#[cfg(fixformer_mul)]
mod riscv;
#[cfg(fixformer_thumb1)]
mod thumb1;
#[cfg(fixformer_mla)]
mod thumb2;

#[cfg(not(any(fixformer_mla, fixformer_thumb1, fixformer_mul)))]
pub use super::portable::gather;
#[cfg(fixformer_mul)]
pub use riscv::gather;
#[cfg(fixformer_thumb1)]
pub use thumb1::gather;
#[cfg(fixformer_mla)]
pub use thumb2::gather;
