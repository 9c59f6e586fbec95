//! The linear layer, a tile at a time: four rows and two output channels share every load.
//!
//! Rows are copied into a block in the order in which the innermost loop reads them, as many columns at a time as fit
//! on the stack, and the sums of a group of channels wait beside it. A core has its own [`Tile`] for what it does
//! better.

#[cfg_attr(fixformer_dsp, path = "linear/dsp.rs")]
#[cfg_attr(not(fixformer_dsp), path = "linear/plain.rs")]
mod tile;

/// What the tile of cores with DSP does in assembly.
#[cfg(fixformer_dsp)]
#[cfg_attr(fixformer_mve, path = "linear/helium.rs")]
#[cfg_attr(not(fixformer_mve), path = "linear/smlad.rs")]
mod loops;

#[cfg(all(fixformer_mla, not(fixformer_mve)))]
mod thumb2;

/// The innermost loop in assembly, where the tile is the plain one.
#[cfg(fixformer_rounds)]
#[cfg_attr(fixformer_mla, path = "linear/mla.rs")]
#[cfg_attr(fixformer_thumb1, path = "linear/thumb1.rs")]
#[cfg_attr(fixformer_mul, path = "linear/riscv.rs")]
mod rounds;

use super::{Channels, Weight, domain, portable};
use crate::num::{Requant, saturate};
use tile::Tile;

/// The matrix of a linear layer, `[outputs, inputs]`, as it is stored: the channels `2p` and `2p + 1` lie zipped,
/// `a[0] b[0] a[1] b[1] ...`, each filled up to an even number of columns, and the last of an odd number of channels
/// has a partner of zeros.
///
/// Every core is served by this one order. One with SMLAD widens a word of it with two instructions into two columns
/// of both channels; Helium does the same with 16 bytes; the others step over a channel at no cost.
#[derive(Clone, Copy, Debug)]
pub struct ChannelPairs<'a, W> {
    pub(super) weights: &'a [W],
    pub(super) inputs: usize,
    /// Channels of the first pair that are not meant: 0 or 1.
    pub(super) skipped: usize,
}

impl<'a, W: Weight> ChannelPairs<'a, W> {
    /// The channels from `first` on of a matrix of `inputs` columns.
    pub fn new(weights: &'a [W], inputs: usize, first: usize) -> Self {
        let start = first / 2 * pair_len(inputs);
        Self { weights: weights.get(start..).unwrap_or_default(), inputs, skipped: first % 2 }
    }

    /// Width of a row that the matrix takes.
    pub const fn inputs(&self) -> usize {
        self.inputs
    }

    /// The weights of a channel.
    pub fn channel(&self, channel: usize) -> impl Iterator<Item = W> {
        let channel = self.skipped + channel;
        let start = channel / 2 * pair_len(self.inputs) + channel % 2;
        self.weights.get(start..).unwrap_or_default().iter().step_by(2).take(self.inputs).copied()
    }
}

/// Elements of two zipped channels.
pub const fn pair_len(inputs: usize) -> usize {
    2 * inputs.next_multiple_of(2)
}

/// Rows of a tile.
const ROWS: usize = 4;
/// Columns that a block holds.
const COLUMNS: usize = 64;
/// Pairs of channels whose sums are kept: fewer on the cores with the least memory.
const PAIRS: usize = if cfg!(fixformer_thumb1) { 8 } else { 16 };

/// See [`portable::linear`].
#[cfg_attr(feature = "std", expect(unreachable_pub, reason = "the host has one before it"))]
pub fn linear<W: Weight>(x: &[i16], weights: ChannelPairs<'_, W>, channels: Channels<'_>, out: &mut [i16]) {
    debug_assert!(domain::linear(channels));
    let ChannelPairs { weights: matrix, inputs, skipped } = weights;
    // A channel without its partner goes alone.
    if skipped > 0 {
        portable::linear_channel(x, weights, channels, 0, out);
    }
    let matrix = matrix.get(skipped * pair_len(inputs)..).unwrap_or_default();
    let accumulate = |tile: &mut Tile, part: Part| {
        let weights = matrix.get(part.first..).unwrap_or_default();
        tile.accumulate(part, weights, pair_len(inputs));
    };
    let layer = Layer { accumulate: &accumulate, inputs, channels, skipped };
    layer.run(x, out);
}

/// What `accumulate` adds to the sums of a tile.
#[derive(Clone, Copy)]
struct Part {
    /// Rows of the tile, [`ROWS`] or 1.
    rows: usize,
    /// Columns of the block.
    columns: usize,
    /// Pairs of channels.
    pairs: usize,
    /// The weight with which they begin.
    first: usize,
}

/// A layer of any weights.
#[derive(Clone, Copy)]
struct Layer<'a> {
    accumulate: &'a dyn Fn(&mut Tile, Part),
    inputs: usize,
    channels: Channels<'a>,
    /// Channels that are done.
    skipped: usize,
}

impl Layer<'_> {
    fn run(&self, x: &[i16], out: &mut [i16]) {
        let outputs = self.channels.bias.len();
        if self.inputs == 0 || outputs == 0 {
            return;
        }
        let mut tile = Tile::new();
        let (mut x, mut out) = (x, out);
        for rows in [ROWS, 1] {
            let (read, written) = (self.inputs.saturating_mul(rows), outputs.saturating_mul(rows));
            while let (Some((rows_in, rest)), true) = (x.split_at_checked(read), out.len() >= written) {
                let (rows_out, rest_out) = out.split_at_mut_checked(written).unwrap_or_default();
                self.rows(rows, &mut tile, rows_in, rows_out);
                (x, out) = (rest, rest_out);
            }
        }
    }

    /// So many rows through all channels.
    fn rows(&self, rows: usize, tile: &mut Tile, x: &[i16], out: &mut [i16]) {
        let Self { accumulate, inputs, channels: Channels { bias, multipliers, shift }, skipped } = *self;
        let at_once = inputs <= COLUMNS;
        if at_once {
            tile.load(rows, x, inputs, inputs);
        }
        let (bias, multipliers) = (bias.get(skipped..), multipliers.get(skipped..));
        let groups = bias.unwrap_or_default().chunks(2 * PAIRS);
        let groups = groups.zip(multipliers.unwrap_or_default().chunks(2 * PAIRS));
        for (group, (bias, multipliers)) in groups.enumerate() {
            tile.begin(rows, bias);
            for start in (0..inputs).step_by(COLUMNS) {
                let columns = COLUMNS.min(inputs - start);
                if !at_once {
                    tile.load(rows, x.get(start..).unwrap_or_default(), inputs, columns);
                }
                let first = group * PAIRS * pair_len(inputs) + 2 * start;
                accumulate(tile, Part { rows, columns, pairs: bias.len().div_ceil(2), first });
            }
            let multipliers = multipliers.get(..bias.len()).unwrap_or(multipliers);
            let outputs = self.channels.bias.len();
            let out = out.get_mut(skipped + group * 2 * PAIRS..).unwrap_or_default();
            tile.store(rows, multipliers, shift, out, outputs);
        }
    }
}

/// The last of an odd number of channels, from the sums of its rows; `out` begins at it.
fn store_last(sums: &[[i32; 2]], scale: Requant, out: &mut [i16], outputs: usize) {
    for (&[sum, _], out) in sums.iter().zip(out.chunks_mut(outputs.max(1))) {
        if let [out, ..] = out {
            *out = saturate(scale.apply(sum));
        }
    }
}
