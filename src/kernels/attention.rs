//! What a query meets in a tile of keys, in the loops of each core: their products, the weights of a softmax, and the sum of the
//! weighted values.

#[cfg(fixformer_dsp)]
pub(super) mod dsp;
#[cfg(all(fixformer_mla, not(fixformer_dsp)))]
mod mla;
#[cfg(fixformer_thumb1)]
mod thumb1;

#[cfg(fixformer_dsp)]
pub use dsp::{dots, softmax_weights, weighted_sum};
#[cfg(all(fixformer_mla, not(fixformer_dsp)))]
pub use mla::{dots, offset_exponents, softmax_weights, weighted_sum};
#[cfg(fixformer_thumb1)]
pub use thumb1::{dots, offset_exponents, softmax_weights, weighted_sum};

/// See [`super::portable::exp2_weights`].
#[cfg(not(fixformer_dsp))]
pub fn exp2_weights(dots: &[i32], scale: crate::num::Requant, top: i32, weights: &mut [i16]) -> u32 {
    softmax_weights(dots, scale, top, weights).unwrap_or_default()
}

#[cfg(any(fixformer_dsp, not(any(fixformer_mla, fixformer_thumb1))))]
pub use super::portable::offset_exponents;
#[cfg(not(any(fixformer_mla, fixformer_thumb1)))]
pub use super::portable::{dots, softmax_weights, weighted_sum};
