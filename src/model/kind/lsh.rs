//! LSH attention.

use super::super::read::{Reader, tri};
use super::super::{MAX_TOKENS, ModelError, Shape};
use super::local::{MOST_MULTIPLE, check_multiple};
use crate::kernels::{dot_limit, dots};

pub(super) const NUMBER: usize = 4;
pub(super) const NAME: &str = "lsh";
/// Most chunks of all rounds: sums of their numbers fit a word.
const MOST_CHUNKS: u32 = 1 << 24;

/// Parameters of attention by locality-sensitive hashing, Reformer. Query and key are one vector: the keys that
/// a head is given are not read. A causal layer is so only in who attends to whom: which earlier tokens share a chunk
/// with a query depends on the hashes of the later ones.
#[derive(Clone, Copy, Debug)]
pub struct Lsh<'a> {
    /// Number of buckets as its factors, each even: `[16]` or, factorised, `[4, 4]`.
    pub factors: &'a [i16],
    /// Independent hashes.
    pub rounds: usize,
    /// Tokens of a chunk.
    pub chunk: usize,
    /// Chunks that a query sees before its own.
    pub before: usize,
    /// Chunks that a query sees after its own.
    pub after: usize,
    /// An input longer than a chunk counts as filled up to a multiple of this many tokens: of the chunk, or of all
    /// chunks of the model.
    pub multiple: usize,
    /// A key has to be in the query's bucket of the query's round, not only in a chunk nearby.
    pub in_bucket: bool,
    /// A key counts once, not once for every time it is listed.
    pub skip_duplicates: bool,
    /// Masked tokens go to a bucket of their own, after all others.
    pub padding_bucket: bool,
    /// Added to the squared length of a key, at the scale of the squared integers.
    pub epsilon: u64,
    /// Heads that have rotations of their own: 1 where all heads share them.
    pub rotation_heads: usize,
    /// `[rotation_heads, rounds, columns, head width]`, of any scale common to a round.
    pub rotations: Rotations<'a>,
}

/// The rotations of angular hashing as stored.
#[derive(Clone, Copy, Debug)]
pub enum Rotations<'a> {
    /// Plus or minus one, a bit each, the lowest first: set for minus one.
    Signs(&'a [u32]),
    /// 8 bits.
    Int8(&'a [i8]),
    /// 16 bits, magnitudes up to [`dot_limit`] of the head's width.
    Int16(&'a [i16]),
}

impl<'a> Lsh<'a> {
    /// Most buckets of a round.
    pub const MAX_BUCKETS: usize = 8192;
    /// Most rounds.
    pub const MAX_ROUNDS: usize = 8;

    pub(super) const fn read(reader: &mut Reader<'a>) -> Result<Self, ModelError> {
        let factors = tri!(reader.field("lsh.buckets (number of factors)", 1, 8));
        let factors = tri!(reader.i16s(factors));
        let rounds = tri!(reader.field("lsh.rounds", 1, Self::MAX_ROUNDS as u32));
        let chunk = tri!(reader.field("lsh.chunk", 1, MAX_TOKENS));
        let before = tri!(reader.field("lsh.before", 0, 255));
        let after = tri!(reader.field("lsh.after", 0, 255));
        let multiple = tri!(reader.field("lsh.multiple", 1, MOST_MULTIPLE));
        let in_bucket = tri!(reader.field("lsh.in_bucket", 0, 1)) == 1;
        // Which round's seam a key comes from would decide whether it counts.
        let most = if in_bucket || rounds == 1 { 1 } else { 0 };
        let field = "lsh.skip_duplicates (across buckets: with one round only)";
        let skip_duplicates = tri!(reader.field(field, 0, most)) == 1;
        let padding_bucket = tri!(reader.field("lsh.padding_bucket", 0, 1)) == 1;
        let epsilon = tri!(reader.word()) as u64 | (tri!(reader.word()) as u64) << 32;
        let rotation_heads = tri!(reader.word()) as usize;
        let count = tri!(reader.word()) as usize;
        let rotations = tri!(Rotations::read(reader, count));
        Ok(Self {
            factors,
            rounds,
            chunk,
            before,
            after,
            multiple,
            in_bucket,
            skip_duplicates,
            padding_bucket,
            epsilon,
            rotation_heads,
            rotations,
        })
    }

    pub(super) const fn check(&self, shape: Shape) -> Result<(), ModelError> {
        tri!(check_buckets(self.factors));
        // What a sum of weights has room for.
        let candidates = (self.rounds * self.chunk * (self.before + self.after + 1)) as u32;
        if self.chunk < shape.max_tokens && candidates > MAX_TOKENS {
            let field = "lsh.chunk (keys of a query: rounds * chunk * (before + 1 + after))";
            return Err(ModelError::Range { field, found: candidates, low: 1, high: MAX_TOKENS });
        }
        tri!(check_multiple("lsh.multiple (of the chunk)", self.multiple, self.chunk));
        // Neither is zero, but the compiler does not know.
        let chunks = match shape.max_tokens.checked_next_multiple_of(self.multiple) {
            Some(tokens) => match tokens.checked_div(self.chunk) {
                Some(chunks) => self.rounds as u64 * chunks as u64,
                None => 0,
            },
            None => u64::MAX,
        };
        if chunks > MOST_CHUNKS as u64 {
            let field = "lsh.multiple (chunks of all rounds: rounds * multiple / chunk)";
            let found = if chunks > i32::MAX as u64 { i32::MAX as u32 } else { chunks as u32 };
            return Err(ModelError::Range { field, found, low: 1, high: MOST_CHUNKS });
        }
        if self.rotation_heads != 1 && self.rotation_heads != shape.heads {
            let (found, expected) = (self.rotation_heads as u32, shape.heads as u32);
            return Err(ModelError::Mismatch { field: "lsh.rotation_heads", found, expected });
        }
        let count = self.rotation_heads * self.rounds * self.columns() * shape.head_width;
        self.rotations.check(count, shape.head_width)
    }

    /// Number of buckets, without the one for padding.
    pub const fn bucket_count(&self) -> usize {
        let (mut product, mut rest) = (1, self.factors);
        while let [factor, tail @ ..] = rest {
            product *= *factor as usize;
            rest = tail;
        }
        product
    }

    /// Columns of one round's rotation: half the sum of the factors.
    pub const fn columns(&self) -> usize {
        let (mut sum, mut rest) = (0, self.factors);
        while let [factor, tail @ ..] = rest {
            sum += *factor as usize / 2;
            rest = tail;
        }
        sum
    }
}

const fn check_buckets(factors: &[i16]) -> Result<(), ModelError> {
    let (mut product, mut rest) = (1, factors);
    let high = Lsh::MAX_BUCKETS as u32;
    while let [factor, tail @ ..] = rest {
        let found = *factor as u16 as u32;
        if found < 2 || found > high {
            return Err(ModelError::Range { field: "lsh.buckets (factor)", found, low: 2, high });
        }
        if !found.is_multiple_of(2) {
            let field = "lsh.buckets (every factor must be even)";
            return Err(ModelError::Mismatch { field, found, expected: found + 1 });
        }
        product *= found;
        if product > high {
            return Err(ModelError::Range { field: "lsh.buckets (product)", found: product, low: 2, high });
        }
        rest = tail;
    }
    Ok(())
}

impl<'a> Rotations<'a> {
    const fn read(reader: &mut Reader<'a>, count: usize) -> Result<Self, ModelError> {
        let bits = tri!(reader.word());
        Ok(match bits {
            1 => Self::Signs(tri!(reader.words(count.div_ceil(32)))),
            8 => Self::Int8(tri!(reader.i8s(count))),
            16 => Self::Int16(tri!(reader.i16s(count))),
            found => {
                let field = "lsh.rotations (bits: 1, 8 or 16)";
                return Err(ModelError::Range { field, found, low: 1, high: 16 });
            }
        })
    }

    /// There are `count` of them, and none is too large for rows of `width` columns.
    const fn check(&self, count: usize, width: usize) -> Result<(), ModelError> {
        let (found, expected) = match self {
            Self::Signs(words) => (words.len(), count.div_ceil(32)),
            Self::Int8(values) => (values.len(), count),
            Self::Int16(values) => (values.len(), count),
        };
        if found != expected {
            let (found, expected) = (found as u32, expected as u32);
            return Err(ModelError::Mismatch { field: "lsh.rotations", found, expected });
        }
        let high = dot_limit(width) as u32;
        let mut rest: &[i16] = match self {
            Self::Int16(values) => values,
            Self::Signs(_) | Self::Int8(_) => &[],
        };
        while let [value, tail @ ..] = rest {
            let found = value.unsigned_abs() as u32;
            if found > high {
                return Err(ModelError::Range { field: "lsh.rotations (magnitude)", found, low: 0, high });
            }
            rest = tail;
        }
        Ok(())
    }

    /// Bits of an element.
    pub const fn bits(&self) -> u32 {
        match self {
            Self::Signs(_) => 1,
            Self::Int8(_) => 8,
            Self::Int16(_) => 16,
        }
    }

    /// `q R` for some columns, the first of which is number `first` of all. Magnitudes of `q` up to [`dot_limit`].
    pub(crate) fn project(&self, first: usize, q: &[i16], out: &mut [i32]) {
        let (start, width) = (first * q.len(), q.len());
        let columns = start..start + out.len() * width;
        match self {
            Self::Signs(words) => {
                for (index, out) in out.iter_mut().enumerate() {
                    *out = with_signs(words, start + index * width, q);
                }
            }
            Self::Int8(values) => {
                let columns = values.get(columns).unwrap_or_default().chunks(width.max(1));
                for (column, out) in columns.zip(out) {
                    *out = q.iter().zip(column).map(|(&x, &r)| i32::from(x) * i32::from(r)).sum();
                }
            }
            Self::Int16(values) => dots(q, values.get(columns).unwrap_or_default(), out),
        }
    }
}

/// The sum of a row with the signs of bits `from ..`.
fn with_signs(words: &[u32], from: usize, q: &[i16]) -> i32 {
    let word = |index: usize| u64::from(words.get(index).copied().unwrap_or_default());
    let mut sum = 0;
    for (bit, q) in (from..).step_by(32).zip(q.chunks(32)) {
        let mut signs = ((word(bit / 32) | word(bit / 32 + 1) << 32) >> (bit % 32)) as u32;
        for &x in q {
            sum += if signs & 1 == 1 { -i32::from(x) } else { i32::from(x) };
            signs >>= 1;
        }
    }
    sum
}

#[cfg(feature = "std")]
pub(in crate::model) mod write {
    use std::vec::Vec;

    use crate::model::write::Words;

    /// Rotations of angular hashing to write; see [`crate::model::Rotations`].
    #[derive(Clone, Debug)]
    pub struct Rotations {
        /// 1, 8 or 16.
        pub bits: u32,
        /// `[rotation_heads, rounds, columns, head width]`; of one bit, plus and minus one.
        pub values: Vec<i16>,
    }

    impl Rotations {
        /// The signs, a bit each.
        pub fn signs(&self) -> Vec<u32> {
            let word = |values: &[i16]| values.iter().rev().fold(0, |word, &r| word << 1 | u32::from(r < 0));
            self.values.chunks(32).map(word).collect()
        }
    }

    /// Parameters of LSH attention to write; see [`crate::model::Lsh`].
    #[derive(Clone, Debug)]
    #[allow(missing_docs)] // The fields are those of `Lsh`.
    pub struct Lsh {
        pub factors: Vec<i16>,
        pub rounds: usize,
        pub chunk: usize,
        pub before: usize,
        pub after: usize,
        pub multiple: usize,
        pub in_bucket: bool,
        pub skip_duplicates: bool,
        pub padding_bucket: bool,
        pub epsilon: u64,
        pub rotation_heads: usize,
        pub rotations: Rotations,
    }

    impl Lsh {
        pub(in crate::model) fn write(&self, out: &mut Words) {
            out.sizes(&[super::NUMBER, self.factors.len()]);
            out.i16s(&self.factors);
            out.sizes(&[self.rounds, self.chunk, self.before, self.after, self.multiple]);
            out.words(&[self.in_bucket, self.skip_duplicates, self.padding_bucket].map(u32::from));
            out.words(&[self.epsilon as u32, (self.epsilon >> 32) as u32]);
            let Rotations { bits, values } = &self.rotations;
            out.sizes(&[self.rotation_heads, values.len(), *bits as usize]);
            match bits {
                1 => out.words(&self.rotations.signs()),
                8 => out.i8s(&values.iter().map(|&value| value as i8).collect::<Vec<_>>()),
                _ => out.i16s(values),
            }
        }
    }
}
