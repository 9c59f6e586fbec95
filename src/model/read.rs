//! Takes fields off the front of a file, in order.
#![allow(unsafe_code)] // Words are viewed as the narrower integers that are stored in them.

use super::ModelError;

#[cfg(target_endian = "big")]
compile_error!("model files are little-endian and used in place: big-endian targets are not supported");

/// `?` for a `const fn`.
macro_rules! tri {
    ($result:expr) => {
        match $result {
            Ok(value) => value,
            Err(error) => return Err(error),
        }
    };
}
pub(super) use tri;

/// The part of a file not read yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader<'a> {
    rest: &'a [u32],
}

impl<'a> Reader<'a> {
    pub(super) const fn new(words: &'a [u32]) -> Self {
        Self { rest: words }
    }

    /// Words not read yet.
    pub(super) const fn remaining(&self) -> usize {
        self.rest.len()
    }

    pub(super) const fn words(&mut self, count: usize) -> Result<&'a [u32], ModelError> {
        match self.rest.split_at_checked(count) {
            Some((taken, rest)) => {
                self.rest = rest;
                Ok(taken)
            }
            None => Err(ModelError::Length { expected: count as u32, found: self.rest.len() as u32 }),
        }
    }

    pub(super) const fn word(&mut self) -> Result<u32, ModelError> {
        match tri!(self.words(1)) {
            [word] => Ok(*word),
            _ => Ok(0),
        }
    }

    /// A word within `low ..= high`.
    pub(super) const fn field(
        &mut self,
        field: &'static str,
        low: u32,
        high: u32,
    ) -> Result<usize, ModelError> {
        let found = tri!(self.word());
        if found < low || found > high {
            return Err(ModelError::Range { field, found, low, high });
        }
        Ok(found as usize)
    }

    /// A word equal to `expected`.
    pub(super) const fn expect(&mut self, field: &'static str, expected: usize) -> Result<usize, ModelError> {
        let found = tri!(self.word());
        if found as usize != expected {
            return Err(ModelError::Mismatch { field, found, expected: expected as u32 });
        }
        Ok(expected)
    }

    /// Fractional bits, `-15 ..= 31`.
    pub(super) const fn frac(&mut self, field: &'static str) -> Result<i32, ModelError> {
        let found = tri!(self.word());
        if (found as i32) < -15 || found as i32 > 31 {
            return Err(ModelError::Range { field, found, low: -15_i32 as u32, high: 31 });
        }
        Ok(found as i32)
    }

    /// 32-bit integers.
    pub(super) const fn i32s(&mut self, count: usize) -> Result<&'a [i32], ModelError> {
        let words = tri!(self.words(count));
        // SAFETY: `words` holds exactly `count` words; u32 and i32 have the same size and alignment.
        Ok(unsafe { core::slice::from_raw_parts(words.as_ptr().cast(), count) })
    }

    /// `count` 16-bit integers, padded to a whole word.
    pub(super) const fn i16s(&mut self, count: usize) -> Result<&'a [i16], ModelError> {
        let words = tri!(self.words(count.div_ceil(2)));
        // SAFETY: the words hold at least `count` halves; i16 is less aligned than u32, any bits are valid.
        Ok(unsafe { core::slice::from_raw_parts(words.as_ptr().cast(), count) })
    }

    /// `count` 8-bit integers, padded to a whole word.
    pub(super) const fn i8s(&mut self, count: usize) -> Result<&'a [i8], ModelError> {
        let words = tri!(self.words(count.div_ceil(4)));
        // SAFETY: the words hold at least `count` bytes; i8 is less aligned than u32, any bits are valid.
        Ok(unsafe { core::slice::from_raw_parts(words.as_ptr().cast(), count) })
    }
}

/// The bytes of words.
pub(super) const fn bytes(words: &[u32]) -> &[u8] {
    // SAFETY: the bytes are those of the words; u8 is less aligned than u32, any bits are valid.
    unsafe { core::slice::from_raw_parts(words.as_ptr().cast(), 4 * words.len()) }
}
