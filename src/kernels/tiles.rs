//! What a query meets in tiles of keys: whether the loops of a core take the rows is asked once, not by every kernel.

#[cfg(fixformer_dsp)]
use super::KEY_TILE;
#[cfg(fixformer_dsp)]
use super::portable::{dots, softmax_weights, weighted_sum};
#[cfg(fixformer_dsp)]
use super::{SCORE_SHIFT, at_word};
#[cfg(not(fixformer_dsp))]
use super::{dots, softmax_weights, weighted_sum};
use crate::num::Requant;

/// A tile in the loops of this core.
#[cfg(fixformer_dsp)]
#[cfg_attr(fixformer_mve, path = "tiles/helium.rs")]
#[cfg_attr(not(fixformer_mve), path = "tiles/dsp.rs")]
mod loops;

/// A query, its keys and values, and what comes of a tile of them.
pub struct Tiles<'a> {
    q: &'a [i16],
    keys: &'a [i16],
    values: &'a [i16],
    /// `[KEY_TILE]`.
    products: &'a mut [i32],
    /// `[KEY_TILE]`.
    weights: &'a mut [i16],
    /// `[width]`.
    sum: &'a mut [i32],
    /// The first key of the tile at work, and how many it has.
    first: usize,
    count: usize,
    /// Keys, where the loops of this core take them, else none; and whether they take the tile.
    #[cfg(fixformer_dsp)]
    taken: usize,
    #[cfg(fixformer_dsp)]
    takes: bool,
}

impl<'a> Tiles<'a> {
    /// Keys `[total, width]`, and values zipped as [`super::weighted_sum`] takes them: the loops, in whole pairs of rows. Room for
    /// [`KEY_TILE`] products and weights, and sums `[width]`. An empty `q` is a row of zeros.
    #[inline(always)]
    pub fn new(
        q: &'a [i16],
        (total, keys, values): (usize, &'a [i16], &'a [i16]),
        products: &'a mut [i32],
        weights: &'a mut [i16],
        sum: &'a mut [i32],
    ) -> Self {
        #[cfg(fixformer_dsp)]
        let (width, words) = (sum.len(), at_word(q) && at_word(keys) && at_word(values) && at_word(weights));
        #[cfg(fixformer_dsp)]
        let takes_rows = words
            && loops::takes(width)
            && q.len() == width
            && products.len() >= KEY_TILE
            && weights.len() >= KEY_TILE
            && keys.len() >= total * width
            && values.len() >= total.next_multiple_of(2) * width;
        #[cfg(not(fixformer_dsp))]
        let _ = total;
        Self {
            q,
            keys,
            values,
            products,
            weights,
            sum,
            first: 0,
            count: 0,
            #[cfg(fixformer_dsp)]
            taken: if takes_rows { total } else { 0 },
            #[cfg(fixformer_dsp)]
            takes: false,
        }
    }

    /// Finds the products of `count` keys from `first` on, an even number, with the query; see [`super::dots`].
    #[cfg_attr(all(fixformer_dsp, not(fixformer_mve)), inline(never))]
    #[cfg_attr(not(all(fixformer_dsp, not(fixformer_mve))), inline(always))]
    pub fn dots(&mut self, first: usize, count: usize) {
        let width = self.sum.len();
        (self.first, self.count) = (first, count);
        #[cfg(fixformer_dsp)]
        {
            self.takes = (loops::LEAST..=KEY_TILE).contains(&count) && first + count <= self.taken;
            if self.takes {
                let keys = self.keys.as_ptr().wrapping_add(first * width);
                // SAFETY: the query and so many keys, as many as the loops take, have `width` columns, which they take, and lie at
                // words; there is room for the products of a tile.
                #[allow(unsafe_code)]
                unsafe {
                    loops::products(self.q.as_ptr(), keys, width, count, self.products.as_mut_ptr());
                }
                return;
            }
        }
        let keys = self.keys.get(first * width..).unwrap_or_default();
        let products = self.products.get_mut(..count).unwrap_or_default();
        if self.q.is_empty() {
            return products.fill(0);
        }
        dots(self.q, keys, products);
    }

    /// Has the products of a tile of `count` keys made by somebody else.
    #[cfg(feature = "std")]
    pub(crate) fn multiply(&mut self, count: usize, multiply: impl FnOnce(&mut [i32])) {
        (self.first, self.count) = (0, count);
        multiply(self.tile().0);
    }

    /// Turns products into weights; see [`super::softmax_weights`]. Where it is `known` that none lies above, nothing else is
    /// returned.
    #[cfg_attr(all(fixformer_dsp, not(fixformer_mve)), inline(never))]
    #[cfg_attr(not(all(fixformer_dsp, not(fixformer_mve))), inline(always))]
    pub fn weigh(&mut self, scale: Requant, top: i32, known: bool) -> Result<u32, i32> {
        #[cfg(fixformer_dsp)]
        if self.takes && scale.shift <= SCORE_SHIFT {
            let (products, weights) = (self.products.as_mut_ptr(), self.weights.as_mut_ptr());
            // SAFETY: there is room for the products and weights of a tile, of which there are so many, and the latter lie at
            // words.
            #[allow(unsafe_code)]
            return unsafe { loops::weigh(products, weights, self.count, scale, top, known) };
        }
        let (products, weights) = self.tile();
        let found = softmax_weights(products, scale, top, weights);
        if let Some(unpaired) = weights.get_mut(products.len()) {
            *unpaired = 0;
        }
        if known { Ok(found.unwrap_or_default()) } else { found }
    }

    /// Adds the weighted values to the sums; see [`super::weighted_sum`].
    #[cfg_attr(all(fixformer_dsp, not(fixformer_mve)), inline(never))]
    #[cfg_attr(not(all(fixformer_dsp, not(fixformer_mve))), inline(always))]
    pub fn add(&mut self, run: usize, shift: u32) {
        let (width, pairs) = (self.sum.len(), self.count.div_ceil(2));
        #[cfg(fixformer_dsp)]
        if self.takes {
            let values = self.values.as_ptr().wrapping_add(self.first * width);
            let (weights, sum) = (self.weights.as_ptr(), self.sum.as_mut_ptr());
            // SAFETY: there are as many pairs of weights and of zipped rows, at least one, which lie at words and have as many
            // columns as there are sums, which the loops take; no run is empty.
            #[allow(unsafe_code)]
            return unsafe { loops::add(weights, values, width, pairs, run / 2, shift, sum) };
        }
        let values = self.values.get(self.first * width..).unwrap_or_default();
        // The last of an odd number of rows may have no partner.
        let values = values.get(..2 * pairs * width).unwrap_or(values);
        let weights = self.weights.get(..2 * pairs).unwrap_or_default();
        weighted_sum(weights, values, run, shift, self.sum);
    }

    /// The products of the tile, and its weights, of which a zero may make the number even.
    #[inline(always)]
    pub fn tile(&mut self) -> (&mut [i32], &mut [i16]) {
        let products = self.products.get_mut(..self.count).unwrap_or_default();
        let weights = self.weights.get_mut(..self.count.next_multiple_of(2)).unwrap_or_default();
        (products, weights)
    }

    /// The sums.
    #[inline(always)]
    pub fn sums(&mut self) -> &mut [i32] {
        self.sum
    }
}
