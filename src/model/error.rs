//! Why a file is not a model.

use core::fmt;

/// Why [`super::Model::parse`] refused a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum ModelError {
    /// The file does not begin with the magic number of `.fxm`.
    Magic {
        /// First word of the file.
        found: u32,
    },
    /// The file has another format version than this build reads.
    Version {
        /// Version of the file.
        found: u32,
    },
    /// The file is shorter or longer than its header says, or ends inside a field.
    Length {
        /// Words the header asks for (or the field, when it runs past the end).
        expected: u32,
        /// Words there are.
        found: u32,
    },
    /// The checksum does not match: the file was changed or damaged.
    Checksum {
        /// CRC-32 in the header.
        stored: u32,
        /// CRC-32 of the content.
        computed: u32,
    },
    /// Something is wrong with a section.
    Section {
        /// Its tag, four ASCII bytes.
        tag: [u8; 4],
        /// What.
        fault: SectionFault,
    },
    /// A field is outside its range. Of a field that can be negative these are the bits of an `i32`.
    Range {
        /// Name of the field.
        field: &'static str,
        /// Its value.
        found: u32,
        /// Smallest value allowed.
        low: u32,
        /// Largest value allowed.
        high: u32,
    },
    /// A field disagrees with the fields before it.
    Mismatch {
        /// Name of the field.
        field: &'static str,
        /// Its value.
        found: u32,
        /// The value it must have.
        expected: u32,
    },
    /// The weights of a channel are so large that its 32-bit accumulator could overflow.
    Accumulator {
        /// Name of the tensor.
        field: &'static str,
        /// Output channel.
        channel: u32,
    },
}

/// What can be wrong with a section of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum SectionFault {
    /// The file needs it, and this build does not know it.
    Unknown,
    /// The file must have it, and it is not there or empty.
    Missing,
    /// The table has it twice.
    Duplicate,
    /// It does not begin where the one before it ends, or it ends outside the file.
    Place,
    /// Its words are not what it must hold.
    Content,
}

impl core::error::Error for ModelError {}

impl fmt::Display for ModelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message().as_str())
    }
}

impl ModelError {
    /// The whole message, as a `const fn` so that `model!` can show it at compile time.
    pub const fn message(self) -> Message {
        let text = Message::new();
        match self {
            Self::Magic { found } => text
                .str("not a fixformer model: it begins with ")
                .hex(found)
                .str(" instead of \"FXM1\"; make one with `fixformer quantize`"),
            Self::Version { found } => text
                .str("version: the file has ")
                .number(found)
                .str(", this build reads ")
                .number(super::VERSION)
                .str("; quantize the checkpoint again with this release, ")
                .str("or use the release of fixformer that made the file"),
            Self::Length { expected, found } => text
                .str("length: ")
                .number(expected)
                .str(" words expected, ")
                .number(found)
                .str(" found; the file is truncated or damaged"),
            Self::Checksum { stored, computed } => text
                .str("checksum: ")
                .hex(stored)
                .str(" stored, ")
                .hex(computed)
                .str(" computed; the file is damaged"),
            Self::Section { tag, fault } => text.str("section ").tag(tag).str(match fault {
                SectionFault::Unknown => {
                    ": unknown to this build, and the model needs it; use the release of fixformer that made the file"
                }
                SectionFault::Missing => ": missing; quantize the model again",
                SectionFault::Duplicate => ": there twice; quantize the model again",
                SectionFault::Place => ": not where the one before it ends, or past the end; the file is damaged",
                SectionFault::Content => ": not what it must hold; quantize the model again",
            }),
            Self::Range { field, found, low, high } => text
                .str(field)
                .str(": ")
                .signed(found)
                .str(" is outside ")
                .signed(low)
                .str(" ..= ")
                .number(high),
            Self::Mismatch { field, found, expected } => {
                text.str(field).str(": ").signed(found).str(" found, ").signed(expected).str(" expected")
            }
            Self::Accumulator { field, channel } => text
                .str(field)
                .str(": the weights of channel ")
                .number(channel)
                .str(" can overflow a 32-bit accumulator; quantize the model again"),
        }
    }
}

/// A short text built in a `const fn`.
#[derive(Clone, Copy)]
pub struct Message {
    bytes: [u8; 160],
    length: usize,
}

impl Message {
    const fn new() -> Self {
        Self { bytes: [0; 160], length: 0 }
    }

    /// The text.
    pub const fn as_str(&self) -> &str {
        let Some((text, _)) = self.bytes.split_at_checked(self.length) else { return "" };
        match core::str::from_utf8(text) {
            Ok(text) => text,
            Err(_) => "",
        }
    }

    const fn byte(mut self, byte: u8) -> Self {
        if self.length < self.bytes.len() {
            self.bytes[self.length] = byte;
            self.length += 1;
        }
        self
    }

    const fn str(mut self, text: &str) -> Self {
        let mut rest = text.as_bytes();
        while let [first, tail @ ..] = rest {
            self = self.byte(*first);
            rest = tail;
        }
        self
    }

    /// Four ASCII bytes; `?` for what cannot be shown.
    const fn tag(mut self, tag: [u8; 4]) -> Self {
        let mut rest: &[u8] = &tag;
        while let [first, tail @ ..] = rest {
            self = self.byte(if first.is_ascii_graphic() { *first } else { b'?' });
            rest = tail;
        }
        self
    }

    const fn number(self, value: u32) -> Self {
        let rest = if value >= 10 { self.number(value / 10) } else { self };
        rest.byte(b'0' + (value % 10) as u8)
    }

    /// The bits of an `i32`, which is what the top half of the range is in these files: no size is so large.
    const fn signed(self, bits: u32) -> Self {
        let value = bits as i32;
        if value < 0 { self.str("-").number(value.unsigned_abs()) } else { self.number(bits) }
    }

    const fn hex(self, value: u32) -> Self {
        let mut text = self.str("0x");
        let mut shift = 32;
        while shift > 0 {
            shift -= 4;
            let digit = (value >> shift & 15) as u8;
            text = text.byte(if digit < 10 { b'0' + digit } else { b'a' + digit - 10 });
        }
        text
    }
}
