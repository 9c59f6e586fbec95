//! One head on integers: what must hold in every bit, and what limits allow.

use fixformer::attention::{self, Given};
use fixformer::host::quantize::favor::*;
use fixformer::kernels::{VALUE_LIMIT, dot_limit};
use fixformer::model::{self, AttentionKind, write};
use fixformer::num::Requant;

use super::{MAPS, parameters};
use fixformer_fuzz::random::Source;

/// Integers of one head.
#[derive(Clone)]
struct Rows {
    width: usize,
    q: Vec<i16>,
    k: Vec<i16>,
    v: Vec<i16>,
}

impl Rows {
    fn drawn(source: &mut Source, tokens: usize, width: usize) -> Rows {
        let mut draw = |limit: i16| {
            let values = source.values(tokens * width, f64::from(limit) / 4.0);
            let limit = f64::from(limit);
            values.iter().map(|x| x.clamp(-limit, limit) as i16).collect::<Vec<_>>()
        };
        Rows { width, q: draw(dot_limit(width)), k: draw(dot_limit(width)), v: draw(VALUE_LIMIT) }
    }

    fn prefix(&self, tokens: usize) -> Rows {
        let cut = |x: &[i16]| x[..tokens * self.width].to_vec();
        Rows { width: self.width, q: cut(&self.q), k: cut(&self.k), v: cut(&self.v) }
    }

    fn attend(&self, favor: model::Favor<'_>, causal: bool, seen: impl Fn(usize) -> bool) -> Vec<i16> {
        let kind = AttentionKind::Favor(favor);
        let (mut rows, keys) = (self.q.clone(), self.k.clone());
        let tokens = rows.len() / self.width;
        let word = |first: usize| {
            (first..tokens.min(first + 16)).fold(0, |word, t| word | u16::from(seen(t)) << (t - first))
        };
        let visible: Vec<u16> = (0..tokens).step_by(16).map(word).collect();
        let mut scratch = vec![0xdead_beef; attention::words(&kind, tokens, self.width, causal)];
        let head = Given {
            index: 0,
            width: self.width,
            rows: &mut rows,
            keys: &keys,
            values: &self.v,
            visible: &visible,
            causal,
            scale: Requant { multiplier: 0, shift: 1 },
            gain: 1,
        };
        attention::attend(kind, head, &mut scratch);
        rows
    }
}

/// All feature maps in integers, for inputs of about unit variance.
pub(super) fn integer_maps(width: usize, offsets: &[KeyOffset]) -> Vec<write::Favor> {
    let frac = f64::from(dot_limit(width)).log2() as i32 - 2;
    let formats = |key_offset| Formats { width, query_frac: frac, key_frac: frac, key_offset, causal: true };
    let mut all = Vec::new();
    for (features, directions) in MAPS {
        for epsilon in [0.0, 1e-4] {
            let favor = parameters(features, width, directions, false, epsilon);
            all.extend(offsets.iter().map(|offset| favor_parameters(&favor, formats(*offset)).unwrap()));
        }
    }
    all
}

#[test]
fn a_causal_prefix_is_the_attention_of_the_prefix() {
    let rows = Rows::drawn(&mut Source(1), 70, 16);
    let seen = |token| token % 7 != 3;
    for favor in integer_maps(16, &[KeyOffset::Seen, KeyOffset::Fixed(4.0)]) {
        let whole = rows.attend(favor.view(), true, seen);
        for tokens in [1, 2, 16, 33] {
            let found = rows.prefix(tokens).attend(favor.view(), true, seen);
            assert_eq!(found, whole[..tokens * 16], "{tokens} {:?} {:?}", favor.features, favor.epsilon);
        }
    }
}

#[test]
fn a_masked_key_has_no_influence() {
    let rows = Rows::drawn(&mut Source(2), 50, 16);
    let seen = |token: usize| token % 3 != 1;
    let mut spoiled = rows.clone();
    for token in (0..50).filter(|token| !seen(*token)) {
        spoiled.k[token * 16..][..16].fill(dot_limit(16) / 8);
        spoiled.v[token * 16..][..16].fill(-VALUE_LIMIT);
    }
    for favor in integer_maps(16, &[KeyOffset::Sequence, KeyOffset::Seen, KeyOffset::Fixed(0.0)]) {
        for causal in [false, true] {
            let found = spoiled.attend(favor.view(), causal, seen);
            assert_eq!(found, rows.attend(favor.view(), causal, seen));
            assert_ne!(found, spoiled.attend(favor.view(), causal, |_| true));
            assert!(rows.attend(favor.view(), causal, |_| false).iter().all(|y| *y == 0));
        }
    }
}

/// The mean of one value is the value, with the one bit of gain that these heads have.
#[test]
fn one_token_attends_to_itself() {
    for width in [1, 16, 40] {
        let rows = Rows::drawn(&mut Source(4), 1, width);
        for favor in integer_maps(width, &[KeyOffset::Sequence]) {
            for causal in [false, true] {
                let found = rows.attend(favor.view(), causal, |_| true);
                // Where no feature of the query meets one of the key, the mean has no weights.
                let meets = found.iter().any(|y| *y != 0) || favor.epsilon != model::Epsilon::Zero;
                assert!(meets || favor.features == model::Features::Relu, "{favor:?}");
                for (y, v) in found.iter().zip(&rows.v).filter(|_| meets) {
                    assert!((i32::from(*y) - 2 * i32::from(*v)).abs() <= 1, "{y} {v} {:?}", favor.features);
                }
            }
        }
    }
}

/// Arithmetic that overflows panics in this build.
#[test]
fn extremes_do_not_overflow() {
    const TOKENS: usize = model::MAX_TOKENS as usize;
    let width = 4;
    let largest = (i64::from(i32::MAX) / i64::from(dot_limit(width)) / width as i64).min(32_767) as i16;
    let input = model::FavorInput {
        projection: Requant { multiplier: i16::MAX, shift: 1 },
        norm: Requant { multiplier: i16::MAX, shift: 1 },
        epsilon: model::Favor::MAX_EPSILON,
    };
    let gentle = model::FavorInput {
        projection: Requant { multiplier: 1 << 6, shift: 8 },
        norm: Requant { multiplier: 0, shift: 1 },
        epsilon: -model::Favor::MAX_EPSILON,
    };
    let signs = |i: usize, salt: usize, limit: i16| if (i * 7 + salt) % 5 < 3 { limit } else { -limit };
    // All rows equal, and rows of every sign.
    for alternating in [false, true] {
        let fill = |salt: usize, limit: i16| -> Vec<i16> {
            (0..TOKENS * width).map(|i| if alternating { signs(i, salt, limit) } else { limit }).collect()
        };
        let limit = dot_limit(width);
        let rows = Rows { width, q: fill(0, limit), k: fill(1, limit), v: fill(2, VALUE_LIMIT) };
        let w: Vec<i16> =
            (0..3 * width).map(|i| if alternating { signs(i, 3, largest) } else { largest }).collect();
        for features in [model::Features::Exponential, model::Features::Hyperbolic, model::Features::Relu] {
            for epsilon in [model::Epsilon::Zero, model::Epsilon::Seen, model::Epsilon::Sequence] {
                for input in [input, gentle] {
                    for causal in [false, true] {
                        let favor = model::Favor {
                            features,
                            directions: 3,
                            projection: &w,
                            query: input,
                            key: input,
                            epsilon,
                            tile: if alternating { 24 } else { 1 },
                        };
                        let found = rows.attend(favor, causal, |_| true);
                        let expected = 2 * i32::from(VALUE_LIMIT);
                        assert!(alternating || found.iter().all(|y| (i32::from(*y) - expected).abs() <= 1));
                    }
                }
            }
        }
    }
}

/// Memory does not depend on the length, but for the tile of keys of a very short sequence.
#[test]
fn memory_is_the_state() {
    for favor in integer_maps(16, &[KeyOffset::Seen]) {
        let features = favor.view().length();
        let epsilon = favor.epsilon != model::Epsilon::Zero;
        // Sums, total and top of every feature and of the keys; a tile of four rows; peak and progress.
        let key_by_key = (features + usize::from(epsilon)) * (16 + 2) + 4 * 16 + 2;
        // Sums and total of every feature, its top in half a word; features and value of every key; five places.
        let even = features.next_multiple_of(2) + 2 * usize::from(epsilon);
        let by_tile = even * (16 + 1) + even / 2 + favor.tile * (even + 16) / 2 + 5;
        let even = features / favor.directions * favor.directions.next_multiple_of(2);
        let of_epsilon = if epsilon { 16 + 8 } else { 0 };
        let at_once = |tile: usize| even * (16 + 2) + tile * 16 + of_epsilon + 10;
        let powers = favor.features != model::Features::Relu;
        for (tokens, tile, causal) in
            [(1, 0, true), (16_384, 0, true), (1, 2, false), (8, 8, false), (16_384, 8, false)]
        {
            let words = attention::memory(&AttentionKind::Favor(favor.view()), tokens, 16, causal);
            let expected = match (powers, causal) {
                (true, true) => by_tile,
                (true, false) => at_once(tile),
                _ => key_by_key,
            };
            assert_eq!(words, expected);
        }
    }
}

/// What a file of an earlier day says, and what memory allows: any tile gives the same but for rounding.
#[test]
fn a_tile_changes_nothing_but_the_rounding() {
    let rows = Rows::drawn(&mut Source(6), 150, 16);
    for favor in integer_maps(16, &[KeyOffset::Seen, KeyOffset::Fixed(2.0)]) {
        let with =
            |causal, tile| rows.attend(model::Favor { tile, ..favor.view() }, causal, |token| token % 9 != 4);
        for causal in [true, false] {
            let expected = with(causal, 1);
            let squares = |values: &mut dyn Iterator<Item = f64>| values.map(|x| x * x).sum::<f64>();
            for tile in [2, 3, 8, 16, 31, 64] {
                let found = with(causal, tile);
                let apart = found.iter().zip(&expected).map(|(a, b)| f64::from(*a) - f64::from(*b));
                let error =
                    (squares(&mut { apart }) / squares(&mut expected.iter().map(|y| f64::from(*y)))).sqrt();
                assert!(error < 1e-3, "{tile} {:?} {:?} {error:e}", favor.features, favor.epsilon);
            }
        }
    }
}

/// One head over many more tokens than a sequence has: sums of equal keys at the limits rise until their level does, and the
/// mean stays that of the values, of which none is forgotten.
#[test]
fn sums_never_overflow() {
    const TOKENS: usize = 150_000;
    let width = 2;
    let limit = dot_limit(width);
    let largest = (i64::from(i32::MAX) / i64::from(limit) / width as i64).min(32_767) as i16;
    let gentle = model::FavorInput {
        projection: Requant { multiplier: 1 << 6, shift: 8 },
        norm: Requant { multiplier: 1, shift: 20 },
        epsilon: -(20 << model::Favor::LOG_FRAC),
    };
    let w = vec![largest; width];
    // The first half of the values at one limit, then mostly at the other.
    let value = |token: usize| match token {
        _ if token < TOKENS / 2 || token.is_multiple_of(5) => VALUE_LIMIT,
        _ => -VALUE_LIMIT,
    };
    let v: Vec<i16> = (0..TOKENS).flat_map(|token| [value(token), VALUE_LIMIT]).collect();
    let rows = Rows { width, q: vec![limit; TOKENS * width], k: vec![limit; TOKENS * width], v };
    for (features, epsilon, tile, causal) in [
        (model::Features::Exponential, model::Epsilon::Zero, 1, true),
        (model::Features::Exponential, model::Epsilon::Seen, 16, true),
        (model::Features::Hyperbolic, model::Epsilon::Zero, 64, true),
        (model::Features::Relu, model::Epsilon::Zero, 1, true),
        (model::Features::Exponential, model::Epsilon::Sequence, 1, false),
        (model::Features::Exponential, model::Epsilon::Zero, 4, false),
        (model::Features::Hyperbolic, model::Epsilon::Seen, 16, false),
        (model::Features::Relu, model::Epsilon::Zero, 1, false),
    ] {
        let favor = model::Favor {
            features,
            directions: 1,
            projection: &w,
            query: gentle,
            key: gentle,
            epsilon,
            tile,
        };
        let found = rows.attend(favor, causal, |_| true);
        let all = (0..TOKENS).map(|token| f64::from(value(token))).sum::<f64>() / TOKENS as f64;
        let mut sum = 0.0;
        for (token, pair) in found.chunks_exact(width).enumerate() {
            sum += f64::from(value(token));
            let mean = if causal { sum / (token + 1) as f64 } else { all };
            let means = [mean, f64::from(VALUE_LIMIT)];
            for (y, mean) in pair.iter().zip(means) {
                // The heads of these tests have one bit of gain; a tile of one rounds every key.
                assert!((f64::from(*y) - 2.0 * mean).abs() < 4.0, "{token} {features:?} {tile}: {y} {mean}");
            }
        }
    }
}
