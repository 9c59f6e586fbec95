//! Two rows and their mean: what hierarchical attention does to rows from level to level.
//!
//! Half of all sums are odd: rounded up they would all lean one way, and further at each level. Odd rows round up, even
//! rows down.

use super::domain;

/// Half of a value, rounded up in odd rows and down in even ones.
#[inline(always)]
pub const fn half(twice: i32, odd: bool) -> i32 {
    (twice + odd as i32) >> 1
}

/// Some rows of a level, one after the other, each the mean of two.
#[derive(Clone, Copy, Debug)]
pub struct Means {
    /// Columns of a row.
    pub width: usize,
    /// Number of the first row.
    pub first: usize,
    /// How many.
    pub count: usize,
    /// Where a row and its difference lie in the place of the two: elements from one to the other, and half as many as
    /// from row to row.
    pub half: usize,
}

impl Means {
    /// Elements that rows in their place take.
    pub(in crate::kernels) const fn reach(&self) -> usize {
        if self.count == 0 {
            return 0;
        }
        (self.count.saturating_mul(2) - 1).saturating_mul(self.half).saturating_add(self.width)
    }

    /// The rows in their place, both halves of each.
    fn each(&self, rows: &mut [i16], mut kernel: impl FnMut(bool, &mut [i16], &mut [i16])) {
        let Self { width, first, count, half } = *self;
        for index in 0..count {
            let place = 2 * index * half;
            let Some((head, tail)) = rows.split_at_mut_checked(place + half) else { return };
            if let (Some(a), Some(b)) = (head.get_mut(place..place + width), tail.get_mut(..width)) {
                kernel((first + index) % 2 == 1, a, b);
            }
        }
    }
}

/// Of two rows, puts the mean in the place of the first and the difference in that of the second. Magnitudes below
/// `2^14`.
pub fn lift(rows: &mut [i16], means: Means) {
    debug_assert!(domain::lift(rows, means));
    means.each(rows, |odd, first, second| {
        for (x, y) in first.iter_mut().zip(second) {
            let difference = i32::from(*x) - i32::from(*y);
            (*x, *y) = ((i32::from(*y) + half(difference, odd)) as i16, difference as i16);
        }
    });
}

/// [`lift`] with twice the mean; returns the bits of all its magnitudes. `halved`: what is lifted is twice the mean of the
/// level below, which is halved first. Magnitudes below `2^14`.
pub fn lift_twice(rows: &mut [i16], means: Means, halved: bool) -> u32 {
    debug_assert!(domain::lift(rows, means));
    let mut magnitudes = 0;
    means.each(rows, |_, first, second| {
        for (x, y) in first.iter_mut().zip(second) {
            let (mut a, mut b) = (i32::from(*x), i32::from(*y));
            if halved {
                (a, b) = (half(a, false), half(b, true));
            }
            magnitudes |= (a + b).unsigned_abs();
            (*x, *y) = ((a + b) as i16, (a - b) as i16);
        }
    });
    magnitudes
}

/// The rows, `[2 count, width]`, whose means are `rows`; `differences` begins at the first difference, in its place.
pub fn expand(rows: &[i16], differences: &[i16], out: &mut [i16], means: Means) {
    let Means { width, first, count, half } = means;
    for index in 0..count {
        let row = rows.get(index * width..).unwrap_or_default();
        let differences = differences.get(2 * index * half..).unwrap_or_default();
        let out = out.get_mut(2 * index * width..2 * (index + 1) * width).unwrap_or_default();
        let (a, b) = out.split_at_mut_checked(width).unwrap_or_default();
        for ((&mean, &difference), (a, b)) in row.iter().zip(differences).zip(a.iter_mut().zip(b)) {
            [*a, *b] = expanded(mean, difference, (first + index) % 2 == 1, true);
        }
    }
}

/// [`expand`] where all rows but the differences are zipped in pairs; an even number of rows from an even one on. Not
/// `whole`: `rows` are twice the means.
pub fn expand_pairs(rows: &[i16], differences: &[i16], out: &mut [i16], means: Means, whole: bool) {
    let Means { width, count, half, .. } = means;
    for index in 0..count {
        let pair = rows.get(index / 2 * 2 * width..).unwrap_or_default().as_chunks::<2>().0;
        let differences = differences.get(2 * index * half..).unwrap_or_default();
        let out = out.get_mut(2 * index * width..2 * (index + 1) * width).unwrap_or_default();
        for ((pair, &difference), out) in pair.iter().zip(differences).zip(out.as_chunks_mut::<2>().0) {
            *out = expanded(pair[index % 2], difference, index % 2 == 1, whole);
        }
    }
}

#[inline(always)]
fn expanded(mean: i16, difference: i16, odd: bool, whole: bool) -> [i16; 2] {
    let (mean, difference) = (i32::from(mean), i32::from(difference));
    let b = if whole { mean - half(difference, odd) } else { (mean - difference) >> 1 };
    [(b + difference) as i16, b as i16]
}

/// The means of rows, `[2 count, width]`, of magnitudes below `2^14`.
pub fn join(rows: &[i16], out: &mut [i16], means: Means) {
    debug_assert!(domain::join(rows, means));
    let Means { width, first, count, .. } = means;
    for index in 0..count {
        let rows = rows.get(2 * index * width..2 * (index + 1) * width).unwrap_or_default();
        let (a, b) = rows.split_at_checked(width).unwrap_or_default();
        let out = out.get_mut(index * width..).unwrap_or_default();
        for ((&a, &b), out) in a.iter().zip(b).zip(out) {
            *out = half(i32::from(a) + i32::from(b), (first + index) % 2 == 1) as i16;
        }
    }
}

/// [`join`] where all rows are zipped in pairs; an even number of means from an even one on. Not `whole`: twice the
/// means, limited to `-limit ..= limit`, which is [`super::super::VALUE_LIMIT`] and that of the rows.
pub fn join_pairs(rows: &[i16], out: &mut [i16], means: Means, whole: bool) {
    debug_assert!(domain::join_pairs(rows, means));
    const LIMIT: i32 = super::super::VALUE_LIMIT as i32;
    let Means { width, count, .. } = means;
    for index in 0..count {
        let rows = rows.get(2 * index * width..2 * (index + 1) * width).unwrap_or_default();
        let out = out.get_mut(index / 2 * 2 * width..).unwrap_or_default().as_chunks_mut::<2>().0;
        for ([a, b], out) in rows.as_chunks().0.iter().zip(out) {
            let twice = i32::from(*a) + i32::from(*b);
            let mean = if whole { half(twice, index % 2 == 1) } else { twice.clamp(-LIMIT, LIMIT) };
            out[index % 2] = mean as i16;
        }
    }
}

/// Copies integers, as many as both have room for.
pub fn copy<T: Copy + Into<i64>>(from: &[T], to: &mut [T]) {
    to.iter_mut().zip(from).for_each(|(to, &from)| *to = from);
}
