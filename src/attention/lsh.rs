//! Attention by locality-sensitive hashing, Reformer (Kitaev et al. 2020, section 2; the masks and the order of
//! chunks are those of the authors' code).
//!
//! Query and key are one vector; as a key it has length one. Every round hashes each token to a bucket, sorts the
//! tokens by bucket and cuts the sorted lists of all rounds, one behind the other, into chunks; a query sees its
//! own chunk and its neighbours. All rounds are one softmax, so that one [`Accumulator`] serves a query and
//! nothing is kept of a token but its places.

mod hash;

use core::num::NonZeroUsize;
use core::ops::Range;

use super::{Accumulator, Head, KEY_TILE, KeyTile, TileBuffer, Weight, absorb_range, is_visible, zip_pairs};
use crate::arena::Carver;
use crate::model::Lsh;
use crate::num::{Requant, round_shift_wide, rsqrt, saturate};

/// Fractional bits of a key of length one. Its product with a query is at most the product of their lengths,
/// `2^15 * sqrt(width) * dot_limit < 2^30.6`.
pub const KEY_FRAC: u32 = 15;

/// Working memory in words: a row of sums, a tile of keys and values, and per round the ends of the buckets and
/// the places of the tokens both ways. `width (1 + 64) + rounds ((buckets + 1) / 2 + tokens)`.
pub(super) const fn scratch(parameters: &Lsh<'_>, tokens: usize, width: usize) -> usize {
    let ends = (parameters.bucket_count() + 1).div_ceil(2);
    width + KEY_TILE * width + parameters.rounds * ends + 2 * (parameters.rounds * tokens).div_ceil(2)
}

/// The bucket of every token in every round, `[rounds, tokens]`, as [`super::attend`] finds them in the queries of
/// `head`. Masked tokens are in bucket [`Lsh::bucket_count`] where the parameters say so.
pub fn hash(parameters: Lsh<'_>, head: &Head<'_>, buckets: &mut [u16]) {
    let tokens = head.tokens();
    for (place, bucket) in buckets.iter_mut().enumerate().take(parameters.rounds * tokens) {
        let token = place % tokens;
        let q = row(head.rows, token, head.width);
        *bucket =
            bucket_of(&parameters, head.index, place / tokens, q, is_visible(head.visible, token)) as u16;
    }
}

/// [`super::attend`] on given buckets, `[rounds, tokens]`: tells an error of attention from one of hashing.
pub fn attend_in(parameters: Lsh<'_>, buckets: &[u16], head: Head<'_>, scratch: &mut [u32]) {
    let tokens = head.tokens();
    run(parameters, head, scratch, |round, token, _| {
        usize::from(buckets.get(round * tokens + token).copied().unwrap_or_default())
    });
}

/// Attends in place.
pub(super) fn attend(parameters: Lsh<'_>, head: Head<'_>, scratch: &mut [u32]) {
    let (index, visible) = (head.index, head.visible);
    run(parameters, head, scratch, |round, token, q| {
        bucket_of(&parameters, index, round, q, is_visible(visible, token))
    });
}

fn bucket_of(parameters: &Lsh<'_>, head: usize, round: usize, q: &[i16], visible: bool) -> usize {
    if parameters.padding_bucket && !visible {
        return parameters.bucket_count();
    }
    hash::bucket(parameters, head, round, q)
}

/// Attends; `bucket` takes round, token and query.
fn run(
    parameters: Lsh<'_>,
    head: Head<'_>,
    scratch: &mut [u32],
    bucket: impl Fn(usize, usize, &[i16]) -> usize,
) {
    // Neither is zero.
    let tokens = head.tokens().max(1);
    let Head { width, rows, keys, values, visible, causal, scale, gain, .. } = head;
    let width = width.max(1);
    let mut carver = Carver::new(scratch);
    let sum = carver.i32s(width);
    let mut tile = Tile {
        keys: carver.i16s(KEY_TILE * width),
        values: carver.i16s(KEY_TILE * width),
        unpaired: &[],
        filled: 0,
        scale,
    };
    normalise(rows, parameters.epsilon, width, keys);
    // One chunk is attended to in full: no need to sort.
    let sorted = (tokens > parameters.chunk).then(|| {
        let bucket = |round: usize, token: usize| bucket(round, token, row(rows, token, width));
        Sorted::new(&parameters, tokens, &mut carver, bucket)
    });
    if sorted.is_none() {
        zip_pairs(values, width, sum);
    }
    let mut buffer = TileBuffer::new();

    for (token, out) in rows.chunks_exact_mut(width).enumerate() {
        let horizon = if causal { token } else { tokens };
        let mut accumulator = Accumulator::new(sum, &mut buffer);
        match &sorted {
            None => {
                for range in [0..token, token + 1..horizon] {
                    absorb_range(&mut accumulator, out, keys, values, visible, range, scale);
                }
            }
            Some(sorted) => {
                sorted.for_each_listed(token, |key| {
                    if key != token && key < horizon && is_visible(visible, key) {
                        tile.push(&mut accumulator, out, row(keys, key, width), row(values, key, width));
                    }
                });
                tile.flush(&mut accumulator, out);
            }
        }
        // A token sees itself only where nothing else is left.
        if accumulator.is_empty() {
            let paired = sorted.is_none() && (token / 2 * 2 + 2) * width <= values.len();
            let (start, step) =
                if paired { (token / 2 * 2 * width + token % 2, 2) } else { (token * width, 1) };
            let value = values.iter().skip(start).step_by(step);
            out.iter_mut().zip(value).for_each(|(out, &v)| *out = saturate(i32::from(v) << gain));
        } else {
            accumulator.finish(gain, out);
        }
    }
}

/// `keys[i] = q / sqrt(|q|^2 + epsilon)`, [`KEY_FRAC`] fractional bits.
fn normalise(rows: &[i16], epsilon: u64, width: usize, keys: &mut [i16]) {
    let width = width.max(1);
    let mut keys = keys.chunks_exact_mut(width);
    for q in rows.chunks_exact(width) {
        let Some(key) = keys.next() else { return };
        let squares: u64 = q.iter().map(|&q| u64::from(i32::from(q).unsigned_abs().pow(2))).sum();
        let root = rsqrt(squares.saturating_add(epsilon));
        for (key, &q) in key.iter_mut().zip(q) {
            let unit = round_shift_wide(i64::from(q) * i64::from(root.mantissa), root.exponent - KEY_FRAC);
            *key = saturate(unit as i32);
        }
    }
}

/// Candidates, gathered until the kernels have a full tile.
struct Tile<'a> {
    /// `[KEY_TILE, width]`.
    keys: &'a mut [i16],
    /// `[KEY_TILE, width]`, pairs zipped.
    values: &'a mut [i16],
    /// Value row of a key whose pair is not complete.
    unpaired: &'a [i16],
    filled: usize,
    scale: Requant,
}

impl<'a> Tile<'a> {
    fn push(&mut self, accumulator: &mut Accumulator<'_>, q: &[i16], key: &[i16], value: &'a [i16]) {
        let width = q.len();
        let slot = self.keys.get_mut(self.filled * width..).and_then(|keys| keys.get_mut(..width));
        if let (Some(slot), Some(key)) = (slot, key.get(..width)) {
            slot.copy_from_slice(key);
        }
        if self.filled.is_multiple_of(2) {
            self.unpaired = value;
        } else {
            self.zip(width, value);
        }
        self.filled += 1;
        if self.filled == KEY_TILE {
            self.flush(accumulator, q);
        }
    }

    /// Completes the last pair.
    fn zip(&mut self, width: usize, value: &[i16]) {
        let pair = self.values.get_mut(self.filled / 2 * 2 * width..).unwrap_or_default();
        for (slot, (&first, &second)) in
            pair.as_chunks_mut().0.iter_mut().zip(self.unpaired.iter().zip(value))
        {
            *slot = [first, second];
        }
    }

    fn flush(&mut self, accumulator: &mut Accumulator<'_>, q: &[i16]) {
        if self.filled == 0 {
            return;
        }
        if self.filled % 2 == 1 {
            // The weight of what stands beside it is zero.
            self.zip(q.len(), self.unpaired);
        }
        let end = self.filled * q.len();
        let tile = KeyTile {
            keys: self.keys.get(..end).unwrap_or_default(),
            values: self.values.get(..self.filled.next_multiple_of(2) * q.len()).unwrap_or_default(),
            visible: u64::MAX >> (KEY_TILE - self.filled),
            weight: Weight::One,
        };
        accumulator.absorb(q, tile, self.scale);
        self.filled = 0;
    }
}

/// The sorted tokens of all rounds. A round is filled up to whole chunks with tokens that are not there; they
/// would sort last, so that no list needs them.
struct Sorted<'a> {
    parameters: &'a Lsh<'a>,
    tokens: usize,
    /// Tokens of a chunk.
    chunk: NonZeroUsize,
    /// Chunks of a round.
    chunks: NonZeroUsize,
    /// Chunks of all rounds.
    total: NonZeroUsize,
    /// Token by place, `[rounds, tokens]`.
    order: &'a [u16],
    /// Place by token, `[rounds, tokens]`.
    places: &'a [u16],
    /// Where each bucket ends, `[rounds, buckets + 1]`.
    ends: &'a [u16],
}

/// What a query sees in one round.
#[derive(Clone, Default)]
struct View {
    /// First chunk, counted through all rounds.
    first: usize,
    /// Places of the round that the buckets allow.
    places: Range<usize>,
}

impl<'a> Sorted<'a> {
    /// A counting sort per round: equal buckets stay in token order.
    fn new(
        parameters: &'a Lsh<'a>,
        tokens: usize,
        carver: &mut Carver<'a>,
        bucket: impl Fn(usize, usize) -> usize,
    ) -> Self {
        let (rounds, padding) = (parameters.rounds, parameters.bucket_count());
        let ends = carver.u16s(rounds * (padding + 1).next_multiple_of(2));
        let order = carver.u16s(rounds * tokens);
        let places = carver.u16s(rounds * tokens);
        for round in 0..rounds {
            let of_round = round * tokens..(round + 1) * tokens;
            let order = order.get_mut(of_round.clone()).unwrap_or_default();
            let places = places.get_mut(of_round).unwrap_or_default();
            let ends = ends.get_mut(round * (padding + 1)..(round + 1) * (padding + 1)).unwrap_or_default();
            ends.fill(0);
            for (token, place) in places.iter_mut().enumerate() {
                let bucket = bucket(round, token).min(padding);
                *place = bucket as u16;
                if let Some(count) = ends.get_mut(bucket) {
                    *count += 1;
                }
            }
            let mut start = 0;
            for count in ends.iter_mut() {
                (*count, start) = (start, start + *count);
            }
            // Every start moves on to the bucket's end.
            for (token, place) in places.iter_mut().enumerate() {
                if let Some(next) = ends.get_mut(usize::from(*place)) {
                    *place = *next;
                    *next += 1;
                }
                if let Some(slot) = order.get_mut(usize::from(*place)) {
                    *slot = token as u16;
                }
            }
        }
        // The model was parsed: nothing here is zero, and no division can panic.
        let positive = |count| NonZeroUsize::new(count).unwrap_or(NonZeroUsize::MIN);
        let chunk = positive(parameters.chunk);
        let chunks = positive(tokens.next_multiple_of(parameters.multiple.max(1)) / chunk);
        let total = positive(rounds * chunks.get());
        Self { parameters, tokens, chunk, chunks, total, order, places, ends }
    }

    /// Gives every key listed for a query, itself included, as often as it counts.
    fn for_each_listed(&self, token: usize, mut give: impl FnMut(usize)) {
        let Lsh { rounds, before, after, in_bucket, skip_duplicates, .. } = *self.parameters;
        let (chunk, total) = (self.chunk.get(), self.total.get());
        let steps = before + 1 + after;
        let steps = if skip_duplicates { steps.min(total) } else { steps };
        let mut views: [View; Lsh::MAX_ROUNDS] = Default::default();
        for round in 0..rounds {
            let view = self.view(round, token);
            let mut at = view.first;
            for _ in 0..steps {
                let (other, within) = (at / self.chunks, at % self.chunks);
                at = if at + 1 == total { 0 } else { at + 1 };
                if in_bucket && other != round {
                    continue;
                }
                let from = other * self.tokens + (within * chunk).max(view.places.start);
                let to = other * self.tokens + ((within + 1) * chunk).min(view.places.end);
                for &key in self.order.get(from..to).unwrap_or_default() {
                    let key = usize::from(key);
                    let mut earlier = views.iter().enumerate().take(round);
                    if !(skip_duplicates && earlier.any(|(round, view)| self.lists(view, round, key, steps)))
                    {
                        give(key);
                    }
                }
            }
            if let Some(slot) = views.get_mut(round) {
                *slot = view;
            }
        }
    }

    /// What a query sees in a round.
    fn view(&self, round: usize, token: usize) -> View {
        let Lsh { before, in_bucket, .. } = *self.parameters;
        let place = self.place(round, token);
        // Chunks count modulo all rounds.
        let total = self.total;
        let first = (self.chunk(round, place) + total.get() - before % total) % total;
        let places = if in_bucket { self.bucket_at(round, place) } else { 0..self.tokens };
        View { first, places }
    }

    /// Whether a view of `steps` chunks lists a token in its own round.
    fn lists(&self, view: &View, round: usize, token: usize, steps: usize) -> bool {
        let place = self.place(round, token);
        let (chunk, total) = (self.chunk(round, place), self.total.get());
        let step = if chunk < view.first { chunk + total - view.first } else { chunk - view.first };
        step < steps && view.places.contains(&place)
    }

    fn place(&self, round: usize, token: usize) -> usize {
        self.places.get(round * self.tokens + token).copied().unwrap_or_default().into()
    }

    /// Chunk of a place, counted through all rounds.
    fn chunk(&self, round: usize, place: usize) -> usize {
        round * self.chunks.get() + place / self.chunk
    }

    /// The places of the bucket that holds a place.
    fn bucket_at(&self, round: usize, place: usize) -> Range<usize> {
        let count = self.parameters.bucket_count() + 1;
        let ends = self.ends.get(round * count..(round + 1) * count).unwrap_or_default();
        let bucket = ends.partition_point(|&end| usize::from(end) <= place);
        let end = |bucket: usize| ends.get(bucket).copied().unwrap_or_default().into();
        if bucket == 0 { 0..end(0) } else { end(bucket - 1)..end(bucket) }
    }
}

fn row(rows: &[i16], index: usize, width: usize) -> &[i16] {
    rows.get(index * width..(index + 1) * width).unwrap_or_default()
}
