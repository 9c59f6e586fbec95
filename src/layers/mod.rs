//! What the layers do to rows, whoever asks: no loop over a sequence is here.

pub(crate) mod block;
pub(crate) mod embed;
mod error;
mod head;
pub(crate) mod pool;
mod project;
pub(crate) mod statistics;

pub use error::InputError;
pub(crate) use head::head;

use crate::model::Norm;

impl Norm<'_> {
    /// Normalises each row of `x` into `out`, both `[rows, width]`.
    pub(crate) fn forward(&self, x: &[i16], out: &mut [i16]) {
        let width = self.parameters.gain.len().max(1);
        // Not zipped: that would divide by the width once more.
        let mut rows = x.chunks_exact(width);
        for out in out.chunks_exact_mut(width) {
            let Some(x) = rows.next() else { return };
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

/// The rows of `x`, `[n, width]`.
pub(crate) fn rows_mut(x: &mut [i16], width: usize) -> core::slice::ChunksExactMut<'_, i16> {
    x.chunks_exact_mut(width.max(1))
}

/// The first `count` elements; a buffer of the plan is never shorter.
pub(crate) fn front(buffer: &mut [i16], count: usize) -> &mut [i16] {
    buffer.get_mut(..count).unwrap_or_default()
}
