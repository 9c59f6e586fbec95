//! A linear layer over rows, and a row of a table.

use crate::kernels::{ChannelPairs, Weight, linear};
use crate::model::{Linear, Table, Weights};
use crate::num::{Requant, saturate};

impl Linear<'_> {
    /// `out = requant(x W + bias)`; `x` is `[rows, inputs]`, `out` `[rows, outputs]`.
    pub(crate) fn forward(&self, x: &[i16], out: &mut [i16]) {
        match self.weights {
            Weights::Int8(weights) => self.through(weights, x, out),
            Weights::Int16(weights) => self.through(weights, x, out),
        }
    }

    fn through<W: Weight>(&self, weights: &[W], x: &[i16], out: &mut [i16]) {
        linear(x, ChannelPairs::new(weights, self.inputs, self.first), self.channels, out);
    }
}

impl Table<'_> {
    /// Row `index` into `out`, `[width]`; a row that is not there leaves `out` as it is.
    pub(crate) fn lookup(&self, index: usize, out: &mut [i16]) {
        let row = index * self.width..(index + 1) * self.width;
        match self.weights {
            Weights::Int8(values) => self.scale(values.get(row).unwrap_or_default(), out),
            Weights::Int16(values) => self.scale(values.get(row).unwrap_or_default(), out),
        }
    }

    fn scale<W: Copy + Into<i32>>(&self, row: &[W], out: &mut [i16]) {
        for ((&value, &multiplier), out) in row.iter().zip(self.multipliers).zip(out) {
            let one = value.into() << Self::ONE_SHIFT;
            *out = saturate(Requant { multiplier, shift: self.shift }.apply(one));
        }
    }
}
