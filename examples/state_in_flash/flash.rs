//! NOR flash in memory, as strict as a real one, whose power can be taken away in the middle of an operation.

use std::ops::Range;

use embedded_storage::nor_flash::{
    ErrorType, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash, check_erase, check_read, check_write,
};

/// A flash that reads `READ` bytes at least, writes words of `WRITE` and erases pages of `ERASE`.
#[derive(Clone, Debug)]
pub struct Flash<const READ: usize, const WRITE: usize, const ERASE: usize> {
    /// What it holds.
    pub bytes: Vec<u8>,
    /// Words written and pages erased so far.
    pub operations: usize,
    /// Of every word, whether it must be erased before it is written.
    written: Vec<bool>,
    /// Operations that are still done, and what becomes of the one after them.
    ending: Option<(usize, Loss)>,
    on: bool,
}

/// What becomes of the operation in which power is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// Nothing of it is done.
    Before,
    /// The second half of the bytes has its new value, the first its old one.
    Half,
    /// The bytes have any value, as the seed has it.
    Garbage(u64),
    /// It is done, and nobody is told.
    After,
}

/// What a flash does not do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlashError {
    /// Bytes that it does not have, or a part of a word or page.
    Place(NorFlashErrorKind),
    /// A word was written a second time, or to a 1 where there is a 0.
    Rewritten,
    /// It has no power.
    NoPower,
}

impl NorFlashError for FlashError {
    fn kind(&self) -> NorFlashErrorKind {
        if let Self::Place(kind) = self { *kind } else { NorFlashErrorKind::Other }
    }
}

impl<const READ: usize, const WRITE: usize, const ERASE: usize> Flash<READ, WRITE, ERASE> {
    /// An erased flash.
    pub fn new(bytes: usize) -> Self {
        let written = vec![false; bytes / WRITE];
        Self { bytes: vec![0xff; bytes], operations: 0, written, ending: None, on: true }
    }

    /// Power is lost after some more operations.
    pub fn lose_power_after(&mut self, operations: usize, loss: Loss) {
        self.ending = Some((operations, loss));
    }

    /// Power is there, and stays.
    pub fn power_on(&mut self) {
        (self.on, self.ending) = (true, None);
    }

    fn powered(&self) -> Result<(), FlashError> {
        if self.on { Ok(()) } else { Err(FlashError::NoPower) }
    }

    /// Gives a word or page its new bytes, unless power is lost before they are there.
    fn operate(&mut self, at: Range<usize>, new: &[u8], write: bool) -> Result<(), FlashError> {
        self.powered()?;
        self.operations += 1;
        let loss = match &mut self.ending {
            Some((0, loss)) => Some(*loss),
            Some((operations, _)) => {
                *operations -= 1;
                None
            }
            None => None,
        };
        self.on = loss.is_none();
        if loss != Some(Loss::Before) {
            self.written[at.start / WRITE..at.end / WRITE].fill(write || loss.is_some());
        }
        let (bytes, half) = (&mut self.bytes[at], new.len() / 2);
        match loss {
            Some(Loss::Before) => {}
            Some(Loss::Half) => bytes[half..].copy_from_slice(&new[half..]),
            Some(Loss::Garbage(mut seed)) => bytes.fill_with(|| {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (seed >> 56) as u8
            }),
            Some(Loss::After) | None => bytes.copy_from_slice(new),
        }
        self.powered()
    }
}

impl<const READ: usize, const WRITE: usize, const ERASE: usize> ErrorType for Flash<READ, WRITE, ERASE> {
    type Error = FlashError;
}

impl<const READ: usize, const WRITE: usize, const ERASE: usize> ReadNorFlash for Flash<READ, WRITE, ERASE> {
    const READ_SIZE: usize = READ;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), FlashError> {
        self.powered()?;
        check_read(self, offset, bytes.len()).map_err(FlashError::Place)?;
        bytes.copy_from_slice(&self.bytes[offset as usize..][..bytes.len()]);
        Ok(())
    }

    fn capacity(&self) -> usize {
        self.bytes.len()
    }
}

impl<const READ: usize, const WRITE: usize, const ERASE: usize> NorFlash for Flash<READ, WRITE, ERASE> {
    const WRITE_SIZE: usize = WRITE;
    const ERASE_SIZE: usize = ERASE;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), FlashError> {
        check_erase(self, from, to).map_err(FlashError::Place)?;
        let mut pages = (from as usize..to as usize).step_by(ERASE);
        pages.try_for_each(|page| self.operate(page..page + ERASE, &[0xff; ERASE], false))
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), FlashError> {
        check_write(self, offset, bytes.len()).map_err(FlashError::Place)?;
        for (at, word) in (offset as usize..).step_by(WRITE).zip(bytes.chunks(WRITE)) {
            let sets = word.iter().zip(&self.bytes[at..]).any(|(new, old)| new & !old != 0);
            if self.written[at / WRITE] || sets {
                return Err(FlashError::Rewritten);
            }
            self.operate(at..at + WRITE, word, true)?;
        }
        Ok(())
    }
}
