//! Means of rows, over the magnitudes that attention gives them.

use core::ops::Range;

use super::{Aligned, Comparison, GUARD, Mismatch, Source, known};
use crate::kernels::portable::{self, Means};
use crate::kernels::{self, VALUE_LIMIT};

/// Elements of a buffer.
const ROOM: usize = 196;
/// Magnitudes that the difference of two fit into 16 bits with.
const LARGE: i16 = (1 << 14) - 2;

/// Shapes of rows: in their place so far apart, a number of them, from an even and from an odd one on; at a word and
/// between two.
fn each(mut check: impl FnMut(Means, usize)) {
    for width in [1, 2, 4, 5, 8, 12, 16, 24] {
        for (first, count) in [(0, 1), (1, 1), (0, 2), (1, 3), (6, 4), (0, 0)] {
            for apart in 1..=2 {
                let means = Means { width, first, count, half: width * apart };
                if 4 + means.reach() <= ROOM {
                    check(means, 2);
                    check(means, 3);
                }
            }
        }
    }
}

/// Compares what both kernels make of a buffer of which `output` is output: `kernel(output, whether it is the backend's)`
/// and what it returns.
fn compare(
    comparison: &mut Comparison,
    buffer: &Aligned<[i16; ROOM]>,
    output: Range<usize>,
    kernel: impl Fn(&mut [i16], bool) -> u32,
) {
    let (mut expected, mut found) = (Aligned(buffer.0), Aligned(buffer.0));
    let returned = kernel(expected.0.get_mut(output.clone()).unwrap_or_default(), false);
    let of_backend = kernel(found.0.get_mut(output.clone()).unwrap_or_default(), true);
    comparison.compare(&[returned], &[of_backend]);
    comparison.digest.scores(&[returned as i16]);
    comparison.guarded(&expected.0, &found.0, output);
}

/// Guard values around values up to a limit.
fn drawn(source: &mut Source, limit: i16, values: Range<usize>) -> Aligned<[i16; ROOM]> {
    let mut buffer = Aligned([GUARD; ROOM]);
    source.fill(buffer.0.get_mut(values).unwrap_or_default(), limit);
    buffer
}

pub(super) fn lift() -> Result<(), Mismatch> {
    let (mut source, mut comparison) = (Source(10), Comparison::new());
    each(|means, at| {
        let rows = at..at + means.reach();
        let drawn = drawn(&mut source, LARGE, rows.clone());
        compare(&mut comparison, &drawn, rows, |rows, backend| {
            let kernel = if backend { kernels::lift } else { portable::lift };
            kernel(rows, means);
            0
        });
    });
    comparison.finish(known::LIFT)
}

pub(super) fn lift_twice() -> Result<(), Mismatch> {
    let (mut source, mut comparison) = (Source(11), Comparison::new());
    each(|means, at| {
        for (halved, limit) in [(false, VALUE_LIMIT - 1), (true, 2 * VALUE_LIMIT - 1), (true, 30)] {
            let rows = at..at + means.reach();
            let drawn = drawn(&mut source, limit, rows.clone());
            compare(&mut comparison, &drawn, rows, |rows, backend| {
                let kernel = if backend { kernels::lift_twice } else { portable::lift_twice };
                kernel(rows, means, halved)
            });
        }
    });
    comparison.finish(known::LIFT_TWICE)
}

pub(super) fn expand() -> Result<(), Mismatch> {
    let (mut source, mut comparison) = (Source(12), Comparison::new());
    each(|means, at| {
        let Means { width, first, count, half } = means;
        let (rows, differences) = (at..at + count * width, at..at + means.reach().saturating_sub(half));
        let drawn = [rows.clone(), differences.clone()].map(|of| drawn(&mut source, i16::MAX, of));
        let [means_of, differences_of] = &drawn;
        let means_of = means_of.0.get(rows).unwrap_or_default();
        let differences = differences_of.0.get(differences).unwrap_or_default();
        let (output, nothing) = (at..at + 2 * count * width, Aligned([GUARD; ROOM]));
        compare(&mut comparison, &nothing, output.clone(), |out, backend| {
            let kernel = if backend { kernels::expand } else { portable::expand };
            kernel(means_of, differences, out, means);
            0
        });
        let whole_pairs = first % 2 + count % 2 == 0;
        for whole in [true, false].into_iter().filter(|_| whole_pairs) {
            compare(&mut comparison, &nothing, output.clone(), |out, backend| {
                let kernel = if backend { kernels::expand_pairs } else { portable::expand_pairs };
                kernel(means_of, differences, out, means, whole);
                0
            });
        }
    });
    comparison.finish(known::EXPAND)
}

pub(super) fn join() -> Result<(), Mismatch> {
    let (mut source, mut comparison) = (Source(13), Comparison::new());
    each(|means, at| {
        let Means { width, first, count, .. } = means;
        let (output, input) = (at..at + count * width, at..at + 2 * count * width);
        let nothing = Aligned([GUARD; ROOM]);
        let rows = drawn(&mut source, LARGE, input.clone());
        let rows = rows.0.get(input.clone()).unwrap_or_default();
        compare(&mut comparison, &nothing, output.clone(), |out, backend| {
            let kernel = if backend { kernels::join } else { portable::join };
            kernel(rows, out, means);
            0
        });
        let rows = drawn(&mut source, VALUE_LIMIT - 1, input.clone());
        let rows = rows.0.get(input).unwrap_or_default();
        let whole_pairs = first % 2 + count % 2 == 0;
        for whole in [true, false].into_iter().filter(|_| whole_pairs) {
            compare(&mut comparison, &nothing, output.clone(), |out, backend| {
                let kernel = if backend { kernels::join_pairs } else { portable::join_pairs };
                kernel(rows, out, means, whole);
                0
            });
        }
    });
    comparison.finish(known::JOIN)
}

pub(super) fn copy() -> Result<(), Mismatch> {
    let (mut source, mut comparison) = (Source(14), Comparison::new());
    for (case, count) in [0, 1, 15, 16, 17, 32, 50, 160].into_iter().enumerate() {
        for at in [2, 3] {
            let input = at..at + count;
            let from = drawn(&mut source, i16::MAX, input.clone());
            let from = from.0.get(input).unwrap_or_default();
            let (output, nothing) = (at..at + count - case % 2, Aligned([GUARD; ROOM]));
            compare(&mut comparison, &nothing, output, |to, backend| {
                let kernel = if backend { kernels::copy } else { portable::copy };
                kernel(from, to);
                0
            });
        }
    }
    comparison.finish(known::COPY)
}

/// Rows of any number, in order and not, once and again; at a word and between two.
pub(super) fn gather() -> Result<(), Mismatch> {
    const ROWS: u16 = 6;
    let (mut source, mut comparison) = (Source(16), Comparison::new());
    for width in [1, 2, 3, 8, 16, 24] {
        for count in 0..=6 {
            let at = 2 + count % 3 % 2;
            let [keys, values] =
                [(); 2].map(|()| drawn(&mut source, i16::MAX, at..at + usize::from(ROWS) * width));
            let [keys, values] = [&keys, &values].map(|rows| rows.0.get(at..).unwrap_or_default());
            let numbers: [u16; 6] = core::array::from_fn(|_| source.below(i16::MAX).unsigned_abs() % ROWS);
            let numbers = numbers.get(..count).unwrap_or_default();
            let nothing = Aligned([GUARD; ROOM]);
            for of_values in [false, true] {
                let output = at..at + if of_values { count.next_multiple_of(2) } else { count } * width;
                compare(&mut comparison, &nothing, output, |out, backend| {
                    let kernel = if backend { kernels::gather } else { portable::gather };
                    let mut other = Aligned([GUARD; ROOM]);
                    let outputs = if of_values { [&mut other.0[..], out] } else { [out, &mut other.0[..]] };
                    kernel(keys, values, numbers, width, outputs);
                    0
                });
            }
        }
    }
    comparison.finish(known::GATHER)
}
