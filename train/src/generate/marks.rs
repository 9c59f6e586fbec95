//! Noise with marks: the kind of the last one is the class. After any number of steps there is an answer, so that a
//! model of it can run without end.

use std::ops::RangeInclusive;

use fixformer::host::draw::{Source, last_mark, marks};

use super::Splits;
use crate::data::Set;

/// Recordings of the three splits.
pub const COUNTS: [usize; 3] = [12_000, 400, 1000];
/// Tokens of a recording: every length as likely, but for those in which there was no mark.
pub const TOKENS: RangeInclusive<usize> = 16..=256;

/// Recordings for `counts` splits, each with a mark; labels are the kinds of the last ones.
pub fn splits(seed: u64, counts: [usize; 3]) -> Splits {
    let mut source = Source(seed);
    let [train, validation, test] = counts.map(|count| {
        let mut set = Set::default();
        while set.rows.len() < count {
            let steps = TOKENS.start() + source.below(TOKENS.end() - TOKENS.start() + 1);
            let row = marks(&mut source, steps);
            if let Some(kind) = last_mark(&row) {
                set.rows.push(row);
                set.labels.push(kind);
            }
        }
        set
    });
    Splits { train, validation, test }
}
