//! What the layers do to rows, whoever asks: no loop over a sequence is here.

pub(crate) mod block;
pub(crate) mod embed;
mod error;
mod head;
pub(crate) mod pool;
mod project;
mod rare;
pub(crate) mod recent;
mod running;
pub(crate) mod statistics;

pub use error::InputError;
pub(crate) use head::head;
pub(crate) use rare::Rare;

use crate::memory::{rows, rows_mut};
use crate::model::Norm;

impl Norm<'_> {
    /// Normalises each row of `x` into `out`, both `[rows, width]`.
    pub(crate) fn forward(&self, x: &[i16], out: &mut [i16]) {
        let width = self.parameters.gain.len();
        for (out, x) in rows_mut(out, width).zip(rows(x, width)) {
            crate::kernels::layer_norm(x, self.parameters, out);
        }
    }

    /// Normalises each row of `x`; `scratch` is at least as long.
    pub(crate) fn forward_in_place(&self, x: &mut [i16], scratch: &mut [i16]) {
        for (copy, x) in scratch.iter_mut().zip(x.iter()) {
            *copy = *x;
        }
        self.forward(scratch.get(..x.len()).unwrap_or_default(), x);
    }
}

/// The first `count` elements; a buffer of the plan is never shorter.
pub(crate) fn front(buffer: &mut [i16], count: usize) -> &mut [i16] {
    buffer.get_mut(..count).unwrap_or_default()
}
