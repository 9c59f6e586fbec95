//! Parameters of LSH attention.

use super::super::read::{Reader, tri};
use super::super::{MAX_TOKENS, ModelError, Shape};
use super::local::read_multiple;
use crate::kernels::dot_limit;

/// Parameters of attention by locality-sensitive hashing, Reformer. Query and key are one vector: the keys that
/// a head is given are not read.
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

    pub(super) const fn read(reader: &mut Reader<'a>, shape: Shape) -> Result<Self, ModelError> {
        let factors = tri!(reader.field("lsh.buckets (number of factors)", 1, 8));
        let factors = tri!(reader.i16s(factors));
        tri!(check_buckets(factors));
        let rounds = tri!(reader.field("lsh.rounds", 1, Self::MAX_ROUNDS as u32));
        let chunk = tri!(reader.field("lsh.chunk", 1, MAX_TOKENS));
        let before = tri!(reader.field("lsh.before", 0, 255));
        let after = tri!(reader.field("lsh.after", 0, 255));
        // What a sum of weights has room for.
        let candidates = rounds * chunk * (before + after + 1);
        if chunk < shape.max_tokens && candidates > MAX_TOKENS as usize {
            let field = "lsh.chunk (keys of a query: rounds * chunk * (before + 1 + after))";
            return Err(ModelError::Range { field, found: candidates as u32, low: 1, high: MAX_TOKENS });
        }
        let multiple = tri!(read_multiple(reader, "lsh.multiple (of the chunk)", chunk));
        let in_bucket = tri!(reader.field("lsh.in_bucket", 0, 1)) == 1;
        // Which round's seam a key comes from would decide whether it counts.
        let most = if in_bucket || rounds == 1 { 1 } else { 0 };
        let field = "lsh.skip_duplicates (across buckets: with one round only)";
        let skip_duplicates = tri!(reader.field(field, 0, most)) == 1;
        let padding_bucket = tri!(reader.field("lsh.padding_bucket", 0, 1)) == 1;
        let epsilon = tri!(reader.word()) as u64 | (tri!(reader.word()) as u64) << 32;

        let rotation_heads = tri!(reader.word()) as usize;
        if rotation_heads != 1 && rotation_heads != shape.heads {
            let (found, expected) = (rotation_heads as u32, shape.heads as u32);
            return Err(ModelError::Mismatch { field: "lsh.rotation_heads", found, expected });
        }
        let count = rotation_heads * rounds * columns(factors) * shape.head_width;
        let count = tri!(reader.expect("lsh.rotations", count));
        let rotations = tri!(Rotations::read(reader, count, shape.head_width));
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
        columns(self.factors)
    }
}

const fn columns(factors: &[i16]) -> usize {
    let (mut sum, mut rest) = (0, factors);
    while let [factor, tail @ ..] = rest {
        sum += *factor as usize / 2;
        rest = tail;
    }
    sum
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
    const fn read(reader: &mut Reader<'a>, count: usize, width: usize) -> Result<Self, ModelError> {
        match tri!(reader.word()) {
            1 => Ok(Self::Signs(tri!(reader.words(count.div_ceil(32))))),
            8 => Ok(Self::Int8(tri!(reader.i8s(count)))),
            16 => {
                let values = tri!(reader.i16s(count));
                let high = dot_limit(width) as u32;
                let mut rest = values;
                while let [value, tail @ ..] = rest {
                    let found = value.unsigned_abs() as u32;
                    if found > high {
                        let field = "lsh.rotations (magnitude)";
                        return Err(ModelError::Range { field, found, low: 0, high });
                    }
                    rest = tail;
                }
                Ok(Self::Int16(values))
            }
            found => {
                Err(ModelError::Range { field: "lsh.rotations (bits: 1, 8 or 16)", found, low: 1, high: 16 })
            }
        }
    }

    /// Bits of an element.
    pub const fn bits(&self) -> u32 {
        match self {
            Self::Signs(_) => 1,
            Self::Int8(_) => 8,
            Self::Int16(_) => 16,
        }
    }

    /// `q R` for one column: elements `from ..` of all. Magnitudes of `q` up to [`dot_limit`].
    pub(crate) fn project(&self, from: usize, q: &[i16]) -> i32 {
        let to = from + q.len();
        match self {
            Self::Signs(words) => {
                let signed = q.iter().enumerate().map(|(i, &x)| {
                    let bit = from + i;
                    let word = words.get(bit / 32).copied().unwrap_or_default();
                    if word >> (bit % 32) & 1 == 1 { -i32::from(x) } else { i32::from(x) }
                });
                signed.sum()
            }
            Self::Int8(values) => dot(q, values.get(from..to).unwrap_or_default()),
            Self::Int16(values) => dot(q, values.get(from..to).unwrap_or_default()),
        }
    }
}

fn dot<W: Copy + Into<i32>>(q: &[i16], column: &[W]) -> i32 {
    q.iter().zip(column).map(|(&x, &r)| i32::from(x) * r.into()).sum()
}
