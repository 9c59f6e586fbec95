//! FAVOR+ features whose sums are known by hand, both ways round: all keys at once, and one after the other.

use crate::attention::{Rows, TOKENS, WIDTH, mean, row};
use crate::checks;
use crate::outcome::rows;
use fixformer::model::{AttentionKind, Epsilon, Favor, FavorInput, Features};
use fixformer::num::Requant;

/// `u` is an eighth of a product, in units of 2^-14 octaves, and `n` is nothing.
const INPUT: FavorInput = FavorInput {
    projection: Requant { multiplier: 1 << 14, shift: 1 },
    norm: Requant { multiplier: 0, shift: 1 },
    epsilon: 0,
};
const FAVOR: Favor<'_> = Favor {
    features: Features::Exponential,
    directions: 2,
    projection: &[0; 2 * WIDTH],
    query: INPUT,
    key: INPUT,
    epsilon: Epsilon::Zero,
    tile: 8,
};
/// With rows of 8,192 in the first column the exponent is four octaves.
const ONE_DIRECTION: Favor<'_> = Favor { directions: 1, projection: &[64, 0, 0, 0], ..FAVOR };
/// The rows themselves are the features.
const RELU: Favor<'_> = Favor { features: Features::Relu, directions: WIDTH, projection: &[], ..FAVOR };

const EVERY: [usize; TOKENS] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9];

/// Key 3 has a large first column, the queries of tokens 0 to 4 too.
fn one_large_key() -> Rows {
    let mut case = Rows::EQUAL;
    case.keys[3 * WIDTH] = 8_192;
    (0..5).for_each(|token| case.queries[token * WIDTH] = 8_192);
    case
}

checks! { "favor", 3584,
    fn equal_features_give_the_mean() {
        for features in [Features::Exponential, Features::Hyperbolic] {
            let attended = Rows::EQUAL.attended::<288>(AttentionKind::Favor(Favor { features, ..FAVOR }));
            for token in EVERY {
                rows(row(&attended, token), &mean(&EVERY), 1)?;
            }
        }
    }

    fn causal_sums_grow_with_the_tokens() {
        for features in [Features::Exponential, Features::Hyperbolic] {
            let case = Rows { causal: true, ..Rows::EQUAL };
            let attended = case.attended::<288>(AttentionKind::Favor(Favor { features, ..FAVOR }));
            for token in EVERY {
                rows(row(&attended, token), &mean(EVERY.get(..=token).unwrap_or_default()), 1)?;
            }
        }
    }

    /// Sixteen times the weight of the nine others, whatever the query: it is the only feature.
    fn one_feature_weighs_keys_alike_for_every_query() {
        let attended = one_large_key().attended::<288>(AttentionKind::Favor(ONE_DIRECTION));
        for token in EVERY {
            rows(row(&attended, token), &[360, 361, 362, 363], 1)?;
        }
    }

    /// The features `2^u` and `2^-u`: the first are 16 for key 3 and 1 for the others, the second a sixteenth and 1, and a query
    /// weighs either with its own.
    fn features_of_both_signs_pick_keys() {
        let favor = Favor { features: Features::Hyperbolic, ..ONE_DIRECTION };
        for causal in [false, true] {
            let mut case = Rows { causal, ..one_large_key() };
            case.queries[9 * WIDTH] = -8_192;
            let attended = case.attended::<288>(AttentionKind::Favor(favor));
            rows(row(&attended, 9), &[464, 465, 466, 467], 1)?;
            case.queries[9 * WIDTH] = 0;
            let attended = case.attended::<288>(AttentionKind::Favor(favor));
            rows(row(&attended, 9), &[388, 389, 390, 391], 1)?;
        }
    }

    fn causal_and_not_agree_on_the_last_token() {
        let case = one_large_key();
        for features in [Features::Exponential, Features::Hyperbolic] {
            let kind = AttentionKind::Favor(Favor { features, ..ONE_DIRECTION });
            let (all, causal) = (case.attended::<288>(kind), Rows { causal: true, ..case }.attended::<288>(kind));
            rows(row(&causal, TOKENS - 1), row(&all, TOKENS - 1), 1)?;
        }
    }

    fn masked_keys_have_no_part() {
        for causal in [false, true] {
            let case = Rows { visible: [0b11_1111_0111], causal, ..one_large_key() };
            let attended = case.attended::<288>(AttentionKind::Favor(ONE_DIRECTION));
            rows(row(&attended, 9), &mean(&[0, 1, 2, 4, 5, 6, 7, 8, 9]), 1)?;
            let none = Rows { visible: [0], ..case }.attended::<288>(AttentionKind::Favor(ONE_DIRECTION));
            rows(&none, &[0; TOKENS * WIDTH], 0)?;
        }
    }

    /// Keys with a positive first column for queries with one, of its size.
    fn relu_features_pick_keys() {
        let mut case = Rows::EQUAL;
        case.keys[2 * WIDTH] = 30;
        case.keys[6 * WIDTH] = 10;
        case.keys[8 * WIDTH + 1] = 500;
        (0..TOKENS).for_each(|token| case.queries[token * WIDTH] = 8);
        let attended = case.attended::<288>(AttentionKind::Favor(RELU));
        for token in EVERY {
            rows(row(&attended, token), &[300, 301, 302, 303], 1)?;
        }
    }

    fn relu_of_a_negative_query_is_nothing() {
        let mut case = Rows::EQUAL;
        case.keys.fill(20);
        case.queries.fill(-20);
        rows(&case.attended::<288>(AttentionKind::Favor(RELU)), &[0; TOKENS * WIDTH], 0)?;
    }

    /// With an epsilon that is far above every feature, nothing else counts.
    fn a_large_epsilon_gives_the_mean() {
        let input = FavorInput { epsilon: 20 << Favor::LOG_FRAC, ..INPUT };
        for (epsilon, causal) in [(Epsilon::Seen, false), (Epsilon::Fixed, false), (Epsilon::Sequence, true)] {
            let favor = Favor { epsilon, query: input, key: input, ..ONE_DIRECTION };
            let attended = Rows { causal, ..one_large_key() }.attended::<288>(AttentionKind::Favor(favor));
            rows(row(&attended, 9), &mean(&EVERY), 1)?;
        }
    }
}
