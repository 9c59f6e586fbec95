//! Exact softmax attention (Vaswani et al. 2017), tiled: memory linear in the length, never `L x L` scores.

use super::Accumulator;
use crate::kernels::KEY_TILE;
use crate::num::Requant;

/// Keys and values of one head.
#[derive(Clone, Copy)]
pub struct Memory<'a> {
    /// `[tokens, head width]`, magnitudes up to [`crate::kernels::dot_limit`].
    pub keys: &'a [i16],
    /// `[tokens, head width]`, magnitudes up to [`crate::kernels::VALUE_LIMIT`].
    pub values: &'a [i16],
    /// Bit `j` of element `i`: key `16 i + j` is not masked.
    pub visible: &'a [u16],
}

/// `out = softmax(q K^T) V` for one query row, over all keys or, if causal, over the first `horizon`.
///
/// `out` has [`super::OUTPUT_GAIN`] more fractional bits than the values.
pub fn attend(
    q: &[i16],
    memory: Memory<'_>,
    horizon: usize,
    scale: Requant,
    sum: &mut [i32],
    out: &mut [i16],
) {
    let tile = KEY_TILE * q.len().max(1);
    let mut accumulator = Accumulator::new(sum);
    let mut left = horizon;
    let tiles = memory.keys.chunks(tile).zip(memory.values.chunks(tile)).zip(memory.visible);
    for ((keys, values), &visible) in tiles {
        if left == 0 {
            break;
        }
        let within = if left < KEY_TILE { (1 << left) - 1 } else { u16::MAX };
        if visible & within != 0 {
            accumulator.absorb(q, keys, values, visible & within, scale);
        }
        left = left.saturating_sub(KEY_TILE);
    }
    accumulator.finish(out);
}
