//! Means over time of the probability of each class.

use fixformer::num::Probability;

/// The mean of all decisions until there are `2^factor` of them, from then on a moving one that gives the
/// newest decision the weight `2^-factor` and the mean so far the rest. The weights always sum to one, so that
/// the start leans to no side.
///
/// A mean is within 1 unit of 2^-15 of the same mean in real arithmetic, whatever came before.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Smoothed<const CLASSES: usize> {
    classes: [Class; CLASSES],
    factor: u8,
    /// Decisions so far, at most `2^factor`.
    seen: u32,
}

#[derive(Clone, Copy, Debug)]
struct Class {
    /// The mean times `seen`, 15 fractional bits: at most `2^(15 + factor)`.
    total: u32,
    mean: u16,
}

impl<const CLASSES: usize> Smoothed<CLASSES> {
    /// Largest factor: a total stays within 32 bits.
    pub(crate) const MOST: u8 = 15;

    pub(crate) const fn new(factor: u8) -> Self {
        Self { classes: [Class { total: 0, mean: 0 }; CLASSES], factor, seen: 0 }
    }

    pub(crate) fn reset(&mut self) {
        *self = Self::new(self.factor);
    }

    pub(crate) fn push(&mut self, probabilities: [Probability; CLASSES]) {
        let moving = self.seen == 1 << self.factor;
        if !moving {
            self.seen += 1;
        }
        let half = self.seen / 2;
        for (class, probability) in self.classes.iter_mut().zip(probabilities) {
            if moving {
                // One decision's share: never more than the total.
                class.total -= u32::from(class.mean);
            }
            class.total += u32::from(probability.min(Probability::ONE).to_bits());
            class.mean = (class.total + half).checked_div(self.seen).unwrap_or(0) as u16;
        }
    }

    /// Zero before the first decision, and for a class that does not exist.
    pub(crate) fn mean(&self, class: usize) -> Probability {
        self.classes.get(class).map_or(Probability::ZERO, |class| Probability::from_bits(class.mean))
    }

    /// The class with the largest mean, the first of equals; `None` before the first decision.
    pub(crate) fn best(&self) -> Option<usize> {
        let mut best = 0;
        for class in 1..CLASSES {
            if self.mean(class) > self.mean(best) {
                best = class;
            }
        }
        (self.seen > 0).then_some(best)
    }
}
