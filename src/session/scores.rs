//! What a model says of one recording.

use fixed::types::I32F32;

use crate::model::{Answers, Task};
use crate::num::{LogScore, Probability, exp2_neg, recip, round_shift_wide};

/// The scores of a recording, or of each of its tokens, and what follows from them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Scores<'a> {
    pub(super) raw: &'a [i16],
    pub(super) frac: i32,
    pub(super) saturated: u32,
    pub(super) answers: &'a Answers<'a>,
}

impl<'a> Scores<'a> {
    /// The scores as integers with [`Scores::frac`] fractional bits: one for each output, or `[tokens, outputs]` where
    /// [each token has its own](crate::model::Pooling::None); those of a masked token are zeros.
    pub fn raw(&self) -> &'a [i16] {
        self.raw
    }

    /// Fractional bits of the scores.
    pub fn frac(&self) -> i32 {
        self.frac
    }

    /// What the model is asked, what its outputs are called, and from where on they say yes.
    pub fn answers(&self) -> &'a Answers<'a> {
        self.answers
    }

    /// Values of the recording that are outside the range which calibration has seen, with its headroom, and were cut to it:
    /// of all of them scores should not be trusted much. Of a stream, those since it began anew. Symbols and token ids have no
    /// range.
    pub fn saturated(&self) -> u32 {
        self.saturated
    }

    /// Of how many tokens there are scores; 1 where they are those of the whole recording.
    pub fn tokens(&self) -> usize {
        self.raw.chunks(self.answers.outputs.max(1)).len()
    }

    /// The scores of one token alone; none of a token that does not exist.
    pub fn of_token(&self, token: usize) -> Option<Self> {
        let raw = self.raw.chunks(self.answers.outputs.max(1)).nth(token)?;
        Some(Self { raw, ..*self })
    }

    /// The class: of several the one with the largest score, and of equals the first; of two with a
    /// [threshold](Answers::threshold) the second where it is passed; of one output that is yes or no 1 for yes. Of several
    /// labels it is the one with the largest score; [`Scores::is_yes`] says which are there. Where tokens have scores of their
    /// own, the class of the last one.
    pub fn best(&self) -> usize {
        let scores = self.last();
        match (scores, self.answers.task) {
            ([_], Task::Multilabel) => return self.is_yes(0).into(),
            (&[first, second], Task::Multiclass) => {
                if let Some(threshold) = self.answers.threshold(0) {
                    return (i32::from(second) - i32::from(first) > threshold).into();
                }
            }
            _ => {}
        }
        let top = self.top();
        scores.iter().position(|&score| score == top).unwrap_or_default()
    }

    /// What [`Scores::best`] is called; none where the model file does not say.
    pub fn name(&self) -> Option<&'a str> {
        self.answers.name(self.best())
    }

    /// The number that an output gives, in its [unit](Answers::unit), with 32 fractional bits: where the outputs are numbers,
    /// [`Answers::number`] of the score; otherwise the score itself. Zero of an output that does not exist.
    pub fn number(&self, output: usize) -> I32F32 {
        let Some(&score) = self.last().get(output) else { return I32F32::ZERO };
        self.answers.number(output, score, self.frac)
    }

    /// Whether an output says yes: its score is above its [threshold](Answers::threshold). Never of a model that is not asked
    /// for yes or no.
    pub fn is_yes(&self, output: usize) -> bool {
        let is_asked = self.answers.task == Task::Multilabel;
        let threshold = self.answers.threshold(output).filter(|_| is_asked);
        let score = self.last().get(output).copied().unwrap_or_default();
        threshold.is_some_and(|threshold| i32::from(score) > threshold)
    }

    /// The probability of a class, within 0.002 of that of the same scores in real arithmetic: softmax over the classes; where
    /// outputs are yes or no, the logistic function of one, and of a single output the classes 0 and 1 are no and yes. Zero
    /// for a class that does not exist, and where the outputs are numbers.
    pub fn probability(&self, class: usize) -> Probability {
        let scores = self.last();
        // A logit is the distance to a score of zero.
        let (top, score, others) = match (self.answers.task, scores) {
            (Task::Regression, _) => return Probability::ZERO,
            (Task::Multiclass, _) => {
                let Some(&score) = scores.get(class) else { return Probability::ZERO };
                (self.top(), score, scores)
            }
            (Task::Multilabel, &[score]) if class < 2 => {
                (score.max(0), if class == 1 { score } else { 0 }, &[score, 0][..])
            }
            (Task::Multilabel, [_]) => return Probability::ZERO,
            (Task::Multilabel, _) => {
                let Some(&score) = scores.get(class) else { return Probability::ZERO };
                (score.max(0), score, &[score, 0][..])
            }
        };
        let total: u32 = others.iter().map(|&other| u32::from(self.weight(top, other).to_bits())).sum();
        let reciprocal = recip(total);
        let weight = i64::from(self.weight(top, score).to_bits());
        let ratio = round_shift_wide(weight * i64::from(reciprocal.mantissa), reciprocal.exponent - 15);
        Probability::from_bits(ratio as u16)
    }

    /// The scores as real numbers, for hosts: logits, or [numbers](Answers::number) where the outputs are numbers.
    #[cfg(feature = "std")]
    pub fn to_f64(&self) -> impl Iterator<Item = f64> + use<'a> {
        let (answers, frac) = (self.answers, self.frac);
        answers.to_f64(self.raw, frac)
    }

    /// Those of the last token.
    fn last(&self) -> &'a [i16] {
        let first = self.raw.len().saturating_sub(self.answers.outputs);
        self.raw.get(first..).unwrap_or_default()
    }

    fn top(&self) -> i16 {
        self.last().iter().copied().max().unwrap_or_default()
    }

    /// `exp(score - top)`.
    fn weight(&self, top: i16, score: i16) -> Probability {
        const LOG2_E: i64 = 1_549_082_005; // 30 fractional bits
        let distance = i64::from(top) - i64::from(score);
        let shift = 30 + self.frac - LogScore::FRAC_NBITS as i32;
        let log2 = round_shift_wide(distance * LOG2_E, shift as u32);
        exp2_neg(LogScore::from_bits(log2.min(i64::from(i32::MAX)) as i32))
    }
}
