//! What an encoder block does to rows, whoever asks for it.

use super::{Rare, front};
use crate::attention::Budget;
use crate::kernels::{Activation, add, clamp};
use crate::memory::{rows, rows_mut};
use crate::model::{Block, Linear, Norm, NormOrder};
use crate::trace::{Site, Tensor, Tile, Trace};

/// A block, and where its tensors are shown.
pub(crate) struct Rows<'a, T> {
    pub(crate) block: &'a Block<'a>,
    /// Number of the block.
    pub(crate) index: usize,
    /// Columns of all heads side by side.
    pub(crate) attention_width: usize,
    /// What of the layers is linked.
    pub(crate) rare: &'a Rare,
    pub(crate) trace: &'a mut T,
    pub(crate) budget: &'a mut Budget,
}

impl<T: Trace> Rows<'_, T> {
    /// What the attention sublayer sees of the rows from token `first` on: their norm, or themselves where that comes
    /// after.
    pub(crate) fn source<'r>(&mut self, rows: &'r [i16], normed: &'r mut [i16]) -> &'r [i16] {
        self.sublayer_input(&self.block.norm1, rows, normed)
    }

    /// Shows what the attention sublayer sees.
    pub(crate) fn show_source(&mut self, first: usize, x: &[i16]) {
        if self.block.order != NormOrder::Post {
            let norm = &self.block.norm1;
            self.show(Tensor::Norm1, first, norm.parameters.gain.len(), x, norm.frac);
        }
    }

    /// One head's columns of a projection of `x`, limited so that no dot product overflows.
    #[inline(never)]
    pub(crate) fn project(&mut self, of: Projection<'_>, first: usize, x: &[i16], out: &mut [i16]) {
        let Projection { tensor, layer, head, head_width, limit } = of;
        layer.columns(head * head_width, head_width).forward(x, out);
        clamp(out, limit);
        self.budget.charge(out.len() * layer.inputs);
        let site = Site { block: Some(self.index), tensor };
        let (column, tensor_width) = (head * head_width, self.attention_width);
        let tile =
            Tile { row: first, column, width: head_width, tensor_width, values: out, frac: layer.frac };
        self.trace.tile(site, tile);
    }

    /// `rows += output(joined)`, where `joined` has the heads side by side and `rows` `frac` fractional bits.
    #[inline(never)]
    pub(crate) fn attended(
        &mut self,
        first: usize,
        joined: &[i16],
        frac: i32,
        change: &mut [i16],
        rows: &mut [i16],
    ) {
        let attention = &self.block.attention;
        let width = attention.output.outputs;
        let attended_frac = attention.value.frac + attention.gain as i32;
        self.show(Tensor::Attended, first, self.attention_width, joined, attended_frac);
        self.add_to(&attention.output, joined, frac, change, rows);
        self.show(Tensor::Residual1, first, width, rows, attention.output.frac);
        if self.block.order == NormOrder::Post {
            self.block.norm1.forward_in_place(rows, change);
            self.show(Tensor::Norm1, first, width, rows, self.block.norm1.frac);
        }
    }

    /// The hidden rows of the feed-forward network before the activation.
    #[inline(never)]
    pub(crate) fn expand(&mut self, first: usize, rows: &[i16], normed: &mut [i16], hidden: &mut [i16]) {
        let norm = &self.block.norm2;
        let x = self.sublayer_input(norm, rows, normed);
        if self.block.order != NormOrder::Post {
            self.show(Tensor::Norm2, first, norm.parameters.gain.len(), x, norm.frac);
        }
        let expand = &self.block.feed_forward.expand;
        expand.forward(x, hidden);
        self.budget.charge(hidden.len() * expand.inputs);
    }

    /// The activation of the hidden rows.
    #[inline(never)]
    pub(crate) fn activate(&mut self, first: usize, hidden: &mut [i16]) {
        let network = &self.block.feed_forward;
        self.rare.activate(hidden, network.activation, network.expand.frac as u32);
        self.budget.charge(hidden.len() * if network.activation == Activation::Relu { 4 } else { 70 });
        self.show(Tensor::Hidden, first, network.expand.outputs, hidden, network.expand.frac);
    }

    /// `rows += contract(hidden)`, where `rows` have `frac` fractional bits.
    #[inline(never)]
    pub(crate) fn fed(
        &mut self,
        first: usize,
        hidden: &[i16],
        frac: i32,
        change: &mut [i16],
        rows: &mut [i16],
    ) {
        let contract = &self.block.feed_forward.contract;
        self.add_to(contract, hidden, frac, change, rows);
        self.show(Tensor::Residual2, first, contract.outputs, rows, contract.frac);
        if self.block.order == NormOrder::Post {
            self.block.norm2.forward_in_place(rows, change);
            self.show(Tensor::Norm2, first, contract.outputs, rows, self.block.norm2.frac);
        }
    }

    fn add_to(&mut self, layer: &Linear<'_>, x: &[i16], frac: i32, change: &mut [i16], rows: &mut [i16]) {
        let change = front(change, rows.len());
        layer.forward(x, change);
        add(rows, frac - layer.frac, change);
        self.budget.charge(rows.len() * (layer.inputs + 10));
    }

    /// What a sublayer sees: the normalised rows, or the rows themselves where the norm comes after.
    fn sublayer_input<'r>(&mut self, norm: &Norm<'_>, rows: &'r [i16], scratch: &'r mut [i16]) -> &'r [i16] {
        match self.block.order {
            NormOrder::Pre | NormOrder::Reversible => {
                let out = front(scratch, rows.len());
                norm.forward(rows, out);
                self.budget.charge(rows.len() * 40);
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
}

/// A projection of one head.
#[derive(Clone, Copy)]
pub(crate) struct Projection<'a> {
    pub(crate) tensor: Tensor,
    pub(crate) layer: &'a Linear<'a>,
    pub(crate) head: usize,
    pub(crate) head_width: usize,
    /// Largest magnitude.
    pub(crate) limit: i16,
}

/// Copies the rows of one head, `[rows, head width]`, to their columns, or back.
pub(crate) fn put_head(joined: &mut [i16], attention_width: usize, head: usize, heads: &[i16], width: usize) {
    for (joined, row) in rows_mut(joined, attention_width).zip(rows(heads, width)) {
        let columns = joined.get_mut(head * width..(head + 1) * width).unwrap_or_default();
        columns.iter_mut().zip(row).for_each(|(to, &from)| *to = from);
    }
}
