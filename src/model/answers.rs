//! What the scores of a model say.

use super::read::{Reader, tri};
use super::sections::{self, fault};
use super::{Linear, ModelError, SectionFault};

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

    /// What a class or a label is called, or an output that is a number; none where the file does not say.
    pub fn name(&self, index: usize) -> Option<&'a str> {
        nth(self.names, index)
    }

    /// The unit of an output that is a number; none where the file does not say.
    pub fn unit(&self, output: usize) -> Option<&'a str> {
        nth(self.units, output)
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
        [section, names, units]: [&'a [u32]; 3],
    ) -> Result<Self, ModelError> {
        let mut answers = Self { task: Task::Multiclass, outputs, thresholds: &[], names: "", units: "" };
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
            if reader.remaining() != 0 {
                return Err(fault(sections::ANSWERS, SectionFault::Content));
            }
        }
        let named = if matches!(answers.task, Task::Regression) { outputs } else { answers.classes() };
        answers.names = tri!(list(names, sections::NAMES, named));
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

/// The text of a list of `count` names, each of which a zero ends; or of none.
pub(super) const fn list(words: &[u32], tag: [u8; 4], count: usize) -> Result<&str, ModelError> {
    let bytes = super::read::bytes(words);
    let Ok(text) = core::str::from_utf8(bytes) else {
        return Err(fault(tag, SectionFault::Content));
    };
    if words.is_empty() {
        return Ok(text);
    }
    let (mut found, mut rest) = (0, bytes);
    while let [byte, next @ ..] = rest {
        found += (*byte == 0) as usize;
        rest = next;
    }
    // Zeros fill the last word.
    if found < count || found > count + 3 {
        return Err(fault(tag, SectionFault::Content));
    }
    Ok(text)
}

/// One of the names of a list.
pub(super) fn nth(list: &str, index: usize) -> Option<&str> {
    list.split_terminator('\0').nth(index).filter(|name| !name.is_empty())
}
