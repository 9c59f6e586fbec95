//! The table of sections: what is where in a file.

use super::read::{Reader, tri};
use super::{ModelError, PREAMBLE, SectionFault};

/// The records of the network, [`super::Model`] itself.
pub(super) const NETWORK: [u8; 4] = *b"NETW";
/// UTF-8, padded with zeros to whole words.
pub(super) const NAME: [u8; 4] = *b"NAME";
/// Bits of the `f32` real value of one raw input unit: one for all channels, or one for each.
pub(super) const UNIT: [u8; 4] = *b"UNIT";
/// The class token: `[width]` 16-bit integers in the format of an embedded token.
pub(super) const CLASS: [u8; 4] = *b"CLST";
/// The norm of the pooled row: a [record](super::Norm).
pub(super) const POOLED_NORM: [u8; 4] = *b"PNRM";

/// What the scores say: a number of the task, of thresholds, and these.
pub(super) const ANSWERS: [u8; 4] = *b"ANSW";
/// What the classes are called, or the outputs: UTF-8, a zero behind each.
pub(super) const NAMES: [u8; 4] = *b"NAMS";
/// The units of outputs that are numbers, as names.
pub(super) const UNITS: [u8; 4] = *b"UNTS";
/// The units of the input: one for all channels, or one for each, as names.
pub(super) const INPUT_UNITS: [u8; 4] = *b"INUN";

/// Bit of the flags: a reader that does not know the section cannot use the file.
pub(super) const NEEDED: u32 = 1;
/// Words of an entry of the table: tag, flags, offset, length.
pub(super) const ENTRY: usize = 4;
/// Most words of the name.
pub(super) const NAME_WORDS: usize = 8;
const MOST: u32 = 64;

/// The sections that this build reads.
pub(super) struct Sections<'a> {
    pub(super) network: &'a [u32],
    pub(super) name: &'a str,
    /// Empty where there is none; the same of the next.
    pub(super) unit: &'a [u32],
    pub(super) class_token: &'a [u32],
    pub(super) pooled_norm: &'a [u32],
    pub(super) answers: &'a [u32],
    pub(super) names: &'a [u32],
    pub(super) units: &'a [u32],
    pub(super) input_units: &'a [u32],
}

impl<'a> Sections<'a> {
    /// Those of a whole file. They lie one after the other in the order of the table and fill the file: so none
    /// overlaps another, and every word belongs to one.
    pub(super) const fn read(file: &'a [u32]) -> Result<Self, ModelError> {
        let mut reader = Reader::new(file);
        tri!(reader.words(PREAMBLE));
        let count = tri!(reader.field("sections", 1, MOST));
        let table = tri!(reader.words(count * ENTRY));
        let mut found = Self {
            network: &[],
            name: "",
            unit: &[],
            class_token: &[],
            pooled_norm: &[],
            answers: &[],
            names: &[],
            units: &[],
            input_units: &[],
        };
        let mut entries = table;
        while let [tag, flags, offset, length, rest @ ..] = entries {
            let id = tag.to_le_bytes();
            if *flags > NEEDED {
                return Err(ModelError::Range {
                    field: "section.flags",
                    found: *flags,
                    low: 0,
                    high: NEEDED,
                });
            }
            if *offset as usize != file.len() - reader.remaining() || *length as usize > reader.remaining() {
                return Err(fault(id, SectionFault::Place));
            }
            let words = tri!(reader.words(*length as usize));
            // Tags before this one.
            let mut earlier = table;
            while let [other, _, _, _, next @ ..] = earlier {
                if earlier.len() == entries.len() {
                    break;
                }
                if *other == *tag {
                    return Err(fault(id, SectionFault::Duplicate));
                }
                earlier = next;
            }
            match id {
                NETWORK => found.network = words,
                NAME => match text(words) {
                    Some(name) => found.name = name,
                    None => return Err(fault(id, SectionFault::Content)),
                },
                UNIT | CLASS | POOLED_NORM | ANSWERS | NAMES | UNITS | INPUT_UNITS if words.is_empty() => {
                    return Err(fault(id, SectionFault::Content));
                }
                UNIT => found.unit = words,
                CLASS => found.class_token = words,
                POOLED_NORM => found.pooled_norm = words,
                ANSWERS => found.answers = words,
                NAMES => found.names = words,
                UNITS => found.units = words,
                INPUT_UNITS => found.input_units = words,
                _ if *flags == NEEDED => return Err(fault(id, SectionFault::Unknown)),
                _ => {}
            }
            entries = rest;
        }
        if found.network.is_empty() {
            return Err(fault(NETWORK, SectionFault::Missing));
        }
        if reader.remaining() > 0 {
            let expected = (file.len() - reader.remaining()) as u32;
            return Err(ModelError::Length { expected, found: file.len() as u32 });
        }
        Ok(found)
    }
}

pub(super) const fn fault(tag: [u8; 4], fault: SectionFault) -> ModelError {
    ModelError::Section { tag, fault }
}

/// The text up to the first zero; none if it is too long or not UTF-8.
const fn text(words: &[u32]) -> Option<&str> {
    if words.len() > NAME_WORDS {
        return None;
    }
    let mut bytes = super::read::bytes(words);
    while let [front @ .., 0] = bytes {
        bytes = front;
    }
    match core::str::from_utf8(bytes) {
        Ok(text) => Some(text),
        Err(_) => None,
    }
}
