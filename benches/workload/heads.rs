//! One head of every mechanism against the length.

use super::{Buffers, MAX_TOKENS, MAX_WIDTH, Source};
use core::hint::black_box;
use core::ops::Range;
use fixformer::attention::{Given, Passing, Way, attend, words};
use fixformer::model::{
    AttentionKind, BigBird, Epsilon, Favor, FavorInput, Features, Hierarchical, Local, Lsh, Rotations,
};
use fixformer::num::Requant;

/// Rows of a block or half a chunk, in the mechanisms that have them.
const BLOCK: usize = 16;
/// Random directions of FAVOR+.
pub(crate) const DIRECTIONS: usize = 64;
/// Rounds of LSH.
pub(crate) const ROUNDS: usize = 2;
/// Most columns of a round's rotation.
const COLUMNS: usize = 16;
/// Beyond this length the quadratic mechanism takes an emulator too long.
const MAX_EXACT: usize = if cfg!(target_os = "none") { 1024 } else { MAX_TOKENS };

/// At a word, as a model has them.
#[repr(align(4))]
struct Aligned<T>(T);

static PROJECTION: Aligned<[i16; DIRECTIONS * MAX_WIDTH]> = Aligned(pattern());
static ROTATIONS: Aligned<[i16; ROUNDS * COLUMNS * MAX_WIDTH]> = Aligned(pattern());
/// One random block for each block but the first and the last.
static PLAN: [i16; MAX_TOKENS / BLOCK - 2] = plan();

const fn plan() -> [i16; MAX_TOKENS / BLOCK - 2] {
    let mut plan = [0; MAX_TOKENS / BLOCK - 2];
    let mut i = 0;
    while i < plan.len() {
        // Within the first blocks, so that it exists in the shortest sequence too.
        plan[i] = (i * 7 % (64 / BLOCK)) as i16;
        i += 1;
    }
    plan
}

const fn pattern<const N: usize>() -> [i16; N] {
    let mut values = [0; N];
    let mut source = Source::new(N as u32);
    let mut i = 0;
    while i < N {
        values[i] = source.next();
        i += 1;
    }
    values
}

/// A mechanism: its name, its parameters for a length and a width, and the longest sequence it is measured at.
pub(crate) type Mechanism = (&'static str, fn(usize, usize) -> AttentionKind<'static>, usize);

/// The mechanisms in the order of reports.
pub(crate) const MECHANISMS: [Mechanism; 6] = [
    ("exact", |_, _| AttentionKind::Exact, MAX_EXACT),
    (
        "hierarchical",
        |_, _| {
            AttentionKind::Hierarchical(Hierarchical {
                block: BLOCK,
                bias: &[],
                extra: &[0; Hierarchical::MAX_LEVELS],
            })
        },
        MAX_TOKENS,
    ),
    ("bigbird", |_, _| bigbird(), MAX_TOKENS),
    ("favor", |_, width| favor(width), MAX_TOKENS),
    ("lsh", lsh, MAX_TOKENS),
    (
        "local",
        |_, _| AttentionKind::Local(Local { chunk: 2 * BLOCK, before: 1, after: 0, multiple: 2 * BLOCK }),
        MAX_TOKENS,
    ),
];

/// Hands every mechanism up to `longest` tokens to `meter`, both widths, both directions.
pub(crate) fn each(buffers: &mut Buffers, longest: usize, meter: &mut impl FnMut(&mut Run<'_>)) {
    for (name, kind, most) in MECHANISMS {
        for width in [MAX_WIDTH / 2, MAX_WIDTH] {
            for causal in [false, true] {
                let mut tokens = 64;
                while tokens <= longest.min(most) {
                    meter(&mut Run::new(buffers, name, kind(tokens, width), [tokens, width], causal));
                    tokens *= 2;
                }
            }
        }
    }
}

/// Tokens of the longest stream.
pub(crate) const HORIZON: usize = 1 << 20;
/// Tokens of a stream that are measured: some of every kind, and those around the one at which every level has a new row.
pub(crate) const STEADY: Range<usize> = 1024..2048;
pub(crate) const WORST: Range<usize> = HORIZON / 2 - 16..HORIZON / 2 + 16;

/// Hands every mechanism whose tokens pass one at a time to `meter`, both widths.
pub(crate) fn streams(buffers: &mut Buffers, meter: &mut impl FnMut(&mut Streamed<'_>)) {
    for (name, kind, _) in MECHANISMS {
        for width in [MAX_WIDTH / 2, MAX_WIDTH] {
            let kind = streamed(kind(HORIZON, width));
            if Way::of(&kind, true).passes() {
                let mut run = Run::new(buffers, name, kind, [STEADY.end, width], true);
                run.prepare();
                run.stream(meter);
            }
        }
    }
}

/// With the levels of the longest stream.
fn streamed(kind: AttentionKind<'static>) -> AttentionKind<'static> {
    match kind {
        AttentionKind::Hierarchical(Hierarchical { block, bias, extra }) => {
            let (extra, _) = extra.split_at(Hierarchical::levels(HORIZON, block));
            AttentionKind::Hierarchical(Hierarchical { block, bias, extra })
        }
        other => other,
    }
}

/// The parameters with which a mechanism is measured.
pub(crate) fn kind(mechanism: &str, tokens: usize, width: usize) -> Option<AttentionKind<'static>> {
    let (_, kind, _) = MECHANISMS.into_iter().find(|(name, ..)| *name == mechanism)?;
    Some(kind(tokens, width))
}

fn bigbird() -> AttentionKind<'static> {
    AttentionKind::BigBird(BigBird {
        block: BLOCK,
        dense_blocks: 0,
        random: 1,
        rows: PLAN.len(),
        plan: &PLAN,
    })
}

pub(crate) fn favor(width: usize) -> AttentionKind<'static> {
    let input = FavorInput {
        projection: Requant { multiplier: 20_000, shift: 6 },
        norm: Requant { multiplier: 20_000, shift: 8 },
        epsilon: 0,
    };
    AttentionKind::Favor(Favor {
        features: Features::Exponential,
        directions: DIRECTIONS,
        projection: &PROJECTION.0[..DIRECTIONS * width],
        query: input,
        key: input,
        epsilon: Epsilon::Zero,
        tile: 16,
    })
}

/// Two buckets a chunk, in two factors: more tokens, more buckets.
pub(crate) fn lsh(tokens: usize, width: usize) -> AttentionKind<'static> {
    let factors: &[i16] = match tokens {
        ..=256 => &[4, 4],
        257..=512 => &[8, 4],
        513..=1024 => &[8, 8],
        1025..=2048 => &[16, 8],
        _ => &[16, 16],
    };
    let columns = factors.iter().map(|&factor| factor as usize / 2).sum::<usize>();
    AttentionKind::Lsh(Lsh {
        factors,
        rounds: ROUNDS,
        chunk: 2 * BLOCK,
        multiple: 2 * BLOCK,
        before: 1,
        after: 0,
        in_bucket: false,
        skip_duplicates: false,
        padding_bucket: true,
        epsilon: 0,
        rotation_heads: 1,
        rotations: Rotations::Int16(&ROTATIONS.0[..ROUNDS * columns * width]),
    })
}

/// One head at one length.
pub(crate) struct Run<'a> {
    pub(crate) mechanism: &'static str,
    pub(crate) tokens: usize,
    pub(crate) width: usize,
    pub(crate) causal: bool,
    kind: AttentionKind<'static>,
    buffers: &'a mut Buffers,
}

static VISIBLE: [u16; MAX_TOKENS / 16] = [u16::MAX; MAX_TOKENS / 16];

impl<'a> Run<'a> {
    pub(crate) fn new(
        buffers: &'a mut Buffers,
        mechanism: &'static str,
        mut kind: AttentionKind<'static>,
        [tokens, width]: [usize; 2],
        causal: bool,
    ) -> Self {
        if let AttentionKind::Favor(favor) = &mut kind
            && !causal
        {
            // What a description that says nothing comes to.
            favor.tile = 1;
        }
        Self { mechanism, tokens, width, causal, kind, buffers }
    }

    /// New queries, keys and values: the outputs take the place of the queries.
    pub(crate) fn prepare(&mut self) {
        let mut source = Source::new(self.tokens as u32);
        let count = self.tokens * self.width;
        let Buffers { queries, keys, values, .. } = &mut *self.buffers;
        [queries, keys, values].into_iter().for_each(|rows| source.fill(&mut rows[..count]));
    }

    /// Queries, keys, values and what else the mechanism needs.
    pub(crate) fn arena_bytes(&self) -> usize {
        size_of::<u32>() * words(&self.kind, self.tokens, self.width, self.causal)
    }

    pub(crate) fn head(&mut self) -> Given<'_> {
        self.divide().0
    }

    pub(crate) fn attend(&mut self) {
        let kind = self.kind;
        let (head, scratch) = self.divide();
        attend(black_box(kind), black_box(head), scratch);
    }

    fn stream(&mut self, meter: &mut impl FnMut(&mut Streamed<'_>)) {
        let (mechanism, width, kind) = (self.mechanism, self.width, self.kind);
        let words = words(&kind, HORIZON, width, true);
        let (mut given, memory) = self.divide();
        let (keys, values) = (given.keys, given.values);
        let rows = core::mem::take(&mut given.rows);
        if let Some(passing) = Passing::new(&kind, HORIZON, &given, memory) {
            meter(&mut Streamed { mechanism, width, words, passing, rows, keys, values });
        }
    }

    fn divide(&mut self) -> (Given<'_>, &mut [u32]) {
        let count = self.tokens * self.width;
        let Buffers { queries, keys, values, scratch, .. } = &mut *self.buffers;
        let head = Given {
            index: 0,
            width: self.width,
            rows: &mut queries[..count],
            keys: &keys[..count],
            values: &values[..count],
            visible: &VISIBLE[..self.tokens.div_ceil(16)],
            causal: self.causal,
            scale: Requant { multiplier: 24_000, shift: 13 },
            gain: 2,
        };
        (head, scratch)
    }
}

/// One head as a stream.
pub(crate) struct Streamed<'a> {
    pub(crate) mechanism: &'static str,
    pub(crate) width: usize,
    /// Words of its memory.
    pub(crate) words: usize,
    passing: Passing<'a>,
    rows: &'a mut [i16],
    keys: &'a [i16],
    values: &'a [i16],
}

impl Streamed<'_> {
    /// Takes a token in and answers it.
    pub(crate) fn push(&mut self, token: usize) {
        let at = token % STEADY.end * self.width;
        let row = at..at + self.width;
        let (key, value) = (&self.keys[row.clone()], &self.values[row.clone()]);
        self.passing.push(black_box(token), &mut self.rows[row], key, value);
    }
}
