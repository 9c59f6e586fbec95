//! CRC-32 (IEEE 802.3) as a `const fn`, so that a damaged model does not compile.

/// CRC-32 of the words' bytes in little-endian order.
pub(crate) const fn crc32(mut words: &[u32]) -> u32 {
    let mut crc = u32::MAX;
    while let [word, rest @ ..] = words {
        crc ^= *word;
        let mut byte = 0;
        while byte < 4 {
            crc = crc >> 8 ^ TABLE[(crc & 0xff) as usize];
            byte += 1;
        }
        words = rest;
    }
    !crc
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
