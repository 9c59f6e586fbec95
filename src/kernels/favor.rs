//! What FAVOR+ does with rows of features, in the loops of each core.

#[cfg(fixformer_dsp)]
mod dsp;
#[cfg(fixformer_mul)]
mod riscv;

#[cfg(all(fixformer_mla, not(fixformer_dsp)))]
pub use super::attention::mla::offset_exponents;
#[cfg(fixformer_thumb1)]
pub use super::attention::thumb1::offset_exponents;
#[cfg(not(any(feature = "std", fixformer_mla, fixformer_thumb1)))]
pub use super::portable::offset_exponents;
#[cfg(not(any(fixformer_dsp, fixformer_mul)))]
pub use super::portable::{dots_of_sums, key_exponents, query_exponents};
#[cfg(fixformer_dsp)]
pub use dsp::{dots_of_sums, exp2_weights, key_exponents, offset_exponents, query_exponents};
#[cfg(fixformer_mul)]
pub use riscv::{dots_of_sums, key_exponents, query_exponents};

/// See [`super::portable::exp2_weights`].
#[cfg(not(any(feature = "std", fixformer_dsp)))]
pub fn exp2_weights(exponents: &[i32], scale: crate::num::Requant, top: i32, weights: &mut [i16]) -> u32 {
    super::softmax_weights(exponents, scale, top, weights).unwrap_or_default()
}
