//! Layer normalisation over its whole domain.

use super::{Aligned, Comparison, GUARD, LONGEST, Mismatch, Source, known};
use crate::kernels::{NormParameters, portable};

pub(super) fn layer_norm() -> Result<(), Mismatch> {
    let mut source = Source(3);
    let mut comparison = Comparison::new();
    for width in [1, 2, 3, 4, 5, 8, 16, 31, 32, 33, 64, LONGEST] {
        for (limit, epsilon) in [(i16::MAX, 0), (3000, 10_737), (3, 1), (0, 0), (0, 77)] {
            norm_row::<{ LONGEST + 4 }>(&mut source, &mut comparison, width, limit, 13, epsilon);
        }
    }
    // Every shift, with a width and a spread of its own.
    for shift in 0..=30 {
        for (limit, epsilon) in [(i16::MAX, u64::MAX), (i16::MAX, 1), (40, 0), (0, u64::MAX >> shift)] {
            let width = 4 * (shift as usize % 16 + 1) - shift as usize % 3 % 2;
            norm_row::<{ LONGEST + 4 }>(&mut source, &mut comparison, width, limit, shift, epsilon);
        }
    }
    comparison.finish(known::LAYER_NORM)
}

/// Rows up to the widest.
pub(super) fn large_layer_norm() -> Result<(), Mismatch> {
    const WIDEST: usize = 2048;
    let mut source = Source(9);
    let mut comparison = Comparison::new();
    for (case, width) in
        [127, 128, 129, 255, 300, 512, 1000, 1023, 1024, 2047, WIDEST].into_iter().enumerate()
    {
        for (limit, epsilon) in [(i16::MAX, 0), (3000, 1 << 40), (1, 0), (0, 1)] {
            let shift = case as u32 * 3;
            norm_row::<{ WIDEST + 4 }>(&mut source, &mut comparison, width, limit, shift, epsilon);
        }
    }
    comparison.finish(known::LARGE_LAYER_NORM)
}

/// A row that begins at a word, and one between two; then rows of equal columns, the last one other or as the rest.
#[inline(never)]
fn norm_row<const N: usize>(
    source: &mut Source,
    comparison: &mut Comparison,
    width: usize,
    limit: i16,
    shift: u32,
    epsilon: u64,
) {
    let (mut x, mut gain) = (Aligned([0; N]), Aligned([0; N]));
    let mut bias = [0; N];
    source.fill(&mut x.0, limit);
    source.fill(&mut gain.0, i16::MAX);
    // Up to 2^30 either way, as a model may have it.
    bias.iter_mut().for_each(|bias| *bias = (i32::from(source.below(i16::MAX)) + 1) << 15);
    for case in 0..5 {
        if case == 4 {
            // One column is as far from the others as can be, and its product and bias have the same sign.
            x.0.fill(i16::MAX);
            x.0[0] = i16::MIN;
            gain.0.fill(i16::MIN);
            bias.fill(1 << 30);
        }
        let at = usize::from(case == 1);
        let row = at..at + width;
        if case == 2 || case == 3 {
            x.0.iter_mut().for_each(|x| *x = i16::MIN);
        }
        if case == 2 {
            x.0.iter_mut().take(width).skip(width - 1).for_each(|x| *x = limit);
        }
        let norm = NormParameters {
            gain: gain.0.get(row.clone()).unwrap_or_default(),
            bias: bias.get(..width).unwrap_or_default(),
            shift,
            epsilon,
        };
        let x = x.0.get(row.clone()).unwrap_or_default();
        let mut buffers = [Aligned([GUARD; N]), Aligned([GUARD; N])];
        let [expected, found] = &mut buffers;
        let output = 2 + at..2 + at + width;
        portable::layer_norm(x, norm, expected.0.get_mut(output.clone()).unwrap_or_default());
        crate::kernels::layer_norm(x, norm, found.0.get_mut(output.clone()).unwrap_or_default());
        comparison.guarded(&expected.0, &found.0, output);
    }
}
