//! LSH, local and BigBird attention of the float reference, against what they have to be by construction.

use fixformer::host::reference::attention::bigbird::{BigBird, Pattern, Window};
use fixformer::host::reference::attention::local::Local;
use fixformer::host::reference::attention::lsh::{Duplicates, Lsh, ScoreScale, sort_by_bucket};
use fixformer::host::reference::attention::{Visible, exact};
use proptest::prelude::*;

/// A fixed sequence of numbers in -1 to 1, one for each `seed`.
fn noise(count: usize, seed: u64) -> Vec<f64> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

fn distance(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

const LSH: Lsh = Lsh {
    buckets: Vec::new(),
    rounds: 2,
    chunk: 8,
    before: 1,
    after: 0,
    multiple: 8,
    causal: false,
    scale: ScoreScale::Unit,
    in_bucket: false,
    duplicates: Duplicates::Counted,
    padding_bucket: true,
};

const BIGBIRD: BigBird =
    BigBird { block: 4, random: 0, pattern: Pattern::Internal, causal: false, dense_up_to: 0 };

/// Shared-QK attention of one row after another, from the definition: keys of length 1, never oneself.
fn shared_query_key(qk: &[f64], v: &[f64], d: usize, keys: impl Fn(usize, usize) -> bool) -> Vec<f64> {
    let mut out = v.to_vec();
    let unit = |j: usize| {
        let k = &qk[j * d..][..d];
        let length = (k.iter().map(|x| x * x).sum::<f64>() / d as f64 + 1e-6).sqrt() * (d as f64).sqrt();
        k.iter().map(|x| x / length).collect::<Vec<_>>()
    };
    for i in 0..qk.len() / d {
        let seen: Vec<usize> = (0..qk.len() / d).filter(|&j| j != i && keys(i, j)).collect();
        let weight = |j: usize| {
            let q = &qk[i * d..][..d];
            q.iter().zip(unit(j)).map(|(q, k)| q * k).sum::<f64>().exp()
        };
        let sum: f64 = seen.iter().map(|&j| weight(j)).sum();
        for c in (0..d).filter(|_| !seen.is_empty()) {
            out[i * d + c] = seen.iter().map(|&j| weight(j) * v[j * d + c]).sum::<f64>() / sum;
        }
    }
    out
}

#[test]
fn lsh_that_sees_every_chunk_is_full_attention() {
    let (tokens, d) = (24, 4);
    let (qk, v) = (noise(tokens * d, 1), noise(tokens * d, 2));
    for causal in [false, true] {
        let expected = shared_query_key(&qk, &v, d, |i, j| !causal || j < i);
        for duplicates in [Duplicates::Counted, Duplicates::Skipped, Duplicates::Discounted] {
            // Three chunks to a round: a query sees each of its own round once. One chunk: no buckets.
            let lsh = Lsh { buckets: vec![4], rounds: 1, before: 2, causal, duplicates, ..LSH };
            let buckets = lsh.hash(&qk, d, &noise(d * 2, 3), None);
            assert!(distance(&lsh.attend(&qk, &v, d, &buckets, None), &expected) < 1e-12);
            let lsh = Lsh { chunk: tokens, multiple: tokens, rounds: 3, ..lsh };
            assert!(distance(&lsh.attend(&qk, &v, d, &[], None), &expected) < 1e-12);
        }
    }
}

#[test]
fn a_token_that_sees_nothing_else_keeps_its_value() {
    let (tokens, d) = (16, 2);
    let (qk, v) = (noise(tokens * d, 4), noise(tokens * d, 5));
    // Each token alone in its bucket.
    let lsh = Lsh { buckets: vec![16], in_bucket: true, ..LSH };
    let buckets: Vec<usize> = (0..tokens).chain((0..tokens).rev()).collect();
    assert_eq!(lsh.attend(&qk, &v, d, &buckets, None), v);
    // The first token of a causal sequence.
    let lsh = Lsh { causal: true, ..LSH };
    assert_eq!(lsh.attend(&qk, &v, d, &buckets, None)[..d], v[..d]);
}

#[test]
fn the_look_back_crosses_from_round_to_round() {
    // Buckets are positions, reversed in round 1: chunk 0 of round 0 looks at the end of round 1, which
    // is its own; chunk 0 of round 1 at the end of round 0.
    let (tokens, d) = (16, 2);
    let qk = noise(tokens * d, 6);
    let v: Vec<f64> = (0..tokens).flat_map(|j| [if j < 8 { 1.0 } else { 0.0 }, 1.0]).collect();
    let lsh = Lsh { buckets: vec![16], ..LSH };
    let buckets: Vec<usize> = (0..tokens).chain((0..tokens).rev()).collect();
    let out = lsh.attend(&qk, &v, d, &buckets, None);
    // Token 0: own chunk in round 0 and behind it the end of round 1, both 0 to 7; in round 1 its chunk
    // is the second and sees both halves.
    let expected = shared_query_key(&qk, &v, d, |_, j| j < 8);
    let both = shared_query_key(&qk, &v, d, |_, _| true);
    let (low, high) = (both[0].min(expected[0]), both[0].max(expected[0]));
    assert!(low < out[0] && out[0] < high, "{low} {} {high}", out[0]);
}

#[test]
fn skipping_and_discounting_duplicates_agree_within_a_bucket() {
    let (tokens, d) = (64, 8);
    let (qk, v) = (noise(tokens * d, 7), noise(tokens * d, 8));
    let skipped =
        Lsh { buckets: vec![4], rounds: 4, in_bucket: true, duplicates: Duplicates::Skipped, ..LSH };
    let buckets = skipped.hash(&qk, d, &noise(d * 4 * 2, 9), None);
    let discounted = Lsh { duplicates: Duplicates::Discounted, ..skipped.clone() };
    let counted = Lsh { duplicates: Duplicates::Counted, ..skipped.clone() };
    let [skipped, discounted, counted] =
        [skipped, discounted, counted].map(|lsh| lsh.attend(&qk, &v, d, &buckets, None));
    // The logarithm of the discount is f32.
    assert!(distance(&skipped, &discounted) < 1e-7);
    assert!(distance(&skipped, &counted) > 1e-3);
}

#[test]
fn filling_up_is_padding_by_hand() {
    let (tokens, d) = (21, 4);
    let (x, rotations) = (noise(24 * d, 31), noise(d * 2 * 2, 32));
    let padded: Vec<bool> = (0..24).map(|token| token < tokens).collect();
    for (in_bucket, causal) in [(false, false), (true, false), (false, true)] {
        let lsh = Lsh { buckets: vec![4], in_bucket, causal, after: 1, ..LSH };
        let run = |x: &[f64], valid| lsh.attend(x, x, d, &lsh.hash(x, d, &rotations, valid), valid);
        assert_eq!(run(&x[..tokens * d], None), run(&x, Some(&padded))[..tokens * d]);
    }
    let local = Local { chunk: 8, before: 1, after: 0, multiple: 8, causal: false };
    let run = |x: &[f64], valid| local.attend(x, x, x, d, valid);
    assert_eq!(run(&x[..tokens * d], None), run(&x, Some(&padded))[..tokens * d]);
    let run = |x: &[f64], valid| BIGBIRD.attend(x, x, x, d, &[], valid);
    assert_eq!(run(&x[..tokens * d], None), run(&x, Some(&padded))[..tokens * d]);
}

#[test]
fn the_first_of_equal_projections_is_the_bucket() {
    let lsh = Lsh { buckets: vec![4], rounds: 1, ..LSH };
    let hash = |q: [f64; 2]| lsh.hash(&q, 2, &[1.0, 0.0, 0.0, 1.0], None)[0];
    assert_eq!([hash([0.0, 0.0]), hash([1.0, 1.0]), hash([-1.0, 1.0]), hash([-1.0, -1.0])], [0, 0, 1, 2]);
    assert_eq!([hash([2.0, 1.0]), hash([1.0, 2.0]), hash([-2.0, 1.0]), hash([1.0, -2.0])], [0, 1, 2, 3]);
    // Factors: the first changes fastest.
    let lsh = Lsh { buckets: vec![2, 4], rounds: 1, ..LSH };
    let rotations = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0];
    assert_eq!(lsh.hash(&[-1.0, -2.0], 2, &rotations, None), [1 + 2 * 2]);
    assert_eq!(lsh.hash(&[-1.0, -2.0], 2, &rotations, Some(&[false])), [8]);
}

#[test]
fn bigbird_of_every_block_once_is_exact_attention() {
    let (tokens, d) = (26, 4);
    let [q, k, v] = [11, 12, 13].map(|seed| noise(tokens * d, seed));
    let mask: Vec<bool> = (0..tokens).map(|j| j % 5 != 3 && j < 25).collect();
    for causal in [false, true] {
        for valid in [None, Some(&mask[..])] {
            let expected = exact(&q, &k, &v, d, Visible { causal, keys: valid });
            let everything = |bigbird: BigBird| {
                let count = bigbird.block_count(tokens);
                let rest = |x: usize| {
                    let fixed = bigbird.blocks(x, count, &[]);
                    (0..count).filter(|block| !fixed.contains(block)).collect::<Vec<_>>()
                };
                let plan: Vec<_> = match bigbird.pattern {
                    Pattern::Internal => (1..count - 1).map(rest).collect(),
                    Pattern::Extended { .. } => (0..count).map(rest).collect(),
                };
                bigbird.attend(&q, &k, &v, d, &plan, valid)
            };
            let mut internal = everything(BigBird { causal, ..BIGBIRD });
            if let Some(mask) = valid {
                // Rows of masked queries are zero; the others are as they should be.
                for (t, row) in internal.chunks_exact_mut(d).enumerate().filter(|(t, _)| !mask[*t]) {
                    assert!(row.iter().all(|&x| x == 0.0));
                    row.copy_from_slice(&expected[t * d..][..d]);
                }
            }
            assert!(distance(&internal, &expected) < 1e-12);
            for window in [Window::Blocks, Window::Tokens(3), Window::Tokens(0)] {
                let pattern = Pattern::Extended { global: 3, window };
                let extended = everything(BigBird { causal, pattern, ..BIGBIRD });
                assert!(distance(&extended, &expected) < 1e-12);
            }
            let dense = BigBird { causal, dense_up_to: tokens, ..BIGBIRD };
            assert_eq!(dense.attend(&q, &k, &v, d, &[], valid), expected);
        }
    }
}

#[test]
fn blocks_are_those_of_the_publication() {
    let plan: Vec<Vec<usize>> = vec![vec![4], vec![0], vec![3], vec![5], vec![2]];
    let internal = |x| BIGBIRD.blocks(x, 7, &plan);
    assert_eq!(internal(0), [0, 1, 2, 3, 4, 5, 6]);
    assert_eq!(internal(1), [0, 1, 2, 6, 4]);
    assert_eq!(internal(2), [0, 1, 2, 3, 6, 0]);
    assert_eq!(internal(4), [0, 3, 4, 5, 6, 5]);
    assert_eq!(internal(5), [0, 4, 5, 6, 2]);
    assert_eq!(internal(6), [0, 1, 2, 3, 4, 5, 6]);
    assert_eq!(BIGBIRD.blocks(1, 4, &[vec![3], vec![0]]), [0, 1, 2, 3, 3]);
    assert_eq!(BIGBIRD.blocks(2, 4, &[vec![3], vec![0]]), [0, 1, 2, 3, 0]);
    assert_eq!(BIGBIRD.blocks(1, 3, &[vec![2]]), [0, 1, 2]);
    let extended = BigBird { pattern: Pattern::Extended { global: 2, window: Window::Blocks }, ..BIGBIRD };
    assert_eq!(extended.blocks(0, 5, &plan), [0, 1, 4]);
    assert_eq!(extended.blocks(2, 5, &plan), [1, 2, 3]);
    assert_eq!(extended.blocks(4, 5, &plan), [3, 4, 2]);
}

#[test]
fn local_attention_wraps_around() {
    let (tokens, d) = (12, 2);
    let [q, k, v] = [21, 22, 23].map(|seed| noise(tokens * d, seed));
    let local = Local { chunk: 4, before: 1, after: 0, multiple: 4, causal: false };
    let out = local.attend(&q, &k, &v, d, None);
    let keys: Vec<bool> = (0..tokens).map(|j| !(4..8).contains(&j)).collect();
    let expected = exact(&q, &k, &v, d, Visible { causal: false, keys: Some(&keys) });
    assert!(distance(&out[..4 * d], &expected[..4 * d]) < 1e-12);
    // Causal, and with both neighbours in three chunks, it is exact.
    let whole = Local { after: 1, causal: true, ..local };
    let expected = exact(&q, &k, &v, d, Visible { causal: true, keys: None });
    assert!(distance(&whole.attend(&q, &k, &v, d, None), &expected) < 1e-12);
    let short = Local { chunk: 16, multiple: 16, before: 3, ..whole };
    assert!(distance(&short.attend(&q, &k, &v, d, None), &expected) < 1e-12);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    #[test]
    fn the_counting_sort_is_stable(buckets in prop::collection::vec(0usize..9, 0..80)) {
        let mut expected: Vec<usize> = (0..buckets.len()).collect();
        expected.sort_by_key(|&token| (buckets[token], token));
        prop_assert_eq!(sort_by_bucket(&buckets), expected);
    }

    #[test]
    fn masked_keys_have_no_influence(
        seed in 1u64..1000,
        tokens in 9usize..40,
        causal: bool,
        in_bucket: bool,
        token_window: bool,
        hidden in prop::collection::vec(any::<bool>(), 40),
    ) {
        let d = 4;
        let mask: Vec<bool> = hidden[..tokens].iter().map(|hidden| !hidden).collect();
        let (x, other) = (noise(tokens * d, seed), noise(tokens * d, seed + 1000));
        // The same, but for masked tokens.
        let mixed = |a: &[f64], b: &[f64]| -> Vec<f64> {
            (0..tokens * d).map(|c| if mask[c / d] { a[c] } else { b[c] }).collect()
        };
        let changed = mixed(&x, &other);
        let valid = Some(&mask[..]);

        let lsh = Lsh { buckets: vec![4], causal, in_bucket, ..LSH };
        let rotations = noise(d * 2 * 2, seed + 7);
        let of_lsh = |x: &[f64]| lsh.attend(x, x, d, &lsh.hash(x, d, &rotations, valid), valid);
        let window = if token_window { Window::Tokens(2) } else { Window::Blocks };
        let patterns = [Pattern::Internal, Pattern::Extended { global: 2, window }];
        let plan = vec![vec![1, 0]; 10];
        let local = Local { chunk: 8, before: 1, after: 0, multiple: 8, causal };

        let mut pairs = vec![(of_lsh(&x), of_lsh(&changed))];
        for pattern in patterns {
            let bigbird = BigBird { causal, pattern, random: 2, ..BIGBIRD };
            let run = |x: &[f64]| bigbird.attend(&other, x, x, d, &plan, valid);
            pairs.push((run(&x), run(&changed)));
        }
        pairs.push((local.attend(&x, &x, &x, d, valid), local.attend(&x, &changed, &changed, d, valid)));
        for (before, after) in pairs {
            // A masked token's own row may change.
            prop_assert_eq!(mixed(&before, &before), mixed(&after, &before));
        }
    }
}
