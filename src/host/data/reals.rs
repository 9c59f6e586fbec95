//! The real values of a file, before they are rounded.

use std::cell::RefCell;
use std::vec::Vec;

/// What each channel of the real values of a file spans, noted while [`load`](super::load) reads it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Reals {
    spans: RefCell<Vec<Option<[f64; 2]>>>,
}

impl Reals {
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
        let mut spans = self.spans.borrow_mut();
        if spans.len() <= channel {
            spans.resize(channel + 1, None);
        }
        let [low, high] = spans[channel].unwrap_or([value; 2]);
        spans[channel] = Some([low.min(value), high.max(value)]);
    }
}
