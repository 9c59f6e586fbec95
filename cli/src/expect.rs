//! `--expect`: the scores of the user's own framework beside those of the float network.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use fixformer::host::data::{self, Split};
use fixformer::host::expect::{Agreement, Given, are_probabilities, compare, limit};
use fixformer::host::import::Precision;
use fixformer::host::reference::{Network, Pooling};

use crate::say::say;
use crate::table::percent;

/// What an import was checked by, and how close it came.
pub(crate) struct Checked {
    pub(crate) agreement: Agreement,
    pub(crate) limit: f64,
    pub(crate) precision: Precision,
}

/// Compares the scores in `path` with those of `network`, which `described` describes, for the first of the `recordings`.
pub(crate) fn check(
    path: &Path,
    described: &Path,
    (network, precision): (&Network, Precision),
    (recordings, reals): (&[Vec<i16>], Option<&[Vec<f64>]>),
) -> Result<Checked> {
    let (file, member) = member(path);
    let per_token = network.pooling == Pooling::None;
    let expected = data::scores(&file, member.as_deref(), Split::Train, network.head.outputs, per_token)?;
    let (shown, rows) = (path.display(), expected.len());
    let Some(recordings) = recordings.get(..rows) else {
        let given = recordings.len();
        bail!(
            "{shown}: {rows} rows of scores for {given} recordings; give one for each of the first recordings"
        );
    };
    let limit = limit(precision);
    let given = Given { rows: recordings, reals };
    let different = match compare(network, given, &expected, limit) {
        Ok(agreement) => return Ok(Checked { agreement, limit, precision }),
        Err(different) => different,
    };
    let described = described.display();
    let (row, allowed) = (different.row, share(limit));
    let precision = precision.name();
    let found = match different.error {
        Some(error) => format!(
            "the float network of {described} differs by {} in row {row}; {precision} weights allow {allowed}",
            share(error)
        ),
        None => format!("the float network of {described} cannot take recording {row}"),
    };
    match different.remedy {
        Some((change, left)) => bail!(
            "{shown}: {found}. One change makes all {rows} rows agree to {}: {change}. Change {described} so",
            share(left)
        ),
        None if are_probabilities(&expected) => {
            bail!("{shown}: {found}. They are probabilities: give the scores before the softmax")
        }
        None => bail!(
            "{shown}: {found}. None of {} single changes makes them agree (norm before or after pooling, pre- or post-norm, \
             heads, activation, order of the stem's inputs, stride, epsilon, pooling, causality): more than one key is wrong, \
             or the scores are of other recordings, other weights or a model in training mode (`model.eval()`)",
            different.tried
        ),
    }
}

/// Says once that nothing was compared.
pub(crate) fn hint() {
    say(format_args!(
        "hint: nothing but fixformer's own reading of the description was checked; give the scores of your framework for \
         the first recordings, `--expect SCORES.npy`, to hold the import against them"
    ));
}

/// The file of scores.
pub(crate) fn file(path: &Path) -> PathBuf {
    member(path).0
}

/// A file, and the array of it after a colon.
fn member(path: &Path) -> (PathBuf, Option<String>) {
    let text = path.to_string_lossy();
    match text.rsplit_once(".npz:") {
        Some((file, member)) if !path.exists() => (format!("{file}.npz").into(), Some(member.to_owned())),
        _ => (path.to_owned(), None),
    }
}

/// A share that may be very small.
pub(crate) fn share(value: f64) -> String {
    if value >= 1e-4 { percent(value) } else { format!("{value:.1e}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_array_of_an_archive_stands_behind_a_colon() {
        let parts = |path: &str| {
            let (file, member) = member(Path::new(path));
            (file.display().to_string(), member)
        };
        assert_eq!(parts("a/b.npz:scores"), ("a/b.npz".to_owned(), Some("scores".to_owned())));
        assert_eq!(parts("a/b.npz"), ("a/b.npz".to_owned(), None));
        assert_eq!(parts("c:/b.npy"), ("c:/b.npy".to_owned(), None));
    }
}
