//! Means of rows, in the loops of each core.

#[cfg(fixformer_dsp)]
mod dsp;
#[cfg(fixformer_mul)]
mod riscv;
#[cfg(fixformer_thumb1)]
mod thumb1;

#[cfg(not(any(fixformer_dsp, fixformer_mul)))]
pub use super::portable::copy;
#[cfg(not(any(fixformer_dsp, fixformer_thumb1)))]
pub use super::portable::{expand, lift, lift_twice};
#[cfg(not(fixformer_dsp))]
pub use super::portable::{expand_pairs, join, join_pairs};
#[cfg(fixformer_dsp)]
pub use dsp::{copy, expand, expand_pairs, join, join_pairs, lift, lift_twice};
#[cfg(fixformer_mul)]
pub use riscv::copy;
#[cfg(fixformer_thumb1)]
pub use thumb1::{expand, lift, lift_twice};
