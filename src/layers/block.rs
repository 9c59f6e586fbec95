//! One encoder block, in place on the residual stream.

use super::{ROW_TILE, Shape, Workspace, front};
use crate::attention::Head;
use crate::kernels::{VALUE_LIMIT, activate, add, clamp, dot_limit};
use crate::model::{Block, Linear, Norm, NormOrder};
use crate::trace::{Site, Tensor, Tile, Trace};

/// Runs the block on a stream of `frac` fractional bits; returns those of the result.
pub(crate) fn run(
    block: &Block<'_>,
    index: usize,
    shape: Shape,
    frac: i32,
    work: &mut Workspace<'_>,
    trace: &mut impl Trace,
) -> i32 {
    let mut pass = Pass { block, index, shape, trace };
    let frac = pass.attention(frac, work);
    pass.feed_forward(frac, work)
}

struct Pass<'a, T> {
    block: &'a Block<'a>,
    index: usize,
    shape: Shape,
    trace: &'a mut T,
}

impl<T: Trace> Pass<'_, T> {
    /// `stream += attention(stream)`, one head after the other: the keys and values of one head are kept at a time.
    fn attention(&mut self, frac: i32, work: &mut Workspace<'_>) -> i32 {
        let Shape { tokens, heads, .. } = self.shape;
        let attention = &self.block.attention;
        let width = self.shape.head_width();
        for index in 0..heads {
            self.project(index, work);
            let head = Head {
                index,
                width,
                rows: rows_of(work.attended, index, tokens * width),
                keys: front(work.keys, tokens * width),
                values: front(work.values, tokens * width),
                visible: work.visible,
                causal: attention.causal,
                scale: attention.scale,
                gain: attention.gain,
            };
            self.shape.mechanisms.attend(attention.kind, head, work.scratch);
        }
        self.join_heads(frac, work)
    }

    /// Queries, keys and values of one head, limited so that no dot product overflows.
    fn project(&mut self, head: usize, work: &mut Workspace<'_>) {
        let Shape { tokens, width, .. } = self.shape;
        let attention = &self.block.attention;
        let head_width = self.shape.head_width();
        let dot_limit = dot_limit(head_width);
        let targets = [
            (Tensor::Query, &attention.query, rows_of(work.attended, head, tokens * head_width), dot_limit),
            (Tensor::Key, &attention.key, &mut *work.keys, dot_limit),
            (Tensor::Value, &attention.value, &mut *work.values, VALUE_LIMIT),
        ]
        .map(|(tensor, layer, out, limit)| {
            (tensor, layer.columns(head * head_width, head_width), out, limit)
        });

        let mut targets = targets;
        for (tile, rows) in front(work.stream, tokens * width).chunks(ROW_TILE * width).enumerate() {
            let first = tile * ROW_TILE;
            let x = self.sublayer_input(&self.block.norm1, rows, work.narrow);
            if head == 0 && self.block.order == NormOrder::Pre {
                self.show(Tensor::Norm1, first, width, x, self.block.norm1.frac);
            }
            for (tensor, layer, out, limit) in &mut targets {
                let out = out.get_mut(first * head_width..).unwrap_or_default();
                let out = front(out, rows.len() / width * head_width);
                layer.forward(x, out);
                clamp(out, *limit);
                self.show_head(*tensor, first, head, out, layer.frac);
            }
        }
    }

    /// Puts the heads side by side, projects them and adds them to the stream.
    fn join_heads(&mut self, frac: i32, work: &mut Workspace<'_>) -> i32 {
        let Shape { tokens, width, .. } = self.shape;
        let head_width = self.shape.head_width();
        let attention = &self.block.attention;
        for (tile, rows) in front(work.stream, tokens * width).chunks_mut(ROW_TILE * width).enumerate() {
            let first = tile * ROW_TILE;
            let joined = front(work.narrow, rows.len());
            for (row, joined) in joined.chunks_exact_mut(width).enumerate() {
                for (head, out) in joined.chunks_exact_mut(head_width).enumerate() {
                    let start = (head * tokens + first + row) * head_width;
                    let row = work.attended.get(start..start + head_width).unwrap_or_default();
                    out.iter_mut().zip(row).for_each(|(out, &x)| *out = x);
                }
            }
            let attended_frac = attention.value.frac + attention.gain as i32;
            self.show(Tensor::Attended, first, width, joined, attended_frac);

            let change = front(work.wide, rows.len());
            attention.output.forward(joined, change);
            add(rows, frac - attention.output.frac, change);
            self.show(Tensor::Residual1, first, width, rows, attention.output.frac);
            if self.block.order == NormOrder::Post {
                self.block.norm1.forward_in_place(rows, work.narrow);
                self.show(Tensor::Norm1, first, width, rows, self.block.norm1.frac);
            }
        }
        self.stream_frac(&attention.output, &self.block.norm1)
    }

    /// `stream += feed_forward(stream)`, [`ROW_TILE`] rows at a time: the hidden rows are never kept.
    fn feed_forward(&mut self, frac: i32, work: &mut Workspace<'_>) -> i32 {
        let Shape { tokens, width, .. } = self.shape;
        let network = &self.block.feed_forward;
        for (tile, rows) in front(work.stream, tokens * width).chunks_mut(ROW_TILE * width).enumerate() {
            let row = tile * ROW_TILE;
            let x = self.sublayer_input(&self.block.norm2, rows, work.narrow);
            if self.block.order == NormOrder::Pre {
                self.show(Tensor::Norm2, row, width, x, self.block.norm2.frac);
            }

            let hidden = front(work.wide, rows.len() / width * network.expand.outputs);
            network.expand.forward(x, hidden);
            activate(hidden, network.activation, network.expand.frac as u32);
            self.show(Tensor::Hidden, row, network.expand.outputs, hidden, network.expand.frac);

            let change = front(work.narrow, rows.len());
            network.contract.forward(hidden, change);
            add(rows, frac - network.contract.frac, change);
            self.show(Tensor::Residual2, row, width, rows, network.contract.frac);
            if self.block.order == NormOrder::Post {
                self.block.norm2.forward_in_place(rows, work.narrow);
                self.show(Tensor::Norm2, row, width, rows, self.block.norm2.frac);
            }
        }
        self.stream_frac(&network.contract, &self.block.norm2)
    }

    /// What the sublayer sees: the normalised rows, or the rows themselves where the norm comes after.
    fn sublayer_input<'r>(&self, norm: &Norm<'_>, rows: &'r [i16], scratch: &'r mut [i16]) -> &'r [i16] {
        match self.block.order {
            NormOrder::Pre => {
                let out = front(scratch, rows.len());
                norm.forward(rows, out);
                out
            }
            NormOrder::Post => rows,
        }
    }

    fn stream_frac(&self, last: &Linear<'_>, norm: &Norm<'_>) -> i32 {
        match self.block.order {
            NormOrder::Pre => last.frac,
            NormOrder::Post => norm.frac,
        }
    }

    /// Whole rows of a tensor of `width` columns.
    fn show(&mut self, tensor: Tensor, row: usize, width: usize, values: &[i16], frac: i32) {
        let site = Site { block: Some(self.index), tensor };
        self.trace.tile(site, Tile { row, column: 0, width, tensor_width: width, values, frac });
    }

    /// One head's columns.
    fn show_head(&mut self, tensor: Tensor, row: usize, head: usize, values: &[i16], frac: i32) {
        let width = self.shape.head_width();
        let site = Site { block: Some(self.index), tensor };
        let tensor_width = self.shape.width;
        self.trace.tile(site, Tile { row, column: head * width, width, tensor_width, values, frac });
    }
}

/// Head `index` of a buffer `[heads, size]`.
fn rows_of(buffer: &mut [i16], index: usize, size: usize) -> &mut [i16] {
    buffer.get_mut(index * size..(index + 1) * size).unwrap_or_default()
}
