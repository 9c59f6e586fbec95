//! The real values of a file, before they are rounded.

use std::cell::RefCell;
use std::vec::Vec;

use super::Recordings;

/// What each channel of the real values of a file spans, noted while [`load`](super::load) reads it; and all of them, where
/// they are to be kept.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Reals {
    spans: RefCell<Vec<Option<[f64; 2]>>>,
    kept: Option<RefCell<Vec<f64>>>,
}

impl Reals {
    /// One that keeps all values.
    pub fn keeping() -> Self {
        Self { kept: Some(RefCell::default()), ..Self::default() }
    }

    /// The real values of each of `recordings`, which were read last, `[steps, channels]`; none where they were not kept or are
    /// not all real.
    pub fn rows(&self, recordings: &Recordings) -> Option<Vec<Vec<f64>>> {
        let kept = self.kept.as_ref()?.borrow();
        let stored = |row: &Vec<i16>| stored(recordings, row);
        if recordings.rows.iter().map(stored).sum::<usize>() != kept.len() {
            return None;
        }
        let mut rest = kept.as_slice();
        let of_row = |row: &Vec<i16>| {
            let (first, others) = rest.split_at(stored(row));
            rest = others;
            first[..row.len()].to_vec()
        };
        Some(recordings.rows.iter().map(of_row).collect())
    }

    /// Keeps the values of `recordings` alone, which are the first of those that were read.
    pub(super) fn truncate(&self, recordings: &Recordings) {
        let values = recordings.rows.iter().map(|row| stored(recordings, row)).sum();
        self.kept.iter().for_each(|kept| kept.borrow_mut().truncate(values));
    }

    /// Forgets the values, not what they span: they are read anew, or in another order than that of steps.
    pub(super) fn forget(&self) {
        self.kept.iter().for_each(|kept| kept.borrow_mut().clear());
    }

    /// Smallest and largest value of a channel; none of one that has whole numbers alone.
    pub fn span(&self, channel: usize) -> Option<[f64; 2]> {
        self.spans.borrow().get(channel).copied().flatten()
    }

    /// Smallest and largest value of all channels; none where there are whole numbers alone.
    pub fn all(&self) -> Option<[f64; 2]> {
        let join = |[a, b]: [f64; 2], [low, high]: [f64; 2]| [a.min(low), b.max(high)];
        self.spans.borrow().iter().copied().flatten().reduce(join)
    }

    pub(super) fn note(&self, channel: usize, value: f64) {
        self.kept.iter().for_each(|kept| kept.borrow_mut().push(value));
        let mut spans = self.spans.borrow_mut();
        if spans.len() <= channel {
            spans.resize(channel + 1, None);
        }
        let [low, high] = spans[channel].unwrap_or([value; 2]);
        spans[channel] = Some([low.min(value), high.max(value)]);
    }
}

/// Values of a recording with its padding.
fn stored(recordings: &Recordings, row: &[i16]) -> usize {
    recordings.padded.map_or(row.len(), |steps| steps * recordings.channels)
}
