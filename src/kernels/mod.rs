//! Rows: the only place where an instruction set may matter.
//!
//! [`portable`] defines what each kernel means. A backend holds only what its instruction set does better
//! and gives the same bits; [`check`] runs the backend of this build against the definition.

#[cfg(not(feature = "std"))]
mod attention;
pub mod check;
mod domain;
mod favor;
#[cfg(not(feature = "std"))]
mod gather;
#[cfg(feature = "std")]
mod host;
mod linear;
mod means;
#[cfg(any(fixformer_dsp, fixformer_mul))]
mod norm;
pub mod portable;
mod scale;
mod tiles;

#[cfg(not(feature = "std"))]
pub(crate) use attention::largest;
#[cfg(not(feature = "std"))]
pub use attention::{dots, softmax_weights, weighted_sum};
pub(crate) use domain::{NORM_BIAS, is_channel, is_direction};
pub use favor::{dots_of_sums, key_exponents, query_exponents};
#[cfg(not(feature = "std"))]
pub use favor::{exp2_weights, offset_exponents};
#[cfg(not(feature = "std"))]
pub use gather::gather;
#[cfg(feature = "std")]
pub use host::{
    Backend, backend, choose, dots, exp2_weights, gather, linear, offset_exponents, portable_only,
    softmax_weights, weighted_sum,
};
#[cfg(feature = "std")]
pub use host::{dots_of_listed, dots_of_rows, weighted_sum_of_listed, weighted_sum_of_rows};
#[cfg(not(feature = "std"))]
pub use linear::linear;
pub use linear::{ChannelPairs, pair_len};
pub use means::{copy, expand, expand_pairs, join, join_pairs, lift, lift_twice};
#[cfg(any(fixformer_dsp, fixformer_mul))]
pub use norm::layer_norm;
#[cfg(feature = "std")]
pub(crate) use portable::largest;
#[cfg(not(any(fixformer_dsp, fixformer_mul)))]
pub use portable::layer_norm;
pub use portable::{Curve, Means, activate, add, clamp, half, normalised_frac, relu, zip};

pub(crate) use scale::scale;
pub use tiles::Tiles;

/// Whether a row lies at a word: what loads two columns at once wants that.
#[cfg(any(fixformer_mla, fixformer_thumb1, fixformer_mul))]
fn at_word(row: &[i16]) -> bool {
    row.as_ptr().addr().is_multiple_of(4)
}

/// First line of a function in assembly. Link-time optimisation assembles functions anew with the features of the
/// target alone, and thumbv8m has neither DSP nor MVE: those come with the processor.
#[cfg(all(fixformer_mla, not(all(fixformer_dsp, fixformer_v8m))))]
macro_rules! processor {
    () => {
        ""
    };
}
#[cfg(all(fixformer_dsp, fixformer_v8m, not(fixformer_mve)))]
macro_rules! processor {
    () => {
        ".cpu cortex-m33"
    };
}
#[cfg(fixformer_mve)]
macro_rules! processor {
    () => {
        ".cpu cortex-m55"
    };
}
#[cfg(fixformer_mla)]
use processor;

/// The backend of this build.
#[cfg(not(feature = "std"))]
pub const fn backend() -> &'static str {
    BACKEND
}

/// What the target allows; a host may have more.
const BACKEND: &str = if cfg!(fixformer_mve) {
    "helium"
} else if cfg!(fixformer_dsp) {
    "dsp"
} else if cfg!(fixformer_mla) {
    "mla"
} else if cfg!(fixformer_thumb1) {
    "thumb1"
} else if cfg!(fixformer_mul) {
    "riscv"
} else {
    "portable"
};

/// Most keys that become weights together.
pub const KEY_TILE: usize = 64;

/// Keys whose weights of at most one never add up to more than [`weighted_sum`] takes.
pub const SAFE_KEYS: usize = 16;

/// Largest magnitude of a value row: `SAFE_KEYS * 2^WEIGHT_FRAC * VALUE_LIMIT < 2^31`.
pub const VALUE_LIMIT: i16 = 8191;

/// Fractional bits of a softmax weight.
pub const WEIGHT_FRAC: u32 = 14;

/// Fractional bits of the exponents of features.
pub const EXPONENT_FRAC: u32 = 14;

/// Bits that [`weighted_sum`] has to drop at least when it adds a tile: then 16,384 keys fit into 32 bits.
pub const SUM_SHIFT: u32 = 10;

/// Largest shift of a score's scale with which [`softmax_weights`] is fast. No product has more than 31 bits, so that
/// what a multiplier loses there is at most a quarter of a score's last place.
pub const SCORE_SHIFT: u32 = 16;

/// Largest magnitude of queries and keys for which a dot product over `width` stays within 32 bits:
/// `width * limit^2 < 2^31`; and for which the difference of two fits into 16 bits.
pub const fn dot_limit(width: usize) -> i16 {
    const MOST: i32 = 1 << 14;
    if width == 0 {
        return (MOST - 1) as i16;
    }
    let limit = ((i32::MAX as u32 / width as u32).isqrt()) as i32;
    if limit < MOST { limit as i16 } else { (MOST - 1) as i16 }
}

/// A matrix element as stored: 8 bits, or 16 where the quantiser found 8 to cost accuracy.
pub trait Weight: Copy + Into<i32> {}
impl Weight for i8 {}
impl Weight for i16 {}

/// Activation of a feed-forward layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Activation {
    /// `max(x, 0)`.
    Relu,
    /// [`crate::num::gelu_erf`].
    GeluErf,
    /// [`crate::num::gelu_tanh`].
    GeluTanh,
    /// [`crate::num::tanh`].
    Tanh,
}

/// Gain and bias of a layer normalisation in integers; see [`layer_norm`].
#[derive(Clone, Copy, Debug)]
pub struct NormParameters<'a> {
    /// `[width]`, gain with a scale common to the row.
    pub gain: &'a [i16],
    /// `[width]`, bias at the scale of `normalised * gain`.
    pub bias: &'a [i32],
    /// Right shift from `normalised * gain` to the output.
    pub shift: u32,
    /// `epsilon * width^2 * 2^(2 frac)` with the fractional bits of the input row.
    pub epsilon: u64,
}

/// Output channels of a linear layer in integers; see [`linear`].
#[derive(Clone, Copy, Debug)]
pub struct Channels<'a> {
    /// `[outputs]`, bias at the scale of the accumulator.
    pub bias: &'a [i32],
    /// `[outputs]`, multiplier of each channel's [`crate::num::Requant`].
    pub multipliers: &'a [i16],
    /// Shift common to the channels.
    pub shift: u32,
}
