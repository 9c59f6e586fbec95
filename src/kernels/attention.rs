//! What a query meets in a tile of keys, in the loops of each core: their products, the weights of a softmax, and the sum of the
//! weighted values.

#[cfg(fixformer_dsp)]
pub(super) mod dsp;
#[cfg(fixformer_mve)]
pub(super) mod helium;
#[cfg(all(fixformer_mla, not(fixformer_dsp)))]
pub(super) mod mla;
#[cfg(fixformer_mul)]
mod riscv;
#[cfg(fixformer_thumb1)]
pub(super) mod thumb1;

#[cfg(not(any(fixformer_mla, fixformer_thumb1, fixformer_mul)))]
pub use super::portable::{dots, softmax_weights, weighted_sum};
#[cfg(all(fixformer_dsp, not(fixformer_mve)))]
pub(super) use dsp::weights_of;
#[cfg(all(fixformer_dsp, not(fixformer_mve)))]
pub use dsp::{dots, softmax_weights, weighted_sum};
#[cfg(fixformer_mve)]
pub(super) use helium::weights_of;
#[cfg(fixformer_mve)]
pub use helium::{dots, softmax_weights, weighted_sum};
#[cfg(all(fixformer_mla, not(fixformer_dsp)))]
pub use mla::{dots, softmax_weights, weighted_sum};
#[cfg(fixformer_mul)]
pub use riscv::{dots, softmax_weights, weighted_sum};
#[cfg(fixformer_thumb1)]
pub use thumb1::{dots, softmax_weights, weighted_sum};

#[cfg(not(fixformer_mve))]
pub(crate) use super::portable::largest;
#[cfg(fixformer_mve)]
pub(crate) use helium::largest;
