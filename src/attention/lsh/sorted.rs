//! The tokens of all rounds, sorted by their buckets.

use core::num::NonZeroUsize;
use core::ops::Range;

use crate::attention::Budget;
use crate::memory::Carver;
use crate::model::Lsh;

/// Words for the ends of the buckets, the places of the tokens both ways, and where sorting paused.
pub(super) const fn memory(parameters: &Lsh<'_>, tokens: usize) -> usize {
    let ends = (parameters.bucket_count() + 1).next_multiple_of(2);
    (parameters.rounds * ends).div_ceil(2) + 2 * (parameters.rounds * tokens).div_ceil(2) + 3
}

/// The sorted tokens of all rounds. A round is filled up to whole chunks with tokens that are not there; they
/// would sort last, so that no list needs them.
pub(super) struct Sorted<'a> {
    parameters: &'a Lsh<'a>,
    tokens: usize,
    /// Columns of a key.
    width: usize,
    /// Tokens of a chunk.
    chunk: NonZeroUsize,
    /// Chunks of a round.
    chunks: NonZeroUsize,
    /// Chunks of all rounds.
    total: NonZeroUsize,
    /// Token by place, `[rounds, tokens]`.
    order: &'a mut [u16],
    /// Bucket, then place by token, `[rounds, tokens]`.
    places: &'a mut [u16],
    /// How many tokens each bucket has, then where it ends, `[rounds, buckets + 1]`.
    ends: &'a mut [u16],
    /// Where sorting paused: counts that have become starts, the last of them, tokens that have a place.
    sorted: &'a mut [u32],
}

/// How far the list of a query has been given.
#[derive(Clone, Copy)]
pub(super) struct Listed {
    pub(super) round: usize,
    /// Chunks of the round.
    pub(super) step: usize,
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
    pub(super) fn carve(
        parameters: &'a Lsh<'a>,
        tokens: usize,
        width: usize,
        carver: &mut Carver<'a>,
    ) -> Self {
        let (rounds, padding) = (parameters.rounds, parameters.bucket_count());
        // The model was parsed: nothing here is zero, and no division can panic.
        let positive = |count| NonZeroUsize::new(count).unwrap_or(NonZeroUsize::MIN);
        let chunk = positive(parameters.chunk);
        let chunks = positive(tokens.next_multiple_of(parameters.multiple.max(1)) / chunk);
        Self {
            parameters,
            tokens,
            width,
            chunk,
            chunks,
            total: positive(rounds * chunks.get()),
            ends: carver.u16s(rounds * (padding + 1).next_multiple_of(2)),
            order: carver.u16s(rounds * tokens),
            places: carver.u16s(rounds * tokens),
            sorted: carver.words(3),
        }
    }

    pub(super) fn begin(&mut self) {
        self.ends.fill(0);
        self.sorted.fill(0);
    }

    /// Notes the bucket of a token.
    pub(super) fn count(&mut self, round: usize, token: usize, bucket: usize) {
        let padding = self.parameters.bucket_count();
        let bucket = bucket.min(padding);
        if let Some(place) = self.places.get_mut(round * self.tokens + token) {
            *place = bucket as u16;
        }
        if let Some(count) = self.ends.get_mut(round * (padding + 1) + bucket) {
            *count += 1;
        }
    }

    /// A counting sort of each round, some tokens at a time: equal buckets stay in token order.
    pub(super) fn sort(&mut self, budget: &mut Budget) -> bool {
        let buckets = self.parameters.bucket_count() + 1;
        let &mut [ref mut counted, ref mut start, ref mut placed] = &mut *self.sorted else { return true };
        let counts = self.ends.iter_mut().enumerate().take(self.parameters.rounds * buckets);
        for (index, count) in counts.skip(*counted as usize) {
            if index.is_multiple_of(buckets.max(1)) {
                *start = 0;
            }
            let next = *start + u32::from(*count);
            *count = *start as u16;
            (*start, *counted) = (next, *counted + 1);
            budget.charge(12);
            if budget.is_spent() {
                return false;
            }
        }
        let tokens = self.tokens.max(1);
        for (index, place) in self.places.iter_mut().enumerate().skip(*placed as usize) {
            // Every start moves on to the bucket's end.
            let round = index / tokens;
            if let Some(next) = self.ends.get_mut(round * buckets + usize::from(*place)) {
                *place = *next;
                *next += 1;
            }
            if let Some(slot) = self.order.get_mut(round * tokens + usize::from(*place)) {
                *slot = (index - round * tokens) as u16;
            }
            *placed += 1;
            budget.charge(30);
            if budget.is_spent() {
                return false;
            }
        }
        true
    }

    /// Gives all keys listed for a query but itself, a chunk at a time from `listed` on until the budget is spent, and what
    /// tells whether one was listed before and counts no more; returns where to go on.
    pub(super) fn for_each_listed(
        &self,
        token: usize,
        listed: Listed,
        budget: &mut Budget,
        mut give: impl FnMut(&[u16], Option<&dyn Fn(usize) -> bool>),
    ) -> Option<Listed> {
        let Lsh { rounds, before, after, in_bucket, skip_duplicates, .. } = *self.parameters;
        let (chunk, total) = (self.chunk.get(), self.total.get());
        let steps = before + 1 + after;
        let steps = if skip_duplicates { steps.min(total) } else { steps };
        let width = self.width;
        let mut views: [View; Lsh::MAX_ROUNDS] = Default::default();
        for round in 0..rounds {
            let view = self.view(round, token);
            let from = if round == listed.round { listed.step } else { 0 };
            let skipped = if round < listed.round { steps } else { from };
            for step in skipped..steps {
                if budget.is_spent() {
                    return Some(Listed { round, step });
                }
                let at = (view.first + step) % self.total;
                let (other, within) = (at / self.chunks, at % self.chunks);
                if in_bucket && other != round {
                    continue;
                }
                let from = other * self.tokens + (within * chunk).max(view.places.start);
                let to = other * self.tokens + ((within + 1) * chunk).min(view.places.end);
                let own = other * self.tokens + self.place(other, token);
                let own = if (from..to).contains(&own) { own } else { to };
                let earlier = views.get(..round).unwrap_or_default();
                let lists =
                    |key| earlier.iter().enumerate().any(|(round, view)| self.lists(view, round, key, steps));
                for places in [from..own, own + 1..to] {
                    if let Some(keys @ [_, ..]) = self.order.get(places) {
                        give(keys, if skip_duplicates { Some(&lists) } else { None });
                    }
                }
                budget.charge(to.saturating_sub(from) * (6 * width + 60));
            }
            if let Some(slot) = views.get_mut(round) {
                *slot = view;
            }
        }
        None
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
