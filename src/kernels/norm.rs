//! Layer normalisation with loops in assembly; what is between them is portable.
#![allow(unsafe_code)] // Slices handed to assembly as pointers.

#[cfg_attr(fixformer_dsp, path = "norm/smlad.rs")]
#[cfg_attr(fixformer_mul, path = "norm/riscv.rs")]
mod loops;

use super::{NormParameters, domain, portable};
use loops::{ALIGNMENT, COLUMNS, LEAST_SHIFT, columns, sums, takes};

/// See [`portable::layer_norm`].
pub fn layer_norm(x: &[i16], norm: NormParameters<'_>, out: &mut [i16]) {
    debug_assert!(domain::layer_norm(x, norm));
    let width = x.len();
    let NormParameters { gain, bias, shift, epsilon } = norm;
    let long = gain.len() >= width && bias.len() >= width && out.len() >= width;
    let whole = width >= COLUMNS && width.is_multiple_of(COLUMNS) && shift >= LEAST_SHIFT;
    let fast = whole && long && aligned(x) && aligned(gain) && aligned(out);
    let sums = if fast {
        let mut sum = 0;
        // SAFETY: `x` is aligned and has `width` elements, a multiple of `COLUMNS` and not zero.
        let squares = unsafe { sums(x.as_ptr(), width, &mut sum) };
        (sum, squares)
    } else {
        portable::sums(x)
    };
    let row = portable::Centred::new(width, sums, epsilon);
    if fast && takes(row.width) {
        let (gain, bias) = (gain.as_ptr(), bias.as_ptr());
        // SAFETY: all have `width` elements, a multiple of `COLUMNS` and not zero, and are aligned.
        unsafe { columns(x.as_ptr(), gain, bias, out.as_mut_ptr(), width, &row, shift) }
    } else {
        row.normalise(x, norm, out);
    }
}

fn aligned(row: &[i16]) -> bool {
    row.as_ptr().addr().is_multiple_of(ALIGNMENT)
}
