//! From scores to what is on, and since when.

use crate::smooth::Smoothed;
use crate::{Settings, SettingsError};
use fixformer::Scores;
use fixformer::model::Task;
use fixformer::num::Probability;

/// Makes events out of the scores of one decision after the other: a keyword was said, an arrhythmia began
/// and ended.
///
/// The probability of each class is smoothed over time. A class is due that was the best, at
/// [`Settings::enter`] or more, in the last [`Settings::duration`] decisions, and is none of
/// [`Settings::background`]. Where a class is due and nothing is on, an event begins. It ends where the
/// probability of its class is below [`Settings::leave`], or where another class is due. After the decision
/// that ended it, none begins in [`Settings::refractory`] more; they count towards `duration`.
///
/// ```
/// use fixformer_sensors::{Detector, Event, Probability, Settings};
///
/// let settings = Settings { leave: Probability::lit("0.25"), background: &[0], ..Settings::DEFAULT };
/// let mut detector = Detector::<2>::new(settings)?;
/// let mut events = Vec::new();
/// for word in ["0.1", "0.7", "0.3", "0.8", "0.2"].map(Probability::lit) {
///     // `push(&scores)` where a model gave them.
///     events.extend(detector.push_probabilities([Probability::ONE - word, word]));
/// }
/// let [Event::Began(began), Event::Ended(ended)] = events[..] else { panic!() };
/// assert_eq!((began.class, began.probability), (1, Probability::lit("0.7")));
/// assert_eq!((ended.class, ended.decisions), (1, 3));
/// # Ok::<_, fixformer_sensors::SettingsError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Detector<const CLASSES: usize> {
    smoothed: Smoothed<CLASSES>,
    enter: Probability,
    leave: Probability,
    confidence: Probability,
    duration: u16,
    refractory: u16,
    background: [bool; CLASSES],
    run: Run,
    on: Option<Detection>,
    /// Decisions in which no event may begin.
    wait: u16,
}

/// Decisions in a row at `enter` or more with the same best class.
#[derive(Clone, Copy, Debug)]
struct Run {
    class: usize,
    decisions: u16,
}

/// A class that is on, or was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Detection {
    /// The class.
    pub class: usize,
    /// Its smoothed probability at the newest decision.
    pub probability: Probability,
    /// Decisions in which it was on, from the one in which it began to the last before it ended.
    pub decisions: u32,
}

/// What one decision changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Event {
    /// A class is on from this decision on.
    Began(Detection),
    /// A class is no longer on.
    Ended(Detection),
}

impl<const CLASSES: usize> Detector<CLASSES> {
    /// Nothing seen, nothing on.
    ///
    /// # Errors
    /// The first setting that makes no sense.
    pub const fn new(settings: Settings<'_>) -> Result<Self, SettingsError> {
        const { assert!(CLASSES > 0, "a model has one class at least") }
        let Settings { smoothing, enter, leave, duration, refractory, confidence, background } = settings;
        if smoothing > Smoothed::<CLASSES>::MOST {
            return Err(SettingsError::Smoothing { found: smoothing, most: Smoothed::<CLASSES>::MOST });
        }
        if enter.to_bits() == 0 || enter.to_bits() > Probability::ONE.to_bits() {
            return Err(SettingsError::Enter { found: enter });
        }
        if leave.to_bits() == 0 || leave.to_bits() > enter.to_bits() {
            return Err(SettingsError::Leave { found: leave, most: enter });
        }
        if duration == 0 {
            return Err(SettingsError::Duration);
        }
        if confidence.to_bits() > enter.to_bits() {
            return Err(SettingsError::Confidence { found: confidence, most: enter });
        }
        let mut is_background = [false; CLASSES];
        let mut rest = background;
        while let [class, others @ ..] = rest {
            if *class >= CLASSES {
                return Err(SettingsError::Background { found: *class, classes: CLASSES });
            }
            is_background[*class] = true;
            rest = others;
        }
        Ok(Self {
            smoothed: Smoothed::new(smoothing),
            enter,
            leave,
            confidence,
            duration,
            refractory,
            background: is_background,
            run: Run { class: 0, decisions: 0 },
            on: None,
            wait: 0,
        })
    }

    /// Takes the scores of a decision; what they changed. Take `CLASSES` from the model (`Net::CLASSES`, which is 2
    /// where one output is yes or no: 0 is no and 1 is yes): of scores of another number of classes, and of
    /// numbers, nothing is known, so that every class counts as improbable. Of several labels that are yes or no
    /// each has a detector of its own: [`Detector::push_label`].
    pub fn push(&mut self, scores: &Scores<'_>) -> Option<Event> {
        let known = scores.answers().classes() == CLASSES;
        self.push_probabilities(core::array::from_fn(|class| {
            if known { scores.probability(class) } else { Probability::ZERO }
        }))
    }

    /// [`Detector::push`] of probabilities that come from elsewhere, as the mean of two models; above one
    /// counts as one.
    pub fn push_probabilities(&mut self, probabilities: [Probability; CLASSES]) -> Option<Event> {
        self.smoothed.push(probabilities);
        let best = self.smoothed.best()?;
        self.run = if self.smoothed.mean(best) < self.enter {
            Run { class: best, decisions: 0 }
        } else if self.run.class == best {
            Run { class: best, decisions: self.run.decisions.saturating_add(1) }
        } else {
            Run { class: best, decisions: 1 }
        };
        let background = self.background.get(best).is_none_or(|&background| background);
        let due = !background && self.run.decisions >= self.duration;

        if let Some(on) = &mut self.on {
            on.probability = self.smoothed.mean(on.class);
            if on.probability < self.leave || due && best != on.class {
                self.wait = self.refractory;
                return self.on.take().map(Event::Ended);
            }
            on.decisions = on.decisions.saturating_add(1);
            return None;
        }
        if self.wait > 0 {
            self.wait -= 1;
            return None;
        }
        if !due {
            return None;
        }
        let detection = Detection { class: best, probability: self.smoothed.mean(best), decisions: 1 };
        self.on = Some(detection);
        Some(Event::Began(detection))
    }

    /// What is on now.
    pub fn on(&self) -> Option<Detection> {
        self.on
    }

    /// The class with the largest smoothed probability, the first of equals; `None` where that is below
    /// [`Settings::confidence`], and before the first decision. It may be one of the background.
    pub fn class(&self) -> Option<usize> {
        self.smoothed.best().filter(|&best| self.smoothed.mean(best) >= self.confidence)
    }

    /// The smoothed probability of a class, within one unit of 2^-15 of the mean in real arithmetic. Zero
    /// before the first decision and for a class that does not exist.
    pub fn probability(&self, class: usize) -> Probability {
        self.smoothed.mean(class)
    }

    /// Forgets all that it has seen, as where decisions are missing; the end of what was on.
    pub fn reset(&mut self) -> Option<Event> {
        self.smoothed.reset();
        self.run.decisions = 0;
        self.wait = 0;
        self.on.take().map(Event::Ended)
    }
}

impl Detector<2> {
    /// [`Detector::push`] of one label of several that are yes or no, independently of each other: class 1 is yes.
    pub fn push_label(&mut self, scores: &Scores<'_>, label: usize) -> Option<Event> {
        let yes = match scores.answers().task {
            Task::Multilabel if scores.answers().outputs == 1 => scores.probability(1),
            Task::Multilabel => scores.probability(label),
            Task::Multiclass | Task::Regression => Probability::ZERO,
        };
        self.push_probabilities([Probability::ONE - yes, yes])
    }
}

/// `class 3, 26214 / 32768, decision 1`: without the code that prints fractions.
#[cfg(feature = "defmt")]
impl defmt::Format for Detection {
    fn format(&self, f: defmt::Formatter<'_>) {
        let bits = self.probability.to_bits();
        defmt::write!(f, "class {}, {} / 32768, decision {}", self.class, bits, self.decisions);
    }
}
