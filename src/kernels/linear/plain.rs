//! The tile of cores on which no instruction does more than one product.
#![allow(unsafe_code)] // Assembly, slices handed to it as pointers, and a tile that is not cleared before it is filled.

use core::mem::MaybeUninit;

use super::super::Weight;
#[cfg(fixformer_rounds)]
use super::rounds;
use super::{COLUMNS, PAIRS, Part, ROWS, store_last};
use crate::num::Requant;
#[cfg(not(fixformer_mul))]
use crate::num::saturate;

/// The columns of some rows and the sums of some channels.
pub(super) struct Tile {
    /// `[columns, rows]`.
    block: [MaybeUninit<i32>; ROWS * COLUMNS],
    /// `[pairs, rows, 2]`.
    sums: [MaybeUninit<[i32; 2]>; ROWS * PAIRS],
}

impl Tile {
    pub(super) const fn new() -> Self {
        Self { block: [MaybeUninit::uninit(); ROWS * COLUMNS], sums: [MaybeUninit::uninit(); ROWS * PAIRS] }
    }

    /// Copies `columns` columns of the rows, `inputs` apart, into the block; zeros make their number even.
    #[inline(never)]
    pub(super) fn load(&mut self, rows: usize, x: &[i16], inputs: usize, columns: usize) {
        let x = |row: usize| x.get(row * inputs..).and_then(|x| x.get(..columns)).unwrap_or_default();
        if rows == ROWS {
            let [(a, last_a), (b, last_b), (c, last_c), (d, last_d)] =
                [0, 1, 2, 3].map(|row| x(row).as_chunks::<2>());
            let (block, last) = self
                .block
                .as_chunks_mut::<{ 2 * ROWS }>()
                .0
                .split_at_mut_checked(a.len())
                .unwrap_or_default();
            for (block, ((a, b), (c, d))) in block.iter_mut().zip(a.iter().zip(b).zip(c.iter().zip(d))) {
                *block = [
                    i32::from(a[0]),
                    i32::from(b[0]),
                    i32::from(c[0]),
                    i32::from(d[0]),
                    i32::from(a[1]),
                    i32::from(b[1]),
                    i32::from(c[1]),
                    i32::from(d[1]),
                ]
                .map(MaybeUninit::new);
            }
            if let ([a], [b], [c], [d], [last, ..]) = (last_a, last_b, last_c, last_d, last) {
                *last = [*a, *b, *c, *d, 0, 0, 0, 0].map(|x| MaybeUninit::new(x.into()));
            }
        } else {
            let (block, rest) = self.block.split_at_mut_checked(columns).unwrap_or_default();
            for (block, &x) in block.iter_mut().zip(x(0)) {
                block.write(x.into());
            }
            rest.iter_mut().take(1).for_each(|block| *block = MaybeUninit::new(0));
        }
    }

    /// The sums before the first column; no more than [`PAIRS`] pairs of channels.
    pub(super) fn begin(&mut self, rows: usize, bias: &[i32]) {
        let (pairs, last) = bias.as_chunks::<2>();
        if rows == ROWS {
            for ([p, q, r, s], &pair) in self.sums.as_chunks_mut().0.iter_mut().zip(pairs) {
                [*p, *q, *r, *s] = [MaybeUninit::new(pair); ROWS];
            }
        } else {
            self.sums.iter_mut().zip(pairs).for_each(|(sums, &pair)| *sums = MaybeUninit::new(pair));
        }
        if let &[last] = last {
            let sums = self.sums.iter_mut().skip(rows * pairs.len()).take(rows);
            sums.for_each(|sums| *sums = MaybeUninit::new([last, 0]));
        }
    }

    /// Adds what the columns of the block give; `stride` weights from one pair of channels to the next.
    #[cfg(fixformer_rounds)]
    pub(super) fn accumulate<W: Weight>(&mut self, part: Part, weights: &[W], stride: usize) {
        let Part { rows, columns, pairs, .. } = part;
        let columns = columns.next_multiple_of(2);
        let enough = weights.len() >= (pairs - 1) * stride + 2 * columns;
        if columns == 0 || columns > COLUMNS || pairs > PAIRS || !enough {
            return;
        }
        let kernel: rounds::Kernel = match (rows, size_of::<W>()) {
            (ROWS, 1) => rounds::four_rows_i8,
            (ROWS, _) => rounds::four_rows_i16,
            (_, 1) => rounds::one_row_i8,
            _ => rounds::one_row_i16,
        };
        let skip = (stride - 2 * columns) * size_of::<W>();
        let (block, sums) = (self.block.as_ptr().cast(), self.sums.as_mut_ptr().cast());
        // SAFETY: the block has so many columns of so many rows, 4 or 1, the sums have room for the pairs, neither
        // number is zero, and there are as many pairs of weights with `2 columns` elements, `stride` apart.
        unsafe { kernel(block, weights.as_ptr().cast(), sums, pairs, columns / rounds::COLUMNS, skip) };
    }

    /// Adds what the columns of the block give; `stride` weights from one pair of channels to the next.
    #[cfg(not(fixformer_rounds))]
    pub(super) fn accumulate<W: Weight>(&mut self, part: Part, weights: &[W], stride: usize) {
        let Part { rows, columns, pairs, .. } = part;
        let (block, sums) = (self.block.get(..rows * columns), self.sums.get_mut(..rows * pairs));
        let (block, sums) = (block.unwrap_or_default(), sums.unwrap_or_default());
        // SAFETY: `load` and `begin` have filled so many columns of so many rows, and the sums of so many pairs.
        let (block, sums) = unsafe { (block.assume_init_ref(), sums.assume_init_mut()) };
        for (weights, sums) in weights.chunks(stride.max(1)).zip(sums.chunks_exact_mut(rows.max(1))) {
            let weights = weights.as_chunks().0.iter().take(columns);
            match sums {
                [p, q, r, s] => four_rows(weights.zip(block.as_chunks().0), [p, q, r, s]),
                [sum] => one_row(weights.zip(block), sum),
                _ => {}
            }
        }
    }

    /// The channels from their sums; `out` begins at the first of them and has `outputs` columns a row.
    #[inline(never)]
    pub(super) fn store(
        &self,
        rows: usize,
        multipliers: &[i16],
        shift: u32,
        out: &mut [i16],
        outputs: usize,
    ) {
        let (pairs, last) = multipliers.as_chunks::<2>();
        let sums = self.sums.get(..rows * (pairs.len() + last.len())).unwrap_or_default();
        // SAFETY: `begin` has filled the sums of so many rows and channels.
        let sums = unsafe { sums.assume_init_ref() };
        store_pairs(rows, sums, pairs, shift, out, outputs);
        if let &[multiplier] = last {
            let sums = sums.get(rows * pairs.len()..).unwrap_or_default();
            let out = out.get_mut(2 * pairs.len()..).unwrap_or_default();
            store_last(sums.get(..rows).unwrap_or_default(), Requant { multiplier, shift }, out, outputs);
        }
    }
}

/// The channels that are in pairs.
#[cfg(not(fixformer_mul))]
fn store_pairs(
    rows: usize,
    sums: &[[i32; 2]],
    pairs: &[[i16; 2]],
    shift: u32,
    out: &mut [i16],
    outputs: usize,
) {
    let scaled = |sum, multiplier| saturate(Requant { multiplier, shift }.apply(sum));
    let scaled_pair = |sum: [i32; 2], by: [i16; 2]| [scaled(sum[0], by[0]), scaled(sum[1], by[1])];
    if let (ROWS, Some([a, b, c, d])) = (rows, four_mut(out, outputs)) {
        let out = a.iter_mut().zip(b).zip(c.iter_mut().zip(d));
        for ((sums, &by), ((a, b), (c, d))) in sums.as_chunks::<ROWS>().0.iter().zip(pairs).zip(out) {
            *a = scaled_pair(sums[0], by);
            *b = scaled_pair(sums[1], by);
            *c = scaled_pair(sums[2], by);
            *d = scaled_pair(sums[3], by);
        }
    } else {
        for ((out, &sum), &by) in out.as_chunks_mut().0.iter_mut().zip(sums).zip(pairs) {
            *out = scaled_pair(sum, by);
        }
    }
}

/// The channels that are in pairs.
#[cfg(fixformer_mul)]
fn store_pairs(
    rows: usize,
    sums: &[[i32; 2]],
    pairs: &[[i16; 2]],
    shift: u32,
    out: &mut [i16],
    outputs: usize,
) {
    let count = pairs.len();
    let enough = sums.len() >= rows * count && out.len() >= (rows.max(1) - 1) * outputs + 2 * count;
    if count == 0 || !enough {
        return;
    }
    let store: rounds::Store = if rows == ROWS { rounds::store_four_rows } else { rounds::store_one_row };
    // SAFETY: there are `count` pairs of multipliers, not zero, and as many sums of so many rows, 4 or 1; rows of the output are
    // `outputs` apart and have room for so many pairs.
    unsafe { store(sums.as_ptr(), pairs.as_ptr(), out.as_mut_ptr(), count, shift, 2 * outputs) };
}

/// The pairs of columns of four rows.
#[cfg(not(fixformer_mul))]
#[inline(always)]
fn four_mut(out: &mut [i16], outputs: usize) -> Option<[&mut [[i16; 2]]; ROWS]> {
    let (a, out) = out.split_at_mut_checked(outputs)?;
    let (b, out) = out.split_at_mut_checked(outputs)?;
    let (c, d) = out.split_at_mut_checked(outputs)?;
    Some([a, b, c, d].map(|row| row.as_chunks_mut().0))
}

// What overflows below is a partner that is no channel.

#[cfg(not(fixformer_rounds))]
/// Written out: the optimiser for size leaves a loop over four rows.
#[inline(always)]
fn four_rows<'a, W: Weight + 'a>(
    columns: impl Iterator<Item = (&'a [W; 2], &'a [i32; ROWS])>,
    [p, q, r, s]: [&mut [i32; 2]; ROWS],
) {
    let ([mut p0, mut p1], [mut q0, mut q1]) = (*p, *q);
    let ([mut r0, mut r1], [mut s0, mut s1]) = (*r, *s);
    for (&[a, b], &[x, y, z, w]) in columns {
        let (a, b) = (a.into(), b.into());
        p0 = p0.wrapping_add(x.wrapping_mul(a));
        p1 = p1.wrapping_add(x.wrapping_mul(b));
        q0 = q0.wrapping_add(y.wrapping_mul(a));
        q1 = q1.wrapping_add(y.wrapping_mul(b));
        r0 = r0.wrapping_add(z.wrapping_mul(a));
        r1 = r1.wrapping_add(z.wrapping_mul(b));
        s0 = s0.wrapping_add(w.wrapping_mul(a));
        s1 = s1.wrapping_add(w.wrapping_mul(b));
    }
    (*p, *q, *r, *s) = ([p0, p1], [q0, q1], [r0, r1], [s0, s1]);
}

#[cfg(not(fixformer_rounds))]
#[inline(always)]
fn one_row<'a, W: Weight + 'a>(columns: impl Iterator<Item = (&'a [W; 2], &'a i32)>, sum: &mut [i32; 2]) {
    let [mut p0, mut p1] = *sum;
    for (&[a, b], &x) in columns {
        p0 = p0.wrapping_add(x.wrapping_mul(a.into()));
        p1 = p1.wrapping_add(x.wrapping_mul(b.into()));
    }
    *sum = [p0, p1];
}
