//! Angular hashing in integers.

use crate::model::Lsh;

/// The bucket of a row in one round: of `p = q R` and `-p`, listed in this order, the largest value's index, the
/// first among equals; of several factors the first changes fastest. Scales of `q` and `R` do not matter.
pub(super) fn bucket(parameters: &Lsh<'_>, head: usize, round: usize, q: &[i16]) -> usize {
    let set = if parameters.rotation_heads > 1 { head } else { 0 };
    let mut column = (set * parameters.rounds + round) * parameters.columns();
    let (mut bucket, mut step) = (0, 1);
    for &factor in parameters.factors {
        let factor = factor as usize;
        let p = |index: usize| parameters.rotations.project((column + index) * q.len(), q);
        bucket += step * first_largest(factor / 2, p);
        step *= factor;
        column += factor / 2;
    }
    bucket
}

/// Index of the largest of `p` and then `-p`, the first among equals.
fn first_largest(half: usize, p: impl Fn(usize) -> i32) -> usize {
    let (mut plus, mut minus) = ((i32::MIN, 0), (i32::MIN, 0));
    for index in 0..half {
        let p = p(index);
        if p > plus.0 {
            plus = (p, index);
        }
        if -p > minus.0 {
            minus = (-p, index);
        }
    }
    if plus.0 >= minus.0 { plus.1 } else { half + minus.1 }
}
