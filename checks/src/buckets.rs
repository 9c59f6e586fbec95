//! What buckets and chunks let a token see.

use crate::attention::{Rows, TOKENS, WIDTH, mean, row};
use crate::checks;
use crate::lsh::LSH;
use crate::outcome::rows;
use fixformer::model::{AttentionKind, Lsh};

/// What a head makes of the rows: a tile of keys and values lies in the working memory.
fn see(case: Rows, parameters: Lsh<'_>) -> [i16; TOKENS * WIDTH] {
    case.attended::<480>(AttentionKind::Lsh(parameters))
}

checks! { "buckets", 5 * 1024,
    /// One chunk: every key but its own.
    fn a_token_does_not_see_itself() {
        let attended = see(Rows::EQUAL, LSH);
        rows(row(&attended, 0), &mean(&[1, 2, 3, 4, 5, 6, 7, 8, 9]), 1)?;
        rows(row(&attended, 9), &mean(&[0, 1, 2, 3, 4, 5, 6, 7, 8]), 1)?;
    }

    fn alone_it_sees_itself() {
        let attended = see(Rows { causal: true, ..Rows::EQUAL }, LSH);
        rows(row(&attended, 0), &mean(&[0]), 0)?;
        rows(row(&attended, 1), &mean(&[0]), 0)?;
    }

    /// Even tokens fall into one bucket, odd ones into another: chunks of five sorted tokens.
    fn chunks_follow_buckets() {
        let mut case = Rows::EQUAL;
        for token in 0..TOKENS {
            // So short that scores of keys are nearly the same.
            case.queries[token * WIDTH + token % 2] = 1;
        }
        let chunked = Lsh { chunk: 5, multiple: 5, ..LSH };
        let attended = see(case, chunked);
        rows(row(&attended, 4), &mean(&[0, 2, 6, 8]), 1)?;
        rows(row(&attended, 7), &mean(&[1, 3, 5, 9]), 1)?;
        let before = Lsh { before: 1, ..chunked };
        let attended = see(case, before);
        rows(row(&attended, 4), &mean(&[0, 1, 2, 3, 5, 6, 7, 8, 9]), 9)?;
    }
}
