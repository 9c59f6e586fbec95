//! What is measured: the same work on the host, in time, and on every board, in instructions.

pub(crate) mod heads;
pub(crate) mod kernels;

/// Most tokens of a head: on a board, as many as its memory has room for.
pub(crate) const MAX_TOKENS: usize = if cfg!(target_os = "none") { 4096 } else { 8192 };
/// Widest head.
pub(crate) const MAX_WIDTH: usize = 32;
const ROWS: usize = MAX_TOKENS * MAX_WIDTH;

/// Everything that the work reads and writes.
pub(crate) struct Buffers {
    queries: [i16; ROWS],
    keys: [i16; ROWS],
    values: [i16; ROWS],
    scratch: [u32; 2 * ROWS],
    weights: [i8; 64 * 256],
    wide_weights: [i16; 64 * 64],
}

impl Buffers {
    pub(crate) const fn new() -> Self {
        Self {
            queries: [0; ROWS],
            keys: [0; ROWS],
            values: [0; ROWS],
            scratch: [0; 2 * ROWS],
            weights: [0; 64 * 256],
            wide_weights: [0; 64 * 64],
        }
    }
}

/// Values of about a quarter of the range (xorshift, Marsaglia 2003).
pub(crate) struct Source(u32);

impl Source {
    pub(crate) const fn new(seed: u32) -> Self {
        Self(seed)
    }

    pub(crate) const fn next(&mut self) -> i16 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        (self.0 >> 19) as i16 - 4096
    }

    fn fill(&mut self, values: &mut [i16]) {
        values.iter_mut().for_each(|x| *x = self.next());
    }
}
