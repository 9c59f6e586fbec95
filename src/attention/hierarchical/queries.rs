//! Query rows of the coarse levels, made when the first of their tokens needs them.

use super::{Mask, Mean, half, part, twice_mean};

/// The mean of the queries in the current run of each level.
///
/// Tokens go from the last to the first and outputs take the place of queries: when the last token of a run comes, all
/// queries of the run are still there. So two rows for each level are enough, where keys and values need all.
pub(super) struct Queries<'a> {
    width: usize,
    /// `[levels, 2, width]`: of each level from 1 on, the latest row of even and of odd number.
    rows: &'a mut [i16],
}

impl<'a> Queries<'a> {
    /// Values that [`Queries::new`] takes for so many levels above the tokens.
    pub(super) const fn size(levels: usize, width: usize) -> usize {
        2 * levels * width
    }

    pub(super) fn new(rows: &'a mut [i16], width: usize) -> Self {
        Self { width, rows }
    }

    /// Row `row` of a level from 1 on: that of the current run.
    pub(super) fn row(&self, level: u32, row: usize) -> &[i16] {
        part(self.rows, (2 * (level as usize - 1) + row % 2) * self.width, self.width)
    }

    /// Makes the rows of levels `1 ..= levels` whose runs end with `token`, or are cut off after it.
    pub(super) fn begin(&mut self, queries: &[i16], token: usize, levels: usize, mask: Mask<'_>) {
        let width = self.width;
        let queries = queries.get(..(token + 1) * width).unwrap_or_default();
        for pair in (token >> levels << levels) / 2..=token / 2 {
            let mut row = pair;
            for level in 1..=levels {
                let (below, rows) = self.rows.split_at_mut((2 * (level - 1) * width).min(self.rows.len()));
                let children = match level {
                    1 => queries.get(2 * pair * width..).unwrap_or_default(),
                    _ => below.get(2 * (level - 2) * width..).unwrap_or_default(),
                };
                let children = children.get(..2 * width).unwrap_or(children);
                let out = rows.get_mut(row % 2 * width..(row % 2 + 1) * width).unwrap_or_default();
                twice_mean(children, out, mask.halves(level, row), Mean::OfChildren, |twice| {
                    half(twice, row)
                });
                // The parent waits for the odd row, if there is one.
                if row % 2 == 0 && row != token >> level {
                    break;
                }
                row /= 2;
            }
        }
    }
}
