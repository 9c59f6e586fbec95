//! What a query meets in a tile of keys, in the loops of each core: their products, the weights of a softmax, and the sum of the
//! weighted values.

#[cfg(fixformer_dsp)]
pub(super) mod dsp;

#[cfg(fixformer_dsp)]
pub use dsp::{dots, softmax_weights, weighted_sum};

#[cfg(not(fixformer_dsp))]
pub use super::portable::{dots, softmax_weights, weighted_sum};
