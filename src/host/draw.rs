//! What a mechanism draws once, when a model is made, and keeps in its file: always the same for the same seed.

use std::ops::Range;
use std::vec::Vec;

use super::reference::attention::AttentionKind;
use super::reference::attention::favor::{Favor, Features, Offsets};

/// Random key blocks of one head's BigBird attention: one row for each query block but the first and the last of
/// an input of `blocks` blocks.
///
/// Each row has `random` different blocks, drawn uniformly from those that its query block does not see anyway:
/// neither the first nor the last block, nor its own and the two beside it. Every `seed`, `layer` and `head` has a
/// plan of its own. None if a row has fewer than `random` such blocks. A shorter input leaves out the blocks that it
/// does not have; what then is its last block may be listed twice, and counts twice.
pub fn bigbird_plan(
    blocks: usize,
    random: usize,
    seed: u64,
    layer: usize,
    head: usize,
) -> Option<Vec<Vec<usize>>> {
    let inner = 1..blocks.saturating_sub(1);
    plan(inner.clone(), inner, random, [seed, layer as u64, head as u64])
}

/// [`bigbird_plan`] of the extended form: a row for every query block, of blocks that are neither its own nor beside
/// it.
pub fn bigbird_plan_extended(
    blocks: usize,
    random: usize,
    seed: u64,
    layer: usize,
    head: usize,
) -> Option<Vec<Vec<usize>>> {
    plan(0..blocks, 0..blocks, random, [seed, layer as u64, head as u64])
}

fn plan(
    queries: Range<usize>,
    keys: Range<usize>,
    random: usize,
    [seed, layer, head]: [u64; 3],
) -> Option<Vec<Vec<usize>>> {
    let mut source = Source(seed);
    for number in [layer, head] {
        source = Source(source.next() ^ number);
    }
    let row = |query: usize| {
        let mut free: Vec<usize> = keys.clone().filter(|block| block.abs_diff(query) > 1).collect();
        let draw = |_| (!free.is_empty()).then(|| free.swap_remove(source.below(free.len())));
        (0..random).map(draw).collect()
    };
    queries.map(row).collect()
}

/// `count` signs, plus or minus one, drawn uniformly: rotations of LSH attention for a model that comes without, to
/// be stored with 1 bit each. They hash as well as normal ones (Achlioptas 2003 on random projections).
pub fn lsh_signs(count: usize, seed: u64, layer: usize) -> Vec<i16> {
    let mut source = Source(of_layer(seed, layer));
    (0..count).map(|_| 1 - 2 * source.below(2) as i16).collect()
}

/// A random projection of FAVOR+ attention for a model that comes without: the
/// [orthogonal](orthogonal_projection) one of a seed of the layer's own.
pub fn favor_projection(
    directions: usize,
    width: usize,
    length: RowLength,
    seed: u64,
    layer: usize,
) -> Vec<f64> {
    orthogonal_projection(directions, width, length, of_layer(seed, layer))
}

/// A random projection W, `[directions, width]`: blocks of `width` orthogonal rows, the last one cut short
/// (Choromanski et al. 2021, section 3.2). The same for the same seed on every machine.
///
/// Gram and Schmidt's method on normal vectors is a QR decomposition whose R has a positive diagonal: each row is
/// uniform on the sphere. (The authors' code leaves the signs to LAPACK, and its kernel estimate is biased for it.)
pub fn orthogonal_projection(directions: usize, width: usize, length: RowLength, seed: u64) -> Vec<f64> {
    let mut source = Source(seed);
    let mut w: Vec<f64> = Vec::with_capacity(directions * width);
    for row in 0..directions {
        let block = row / width * width * width;
        let mut x = loop {
            let mut x = normals(&mut source, width);
            // Twice: once leaves rounding errors that grow with the block.
            for _ in 0..2 {
                for y in w[block..].chunks_exact(width) {
                    let along: f64 = x.iter().zip(y).map(|(x, y)| x * y).sum();
                    x.iter_mut().zip(y).for_each(|(x, y)| *x -= along * y);
                }
            }
            let norm = norm(&x);
            if norm > 1e-6 {
                x.iter_mut().for_each(|x| *x /= norm);
                break x;
            }
        };
        w.append(&mut x);
    }
    for row in w.chunks_exact_mut(width) {
        let length = match length {
            RowLength::Random => norm(&normals(&mut source, width)),
            RowLength::Fixed => (width as f64).sqrt(),
        };
        row.iter_mut().for_each(|x| *x *= length);
    }
    w
}

/// How long the rows of a random projection are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowLength {
    /// As long as normal vectors are (the authors' scaling 0): the estimate of the kernel has no bias.
    Random,
    /// All `sqrt(width)` (their scaling 1): less variance.
    Fixed,
}

/// FAVOR+ with drawn directions for one layer, bidirectional and without epsilons, for heads of `width` columns.
pub fn favor(directions: usize, width: usize, layer: usize, tile: Option<usize>) -> AttentionKind {
    AttentionKind::Favor(Favor {
        features: Features::Exponential,
        projection: Some(favor_projection(directions, width, RowLength::Random, 0, layer)),
        causal: false,
        input_scale: (width as f64).powf(-0.25),
        epsilon: 0.0,
        offsets: Offsets::Projection,
        guard: 0.0,
        key_sum_epsilon: 0.0,
        renormalize: true,
        tile,
    })
}

/// The first of the two marks of [`marks`]; ids below are noise.
pub const FIRST_MARK: i16 = 8;
/// One step of so many has a mark of [`marks`].
pub const STEPS_A_MARK: usize = 32;

/// Token ids of a task without end: noise, `0 .. 8`, and now and then one of the marks 8 and 9. The class after any of
/// them is the kind of the [last mark](last_mark). Every step has a mark with the same probability, 1 in
/// [`STEPS_A_MARK`], either kind as likely, whatever came before: a call goes on where the one before ended.
pub fn marks(source: &mut Source, steps: usize) -> Vec<i16> {
    let step = |_| match source.below(STEPS_A_MARK) {
        0 => FIRST_MARK + source.below(2) as i16,
        _ => source.below(FIRST_MARK as usize) as i16,
    };
    (0..steps).map(step).collect()
}

/// The kind of the last mark of `ids`: 0 or 1. None if there is no mark.
pub fn last_mark(ids: &[i16]) -> Option<usize> {
    ids.iter().rev().find(|&&id| id >= FIRST_MARK).map(|&id| (id - FIRST_MARK) as usize)
}

/// Which of `tokens` tokens, one at least, count: a single one, some here and there, every second run of a length, one run,
/// those up to one, or those from one on, each as likely.
pub fn mask(source: &mut Source, tokens: usize) -> Vec<bool> {
    let kind = source.below(6);
    let [a, b] = [source.below(tokens), source.below(tokens)];
    let (length, rarity) = (1 + source.below(4), 2 + source.below(31));
    let mut counts = |t: usize| match kind {
        0 => t == a,
        1 => t == a || source.below(rarity) == 0,
        2 => t == a || (t / length).is_multiple_of(2),
        3 => (a.min(b)..=a.max(b)).contains(&t),
        4 => t <= a,
        _ => t >= a,
    };
    (0..tokens).map(&mut counts).collect()
}

fn of_layer(seed: u64, layer: usize) -> u64 {
    Source(seed).next() ^ layer as u64
}

/// SplitMix64 (Steele, Lea and Flood 2014): a model file must not change with the version of a crate.
#[derive(Debug, Clone)]
pub struct Source(pub u64);

impl Source {
    /// Uniform in 64 bits.
    #[expect(clippy::should_implement_trait, reason = "it never ends")]
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Uniform in `0 .. 1`.
    pub fn uniform(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Uniform in `0 .. end`, but for a bias below `end / 2^64`.
    pub fn below(&mut self, end: usize) -> usize {
        ((u128::from(self.next()) * end as u128) >> 64) as usize
    }
}

fn norm(x: &[f64]) -> f64 {
    x.iter().map(|x| x * x).sum::<f64>().sqrt()
}

/// Normal values by Box and Muller's method; the logarithm and cosine of a crate, those of the system differ in the
/// last bit.
fn normals(source: &mut Source, width: usize) -> Vec<f64> {
    let next = |_| {
        let radius = (-2.0 * libm::log(1.0 - source.uniform())).sqrt();
        radius * libm::cos(std::f64::consts::TAU * source.uniform())
    };
    (0..width).map(next).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_has_no_block_twice_and_none_of_the_fixed_list() {
        for (blocks, random) in [(6, 1), (7, 2), (20, 3), (64, 8)] {
            let plan = bigbird_plan(blocks, random, 3, 1, 0).unwrap();
            assert_eq!(plan.len(), blocks - 2);
            for (row, drawn) in plan.iter().enumerate() {
                assert_eq!(drawn.len(), random);
                for (i, &block) in drawn.iter().enumerate() {
                    assert!(block > 0 && block < blocks - 1 && block.abs_diff(row + 1) > 1);
                    assert!(!drawn[..i].contains(&block));
                }
            }
        }
        assert_eq!(bigbird_plan(5, 1, 0, 0, 0), None);
        assert_eq!(bigbird_plan(2, 1, 0, 0, 0), Some(Vec::new()));
        assert_eq!(bigbird_plan(0, 0, 0, 0, 0), Some(Vec::new()));
    }

    #[test]
    fn signs_are_even_and_depend_on_both() {
        let signs = |seed, layer| lsh_signs(4000, seed, layer);
        assert_eq!(signs(1, 2), signs(1, 2));
        assert!(signs(1, 2).iter().all(|sign| sign.abs() == 1));
        for other in [signs(1, 2), signs(2, 2), signs(1, 3)] {
            assert!(other.iter().sum::<i16>().abs() < 300);
        }
        assert!(signs(1, 2) != signs(2, 2) && signs(1, 2) != signs(1, 3));
    }

    #[test]
    fn a_plan_is_uniform_and_depends_on_all_three() {
        let plan = |seed, layer, head| bigbird_plan(34, 3, seed, layer, head).unwrap();
        assert_eq!(plan(1, 2, 3), plan(1, 2, 3));
        for other in [plan(2, 2, 3), plan(1, 3, 3), plan(1, 2, 2), plan(1, 3, 2)] {
            assert_ne!(plan(1, 2, 3), other);
        }
        // Query block 1 has blocks 3 to 32 to draw from.
        let mut counts = [0; 34];
        (0..1000).for_each(|seed| plan(seed, 0, 0)[0].iter().for_each(|&block| counts[block] += 1));
        assert!(counts[3..33].iter().all(|count| (60..140).contains(count)), "{counts:?}");
    }

    #[test]
    fn marks_are_one_in_32_and_the_same_for_the_same_seed() {
        let drawn = marks(&mut Source(1), 320_000);
        let mut source = Source(1);
        let parts = [marks(&mut source, 1000), marks(&mut source, 319_000)].concat();
        assert!(drawn == parts && drawn != marks(&mut Source(2), 320_000));
        let mut counts = [0_usize; 10];
        drawn.iter().for_each(|&id| counts[id as usize] += 1);
        // Six deviations of counts of 320,000: about 1,100 of each noise, 420 of each mark.
        assert!(counts[..8].iter().all(|count| count.abs_diff(38_750) < 1100), "{counts:?}");
        assert!(counts[8..].iter().all(|count| count.abs_diff(5000) < 420), "{counts:?}");
    }

    #[test]
    fn the_last_mark_is_the_class() {
        for (ids, kind) in
            [(&[8, 1, 9, 7, 0][..], Some(1)), (&[9, 8], Some(0)), (&[0, 7, 3], None), (&[], None)]
        {
            assert_eq!(last_mark(ids), kind, "{ids:?}");
        }
    }

    /// A change would change every model file that is made anew.
    #[test]
    fn a_plan_stays_what_it_is() {
        let plan = [[3, 5], [4, 5], [5, 1], [6, 1], [1, 2], [3, 1]];
        assert_eq!(bigbird_plan(8, 2, 0, 0, 0).unwrap(), plan);
    }
}
