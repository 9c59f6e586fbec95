//! A sequence through parameters, a few rows at a time.

mod block;
mod embed;
mod error;
mod head;
mod pool;
mod project;

pub(crate) use block::run as run_block;
pub(crate) use embed::{check as check_input, embed};
pub use error::InputError;
pub(crate) use head::head;
pub(crate) use pool::pool;

use crate::attention::Mechanisms;
use crate::model::{Model, Norm};

/// Rows that pass through a layer together.
pub(crate) const ROW_TILE: usize = 4;

/// Keys of a word of the visibility map.
pub(crate) const KEYS_PER_WORD: usize = crate::attention::MASK_BITS;

/// Every buffer of a forward pass, carved from one arena.
pub(crate) struct Workspace<'m> {
    /// `[tokens, width]`, the residual stream.
    pub(crate) stream: &'m mut [i16],
    /// The same again for reversible blocks, else empty.
    pub(crate) second: &'m mut [i16],
    /// `[heads, tokens, head width]`: queries, then what they attended to.
    pub(crate) attended: &'m mut [i16],
    /// `[tokens, head width]`.
    pub(crate) keys: &'m mut [i16],
    /// `[tokens, head width]`.
    pub(crate) values: &'m mut [i16],
    /// Bit `j` of element `i`: token `16 i + j` is not masked.
    pub(crate) visible: &'m mut [u16],
    /// `[ROW_TILE, max(width, attention width)]`.
    pub(crate) narrow: &'m mut [i16],
    /// `[ROW_TILE, max(width, hidden, stem inputs)]`.
    pub(crate) wide: &'m mut [i16],
    /// What the attention of a head asks for.
    pub(crate) scratch: &'m mut [u32],
    /// `[output width]`, or statistics of the channels while embedding.
    pub(crate) totals: &'m mut [i32],
    /// `[output width]`.
    pub(crate) pooled: &'m mut [i16],
    /// `[classes]`.
    pub(crate) scores: &'m mut [i16],
}

/// What the layers need to know of the model and of this input. No width is zero: the model was parsed. What follows
/// from that says `max(1)`, so that the compiler sees it too and no division can panic.
#[derive(Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) tokens: usize,
    pub(crate) width: usize,
    pub(crate) heads: usize,
    pub(crate) head_width: usize,
    pub(crate) mechanisms: &'static Mechanisms,
}

impl Shape {
    pub(crate) fn new(model: &Model<'_>, tokens: usize, mechanisms: &'static Mechanisms) -> Self {
        let Model { width, heads, head_width, .. } = *model;
        Self { tokens, width, heads, head_width, mechanisms }
    }

    /// Width of all heads side by side.
    pub(crate) fn attention_width(self) -> usize {
        self.heads * self.head_width
    }

    /// Elements of all tokens.
    pub(crate) fn elements(self) -> usize {
        self.tokens * self.width
    }
}

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

/// [`ROW_TILE`] rows of `x`, `[n, width]`, at a time.
pub(crate) fn tiles(x: &[i16], width: usize) -> core::slice::Chunks<'_, i16> {
    x.chunks((ROW_TILE * width).max(1))
}

/// [`tiles`] to write to.
pub(crate) fn tiles_mut(x: &mut [i16], width: usize) -> core::slice::ChunksMut<'_, i16> {
    x.chunks_mut((ROW_TILE * width).max(1))
}

/// The rows of `x`, `[n, width]`.
pub(crate) fn rows_mut(x: &mut [i16], width: usize) -> core::slice::ChunksExactMut<'_, i16> {
    x.chunks_exact_mut(width.max(1))
}

/// The first `count` elements; a buffer of the plan is never shorter.
pub(crate) fn front(buffer: &mut [i16], count: usize) -> &mut [i16] {
    buffer.get_mut(..count).unwrap_or_default()
}
