//! The state of a stream in two slots of NOR flash: at whatever moment power is lost, one whole state is left.
//!
//! A save takes the slot that does not hold the newest whole state: it erases it, writes the state, and last the header in
//! front of it. This file is to be copied: it needs no heap and no `std`, only `embedded-storage` 0.3.
//!
//! | bytes of a slot | what |
//! |---|---|
//! | u32 | sequence number: one more than that of the other slot, modulo 2^32 |
//! | u32 | bytes of the state |
//! | u32 | CRC-32 of both and of the state |
//! | 52 | 0xff |
//! | then | the state, filled up with 0xff to a multiple of 64 bytes |
//!
//! Numbers are little-endian.

use core::fmt;

use embedded_storage::nor_flash::NorFlash;
use fixformer::Stream;
use fixformer::session::{StateError, StateReader, StateWriter};

/// Bytes written or read at a time, and those of a header: a multiple of what any flash writes and reads at least.
const BLOCK: usize = 64;

/// Two slots of a flash.
#[derive(Debug)]
pub struct Slots<F> {
    flash: F,
    offsets: [u32; 2],
    size: u32,
}

/// Why a state was not saved or restored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error<E> {
    /// A slot does not begin or end where the flash can be erased.
    Misaligned,
    /// A slot ends behind the flash.
    Outside,
    /// The slots share bytes.
    Overlapping,
    /// A state does not fit into a slot.
    TooSmall {
        /// Bytes of a state that a slot has room for.
        room: usize,
        /// Bytes of the state.
        needed: usize,
    },
    /// The flash could not be read, written or erased.
    Flash(E),
    /// What was written does not stand in the flash, which may be worn out.
    NotKept,
    /// The stream refused a whole state, for example that of another model.
    Refused(StateError<E>),
}

impl<E: fmt::Debug> core::error::Error for Error<E> {}

impl<E: fmt::Debug> fmt::Display for Error<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl<F: NorFlash> Slots<F> {
    /// Slots of `size` bytes each: at least 64 more than [`Stream::saved_bytes`], in whole units of `ERASE_SIZE`. `flash` may
    /// be a `&mut`; nothing of it is read or written.
    ///
    /// # Errors
    /// [`Error`] says what is wrong with the places.
    pub fn new(flash: F, offsets: [u32; 2], size: u32) -> Result<Self, Error<F::Error>> {
        const { assert!(BLOCK.is_multiple_of(F::WRITE_SIZE) && BLOCK.is_multiple_of(F::READ_SIZE)) };
        let [a, b] = offsets;
        if [a, b, size].iter().any(|&place| !(place as usize).is_multiple_of(F::ERASE_SIZE)) {
            return Err(Error::Misaligned);
        }
        let end = a.max(b).checked_add(size);
        if end.is_none_or(|end| end as usize > flash.capacity()) {
            return Err(Error::Outside);
        }
        if a.abs_diff(b) < size {
            return Err(Error::Overlapping);
        }
        Ok(Self { flash, offsets, size })
    }

    /// Saves the state of `stream` in place of the older one. The newer one is not touched, whatever happens. Both slots are
    /// read before, to find the newer one, and after, to see that all is there.
    ///
    /// # Errors
    /// [`Error`]: the state does not fit, and nothing was erased; or the flash failed.
    pub fn save(&mut self, stream: &Stream<'_>) -> Result<(), Error<F::Error>> {
        self.fits(stream)?;
        let [a, b] = self.offsets;
        let (slot, sequence) = match self.newest() {
            Some((newest, sequence)) => (if newest == a { b } else { a }, sequence.wrapping_add(1)),
            None => (a, 0),
        };
        self.write(slot, sequence, stream).map_err(Error::Flash)?;
        if self.newest() == Some((slot, sequence)) { Ok(()) } else { Err(Error::NotKept) }
    }

    /// Goes on from the newest whole state, or from the other one where the stream refuses it. `false`: there is none.
    ///
    /// # Errors
    /// [`Error`]: there is a whole state that the stream refuses, or a slot that cannot be read, and nothing else. Here too
    /// the stream is as it was, but where the flash fails or changes after a state was checked: then it begins anew.
    pub fn restore(&mut self, stream: &mut Stream<'_>) -> Result<bool, Error<F::Error>> {
        self.fits(stream)?;
        let [a, b] = self.offsets;
        let newest_first = if self.newest().is_some_and(|(newest, _)| newest == b) { [b, a] } else { [a, b] };
        let mut none = Ok(false);
        for slot in newest_first {
            match self.take(slot, stream) {
                Ok(true) => return Ok(true),
                Ok(false) => {}
                Err(error) => none = none.and(Err(error)),
            }
        }
        none
    }

    fn fits(&self, stream: &Stream<'_>) -> Result<(), Error<F::Error>> {
        let (room, needed) = (self.room(), stream.saved_bytes());
        if needed <= room { Ok(()) } else { Err(Error::TooSmall { room, needed }) }
    }

    /// Bytes behind the header, in whole blocks.
    fn room(&self) -> usize {
        (self.size as usize / BLOCK * BLOCK).saturating_sub(BLOCK)
    }

    /// The slot of the newest whole state, and its number. A slot that cannot be read has none: where words have check bits,
    /// one that power failed at gives an error.
    fn newest(&mut self) -> Option<(u32, u32)> {
        let [a, b] = self.offsets;
        let [in_a, in_b] = [a, b].map(|slot| self.sequence(slot).unwrap_or(None));
        match (in_a, in_b) {
            (Some(first), Some(second)) if (second.wrapping_sub(first) as i32) < 0 => Some((a, first)),
            (_, Some(second)) => Some((b, second)),
            (first, None) => first.map(|first| (a, first)),
        }
    }

    /// The number of the state in a slot, if it is whole.
    fn sequence(&mut self, slot: u32) -> Result<Option<u32>, F::Error> {
        let mut header = [[0; 4]; 3];
        Place { flash: &mut self.flash, start: slot }.read(0, header.as_flattened_mut())?;
        let [sequence, length, checksum] = header;
        let (mut crc, length) = (crc32(0, [sequence, length].as_flattened()), u32::from_le_bytes(length));
        if length as usize > self.room() {
            return Ok(None);
        }
        let mut block = [0; BLOCK];
        for offset in (0..length).step_by(BLOCK) {
            self.flash.read(slot + BLOCK as u32 + offset, &mut block)?;
            crc = crc32(crc, block.get(..(length - offset) as usize).unwrap_or(&block));
        }
        Ok((crc == u32::from_le_bytes(checksum)).then_some(u32::from_le_bytes(sequence)))
    }

    /// Gives `stream` the state of a slot, if it is whole.
    fn take(&mut self, slot: u32, stream: &mut Stream<'_>) -> Result<bool, Error<F::Error>> {
        if self.sequence(slot).map_err(Error::Flash)?.is_none() {
            return Ok(false);
        }
        let mut state = Place { flash: &mut self.flash, start: slot + BLOCK as u32 };
        stream.restore(&mut state).map(|()| true).map_err(Error::Refused)
    }

    fn write(&mut self, slot: u32, sequence: u32, stream: &Stream<'_>) -> Result<(), F::Error> {
        self.flash.erase(slot, slot + self.size)?;
        let header = [sequence, stream.saved_bytes() as u32].map(u32::to_le_bytes);
        let mut blocks = Blocks {
            flash: &mut self.flash,
            next: slot + BLOCK as u32,
            block: [0xff; BLOCK],
            filled: 0,
            crc: crc32(0, header.as_flattened()),
        };
        stream.save(&mut blocks)?;
        blocks.flush()?;
        let [sequence, length] = header;
        blocks.next = slot;
        let checksum = blocks.crc.to_le_bytes();
        blocks.write([sequence, length, checksum].as_flattened())?;
        blocks.flush()
    }
}

/// Bytes of a flash from `start` on, read in whole blocks.
struct Place<'a, F> {
    flash: &'a mut F,
    start: u32,
}

impl<F: NorFlash> StateReader for Place<'_, F> {
    type Error = F::Error;

    fn read(&mut self, offset: usize, bytes: &mut [u8]) -> Result<(), F::Error> {
        let mut block = [0; BLOCK];
        for (at, place) in (offset..).zip(bytes) {
            if at == offset || at % BLOCK == 0 {
                self.flash.read(self.start + (at - at % BLOCK) as u32, &mut block)?;
            }
            *place = block[at % BLOCK];
        }
        Ok(())
    }
}

/// Bytes on their way into a flash from `next` on, written in whole blocks.
struct Blocks<'a, F> {
    flash: &'a mut F,
    next: u32,
    block: [u8; BLOCK],
    /// Bytes that wait in the block.
    filled: usize,
    crc: u32,
}

impl<F: NorFlash> Blocks<'_, F> {
    fn flush(&mut self) -> Result<(), F::Error> {
        if self.filled > 0 {
            self.flash.write(self.next, &self.block)?;
            (self.next, self.block, self.filled) = (self.next + BLOCK as u32, [0xff; BLOCK], 0);
        }
        Ok(())
    }
}

impl<F: NorFlash> StateWriter for Blocks<'_, F> {
    type Error = F::Error;

    fn write(&mut self, bytes: &[u8]) -> Result<(), F::Error> {
        self.crc = crc32(self.crc, bytes);
        for &byte in bytes {
            self.block[self.filled % BLOCK] = byte;
            self.filled += 1;
            if self.filled == BLOCK {
                self.flush()?;
            }
        }
        Ok(())
    }
}

/// The CRC-32 (IEEE 802.3) of what had `crc` and of `bytes` behind it; that of nothing is 0.
fn crc32(crc: u32, bytes: &[u8]) -> u32 {
    let bit = |crc: u32, _| (crc >> 1) ^ (0xedb8_8320 * (crc & 1));
    !bytes.iter().fold(!crc, |crc, &byte| (0..8).fold(crc ^ u32::from(byte), bit))
}
