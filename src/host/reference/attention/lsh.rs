//! Attention by locality-sensitive hashing: Kitaev, Kaiser, Levskaya 2020, Reformer, section 2.
//!
//! Queries and keys are one vector, `qk`. Every round hashes each token to a bucket, sorts the tokens
//! by bucket and cuts the sorted lists of all rounds, one behind the other, into chunks; a query sees
//! its own chunk and its neighbours. The published combination of rounds by their log-sum-exp is one
//! softmax over the candidates of all rounds, and is computed as such. Hashing and attending are
//! separate, so that attention can be run on given buckets.

use std::vec;
use std::vec::Vec;

use super::candidates::{Candidates, dot, row};

/// What LSH attention is told beside its rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lsh {
    /// Number of buckets as its factors, each even; `[16]` or, factorised, `[4, 4]`.
    pub buckets: Vec<usize>,
    /// Independent hashes.
    pub rounds: usize,
    /// Tokens of a chunk.
    pub chunk: usize,
    /// Chunks that a query sees before its own.
    pub before: usize,
    /// Chunks that a query sees after its own.
    pub after: usize,
    /// An input longer than a chunk is filled up to a multiple of this many tokens: of the chunk, or of all
    /// chunks of a model.
    pub multiple: usize,
    /// Whether a token sees the past only.
    pub causal: bool,
    /// How keys are normalised.
    pub scale: ScoreScale,
    /// Whether a key has to be in the query's bucket of the query's round, not only in a chunk nearby.
    pub in_bucket: bool,
    /// What a key counts that is a candidate several times.
    pub duplicates: Duplicates,
    /// Whether tokens that the mask hides go to a bucket of their own, after all others.
    pub padding_bucket: bool,
}

/// How keys are normalised and scores scaled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScoreScale {
    /// Keys of length 1, scores not scaled: trax, the authors' code, and Hugging Face.
    /// k = q / sqrt(mean(q²) + 1e-6) / sqrt(d).
    Unit,
    /// Keys of length 1, scores over sqrt(d), as the paper reads: lucidrains.
    /// k = q / max(|q|, 1e-12) / sqrt(d).
    SqrtWidth,
}

/// What a key counts that is a candidate several times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Duplicates {
    /// Once for every time it is listed.
    Counted,
    /// Once.
    Skipped,
    /// Once, by the published route: each listing's score is lowered by ln(N + 1e-9), where N counts the
    /// rounds in which the key's chunk is one that the query looks at (and, `in_bucket`, the buckets
    /// agree). The logarithm has single precision, as in both public implementations, which moves
    /// weights by up to 1e-7 against [`Duplicates::Skipped`].
    ///
    /// Across buckets and with several rounds this differs from skipping altogether: a chunk at the seam
    /// of two rounds has N = 0 and gains 20.7.
    Discounted,
}

impl Lsh {
    /// Number of buckets, without the one for padding.
    pub fn bucket_count(&self) -> usize {
        self.buckets.iter().product()
    }

    /// Columns of one round's rotation: half the sum of the factors.
    pub fn rotation_columns(&self) -> usize {
        self.buckets.iter().sum::<usize>() / 2
    }

    /// The bucket of every token in every round, `[rounds, tokens]`.
    ///
    /// `qk` is `[tokens, d]`, `rotations` `[d, rounds, columns]`. Of p = q R and -p, listed in this
    /// order, the largest value's index is the bucket, the first index among equals; of several factors
    /// the first changes fastest.
    pub fn hash(&self, qk: &[f64], d: usize, rotations: &[f64], valid: Option<&[bool]>) -> Vec<usize> {
        let columns = self.rotation_columns();
        assert_eq!(rotations.len(), d * self.rounds * columns, "rotations are [d, rounds, columns]");
        let mut buckets = Vec::with_capacity(self.rounds * (qk.len() / d));
        for round in 0..self.rounds {
            for (i, q) in qk.chunks_exact(d).enumerate() {
                if self.padding_bucket && !is_valid(valid, i) {
                    buckets.push(self.bucket_count());
                    continue;
                }
                let mut p = vec![0.0; columns];
                for (&x, rotation) in q.iter().zip(rotations.chunks_exact(self.rounds * columns)) {
                    for (p, &r) in p.iter_mut().zip(&rotation[round * columns..]) {
                        *p += x * r;
                    }
                }
                let (mut bucket, mut step, mut from) = (0, 1, 0);
                for &factor in &self.buckets {
                    bucket += step * first_largest(&p[from..from + factor / 2]);
                    step *= factor;
                    from += factor / 2;
                }
                buckets.push(bucket);
            }
        }
        buckets
    }

    /// One head on given buckets, `[rounds, tokens]`; `qk`, `v` and the result are `[tokens, d]`.
    ///
    /// A token sees itself only where nothing else is left: then the result is its own value, whether
    /// or not it is valid. An input of at most one chunk is attended to in full, and needs no buckets.
    /// A longer one is filled up with invalid tokens, which sort last.
    pub fn attend(
        &self,
        qk: &[f64],
        v: &[f64],
        d: usize,
        buckets: &[usize],
        valid: Option<&[bool]>,
    ) -> Vec<f64> {
        let tokens = qk.len() / d;
        let keys = self.keys(qk, d);
        let admissible = |i: usize, j: usize| i != j && (!self.causal || j < i) && is_valid(valid, j);
        let score = |i: usize, j: usize| dot(row(qk, i, d), row(&keys, j, d));
        let sorted = (tokens > self.chunk).then(|| Sorted::new(self, buckets, tokens));

        let mut out = v.to_vec();
        let mut candidates = Candidates::default();
        let mut seen = vec![usize::MAX; tokens];
        for (i, out) in out.chunks_exact_mut(d).enumerate() {
            match &sorted {
                None => (0..tokens).filter(|&j| admissible(i, j)).for_each(|j| {
                    candidates.push(j, score(i, j));
                }),
                Some(sorted) => sorted.for_each_listed(self, i, |j| {
                    if j >= tokens || !admissible(i, j) {
                        return;
                    }
                    match self.duplicates {
                        Duplicates::Counted => candidates.push(j, score(i, j)),
                        Duplicates::Skipped if seen[j] == i => {}
                        Duplicates::Skipped => candidates.push(j, score(i, j)),
                        Duplicates::Discounted => {
                            let discount = (sorted.repetitions(self, i, j) as f32 + 1e-9).ln();
                            candidates.push(j, score(i, j) - f64::from(discount));
                        }
                    }
                    seen[j] = i;
                }),
            }
            // Without candidates the row stays what it is: the token's own value.
            if candidates.len() > 0 {
                candidates.attend(v, out);
            }
        }
        out
    }

    /// The normalised and scaled keys, `[tokens, d]`.
    fn keys(&self, qk: &[f64], d: usize) -> Vec<f64> {
        let width = d as f64;
        let mut keys = qk.to_vec();
        for k in keys.chunks_exact_mut(d) {
            let squares: f64 = k.iter().map(|x| x * x).sum();
            let length = match self.scale {
                ScoreScale::Unit => (squares / width + 1e-6).sqrt(),
                ScoreScale::SqrtWidth => squares.sqrt().max(1e-12),
            };
            k.iter_mut().for_each(|x| *x /= length * width.sqrt());
        }
        keys
    }
}

/// Tokens 0, 1, … by bucket, equal buckets in token order: a counting sort.
///
/// The result lists token indices, `[tokens]`.
pub fn sort_by_bucket(buckets: &[usize]) -> Vec<usize> {
    let mut start = vec![0; buckets.iter().max().map_or(0, |most| most + 2)];
    for &bucket in buckets {
        start[bucket + 1] += 1;
    }
    for bucket in 1..start.len() {
        start[bucket] += start[bucket - 1];
    }
    let mut order = vec![0; buckets.len()];
    for (token, &bucket) in buckets.iter().enumerate() {
        order[start[bucket]] = token;
        start[bucket] += 1;
    }
    order
}

/// The sorted tokens of all rounds. Tokens count the filling at the end.
struct Sorted {
    /// A multiple of the chunk.
    tokens: usize,
    /// Bucket of each token, `[rounds, tokens]`.
    buckets: Vec<usize>,
    /// Round and token by place, `[rounds · tokens]`.
    order: Vec<(usize, usize)>,
    /// Chunk of each token, `[rounds, tokens]`, counted through all rounds.
    chunks: Vec<usize>,
    /// Number of chunks of all rounds.
    total: usize,
}

impl Sorted {
    /// Sorts `buckets`, `[rounds, tokens]`.
    fn new(lsh: &Lsh, buckets: &[usize], tokens: usize) -> Sorted {
        assert_eq!(buckets.len(), lsh.rounds * tokens, "buckets are [rounds, tokens]");
        let filled = tokens.next_multiple_of(lsh.multiple);
        let mut sorted = Sorted {
            tokens: filled,
            buckets: Vec::new(),
            order: Vec::new(),
            chunks: vec![0; lsh.rounds * filled],
            total: lsh.rounds * filled / lsh.chunk,
        };
        for (round, buckets) in buckets.chunks_exact(tokens).enumerate() {
            sorted.buckets.extend_from_slice(buckets);
            sorted.buckets.resize((round + 1) * filled, lsh.bucket_count());
            for token in sort_by_bucket(&sorted.buckets[round * filled..]) {
                sorted.chunks[round * filled + token] = sorted.order.len() / lsh.chunk;
                sorted.order.push((round, token));
            }
        }
        sorted
    }

    /// The chunks that a query of `chunk` looks at: modulo all rounds, repeated where they are few.
    fn seen_from(&self, lsh: &Lsh, chunk: usize) -> impl Iterator<Item = usize> + use<> {
        let (total, back) = (self.total, lsh.before % self.total);
        // The distance is the same modulo total; adding total first keeps it from going below zero.
        (0..=lsh.before + lsh.after).map(move |step| (chunk + total - back + step) % total)
    }

    /// Gives every token listed for query `i`, round by round, repetitions, itself and filling included.
    fn for_each_listed(&self, lsh: &Lsh, i: usize, mut give: impl FnMut(usize)) {
        for round in 0..lsh.rounds {
            let own = self.buckets[round * self.tokens + i];
            for chunk in self.seen_from(lsh, self.chunks[round * self.tokens + i]) {
                for &(other, j) in &self.order[chunk * lsh.chunk..][..lsh.chunk] {
                    let bucket = self.buckets[other * self.tokens + j];
                    if !lsh.in_bucket || (other == round && bucket == own) {
                        give(j);
                    }
                }
            }
        }
    }

    /// N of [`Duplicates::Discounted`].
    fn repetitions(&self, lsh: &Lsh, i: usize, j: usize) -> usize {
        let places = (0..lsh.rounds).map(|round| (round * self.tokens + i, round * self.tokens + j));
        let alike = places.filter(|&(i, j)| !lsh.in_bucket || self.buckets[i] == self.buckets[j]);
        alike
            .map(|(i, j)| {
                self.seen_from(lsh, self.chunks[i]).filter(|&chunk| chunk == self.chunks[j]).count()
            })
            .sum()
    }
}

/// Index of the largest of p and then -p, the first among equals.
fn first_largest(p: &[f64]) -> usize {
    let mut best = (0, f64::NEG_INFINITY);
    for (index, value) in p.iter().copied().chain(p.iter().map(|x| -x)).enumerate() {
        if value > best.1 {
            best = (index, value);
        }
    }
    best.0
}

/// Whether the mask leaves token `i`.
fn is_valid(valid: Option<&[bool]>, i: usize) -> bool {
    valid.is_none_or(|valid| valid[i])
}
