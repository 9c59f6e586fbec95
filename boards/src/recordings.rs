//! A file of recordings, read one at a time: the host writes it, a board streams it.
//!
//! Everything is little-endian:
//!
//! | bytes | what |
//! |---|---|
//! | 4 | `FXRC` |
//! | u16 | version, 1 |
//! | u16 | channels: values of one time step |
//! | u32 | number of recordings |
//! | then for each: u32, i16 ... | number of values (steps x channels) and the values |

use crate::source::{Buffered, ReadFailed, Rewind, Source};
use core::fmt;

const MAGIC: [u8; 4] = *b"FXRC";
const VERSION: u16 = 1;
const HEADER: usize = 12;

/// A file of recordings being read.
pub struct Recordings<S> {
    bytes: Buffered<S>,
    channels: u16,
    count: u32,
    row: u32,
    /// Byte of the first value of the recording that was begun.
    first: u32,
}

impl<S: Source> Recordings<S> {
    /// Reads and checks the header. `channels` is what the model takes.
    pub fn open(source: S, channels: usize) -> Result<Self, RecordingError> {
        let mut bytes = Buffered::new(source);
        let mut header = [0; HEADER];
        let found = bytes.fill(&mut header)?;
        let [m0, m1, m2, m3, v0, v1, c0, c1, n0, n1, n2, n3] = header;
        if [m0, m1, m2, m3] != MAGIC {
            return Err(RecordingError::NotRecordings);
        }
        if found < HEADER {
            return Err(RecordingError::ShortHeader { found });
        }
        let version = u16::from_le_bytes([v0, v1]);
        if version != VERSION {
            return Err(RecordingError::Version { found: version });
        }
        let in_file = u16::from_le_bytes([c0, c1]);
        if usize::from(in_file) != channels || in_file == 0 {
            return Err(RecordingError::Channels { expected: channels, found: in_file });
        }
        let count = u32::from_le_bytes([n0, n1, n2, n3]);
        Ok(Self { bytes, channels: in_file, count, row: 0, first: 0 })
    }

    /// Recordings in the file, as its header says.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Reads the next recording into the front of `values`; `None` after the last.
    pub fn next<'a>(&mut self, values: &'a mut [i16]) -> Result<Option<&'a [i16]>, RecordingError> {
        let row = self.row;
        let Some(length) = self.begin()? else { return Ok(None) };
        let maximum = values.len();
        let fitting = usize::try_from(length).ok().and_then(|n| values.get_mut(..n));
        let Some(values) = fitting else {
            return Err(RecordingError::TooLong { row, values: length, maximum });
        };
        for (found, value) in (0..).zip(values.iter_mut()) {
            *value = self.value(length, found)?;
        }
        Ok(Some(values))
    }

    /// Begins the next recording: how many values it has, all of which [`Recordings::value`] reads; `None` after the last.
    pub fn begin(&mut self) -> Result<Option<u32>, RecordingError> {
        let row = self.row;
        let mut length = [0; 4];
        if row == self.count {
            return match self.bytes.fill(&mut length)? {
                0 => Ok(None),
                _ => Err(RecordingError::Trailing { count: row }),
            };
        }
        if self.bytes.fill(&mut length)? < length.len() {
            return Err(RecordingError::Missing { row, count: self.count });
        }
        let length = u32::from_le_bytes(length);
        if !length.is_multiple_of(u32::from(self.channels.max(1))) {
            return Err(RecordingError::Uneven { row, values: length, channels: self.channels });
        }
        self.row += 1;
        self.first = self.bytes.position();
        Ok(Some(length))
    }

    /// Reads a value of the recording that was begun, after `found` of its `expected` ones.
    pub fn value(&mut self, expected: u32, found: u32) -> Result<i16, RecordingError> {
        let mut pair = [0; 2];
        if self.bytes.fill(&mut pair)? < pair.len() {
            return Err(RecordingError::Truncated { row: self.row - 1, expected, found });
        }
        Ok(i16::from_le_bytes(pair))
    }
}

impl<S: Rewind> Recordings<S> {
    /// Goes back to the first value of the recording that was begun.
    pub fn again(&mut self) -> Result<(), RecordingError> {
        Ok(self.bytes.go_to(self.first)?)
    }
}

/// Writes a file of recordings. Rows are `steps x channels` values each.
#[cfg(not(target_os = "none"))]
pub fn write<'a>(
    mut out: impl std::io::Write,
    channels: u16,
    rows: impl ExactSizeIterator<Item = &'a [i16]>,
) -> std::io::Result<()> {
    let too_many = |_| std::io::Error::other("more than 2^32 - 1 recordings or values");
    out.write_all(&MAGIC)?;
    out.write_all(&VERSION.to_le_bytes())?;
    out.write_all(&channels.to_le_bytes())?;
    out.write_all(&u32::try_from(rows.len()).map_err(too_many)?.to_le_bytes())?;
    for row in rows {
        out.write_all(&u32::try_from(row.len()).map_err(too_many)?.to_le_bytes())?;
        for value in row {
            out.write_all(&value.to_le_bytes())?;
        }
    }
    out.flush()
}

/// Why a file of recordings cannot be read on. Rows count from 0.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the message of each says what its fields are")]
pub enum RecordingError {
    Read,
    NotRecordings,
    ShortHeader { found: usize },
    Version { found: u16 },
    Channels { expected: usize, found: u16 },
    Missing { row: u32, count: u32 },
    Truncated { row: u32, expected: u32, found: u32 },
    TooLong { row: u32, values: u32, maximum: usize },
    Uneven { row: u32, values: u32, channels: u16 },
    Trailing { count: u32 },
}

impl fmt::Display for RecordingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Read => f.write_str("the host failed to read the file of recordings"),
            Self::NotRecordings => {
                f.write_str("not a file of recordings: expected `FXRC` as its first four bytes")
            }
            Self::ShortHeader { found } => {
                write!(f, "file of recordings: expected a header of {HEADER} bytes, found {found}")
            }
            Self::Version { found } => {
                write!(f, "file of recordings: expected version {VERSION}, found {found}")
            }
            Self::Channels { expected, found } => {
                write!(f, "file of recordings: the model takes {expected} channels, found {found}")
            }
            Self::Missing { row, count } => {
                write!(f, "file of recordings: expected {count} recordings, it ends after {row}")
            }
            Self::Truncated { row, expected, found } => {
                write!(f, "recording {row}: expected {expected} values, the file ends after {found}")
            }
            Self::TooLong { row, values, maximum } => {
                write!(f, "recording {row}: the model takes at most {maximum} values, found {values}")
            }
            Self::Uneven { row, values, channels } => {
                write!(f, "recording {row}: expected a multiple of {channels} values, found {values}")
            }
            Self::Trailing { count } => {
                write!(f, "file of recordings: expected its end after {count} recordings, found more")
            }
        }
    }
}

impl core::error::Error for RecordingError {}

impl From<ReadFailed> for RecordingError {
    fn from(_: ReadFailed) -> Self {
        Self::Read
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    /// Hands out at most seven bytes a call, so that every field is split somewhere.
    struct Bytes(Vec<u8>);

    impl Source for Bytes {
        fn read(&mut self, bytes: &mut [u8]) -> Result<usize, ReadFailed> {
            let n = bytes.len().min(self.0.len()).min(7);
            bytes[..n].copy_from_slice(&self.0[..n]);
            self.0.drain(..n);
            Ok(n)
        }
    }

    struct Broken;

    impl Source for Broken {
        fn read(&mut self, _: &mut [u8]) -> Result<usize, ReadFailed> {
            Err(ReadFailed)
        }
    }

    fn file(channels: u16, rows: &[&[i16]]) -> Vec<u8> {
        let mut bytes = Vec::new();
        write(&mut bytes, channels, rows.iter().copied()).unwrap();
        bytes
    }

    fn read(bytes: Vec<u8>, channels: usize) -> Result<Vec<Vec<i16>>, RecordingError> {
        let mut values = [0; 6];
        let mut recordings = Recordings::open(Bytes(bytes), channels)?;
        let mut rows = Vec::new();
        while let Some(row) = recordings.next(&mut values)? {
            rows.push(row.to_vec());
        }
        Ok(rows)
    }

    #[test]
    fn what_was_written_is_read() {
        let rows: [&[i16]; 3] = [&[1, -2], &[i16::MIN, 0, i16::MAX, 7, 8, 9], &[]];
        assert_eq!(read(file(2, &rows), 2).unwrap(), rows);
        assert_eq!(read(file(1, &[]), 1).unwrap(), [[0; 0]; 0]);
    }

    /// Bytes that can be read again.
    struct Again(Vec<u8>, usize);

    impl Source for Again {
        fn read(&mut self, bytes: &mut [u8]) -> Result<usize, ReadFailed> {
            let rest = &self.0[self.1..];
            let n = bytes.len().min(rest.len()).min(7);
            bytes[..n].copy_from_slice(&rest[..n]);
            self.1 += n;
            Ok(n)
        }
    }

    impl Rewind for Again {
        fn go_to(&mut self, byte: u32) -> Result<(), ReadFailed> {
            self.1 = byte as usize;
            Ok(())
        }
    }

    #[test]
    fn a_recording_is_read_again() {
        let rows: [&[i16]; 2] = [&[1, -2], &[5, 6, 7]];
        let mut recordings = Recordings::open(Again(file(1, &rows), 0), 1).unwrap();
        for row in rows {
            let length = recordings.begin().unwrap().unwrap();
            for _ in 0..3 {
                let values = (0..length).map(|found| recordings.value(length, found).unwrap());
                assert_eq!(values.collect::<Vec<_>>(), row);
                recordings.again().unwrap();
            }
            (0..length).for_each(|found| _ = recordings.value(length, found).unwrap());
        }
        assert_eq!(recordings.begin(), Ok(None));
    }

    #[test]
    fn every_truncation_is_an_error() {
        let whole = file(1, &[&[1, 2, 3], &[4]]);
        for length in 0..whole.len() {
            let error = read(whole[..length].to_vec(), 1).unwrap_err();
            let expected = match length {
                0..4 => RecordingError::NotRecordings,
                4..12 => RecordingError::ShortHeader { found: length },
                12..16 => RecordingError::Missing { row: 0, count: 2 },
                16..22 => RecordingError::Truncated { row: 0, expected: 3, found: (length as u32 - 16) / 2 },
                22..26 => RecordingError::Missing { row: 1, count: 2 },
                _ => RecordingError::Truncated { row: 1, expected: 1, found: 0 },
            };
            assert_eq!(error, expected, "after {length} bytes");
        }
    }

    #[test]
    fn other_files_are_refused() {
        assert_eq!(read(b"PK\x03\x04, an archive".to_vec(), 1), Err(RecordingError::NotRecordings));
        let mut newer = file(1, &[&[1]]);
        newer[4] = 2;
        assert_eq!(read(newer, 1), Err(RecordingError::Version { found: 2 }));
        let mut longer = file(1, &[&[1]]);
        longer.push(0);
        assert_eq!(read(longer, 1), Err(RecordingError::Trailing { count: 1 }));
        assert_eq!(Recordings::open(Broken, 1).err(), Some(RecordingError::Read));
    }

    #[test]
    fn other_shapes_are_refused() {
        let two = RecordingError::Channels { expected: 1, found: 2 };
        assert_eq!(read(file(2, &[&[1, 2]]), 1), Err(two));
        let none = RecordingError::Channels { expected: 0, found: 0 };
        assert_eq!(read(file(0, &[&[1, 2]]), 0), Err(none));
        let long = RecordingError::TooLong { row: 1, values: 7, maximum: 6 };
        assert_eq!(read(file(1, &[&[1], &[0; 7]]), 1), Err(long));
        let uneven = RecordingError::Uneven { row: 0, values: 3, channels: 2 };
        assert_eq!(read(file(2, &[&[1, 2, 3]]), 2), Err(uneven));
        let mut huge = file(1, &[&[1]]);
        huge[12..16].fill(0xFF);
        let huge_error = RecordingError::TooLong { row: 0, values: u32::MAX, maximum: 6 };
        assert_eq!(read(huge, 1), Err(huge_error));
    }
}
