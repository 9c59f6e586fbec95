//! What the scores of a model say.
//!
//! The section `ANSW`: the task, a number of thresholds, the thresholds; then, of numbers, for each output four words: its
//! offset, a 64-bit integer with 32 fractional bits, the lower word first, and mantissa and right shift of its step.

use super::read::{Reader, tri};
use super::sections::{self, fault};
use super::{Linear, ModelError, SectionFault};
use crate::num::round_shift_wide;
use fixed::types::I32F32;

/// What a model is asked, and so what its outputs are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Task {
    /// Which of several classes: a score for each, of which the largest counts.
    Multiclass,
    /// Yes or no, once for each output: a logit, which says yes where it is above a threshold. One output is a binary
    /// classifier, of the classes 0 (no) and 1 (yes); several are independent labels.
    Multilabel,
    /// How much: each output is a number in a unit of its own.
    Regression,
}

/// What the outputs of a model are, and from where on they say yes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Answers<'a> {
    /// What the model is asked.
    pub task: Task,
    /// Number of outputs: of a recording, or of a token where [each has scores of its own](super::Pooling::None).
    pub outputs: usize,
    thresholds: &'a [u32],
    /// Of numbers, an offset and a step for each output.
    numbers: &'a [u32],
    /// Names end with a zero.
    names: &'a str,
    units: &'a str,
}

impl<'a> Answers<'a> {
    /// Number of classes, or of labels that are yes or no: 2 where there is one output, which is yes or no, and 0 where the
    /// outputs are numbers.
    pub const fn classes(&self) -> usize {
        match self.task {
            Task::Multilabel if self.outputs == 1 => 2,
            Task::Multiclass | Task::Multilabel => self.outputs,
            Task::Regression => 0,
        }
    }

    /// Number of what has names: classes, labels, or outputs that are numbers.
    pub const fn named(&self) -> usize {
        if matches!(self.task, Task::Regression) { self.outputs } else { self.classes() }
    }

    /// What a class or a label is called, or an output that is a number; none where the file does not say.
    pub fn name(&self, index: usize) -> Option<&'a str> {
        nth(self.names, index)
    }

    /// The unit of an output that is a number; none where the file does not say.
    pub fn unit(&self, output: usize) -> Option<&'a str> {
        nth(self.units, output)
    }

    /// The number that a score of an output stands for: `offset + score * step`, within 2^-32 of it, saturated to 2^31. Where
    /// the file has neither offset nor step, the score as it is, with its `frac` fractional bits.
    pub fn number(&self, output: usize, score: i16, frac: i32) -> I32F32 {
        let (offset, mantissa, shift) = match self.numbers.as_chunks::<WORDS>().0.get(output) {
            Some(&[low, high, mantissa, shift]) => {
                ((u64::from(high) << 32 | u64::from(low)) as i64, mantissa as i32, shift as i32)
            }
            None => (0, 1, frac),
        };
        // 48 bits.
        let product = i64::from(score) * i64::from(mantissa);
        let up = I32F32::FRAC_NBITS as i32 - shift;
        let moved = match u32::try_from(up) {
            Ok(up) if product.unsigned_abs().leading_zeros() > up => product << up,
            Ok(_) => i64::MAX * product.signum(),
            Err(_) => round_shift_wide(product, up.unsigned_abs().min(63)),
        };
        I32F32::from_bits(offset.saturating_add(moved))
    }

    /// Scores as real numbers, `[outputs]` or some such rows one after the other, for hosts: logits, or numbers.
    #[cfg(feature = "std")]
    pub fn to_f64<'r>(&self, raw: &'r [i16], frac: i32) -> impl Iterator<Item = f64> + use<'a, 'r> {
        let numbers = self.numbers.as_chunks::<WORDS>().0;
        raw.iter().enumerate().map(move |(index, &score)| match numbers.get(index % numbers.len().max(1)) {
            Some(&[low, high, mantissa, shift]) => {
                let offset = (u64::from(high) << 32 | u64::from(low)) as i64 as f64 * 32_f64.exp2().recip();
                offset + f64::from(score) * f64::from(mantissa as i32) * (-f64::from(shift)).exp2()
            }
            None => f64::from(score) * f64::powi(0.5, frac),
        })
    }

    /// The thresholds in the file, as integers with the fractional bits of the scores; empty where it has none.
    pub const fn thresholds(&self) -> &'a [u32] {
        self.thresholds
    }

    /// Bytes of names and units in the file.
    pub(super) const fn text_bytes(&self) -> usize {
        self.names.len() + self.units.len()
    }

    /// Whether the file has thresholds.
    pub const fn has_thresholds(&self) -> bool {
        !self.thresholds.is_empty()
    }

    /// From where on it is yes, as an integer with the fractional bits of the scores: of an output, where each is yes or no,
    /// and 0 where the file does not say; of two classes how much the second scores above the first, and none where the file
    /// does not say.
    pub fn threshold(&self, output: usize) -> Option<i32> {
        let given = self.thresholds.get(output).map(|&word| word as i32);
        match self.task {
            Task::Multiclass => given,
            Task::Multilabel => Some(given.unwrap_or_default()),
            Task::Regression => None,
        }
    }

    pub(super) const fn read(
        outputs: usize,
        per_token: bool,
        [section, names, units]: [&'a [u32]; 3],
    ) -> Result<Self, ModelError> {
        let mut answers =
            Self { task: Task::Multiclass, outputs, thresholds: &[], numbers: &[], names: "", units: "" };
        if !section.is_empty() {
            let mut reader = Reader::new(section);
            answers.task = match tri!(reader.field("answers.task", 0, 2)) {
                0 => Task::Multiclass,
                1 => Task::Multilabel,
                _ => Task::Regression,
            };
            let most = answers.most_thresholds();
            let count = tri!(reader.field("answers.thresholds", 0, Linear::MAX_WIDTH));
            if count != 0 && count != most {
                let field = "answers.thresholds";
                return Err(ModelError::Mismatch { field, found: count as u32, expected: most as u32 });
            }
            answers.thresholds = tri!(reader.words(count));
            let are_numbers = matches!(answers.task, Task::Regression);
            if are_numbers && reader.remaining() == WORDS * outputs {
                answers.numbers = tri!(reader.words(WORDS * outputs));
                tri!(check_numbers(answers.numbers));
            }
            // Of a token it is one of several classes, or one yes or no.
            let of_token = matches!(answers.task, Task::Multiclass) || answers.classes() == 2;
            if reader.remaining() != 0 || per_token && !of_token {
                return Err(fault(sections::ANSWERS, SectionFault::Content));
            }
        }
        answers.names = tri!(list(names, sections::NAMES, answers.named()));
        if !units.is_empty() && !matches!(answers.task, Task::Regression) {
            return Err(fault(sections::UNITS, SectionFault::Content));
        }
        answers.units = tri!(list(units, sections::UNITS, outputs));
        Ok(answers)
    }

    /// How many thresholds there can be.
    const fn most_thresholds(&self) -> usize {
        match (self.task, self.outputs) {
            (Task::Multiclass, 2) => 1,
            (Task::Multilabel, outputs) => outputs,
            _ => 0,
        }
    }
}

/// Words of an offset and a step.
const WORDS: usize = 4;
/// Largest right shift of a step.
pub(super) const MAX_SHIFT: u32 = 94;

const fn check_numbers(mut words: &[u32]) -> Result<(), ModelError> {
    while let [_, _, _, shift, rest @ ..] = words {
        if *shift > MAX_SHIFT {
            let field = "answers.step.shift";
            return Err(ModelError::Range { field, found: *shift, low: 0, high: MAX_SHIFT });
        }
        words = rest;
    }
    Ok(())
}

/// The text of a list of `count` names, each of which a zero ends; or of none.
pub(super) const fn list(words: &[u32], tag: [u8; 4], count: usize) -> Result<&str, ModelError> {
    let bytes = super::read::bytes(words);
    let Ok(text) = core::str::from_utf8(bytes) else {
        return Err(fault(tag, SectionFault::Content));
    };
    let (mut ended, mut is_empty, mut rest) = (0, true, bytes);
    while let ([byte, next @ ..], true) = (rest, ended < count) {
        if *byte != 0 {
            is_empty = false;
        } else if is_empty {
            return Err(fault(tag, SectionFault::Content));
        } else {
            (ended, is_empty) = (ended + 1, true);
        }
        rest = next;
    }
    // Zeros fill the last word.
    let is_whole = ended == count && matches!(rest, [] | [0] | [0, 0] | [0, 0, 0]);
    if !words.is_empty() && !is_whole {
        return Err(fault(tag, SectionFault::Content));
    }
    Ok(text)
}

/// One of the names of a list.
pub(super) fn nth(list: &str, index: usize) -> Option<&str> {
    list.split('\0').nth(index).filter(|name| !name.is_empty())
}
