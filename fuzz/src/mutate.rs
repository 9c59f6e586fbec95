//! Model files that are nearly right: a field, a table or a section is another one, and length and checksum are mended, so that
//! what looks at fields is reached.

use crate::random::Source;

/// Words before the content that the checksum covers.
const PREAMBLE: usize = 4;
/// Words of an entry of the table of sections: tag, flags, offset, length.
const ENTRY: usize = 4;

/// CRC-32 of the words, little-endian.
fn crc32(words: &[u32]) -> u32 {
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    crc32fast::hash(&bytes)
}

/// Puts length and checksum right.
pub fn mend(words: &mut [u32]) {
    if words.len() >= PREAMBLE {
        words[2] = words.len() as u32;
        words[3] = crc32(&words[PREAMBLE..]);
    }
}

/// `file` into `words`, with some of it changed.
pub fn mutant(source: &mut Source, file: &[u32], others: &[Vec<u32>], words: &mut Vec<u32>) {
    words.clear();
    words.extend(file);
    for _ in 0..1 + source.below(3) {
        change(source, words, others);
    }
    mend(words);
}

fn change(source: &mut Source, words: &mut Vec<u32>, others: &[Vec<u32>]) {
    // What stands at the front says most.
    let end = if source.below(3) == 0 { words.len() } else { words.len().min(200) };
    let at = PREAMBLE + source.below(end - PREAMBLE);
    match source.below(10) {
        0..=2 => words[at] = interesting(source),
        3 => words[at] ^= 1 << source.below(32),
        4 => words[at] = words[at].wrapping_add(source.below(9) as u32).wrapping_sub(4),
        5 => {
            let half = interesting(source) & 0xffff;
            words[at] = if source.below(2) == 0 {
                words[at] & 0xffff_0000 | half
            } else {
                words[at] & 0xffff | half << 16
            };
        }
        6 => {
            let other = source.below(words.len() - PREAMBLE) + PREAMBLE;
            words[at] = words[other];
        }
        7 => {
            let from = &others[source.below(others.len())];
            let length = 1 + source.below(24);
            for (to, from) in words[at..].iter_mut().zip(&from[at.min(from.len())..]).take(length) {
                *to = *from;
            }
        }
        8 => {
            let count = 1 + source.below(8);
            resized(words, at, |words| {
                let value = interesting(source);
                words.splice(at..at, std::iter::repeat_n(value, count));
            });
        }
        _ => {
            let count = (1 + source.below(8)).min(words.len() - at);
            resized(words, at, |words| drop(words.drain(at..at + count)));
        }
    }
}

/// A value at which something ends or begins.
fn interesting(source: &mut Source) -> u32 {
    let power = 1_u32 << source.below(32);
    match source.below(7) {
        0 => source.below(20) as u32,
        1 => power,
        2 => power - 1,
        3 => power.wrapping_neg(),
        4 => source.of(&[0, 1, u32::MAX, 0x8000_0000, 0x7fff_ffff, 0xffff_8000, 0x7fff_7fff, 0x8000_8000]),
        5 => (source.below(200) as u32).wrapping_neg(),
        _ => source.0 as u32 ^ (source.0 >> 32) as u32,
    }
}

/// Changes the number of words at `at`; the table of sections says so where it can.
fn resized(words: &mut Vec<u32>, at: usize, change: impl FnOnce(&mut Vec<u32>)) {
    let before = words.len();
    change(words);
    let more = (words.len() as u32).wrapping_sub(before as u32);
    let Some(&count) = words.get(PREAMBLE) else { return };
    let table = PREAMBLE + 1;
    for section in 0..(count as usize).min(64) {
        let Some(entry) = words.get_mut(table + section * ENTRY..).and_then(|rest| rest.get_mut(..ENTRY))
        else {
            return;
        };
        let (offset, length) = (entry[2] as usize, entry[3] as usize);
        if offset > at {
            entry[2] = entry[2].wrapping_add(more);
        } else if at < offset.saturating_add(length) {
            entry[3] = entry[3].wrapping_add(more);
        }
    }
}

/// `file` with some bytes changed, put in, left out or doubled, or cut off.
pub fn bytes(source: &mut Source, file: &[u8]) -> Vec<u8> {
    let mut bytes = file.to_vec();
    for _ in 0..1 + source.below(4) {
        let at = source.below(bytes.len() + 1);
        let end = (at + 1 + source.below(16)).min(bytes.len());
        let value = source.of(b"\0\x01\x7f\x80\xff-0919.,;:e\n\r\t\"[]{}= \x1b");
        match source.below(8) {
            0 | 1 => bytes[at..end].iter_mut().take(1).for_each(|byte| *byte = value),
            2 => bytes[at..end].iter_mut().take(1).for_each(|byte| *byte ^= 1 << source.below(8)),
            3 => bytes[at..end].fill(value),
            4 => bytes.insert(at, value),
            5 => drop(bytes.drain(at..end)),
            6 => {
                let piece = bytes[at..end].to_vec();
                bytes.splice(at..at, piece);
            }
            _ => bytes.truncate(at.max(bytes.len() / 2)),
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The check value of CRC-32 is that of "123456789"; of eight of its digits it is this.
    #[test]
    fn the_checksum_is_that_of_the_engine() {
        assert_eq!(crc32(&[u32::from_le_bytes(*b"1234"), u32::from_le_bytes(*b"5678")]), 0x9ae0_daaf);
    }
}
