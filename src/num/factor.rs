//! One factor of many numbers.

use super::high;

/// `mantissa / 2^shift`.
#[derive(Clone, Copy)]
pub(crate) struct Factor {
    mantissa: i32,
    /// What a short shift lacks, so that all of it and more is in the upper word of a product.
    up: u32,
    /// At least 1.
    down: u32,
}

impl Factor {
    /// `shift` is at least 1.
    pub(crate) fn new(mantissa: i32, shift: u32) -> Self {
        let up = 33_u32.saturating_sub(shift);
        Self { mantissa, up, down: shift + up - 32 }
    }

    /// The mantissa, and how far a number is shifted up before it meets that, and the upper word of the product down.
    #[cfg(fixformer_mve)]
    pub(crate) const fn parts(self) -> (i32, u32, u32) {
        (self.mantissa, self.up, self.down)
    }

    /// The product, rounded to nearest, ties up. `x` has room for `33 - shift` bits more.
    pub(crate) fn of(self, x: i32) -> i32 {
        (high(x << self.up, self.mantissa) + (1 << (self.down - 1))) >> self.down
    }
}
