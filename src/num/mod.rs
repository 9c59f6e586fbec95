//! Fixed point: one number in, one number out.
//!
//! Every function states its error against real arithmetic; `tests/num.rs` asserts it over the whole
//! domain, from above and from below, so that a changed constant fails.

mod exp;
mod factor;
mod gelu;
mod log2;
mod mean;
mod product;
mod q;
mod recip;
mod rsqrt;
mod sine;
mod table;
mod tanh;

#[cfg(any(
    fixformer_mla,
    fixformer_thumb1,
    fixformer_mul,
    all(feature = "std", target_arch = "x86_64")
))]
pub(crate) use exp::OCTAVE;
pub use exp::{EXP2_STEPS, LogScore, Probability, exp2_neg, exp2_weight};
pub(crate) use factor::Factor;
pub use gelu::{GELU_INPUT_MAX, gelu_erf, gelu_tanh};
pub use log2::log2;
pub use mean::mean;
pub(crate) use product::high;
pub use q::{Requant, round_shift, round_shift_wide, saturate};
pub use recip::{Reciprocal, recip};
pub use rsqrt::{ReciprocalSqrt, rsqrt};
pub use sine::sine;
pub use tanh::tanh;
