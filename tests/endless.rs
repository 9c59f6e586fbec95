//! Streams of so many tokens that counts no longer fit into 16 bits.

use fixformer::attention::{Given, Passing, words};
use fixformer::model::{AttentionKind, Hierarchical};
use fixformer::num::Requant;

/// Keys that all weigh the same, of which some are masked: what a query finds is the mean of the values of the others.
#[test]
fn masks_of_coarse_rows_are_counted_however_many_tokens_they_stand_for() {
    const TOKENS: usize = 300_000;
    const WIDTH: usize = 2;
    let extra = [0; Hierarchical::MAX_LEVELS];
    for block in [2, 8] {
        let levels = Hierarchical::levels(1 << 20, block);
        let kind = AttentionKind::Hierarchical(Hierarchical { block, bias: &[], extra: &extra[..levels] });
        let mut memory = vec![0; words(&kind, 1 << 20, WIDTH, true)];
        let (keys, values) = ([0; WIDTH], [0; WIDTH]);
        let given = Given {
            index: 0,
            width: WIDTH,
            rows: &mut [],
            keys: &keys,
            values: &values,
            visible: &[],
            causal: true,
            scale: Requant { multiplier: 20_000, shift: 12 },
            gain: 1,
        };
        let mut passing = Passing::new(&kind, 1 << 20, &given, &mut memory).unwrap();
        let (mut sum, mut count) = (0.0, 0.0);
        for token in 0..TOKENS {
            // Whole runs are masked too, and what counts is not the same in both halves.
            let counts = token % 3 != 1 && token / 5_000 % 4 != 2 && (token < TOKENS / 2 || token % 7 == 0);
            let value = if token < TOKENS / 2 { 4_000 } else { -2_000 };
            let mut row = [0; WIDTH];
            passing.push_if(counts, token, &mut row, &keys, &[value, 1_000]);
            if counts {
                (sum, count) = (sum + f64::from(value), count + 1.0);
                let expected = [2.0 * sum / count, 2_000.0];
                for (found, expected) in row.into_iter().zip(expected) {
                    assert!(
                        (f64::from(found) - expected).abs() < 20.0,
                        "block {block}, {token}: {row:?} {expected}"
                    );
                }
            }
        }
    }
}
