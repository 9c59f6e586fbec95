//! Two rows become their mean, and the mean two rows again, where the two do not count equally. Where they do the kernels
//! have the same: see [`crate::kernels::lift`] and those beside it.

use crate::kernels::half;

/// Bits of a count: four times the sum of two such counts, each times a value of 15 bits with its sign, has 32.
const COUNT_BITS: u32 = 13;

/// How two rows of a level become a row of the next.
#[derive(Clone, Copy)]
pub(super) struct Mean {
    /// What either row counts.
    pub(super) counts: [i32; 2],
    /// Whether the mean is a row of odd number.
    pub(super) odd: bool,
    /// The mean is kept, not twice the mean, which has a fractional bit more.
    pub(super) whole: bool,
}

impl Mean {
    /// Children count equally, whatever they stand for; one without tokens does not count.
    pub(super) fn of_children(tokens: [usize; 2], odd: bool) -> Self {
        Self { counts: tokens.map(|count| i32::from(count > 0)), odd, whole: true }
    }

    /// Every token counts equally.
    pub(super) fn of_tokens(tokens: [usize; 2], odd: bool, whole: bool) -> Self {
        // Of so many that products leave 32 bits, the last bits do not count, but no row is lost.
        let excess = (tokens[0] | tokens[1]) >> COUNT_BITS;
        let shift = usize::BITS - excess.leading_zeros();
        let counts = tokens.map(|count| (count >> shift).max(usize::from(count > 0)) as i32);
        Self { counts, odd, whole }
    }

    /// Whether the mean is half of the sum.
    pub(super) const fn is_even(self) -> bool {
        let [a, b] = self.counts;
        a == b && a > 0
    }

    /// Twice the mean of two values; zero if neither counts.
    #[inline(always)]
    pub(super) fn twice(self, x: i32, y: i32) -> i32 {
        let [a, b] = self.counts;
        if self.is_even() {
            return x + y;
        }
        let total = (a + b).max(1);
        (4 * (a * x + b * y) + total).div_euclid((2 * total).max(1))
    }

    /// What is kept of twice a mean.
    #[inline(always)]
    pub(super) fn round(self, twice: i32) -> i32 {
        if self.whole { half(twice, self.odd) } else { twice }
    }

    /// Puts the mean in the place of the first row and the difference in that of the second; returns the bits of all
    /// magnitudes of twice the mean. Without a second row, `second` is empty.
    pub(super) fn lift(self, first: &mut [i16], second: &mut [i16]) -> u32 {
        let mut magnitudes = 0;
        let mut kept = |a, b| {
            let twice = self.twice(a, b);
            magnitudes |= twice.unsigned_abs();
            self.round(twice) as i16
        };
        if second.is_empty() {
            first.iter_mut().for_each(|x| *x = kept(i32::from(*x), 0));
        }
        for (x, y) in first.iter_mut().zip(second) {
            let (a, b) = (i32::from(*x), i32::from(*y));
            (*x, *y) = (kept(a, b), (a - b) as i16);
        }
        magnitudes
    }

    /// Puts in `out` the two rows of which `mean` is the mean and `difference` the difference. Where neither counts they are
    /// zero; without a difference there is no second row.
    pub(super) fn expand<'o>(
        self,
        mean: impl Iterator<Item = i16>,
        difference: &[i16],
        out: impl Iterator<Item = (&'o mut i16, &'o mut i16)>,
    ) {
        if self.counts == [0; 2] {
            return out.for_each(|(first, second)| (*first, *second) = (0, 0));
        }
        let rows = mean.zip(out);
        if difference.is_empty() {
            let alone = |mean: i16| if self.whole { mean } else { mean >> 1 };
            return rows.for_each(|(mean, (first, second))| (*first, *second) = (alone(mean), 0));
        }
        // Twice the mean is twice the second value and something of the difference alone.
        for ((mean, (first, second)), &difference) in rows.zip(difference) {
            let (mean, difference) = (i32::from(mean), i32::from(difference));
            let rest = self.twice(difference, 0);
            let b = if self.whole { mean - half(rest, self.odd) } else { (mean - rest) >> 1 };
            (*first, *second) = ((b + difference) as i16, b as i16);
        }
    }
}
