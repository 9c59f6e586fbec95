//! Two marks in noise: which comes first and which second is the class. They are far apart, and nothing else helps.

use fixformer::host::draw::Source;

use super::Splits;
use crate::data::Set;

/// Recordings of the three splits.
pub const COUNTS: [usize; 3] = [12_000, 400, 1000];
/// Tokens of a recording.
pub const TOKENS: usize = 1536;
/// Tokens from one mark to the other: every distance from 50 to 1,500 as likely.
pub const DISTANCES: std::ops::RangeInclusive<usize> = 50..=1500;
/// Noise is one of the ids below; marks are the two from here.
pub const FIRST_MARK: i16 = 8;

/// Recordings for `counts` splits; labels are 2 · (kind of the first mark) + kind of the second.
pub fn splits(seed: u64, counts: [usize; 3]) -> Splits {
    let mut source = Source(seed);
    let [train, validation, test] = counts.map(|count| {
        let mut set = Set::default();
        for _ in 0..count {
            let mut row: Vec<i16> = (0..TOKENS).map(|_| source.below(FIRST_MARK as usize) as i16).collect();
            let distance = DISTANCES.start() + source.below(DISTANCES.end() - DISTANCES.start() + 1);
            let first = source.below(TOKENS - distance);
            let kinds = [source.below(2), source.below(2)];
            for (place, kind) in [first, first + distance].into_iter().zip(kinds) {
                row[place] = FIRST_MARK + kind as i16;
            }
            set.rows.push(row);
            set.labels.push(2 * kinds[0] + kinds[1]);
        }
        set
    });
    Splits { train, validation, test }
}
