//! Angular hashing in integers.

use crate::model::Lsh;

/// Columns that are projected at a time.
const COLUMNS: usize = 16;

/// Hashes rows of a head.
pub(super) struct Hash<'a> {
    parameters: &'a Lsh<'a>,
    /// Set of rotations.
    set: usize,
    /// Products with some columns.
    products: [i32; COLUMNS],
}

impl<'a> Hash<'a> {
    pub(super) fn new(parameters: &'a Lsh<'a>, head: usize) -> Self {
        let set = if parameters.rotation_heads > 1 { head } else { 0 };
        Self { parameters, set, products: [0; COLUMNS] }
    }

    /// The bucket of a row in one round: of `p = q R` and `-p`, listed in this order, the largest value's index, the
    /// first among equals; of several factors the first changes fastest. Scales of `q` and `R` do not matter. Masked tokens
    /// are in bucket [`Lsh::bucket_count`] where the parameters say so.
    pub(super) fn bucket(&mut self, round: usize, q: &[i16], visible: bool) -> usize {
        let parameters = self.parameters;
        if parameters.padding_bucket && !visible {
            return parameters.bucket_count();
        }
        let mut column = (self.set * parameters.rounds + round) * parameters.columns();
        let (mut bucket, mut step) = (0, 1);
        for &factor in parameters.factors {
            let factor = factor as usize;
            bucket += step * self.first_largest(column, factor / 2, q);
            step *= factor;
            column += factor / 2;
        }
        bucket
    }

    /// Index of the largest of `p` and then `-p`, the first among equals, of `half` columns from `column` on.
    fn first_largest(&mut self, column: usize, half: usize, q: &[i16]) -> usize {
        let (mut plus, mut minus) = ((i32::MIN, 0), (i32::MIN, 0));
        for first in (0..half).step_by(COLUMNS) {
            let products = self.products.get_mut(..COLUMNS.min(half - first)).unwrap_or_default();
            self.parameters.rotations.project(column + first, q, products);
            for (index, &p) in products.iter().enumerate() {
                if p > plus.0 {
                    plus = (p, first + index);
                }
                if -p > minus.0 {
                    minus = (-p, first + index);
                }
            }
        }
        if plus.0 >= minus.0 { plus.1 } else { half + minus.1 }
    }
}
