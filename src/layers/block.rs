//! One encoder block, in place on the residual stream, or on two where it is reversible.

use super::{ROW_TILE, Shape, Workspace, front, rows_mut, tiles, tiles_mut};
use crate::attention::Head;
use crate::kernels::{VALUE_LIMIT, activate, add, clamp, dot_limit};
use crate::model::{Block, Norm, NormOrder};
use crate::trace::{Site, Tensor, Tile, Trace};

/// Runs the block on streams of `fracs` fractional bits; returns those of the result. Only a reversible block has a
/// second stream.
pub(crate) fn run(
    block: &Block<'_>,
    index: usize,
    shape: Shape,
    fracs: [i32; 2],
    work: &mut Workspace<'_>,
    trace: &mut impl Trace,
) -> [i32; 2] {
    let mut pass = Pass { block, index, shape, trace };
    pass.attention(fracs[0], work);
    let fracs = block.attended(fracs);
    pass.feed_forward(fracs, work);
    block.fed(fracs)
}

struct Pass<'a, T> {
    block: &'a Block<'a>,
    index: usize,
    shape: Shape,
    trace: &'a mut T,
}

impl<T: Trace> Pass<'_, T> {
    /// `stream += attention(stream)`, of the second stream where there is one. One head after the other: the keys
    /// and values of one head are kept at a time.
    fn attention(&mut self, frac: i32, work: &mut Workspace<'_>) {
        for index in 0..self.shape.heads {
            self.project(index, work);
            self.attend(index, work);
        }
        self.join_heads(frac, work);
    }

    /// Puts what a head attends to in the place of its queries.
    #[inline(never)]
    fn attend(&mut self, index: usize, work: &mut Workspace<'_>) {
        let Shape { tokens, head_width: width, mechanisms, .. } = self.shape;
        let attention = &self.block.attention;
        let values = front(work.values, tokens.next_multiple_of(2) * width);
        values.get_mut(tokens * width..).unwrap_or_default().fill(0);
        let head = Head {
            index,
            width,
            rows: rows_of(work.attended, index, tokens * width),
            keys: front(work.keys, tokens * width),
            values,
            visible: work.visible,
            causal: attention.causal,
            scale: attention.scale,
            gain: attention.gain,
        };
        mechanisms.attend(attention.kind, head, work.scratch);
    }

    /// Queries, keys and values of one head, limited so that no dot product overflows.
    #[inline(never)]
    fn project(&mut self, head: usize, work: &mut Workspace<'_>) {
        let Shape { tokens, width, head_width, .. } = self.shape;
        let attention = &self.block.attention;
        let dot_limit = dot_limit(head_width);
        let queries = rows_of(work.attended, head, tokens * head_width);
        // Where queries are keys too the mechanism makes the keys.
        let key = attention.key.as_ref();
        let mut targets = [
            (Tensor::Query, Some(&attention.query), queries, dot_limit),
            (Tensor::Key, key, &mut *work.keys, dot_limit),
            (Tensor::Value, Some(&attention.value), &mut *work.values, VALUE_LIMIT),
        ];

        let source =
            if self.block.order == NormOrder::Reversible { &mut *work.second } else { &mut *work.stream };
        for (tile, rows) in tiles(front(source, tokens * width), width).enumerate() {
            let first = tile * ROW_TILE;
            let x = self.sublayer_input(&self.block.norm1, rows, work.narrow);
            if head == 0 && self.block.order != NormOrder::Post {
                self.show(Tensor::Norm1, first, width, x, self.block.norm1.frac);
            }
            for (tensor, layer, out, limit) in &mut targets {
                let Some(layer) = layer else { continue };
                let out = out.get_mut(first * head_width..).unwrap_or_default();
                let out = front(out, rows.len() / width.max(1) * head_width);
                layer.columns(head * head_width, head_width).forward(x, out);
                clamp(out, *limit);
                self.show_head(*tensor, first, head, out, layer.frac);
            }
        }
    }

    /// Puts the heads side by side, projects them and adds them to the stream.
    #[inline(never)]
    fn join_heads(&mut self, frac: i32, work: &mut Workspace<'_>) {
        let Shape { tokens, width, head_width, .. } = self.shape;
        let attention_width = self.shape.attention_width();
        let attention = &self.block.attention;
        for (tile, rows) in tiles_mut(front(work.stream, tokens * width), width).enumerate() {
            let first = tile * ROW_TILE;
            let joined = front(work.narrow, rows.len() / width.max(1) * attention_width);
            for (row, joined) in rows_mut(joined, attention_width).enumerate() {
                for (head, out) in rows_mut(joined, head_width).enumerate() {
                    let start = (head * tokens + first + row) * head_width;
                    let row = work.attended.get(start..start + head_width).unwrap_or_default();
                    out.iter_mut().zip(row).for_each(|(out, &x)| *out = x);
                }
            }
            let attended_frac = attention.value.frac + attention.gain as i32;
            self.show(Tensor::Attended, first, attention_width, joined, attended_frac);

            let change = front(work.wide, rows.len());
            attention.output.forward(joined, change);
            add(rows, frac - attention.output.frac, change);
            self.show(Tensor::Residual1, first, width, rows, attention.output.frac);
            if self.block.order == NormOrder::Post {
                self.block.norm1.forward_in_place(rows, work.narrow);
                self.show(Tensor::Norm1, first, width, rows, self.block.norm1.frac);
            }
        }
    }

    /// `stream += feed_forward(stream)`, or the second stream where there is one. [`ROW_TILE`] rows at a time: the
    /// hidden rows are never kept (the chunked feed-forward layer of Kitaev et al. 2020).
    #[inline(never)]
    fn feed_forward(&mut self, [first_frac, second_frac]: [i32; 2], work: &mut Workspace<'_>) {
        let Shape { tokens, width, .. } = self.shape;
        let network = &self.block.feed_forward;
        let mut second = tiles_mut(front(work.second, tokens * width), width);
        for (tile, rows) in tiles_mut(front(work.stream, tokens * width), width).enumerate() {
            let row = tile * ROW_TILE;
            let x = self.sublayer_input(&self.block.norm2, rows, work.narrow);
            if self.block.order != NormOrder::Post {
                self.show(Tensor::Norm2, row, width, x, self.block.norm2.frac);
            }

            let hidden = front(work.wide, rows.len() / width.max(1) * network.expand.outputs);
            network.expand.forward(x, hidden);
            activate(hidden, network.activation, network.expand.frac as u32);
            self.show(Tensor::Hidden, row, network.expand.outputs, hidden, network.expand.frac);

            let (rows, frac) = match self.block.order {
                NormOrder::Reversible => (second.next().unwrap_or_default(), second_frac),
                NormOrder::Pre | NormOrder::Post => (rows, first_frac),
            };
            let change = front(work.narrow, rows.len());
            network.contract.forward(hidden, change);
            add(rows, frac - network.contract.frac, change);
            self.show(Tensor::Residual2, row, width, rows, network.contract.frac);
            if self.block.order == NormOrder::Post {
                self.block.norm2.forward_in_place(rows, work.narrow);
                self.show(Tensor::Norm2, row, width, rows, self.block.norm2.frac);
            }
        }
    }

    /// What the sublayer sees: the normalised rows, or the rows themselves where the norm comes after.
    fn sublayer_input<'r>(&self, norm: &Norm<'_>, rows: &'r [i16], scratch: &'r mut [i16]) -> &'r [i16] {
        match self.block.order {
            NormOrder::Pre | NormOrder::Reversible => {
                let out = front(scratch, rows.len());
                norm.forward(rows, out);
                out
            }
            NormOrder::Post => rows,
        }
    }

    /// Whole rows of a tensor of `width` columns.
    fn show(&mut self, tensor: Tensor, row: usize, width: usize, values: &[i16], frac: i32) {
        let site = Site { block: Some(self.index), tensor };
        self.trace.tile(site, Tile { row, column: 0, width, tensor_width: width, values, frac });
    }

    /// One head's columns.
    fn show_head(&mut self, tensor: Tensor, row: usize, head: usize, values: &[i16], frac: i32) {
        let width = self.shape.head_width;
        let site = Site { block: Some(self.index), tensor };
        let tensor_width = self.shape.attention_width();
        self.trace.tile(site, Tile { row, column: head * width, width, tensor_width, values, frac });
    }
}

/// Head `index` of a buffer `[heads, size]`.
fn rows_of(buffer: &mut [i16], index: usize, size: usize) -> &mut [i16] {
    buffer.get_mut(index * size..(index + 1) * size).unwrap_or_default()
}
