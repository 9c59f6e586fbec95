//! CRC-32 (IEEE 802.3) as a `const fn`, so that a damaged model does not compile.

/// CRC-32 of the words' bytes in little-endian order.
pub(crate) const fn crc32(mut words: &[u32]) -> u32 {
    let mut crc = Crc::new();
    while let [word, rest @ ..] = words {
        crc = crc.word(*word);
        words = rest;
    }
    crc.value()
}

/// A CRC-32 on its way.
#[derive(Clone, Copy)]
pub(crate) struct Crc(u32);

impl Crc {
    /// Of nothing.
    pub(crate) const fn new() -> Self {
        Self(u32::MAX)
    }

    /// With the bytes of one more word.
    pub(crate) const fn word(self, word: u32) -> Self {
        let (mut crc, mut byte) = (self.0 ^ word, 0);
        while byte < 4 {
            crc = crc >> 8 ^ TABLE[(crc & 0xff) as usize];
            byte += 1;
        }
        Self(crc)
    }

    /// Of all words so far.
    pub(crate) const fn value(self) -> u32 {
        !self.0
    }
}

static TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut i = 0;
    while i < 256 {
        let mut value = i as u32;
        let mut bit = 0;
        while bit < 8 {
            value = if value & 1 == 1 { value >> 1 ^ 0xedb8_8320 } else { value >> 1 };
            bit += 1;
        }
        table[i] = value;
        i += 1;
    }
    table
};
