//! No bit of a causal head's output depends on a later token: a thousand heads at random of each mechanism for which that
//! holds.

use fixformer::attention::{Given, attend, words};
use fixformer::kernels::{VALUE_LIMIT, dot_limit};
use fixformer::model::{
    AttentionKind, BigBirdExtended, Epsilon, Favor, FavorInput, Features, Hierarchical, Local,
};
use fixformer::num::Requant;
use fixformer_fuzz::random::Source;

const CASES: usize = 1000;

struct Case {
    width: usize,
    queries: Vec<i16>,
    keys: Vec<i16>,
    values: Vec<i16>,
    visible: Vec<u16>,
}

impl Case {
    fn new(source: &mut Source, tokens: usize, width: usize) -> Self {
        // Sometimes small, sometimes up to the limits.
        let share = if source.below(2) == 0 { 0.02 } else { 1.0 };
        let limit = share * f64::from(dot_limit(width));
        let mut rows = |limit: f64| -> Vec<i16> {
            (0..tokens * width).map(|_| (limit * (2.0 * source.uniform() - 1.0)) as i16).collect()
        };
        let (queries, keys, values) = (rows(limit), rows(limit), rows(f64::from(VALUE_LIMIT)));
        let masked = source.below(2) == 0;
        let seen = |_: usize| !masked || source.below(4) > 0;
        let bits: Vec<bool> = (0..tokens).map(seen).collect();
        let visible =
            bits.chunks(16).map(|bits| bits.iter().rev().fold(0, |word, &bit| word << 1 | u16::from(bit)));
        Self { width, queries, keys, values, visible: visible.collect() }
    }

    /// Outputs of the first `tokens` tokens.
    fn attended(&self, kind: AttentionKind<'_>, tokens: usize) -> Vec<i16> {
        let mut rows = self.queries[..tokens * self.width].to_vec();
        let given = Given {
            index: 0,
            width: self.width,
            rows: &mut rows,
            keys: &self.keys[..tokens * self.width],
            values: &self.values[..tokens * self.width],
            visible: &self.visible,
            causal: true,
            scale: Requant { multiplier: 20_000, shift: 12 },
            gain: 1,
        };
        let mut memory = vec![0xdead_beef; words(&kind, tokens, self.width, true)];
        attend(kind, given, &mut memory);
        rows
    }
}

/// Every prefix gives the prefix of the outputs, and other tokens behind it change nothing.
fn holds(name: &str, with_kind: impl Fn(&mut Source, usize, &mut dyn FnMut(&mut Source, AttentionKind<'_>))) {
    let mut source = Source(name.len() as u64);
    for case in 0..CASES {
        let (tokens, width) =
            (2 + source.below(if case % 10 == 0 { 200 } else { 60 }), 2 * (1 + source.below(8)));
        with_kind(&mut source, width, &mut |source, kind| {
            let whole = Case::new(source, tokens, width);
            let expected = whole.attended(kind, tokens);
            for _ in 0..3 {
                let prefix = 1 + source.below(tokens - 1);
                let length = prefix * width;
                assert_eq!(
                    whole.attended(kind, prefix),
                    expected[..length],
                    "{name}: {prefix} of {tokens}, {kind:?}"
                );
                let mut other = Case::new(source, tokens, width);
                other.queries[..length].copy_from_slice(&whole.queries[..length]);
                other.keys[..length].copy_from_slice(&whole.keys[..length]);
                other.values[..length].copy_from_slice(&whole.values[..length]);
                other.visible[..prefix / 16].copy_from_slice(&whole.visible[..prefix / 16]);
                if prefix % 16 > 0 {
                    let low = (1 << (prefix % 16)) - 1;
                    let (theirs, ours) = (&mut other.visible[prefix / 16], whole.visible[prefix / 16]);
                    *theirs = *theirs & !low | ours & low;
                }
                let found = other.attended(kind, tokens);
                assert_eq!(found[..length], expected[..length], "{name}: {prefix} of {tokens}, {kind:?}");
            }
        });
    }
}

#[test]
fn exact() {
    holds("exact", |source, _, check| check(source, AttentionKind::Exact));
}

#[test]
fn favor() {
    holds("favor", |source, width, check| {
        let directions = 1 + source.below(20);
        let limit = (i32::MAX as usize / usize::from(dot_limit(width) as u16) / width).min(32_000) as f64;
        let projection: Vec<i16> =
            (0..directions * width).map(|_| (limit * (2.0 * source.uniform() - 1.0)) as i16).collect();
        let requant = Requant { multiplier: 20_000, shift: 6 + source.below(8) as u32 };
        let input = FavorInput { projection: requant, norm: requant, epsilon: -(20 << Favor::LOG_FRAC) };
        let epsilon = [Epsilon::Zero, Epsilon::Seen, Epsilon::Fixed][source.below(3)];
        let features = [Features::Exponential, Features::Hyperbolic, Features::Relu][source.below(3)];
        let (projection, tile) = (&projection, 1 + source.below(10));
        check(
            source,
            AttentionKind::Favor(Favor {
                features,
                directions,
                projection,
                query: input,
                key: input,
                epsilon,
                tile,
            }),
        );
    });
}

#[test]
fn hierarchical() {
    holds("hierarchical", |source, _, check| {
        let block = 2 * (1 + source.below(5));
        let mut bits = 0;
        let extra: Vec<i8> = (0..8)
            .map(|_| {
                bits += source.below(2) as i8;
                bits
            })
            .collect();
        let bias: Vec<i16> = (0..4 * block - 1).map(|_| source.below(4000) as i16 - 2000).collect();
        let bias = if source.below(2) == 0 { &bias[..] } else { &[] };
        check(source, AttentionKind::Hierarchical(Hierarchical { block, bias, extra: &extra }));
    });
}

#[test]
fn local() {
    holds("local", |source, _, check| {
        let chunk = 1 + source.below(20);
        let multiple = chunk * (1 + source.below(3));
        let before = source.below(2);
        check(source, AttentionKind::Local(Local { chunk, before, after: 0, multiple }));
    });
}

/// Without global tokens and random blocks.
#[test]
fn windows() {
    holds("windows", |source, _, check| {
        let block = 1 + source.below(16);
        let radius = (source.below(2) == 0).then(|| source.below(40));
        let dense_tokens = radius.map_or(block, |radius| source.below(radius + 2));
        check(
            source,
            AttentionKind::BigBirdExtended(BigBirdExtended {
                block,
                dense_tokens,
                global: 0,
                radius,
                random: 0,
                rows: 0,
                plan: &[],
            }),
        );
    });
}
