//! Angular hashing.

use crate::attention::WIDTH;
use crate::checks;
use crate::outcome::{equal, rows};
use fixformer::attention::Given;
use fixformer::attention::lsh::hash;
use fixformer::model::{Lsh, Rotations};
use fixformer::num::Requant;

/// Four buckets: the larger of the first two columns, or the smaller.
pub(crate) const LSH: Lsh<'_> = Lsh {
    factors: &[4],
    rounds: 1,
    chunk: 16,
    before: 0,
    after: 0,
    multiple: 16,
    in_bucket: false,
    skip_duplicates: false,
    padding_bucket: false,
    epsilon: 1,
    rotation_heads: 1,
    rotations: Rotations::Int8(&[1, 0, 0, 0, 0, 1, 0, 0]),
};

/// The buckets of one row.
fn buckets<const ROUNDS: usize>(parameters: Lsh<'_>, q: [i16; WIDTH], visible: u16) -> [u16; ROUNDS] {
    let mut q = q;
    let head = Given {
        index: 0,
        width: WIDTH,
        rows: &mut q,
        keys: &[],
        values: &[],
        visible: &[visible],
        causal: false,
        scale: Requant { multiplier: 1, shift: 1 },
        gain: 0,
    };
    let mut buckets = [u16::MAX; ROUNDS];
    hash(parameters, &head, &mut buckets);
    buckets
}

checks! { "lsh", 3072,
    fn a_bucket_is_the_largest_direction() {
        for (q, bucket) in [([9, 1, 0, 0], 0), ([1, 9, 0, 0], 1), ([-9, 1, 0, 0], 2), ([1, -9, 0, 0], 3)] {
            rows(&buckets::<1>(LSH, q, 1), &[bucket], 0)?;
        }
    }

    fn the_first_of_equals_wins() {
        for (q, bucket) in [([0, 0, 5, 5], 0), ([7, 7, 0, 0], 0), ([-7, -7, 0, 0], 2), ([-7, 7, 0, 0], 1)] {
            rows(&buckets::<1>(LSH, q, 1), &[bucket], 0)?;
        }
    }

    fn the_scale_does_not_matter() {
        for q in [[3, -2, 7, 1], [-3, 2, 1, 1], [1, 2, 3, 4]] {
            equal(buckets::<1>(LSH, q, 1)[0], buckets::<1>(LSH, q.map(|x| 1000 * x), 1)[0])?;
        }
    }

    /// Ones, and minus one in the first column of the second direction.
    fn signs_are_plus_or_minus_one() {
        let signs = Lsh { rotations: Rotations::Signs(&[0x10]), ..LSH };
        rows(&buckets::<1>(signs, [5, 1, 0, 0], 1), &[0], 0)?;
        rows(&buckets::<1>(signs, [-5, 1, 0, 0], 1), &[1], 0)?;
    }

    fn factors_multiply() {
        let directions = [1, 0, 0, 0, 0, 1, 0, 0];
        let two = Lsh { factors: &[2, 2], rotations: Rotations::Int8(&directions), ..LSH };
        for (q, bucket) in [([5, 5, 0, 0], 0), ([-5, 5, 0, 0], 1), ([5, -5, 0, 0], 2), ([-5, -5, 0, 0], 3)] {
            rows(&buckets::<1>(two, q, 1), &[bucket], 0)?;
        }
    }

    fn rounds_have_rotations_of_their_own() {
        let directions = [1, 0, 0, 0, 0, 1, 0, 0, -1, 0, 0, 0, 0, 1, 0, 0];
        let two = Lsh { rounds: 2, rotations: Rotations::Int8(&directions), ..LSH };
        rows(&buckets::<2>(two, [9, 1, 0, 0], 1), &[0, 2], 0)?;
    }

    fn masked_tokens_have_a_bucket_of_their_own() {
        let padded = Lsh { padding_bucket: true, ..LSH };
        rows(&buckets::<1>(padded, [9, 1, 0, 0], 0), &[4], 0)?;
        rows(&buckets::<1>(padded, [9, 1, 0, 0], 1), &[0], 0)?;
    }
}
