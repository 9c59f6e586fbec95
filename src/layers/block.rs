//! One encoder block, in place on the residual stream.

use super::{ROW_TILE, Shape, Workspace, front};
use crate::attention::{OUTPUT_GAIN, exact};
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
    pass.project_keys_and_values(work);
    let frac = pass.attend(frac, work);
    pass.feed_forward(frac, work)
}

struct Pass<'a, T> {
    block: &'a Block<'a>,
    index: usize,
    shape: Shape,
    trace: &'a mut T,
}

impl<T: Trace> Pass<'_, T> {
    /// Keys and values of all tokens, head by head.
    fn project_keys_and_values(&mut self, work: &mut Workspace<'_>) {
        let Shape { tokens, width, .. } = self.shape;
        let head_width = self.shape.head_width();
        let attention = &self.block.attention;
        let projections = [
            (&attention.key, &mut *work.keys, dot_limit(head_width), Tensor::Key),
            (&attention.value, &mut *work.values, VALUE_LIMIT, Tensor::Value),
        ];
        for (projection, out, limit, tensor) in projections {
            let stream = front(work.stream, tokens * width);
            for (tile, rows) in stream.chunks(ROW_TILE * width).enumerate() {
                let x = self.sublayer_input(&self.block.norm1, rows, work.narrow);
                let heads = front(out, tokens * width).chunks_exact_mut(tokens * head_width);
                for (head, out) in heads.enumerate() {
                    let from = tile * ROW_TILE * head_width;
                    let out = out.get_mut(from..from + rows.len() / width * head_width).unwrap_or_default();
                    self.project_head(projection, head, x, out, limit);
                    self.show_head(tensor, tile * ROW_TILE, head, out, projection.frac);
                }
            }
        }
    }

    /// `stream += attention(stream)`.
    fn attend(&mut self, frac: i32, work: &mut Workspace<'_>) -> i32 {
        let Shape { tokens, width, .. } = self.shape;
        let head_width = self.shape.head_width();
        let attention = &self.block.attention;
        let visible = &*work.visible;
        for (tile, rows) in front(work.stream, tokens * width).chunks_mut(ROW_TILE * width).enumerate() {
            let first = tile * ROW_TILE;
            let count = rows.len() / width;
            let x = self.sublayer_input(&self.block.norm1, rows, work.narrow);
            if self.block.order == NormOrder::Pre {
                self.show(Tensor::Norm1, first, width, x, self.block.norm1.frac);
            }

            let queries = front(work.wide, rows.len());
            for (head, q) in queries.chunks_exact_mut(count * head_width).enumerate() {
                self.project_head(&attention.query, head, x, q, dot_limit(head_width));
                self.show_head(Tensor::Query, first, head, q, attention.query.frac);
            }

            let attended = front(work.narrow, rows.len());
            let heads = queries
                .chunks_exact(count * head_width)
                .zip(work.keys.chunks_exact(tokens * head_width))
                .zip(work.values.chunks_exact(tokens * head_width));
            for (head, ((queries, keys), values)) in heads.enumerate() {
                let memory = exact::Memory { keys, values, visible };
                let outputs = attended.chunks_exact_mut(width);
                for (row, (q, out)) in queries.chunks_exact(head_width).zip(outputs).enumerate() {
                    let horizon = if attention.causal { first + row + 1 } else { tokens };
                    let out = out.get_mut(head * head_width..(head + 1) * head_width).unwrap_or_default();
                    exact::attend(q, memory, horizon, attention.scale, work.sum, out);
                }
            }
            let attended_frac = attention.value.frac + OUTPUT_GAIN as i32;
            self.show(Tensor::Attended, first, width, attended, attended_frac);

            let change = front(work.wide, rows.len());
            attention.output.forward(attended, change);
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

    /// One head's rows, limited so that no dot product overflows.
    fn project_head(&self, projection: &Linear<'_>, head: usize, x: &[i16], out: &mut [i16], limit: i16) {
        let head_width = self.shape.head_width();
        projection.columns(head * head_width, head_width).forward(x, out);
        clamp(out, limit);
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
