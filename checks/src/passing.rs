//! Heads of every mechanism whose tokens can come one at a time, drawn at random: each answer is that of the whole sequence.

use crate::checks;
use crate::outcome::{Outcome, holds};
use fixformer::attention::{Given, Passing, attend, words};
use fixformer::kernels::{VALUE_LIMIT, dot_limit};
use fixformer::model::{
    AttentionKind, BigBirdExtended, Epsilon, Favor, FavorInput, Features, Hierarchical, Local,
};
use fixformer::num::Requant;

const TOKENS: usize = 45;
const WIDTH: usize = 8;
const DIRECTIONS: usize = 10;
/// Words of any of the heads.
const MEMORY: usize = 900;
/// Heads of each mechanism.
const CASES: u32 = 25;

type Rows = [i16; TOKENS * WIDTH];

/// Xorshift (Marsaglia 2003).
struct Source(u32);

impl Source {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        (self.0 >> 4) as usize % limit.max(1)
    }

    fn fill(&mut self, values: &mut [i16], limit: i16) {
        let range = 2 * limit as usize + 1;
        values.iter_mut().for_each(|value| *value = (self.below(range) as i32 - i32::from(limit)) as i16);
    }
}

/// Draws rows and a mask, and has them attended to as a whole and token by token.
#[inline(never)]
fn agrees(source: &mut Source, kind: AttentionKind<'_>) -> Outcome {
    let [mut queries, mut keys, mut values]: [Rows; 3] = [[0; TOKENS * WIDTH]; 3];
    let share = if source.below(2) == 0 { 50 } else { 1 };
    source.fill(&mut queries, dot_limit(WIDTH) / share);
    source.fill(&mut keys, dot_limit(WIDTH) / share);
    source.fill(&mut values, VALUE_LIMIT);
    let masked = source.below(2) == 0;
    let mut visible = [0_u16; TOKENS.div_ceil(16)];
    for token in 0..TOKENS {
        if let Some(bits) = visible.get_mut(token / 16)
            && (!masked || source.below(4) > 0)
        {
            *bits |= 1 << (token % 16);
        }
    }
    holds(words(&kind, TOKENS, WIDTH, true) <= MEMORY)?;
    let mut memory = [0xdead_beef; MEMORY];
    let mut whole = queries;
    attend(kind, given(&mut whole, &keys, &values, &visible), &mut memory);
    memory.fill(0x5a5a_5a5a);
    let Some(mut passing) = Passing::new(&kind, TOKENS, &given(&mut [], &[], &[], &[]), &mut memory) else {
        return holds(false);
    };
    let tokens = queries.chunks_mut(WIDTH).zip(keys.chunks(WIDTH).zip(values.chunks(WIDTH)));
    for (token, (row, (key, value))) in tokens.enumerate() {
        let counts = visible.get(token / 16).is_some_and(|bits| bits >> (token % 16) & 1 == 1);
        passing.push_if(counts, token, row, key, value);
        holds(whole.get(token * WIDTH..(token + 1) * WIDTH) == Some(&*row))?;
    }
    Ok(())
}

fn given<'a>(rows: &'a mut [i16], keys: &'a [i16], values: &'a [i16], visible: &'a [u16]) -> Given<'a> {
    let scale = Requant { multiplier: 20_000, shift: 12 };
    Given { index: 0, width: WIDTH, rows, keys, values, visible, causal: true, scale, gain: 1 }
}

#[inline(never)]
fn favor(source: &mut Source) -> Outcome {
    let mut projection = [0; DIRECTIONS * WIDTH];
    let directions = 1 + source.below(DIRECTIONS);
    let limit = i32::MAX / i32::from(dot_limit(WIDTH)) / WIDTH as i32;
    source.fill(&mut projection, limit.min(32_000) as i16);
    let requant = Requant { multiplier: 20_000, shift: 6 + source.below(8) as u32 };
    let input = FavorInput { projection: requant, norm: requant, epsilon: -(20 << Favor::LOG_FRAC) };
    let features = match source.below(3) {
        0 => Features::Exponential,
        1 => Features::Hyperbolic,
        _ => Features::Relu,
    };
    let epsilon = match source.below(3) {
        0 => Epsilon::Zero,
        1 => Epsilon::Seen,
        _ => Epsilon::Fixed,
    };
    let projection = projection.get(..directions * WIDTH).unwrap_or_default();
    let tile = 1 + source.below(16);
    let favor = Favor { features, directions, projection, query: input, key: input, epsilon, tile };
    agrees(source, AttentionKind::Favor(favor))
}

checks! { "passing", 11 * 1024,
    fn exact() {
        let mut source = Source(3);
        for _ in 0..CASES {
            agrees(&mut source, AttentionKind::Exact)?;
        }
    }

    fn hierarchical() {
        let mut source = Source(5);
        for _ in 0..CASES {
            let block = 2 * (1 + source.below(3));
            let (mut extra, mut bits) = ([0; 6], 0);
            for extra in &mut extra {
                bits += source.below(2) as i8;
                *extra = bits;
            }
            let levels = Hierarchical::levels(TOKENS, block).min(extra.len());
            let extra = extra.get(..levels).unwrap_or_default();
            agrees(&mut source, AttentionKind::Hierarchical(Hierarchical { block, bias: &[], extra }))?;
        }
    }

    fn favor_plus() {
        let mut source = Source(7);
        for _ in 0..CASES {
            favor(&mut source)?;
        }
    }

    fn local() {
        let mut source = Source(9);
        for _ in 0..CASES {
            let (chunk, before) = (1 + source.below(12), source.below(2));
            let multiple = chunk * (1 + source.below(3));
            agrees(&mut source, AttentionKind::Local(Local { chunk, before, after: 0, multiple }))?;
        }
    }

    fn windows() {
        let mut source = Source(11);
        for _ in 0..CASES {
            let (block, radius) = (1 + source.below(10), (source.below(2) == 0).then(|| source.below(20)));
            let dense_tokens = radius.map_or(block, |radius| source.below(radius + 2));
            let window =
                BigBirdExtended { block, dense_tokens, global: 0, radius, random: 0, rows: 0, plan: &[] };
            agrees(&mut source, AttentionKind::BigBirdExtended(window))?;
        }
    }
}
