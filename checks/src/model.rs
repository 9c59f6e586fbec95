//! What is no model is refused, with what was found and what was expected.

use crate::checks;
use crate::outcome::{Outcome, equal, holds};
use fixformer::memory::Once;
use fixformer::model::SectionFault;
use fixformer::{Digest, Model, ModelError};

const BYTES: &[u8; include_bytes!("../../models/digits.fxm").len()] =
    include_bytes!("../../models/digits.fxm");
static WORDS: [u32; BYTES.len() / 4] = fixformer::session::words(BYTES);

/// Words of a file that its header counts, and its checksum.
const LENGTH: usize = 2;
const CHECKSUM: usize = 3;
/// Words of the table of sections of the file here, and of an entry.
const TABLE: usize = 1 + 3 * ENTRY;
const ENTRY: usize = 4;
/// Greatest number of tokens, the first word of the first section: in the file, and in its front with a table of one.
const IN_FILE: usize = CHECKSUM + 1 + TABLE;
const TOKENS: usize = CHECKSUM + 2 + ENTRY;

/// The front of the file: of the first section as much as there is room for, after a table with nothing else.
fn front() -> [u32; 64] {
    let mut front = [0; 64];
    front.iter_mut().zip(&WORDS).for_each(|(word, &of_file)| *word = of_file);
    let first = CHECKSUM + 2;
    front
        .iter_mut()
        .skip(TOKENS)
        .zip(WORDS.iter().skip(IN_FILE))
        .for_each(|(word, &of_file)| *word = of_file);
    let (offset, length) = (TOKENS as u32, (front.len() - TOKENS) as u32);
    let table = [1, WORDS[first], WORDS[first + 1], offset, length];
    front.iter_mut().skip(CHECKSUM + 1).zip(table).for_each(|(word, entry)| *word = entry);
    front[LENGTH] = front.len() as u32;
    front[CHECKSUM] = crc(front.get(CHECKSUM + 1..).unwrap_or_default());
    front
}

/// The front of the file with one word changed, and a checksum that agrees with it.
fn changed(index: usize, value: u32) -> Option<ModelError> {
    let mut front = front();
    front.iter_mut().skip(index).take(1).for_each(|word| *word = value);
    front[CHECKSUM] = crc(front.get(CHECKSUM + 1..).unwrap_or_default());
    Model::parse(&front).err()
}

/// CRC-32, bit by bit.
fn crc(words: &[u32]) -> u32 {
    let mut crc = u32::MAX;
    for byte in words.iter().flat_map(|word| word.to_le_bytes()) {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = crc >> 1 ^ if crc & 1 == 1 { 0xedb8_8320 } else { 0 };
        }
    }
    !crc
}

/// `field` has the value `found`, which is out of its range.
fn out_of_range(error: Option<ModelError>, field: &str, found: u32) -> Outcome {
    match error {
        Some(ModelError::Range { field: of, found: value, .. }) if of == field => equal(value, found),
        _ => holds(false),
    }
}

checks! { "model", 3072,
    fn the_checksum_is_crc_32() {
        equal(crc(&WORDS[CHECKSUM + 1..]), WORDS[CHECKSUM])?;
        equal(crc(&[u32::from_le_bytes(*b"1234")]), 0x9be3_e0a3)?;
    }

    fn a_cut_file_is_refused_wherever_it_ends() {
        for end in 0..WORDS.len() {
            let cut = WORDS.get(..end).unwrap_or_default();
            holds(matches!(Model::parse(cut), Err(ModelError::Length { .. })))?;
        }
    }

    fn fields_that_end_early_are_refused() {
        holds(matches!(changed(CHECKSUM, 0), Some(ModelError::Length { .. })))?;
    }

    fn another_file_is_refused() {
        match changed(0, 0x04b4_4b50) {
            Some(ModelError::Magic { found }) => equal(found, 0x04b4_4b50)?,
            _ => holds(false)?,
        }
    }

    fn another_version_is_refused() {
        match changed(1, 1) {
            Some(ModelError::Version { found }) => equal(found, 1)?,
            _ => holds(false)?,
        }
    }

    fn damage_is_noticed() {
        let mut front = front();
        let stored_then = front[CHECKSUM];
        front[63] ^= 1;
        match Model::parse(&front) {
            Err(ModelError::Checksum { stored, computed }) => {
                equal(stored, stored_then)?;
                equal(computed, crc(&front[CHECKSUM + 1..]))?;
            }
            _ => holds(false)?,
        }
    }

    fn sections_are_where_the_table_says() {
        let fault = |index, value| match changed(index, value) {
            Some(ModelError::Section { tag, fault }) => Some((tag, fault)),
            _ => None,
        };
        let first = CHECKSUM + 2;
        let other = u32::from_le_bytes(*b"NEXT");
        holds(fault(first, other) == Some((*b"NEXT", SectionFault::Unknown)))?;
        holds(fault(first + 2, TOKENS as u32 + 1) == Some((*b"NETW", SectionFault::Place)))?;
        holds(fault(first + 3, u32::MAX) == Some((*b"NETW", SectionFault::Place)))?;
        out_of_range(changed(first + 1, 2), "section.flags", 2)?;
        out_of_range(changed(CHECKSUM + 1, 0), "sections", 0)?;
    }

    fn no_tokens_are_refused() {
        out_of_range(changed(TOKENS, 0), "max_tokens", 0)?;
        out_of_range(changed(TOKENS, 16_385), "max_tokens", 16_385)?;
        out_of_range(changed(TOKENS + 1, 56), "horizon", 56)?;
    }

    fn heads_that_are_too_wide_are_refused() {
        out_of_range(changed(TOKENS + 3, 65), "head_width (all heads side by side)", 1_040)?;
    }

    fn an_unknown_input_is_refused() {
        out_of_range(changed(TOKENS + 8, 3), "input.kind", 3)?;
    }

    fn an_arena_is_taken_once() {
        static ONCE: Once<[u32; 2]> = Once::new([3, 4]);
        equal(ONCE.take().map_or(0, |words| words[1]), 4)?;
        holds(ONCE.take().is_none())?;
    }

    fn the_digest_is_fnv_1a() {
        let mut digest = Digest::new();
        holds(digest.value() == 0xcbf2_9ce4_8422_2325)?;
        digest.scores(&[1, -1]);
        holds(digest.value() == 0xab59_b177_460d_9ada)?;
    }
}
