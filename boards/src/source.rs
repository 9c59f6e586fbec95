//! Bytes from somewhere, read in blocks.

/// Where the bytes come from.
pub trait Source {
    /// Fills the front of `bytes` and returns how many; 0 at the end.
    fn read(&mut self, bytes: &mut [u8]) -> Result<usize, ReadFailed>;
}

/// Bytes in memory.
impl Source for &[u8] {
    fn read(&mut self, bytes: &mut [u8]) -> Result<usize, ReadFailed> {
        let (front, rest) = self.split_at(bytes.len().min(self.len()));
        bytes.iter_mut().zip(front).for_each(|(to, from)| *to = *from);
        *self = rest;
        Ok(front.len())
    }
}

/// Bytes that can be read again.
pub trait Rewind: Source {
    /// Goes to a byte, counted from the first one.
    fn go_to(&mut self, byte: u32) -> Result<(), ReadFailed>;
}

/// The source could not be read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ReadFailed;

/// Bytes asked for at a time.
const BLOCK: usize = 64;

/// A call to the host stops the core, so bytes come in blocks.
pub struct Buffered<S> {
    source: S,
    buffer: [u8; BLOCK],
    start: usize,
    end: usize,
    /// Bytes that were taken so far.
    taken: u32,
}

impl<S: Source> Buffered<S> {
    /// Of a source that nothing was read of.
    pub fn new(source: S) -> Self {
        Self { source, buffer: [0; BLOCK], start: 0, end: 0, taken: 0 }
    }

    /// Fills `bytes`, or its front where the source ends; returns how many.
    pub fn fill(&mut self, bytes: &mut [u8]) -> Result<usize, ReadFailed> {
        for (done, byte) in bytes.iter_mut().enumerate() {
            if self.start == self.end {
                self.start = 0;
                self.end = self.source.read(&mut self.buffer)?.min(self.buffer.len());
            }
            let ready = self.buffer.get(..self.end).unwrap_or_default();
            let Some(&next) = ready.get(self.start) else { return Ok(done) };
            *byte = next;
            self.start += 1;
            self.taken = self.taken.wrapping_add(1);
        }
        Ok(bytes.len())
    }

    /// The byte that comes next, counted from the first one.
    pub fn position(&self) -> u32 {
        self.taken
    }
}

impl<S: Rewind> Buffered<S> {
    /// Goes to a byte, counted from the first one.
    pub fn go_to(&mut self, byte: u32) -> Result<(), ReadFailed> {
        self.source.go_to(byte)?;
        (self.start, self.end, self.taken) = (0, 0, byte);
        Ok(())
    }
}
