//! Keys and values that lie anywhere, in the loops of each core.

#[cfg(any(fixformer_mla, fixformer_thumb1))]
mod arm;
#[cfg(fixformer_mul)]
mod riscv;

#[cfg(not(any(fixformer_mla, fixformer_thumb1, fixformer_mul)))]
pub use super::portable::gather;
#[cfg(any(fixformer_mla, fixformer_thumb1))]
pub use arm::gather;
#[cfg(fixformer_mul)]
pub use riscv::gather;
