//! What a query meets in a tile of keys, in the loops of each core: their products, the weights of a softmax, and the sum of the
//! weighted values.

#[cfg(fixformer_dsp)]
pub(super) mod dsp;
#[cfg(fixformer_mul)]
mod riscv;

#[cfg(fixformer_dsp)]
pub use dsp::{dots, softmax_weights, weighted_sum};
#[cfg(fixformer_mul)]
pub use riscv::{dots, softmax_weights, weighted_sum};

#[cfg(not(any(fixformer_dsp, fixformer_mul)))]
pub use super::portable::{dots, softmax_weights, weighted_sum};
