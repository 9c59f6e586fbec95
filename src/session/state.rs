//! The state of a stream as bytes: saved in pieces, and checked whole before a word of it is taken.
//!
//! | bytes | what |
//! |---|---|
//! | 4 | `FXS1` |
//! | u32 | version, 1 |
//! | u32 | checksum of the model file |
//! | u32 | tokens of the stream |
//! | u32 | number of words that follow |
//! | then | the words |
//! | u32 | CRC-32 of all before |
//!
//! Everything is little-endian, and the same on every core.

use core::fmt;

use super::Stream;
use crate::model::Crc;

/// `FXS1` as it stands in the bytes.
const MAGIC: u32 = u32::from_le_bytes(*b"FXS1");
const VERSION: u32 = 2;
/// Words before those of the state.
const HEADER: usize = 5;
/// Words written or read at a time.
const PIECE: usize = 16;

/// Where a state is written to.
pub trait StateWriter {
    /// Why it cannot be written.
    type Error;

    /// Writes bytes behind those before, 4 to 64 of them.
    ///
    /// # Errors
    /// That of the place; what was written so far is no state.
    fn write(&mut self, bytes: &[u8]) -> Result<(), Self::Error>;
}

/// Where a state is read from. It is read twice: to check it, and to take it.
pub trait StateReader {
    /// Why it cannot be read.
    type Error;

    /// Fills `bytes` with those from `offset` on.
    ///
    /// # Errors
    /// That of the place, or that there are no such bytes.
    fn read(&mut self, offset: usize, bytes: &mut [u8]) -> Result<(), Self::Error>;
}

/// A state has more bytes than these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShortState;

impl core::error::Error for ShortState {}

impl fmt::Display for ShortState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the bytes end before the state does")
    }
}

impl StateReader for &[u8] {
    type Error = ShortState;

    fn read(&mut self, offset: usize, bytes: &mut [u8]) -> Result<(), ShortState> {
        let found = self.get(offset..).and_then(|rest| rest.get(..bytes.len())).ok_or(ShortState)?;
        bytes.copy_from_slice(found);
        Ok(())
    }
}

#[cfg(feature = "std")]
impl StateWriter for std::vec::Vec<u8> {
    type Error = core::convert::Infallible;

    fn write(&mut self, bytes: &[u8]) -> Result<(), Self::Error> {
        self.extend_from_slice(bytes);
        Ok(())
    }
}

/// Why a state was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum StateError<E> {
    /// It could not be read.
    Source(E),
    /// It does not begin as a state does.
    NotAState {
        /// Its first word.
        found: u32,
    },
    /// It is of another version of the engine.
    Version {
        /// Its version.
        found: u32,
    },
    /// It is that of another model.
    Model {
        /// Checksum of that model's file.
        found: u32,
        /// Checksum of this one's.
        expected: u32,
    },
    /// It has another number of words.
    Length {
        /// Words it has.
        found: u32,
        /// Words of the state of this model.
        expected: u32,
    },
    /// It was damaged.
    Checksum {
        /// What it says.
        stored: u32,
        /// What its bytes give.
        computed: u32,
    },
    /// It was another one when it was read again. The stream begins anew.
    Changed,
}

impl<E: fmt::Debug + fmt::Display> core::error::Error for StateError<E> {}

impl<E: fmt::Display> fmt::Display for StateError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Source(error) => error.fmt(f),
            Self::NotAState { found } => {
                write!(f, "not the state of a stream: it begins with {found:#010x}, not with `FXS1`")
            }
            Self::Version { found } => {
                write!(f, "a state of version {found}; this engine reads version {VERSION}: begin anew")
            }
            Self::Model { found, expected } => write!(
                f,
                "the state of another model: its file has the checksum {found:#010x}, this one's {expected:#010x}"
            ),
            Self::Length { found, expected } => {
                write!(f, "a state of {found} words; this model's has {expected}")
            }
            Self::Checksum { stored, computed } => {
                write!(f, "a damaged state: its checksum is {stored:#010x}, its bytes give {computed:#010x}")
            }
            Self::Changed => f.write_str("the state changed while it was read; the stream begins anew"),
        }
    }
}

impl Stream<'_> {
    /// Bytes of a saved state.
    pub fn saved_bytes(&self) -> usize {
        4 * (HEADER + 1) + self.plan().state_bytes()
    }

    /// Writes the state: [`Stream::saved_bytes`] bytes from which [`Stream::restore`] goes on, on this core or on any other.
    ///
    /// # Errors
    /// Those of the writer. The stream is as it was.
    pub fn save<W: StateWriter>(&self, to: &mut W) -> Result<(), W::Error> {
        let mut crc = Crc::new();
        let header = self.header();
        for words in [&header[..], self.state()] {
            for piece in words.chunks(PIECE) {
                let mut bytes = [[0; 4]; PIECE];
                for (bytes, &word) in bytes.iter_mut().zip(piece) {
                    *bytes = word.to_le_bytes();
                    crc = crc.word(word);
                }
                to.write(bytes.as_flattened().get(..4 * piece.len()).unwrap_or_default())?;
            }
        }
        to.write(&crc.value().to_le_bytes())
    }

    /// Goes on from a state that [`Stream::save`] wrote.
    ///
    /// # Errors
    /// [`StateError`] says what is wrong with it; the stream is as it was, but for [`StateError::Changed`] and for a source
    /// that fails when it is read again: then it begins anew.
    pub fn restore<R: StateReader>(&mut self, from: &mut R) -> Result<(), StateError<R::Error>> {
        let words = self.state().len();
        let (mut crc, mut header) = (Crc::new(), [0; HEADER]);
        read(from, 0, &mut header).map_err(StateError::Source)?;
        let [magic, version, model, _, length] = header;
        let [_, _, of_model, _, _] = self.header();
        if magic != MAGIC {
            return Err(StateError::NotAState { found: magic });
        }
        if version != VERSION {
            return Err(StateError::Version { found: version });
        }
        if model != of_model {
            return Err(StateError::Model { found: model, expected: of_model });
        }
        if length as usize != words {
            return Err(StateError::Length { found: length, expected: words as u32 });
        }
        header.iter().for_each(|&word| crc = crc.word(word));
        let start = crc;
        let mut piece = [0; PIECE];
        for first in (0..words).step_by(PIECE) {
            let piece = piece.get_mut(..PIECE.min(words - first)).unwrap_or_default();
            read(from, HEADER + first, piece).map_err(StateError::Source)?;
            piece.iter().for_each(|&word| crc = crc.word(word));
        }
        let mut stored = [0];
        read(from, HEADER + words, &mut stored).map_err(StateError::Source)?;
        let ([stored], computed) = (stored, crc.value());
        if stored != computed {
            return Err(StateError::Checksum { stored, computed });
        }
        self.take(from, start, stored)
    }

    /// Takes a state that was checked.
    fn take<R: StateReader>(
        &mut self,
        from: &mut R,
        mut crc: Crc,
        expected: u32,
    ) -> Result<(), StateError<R::Error>> {
        let mut first = HEADER;
        for piece in self.state_mut().chunks_mut(PIECE) {
            if let Err(error) = read(from, first, piece) {
                self.reset();
                return Err(StateError::Source(error));
            }
            piece.iter().for_each(|&word| crc = crc.word(word));
            first += PIECE;
        }
        if crc.value() == expected {
            return Ok(());
        }
        self.reset();
        Err(StateError::Changed)
    }

    fn header(&self) -> [u32; HEADER] {
        [MAGIC, VERSION, self.model().checksum(), self.tokens() as u32, self.state().len() as u32]
    }
}

/// Fills `words` with those from number `first` on.
fn read<R: StateReader>(from: &mut R, first: usize, words: &mut [u32]) -> Result<(), R::Error> {
    let mut bytes = [[0; 4]; PIECE];
    let place = bytes.as_flattened_mut().get_mut(..4 * words.len()).unwrap_or_default();
    from.read(4 * first, place)?;
    for (word, bytes) in words.iter_mut().zip(bytes) {
        *word = u32::from_le_bytes(bytes);
    }
    Ok(())
}
