//! Hierarchical heads of which few tokens count, against the f64 reference.
//!
//! A row of a level then stands for a few of its tokens: their mean may be as large as a value, where that of all of them is
//! small, and their weight is a small part of that of all.

use fixformer::attention::{Given, attend, words};
use fixformer::host::draw::Source;
use fixformer::host::reference::attention::hierarchical::{Hierarchical, Interpolation, Masks};
use fixformer::host::report::relative_l2;
use fixformer::kernels::{VALUE_LIMIT, dot_limit};
use fixformer::model::{self, AttentionKind};
use fixformer::num::Requant;

const WIDTH: usize = 8;
/// Of a block of rows.
const BLOCK: usize = 4;
/// Fractional bits of queries and keys, and of values.
const DOT: i32 = 10;
const VALUE: i32 = 10;

fn integers(source: &mut Source, count: usize, frac: i32, limit: i16) -> Vec<i16> {
    let normal = |source: &mut Source| (0..12).map(|_| source.uniform()).sum::<f64>() - 6.0;
    let limit = f64::from(limit);
    (0..count).map(|_| (normal(source) * f64::from(frac).exp2()).clamp(-limit, limit) as i16).collect()
}

fn reals(integers: &[i16], frac: i32) -> Vec<f64> {
    integers.iter().map(|&x| f64::from(x) * f64::from(-frac).exp2()).collect()
}

/// From products to scores in octaves with ten fractional bits.
fn scale() -> Requant {
    let factor = f64::from(10 - 2 * DOT).exp2() * std::f64::consts::LOG2_E / (WIDTH as f64).sqrt();
    let shift = (1..=16).rev().find(|&shift| factor * f64::from(16 + shift).exp2() < 32_767.5).unwrap();
    Requant { multiplier: (factor * f64::from(16 + shift).exp2()).round() as i16, shift: shift as u32 }
}

/// The error of the tokens that count, with `extra` bits of the means of each level.
fn error(tokens: usize, causal: bool, extra: &[i8], counts: impl Fn(usize) -> bool) -> f64 {
    let mut source = Source(3);
    let mask: Vec<bool> = (0..tokens).map(counts).collect();
    let [q, k] = [(); 2].map(|()| integers(&mut source, tokens * WIDTH, DOT, dot_limit(WIDTH)));
    let v = integers(&mut source, tokens * WIDTH, VALUE, VALUE_LIMIT);
    let mut visible = vec![0_u16; tokens.div_ceil(16)];
    mask.iter().enumerate().for_each(|(t, &counts)| visible[t / 16] |= u16::from(counts) << (t % 16));

    let kind = AttentionKind::Hierarchical(model::Hierarchical { block: BLOCK, bias: &[], extra });
    let mut rows = q.clone();
    let given = Given {
        index: 0,
        width: WIDTH,
        rows: &mut rows,
        keys: &k,
        values: &v,
        visible: &visible,
        causal,
        scale: scale(),
        gain: 3,
    };
    let mut memory = vec![0xdead_beef; words(&kind, tokens, WIDTH, causal)];
    attend(kind, given, &mut memory);

    let reference = Hierarchical {
        block: BLOCK,
        causal,
        interpolation: Interpolation::Constant,
        temperature: 1.0,
        guard: None,
    };
    let masks = Masks { queries: Some(&mask), keys: Some(&mask) };
    let [q, k, v] = [reals(&q, DOT), reals(&k, DOT), reals(&v, VALUE)];
    let expected = reference.attend(&q, &k, &v, WIDTH, None, masks);
    let of_those = |rows: &[f64]| -> Vec<f64> {
        let rows = rows.chunks_exact(WIDTH).zip(&mask).filter(|(_, counts)| **counts);
        rows.flat_map(|(row, _)| row.to_vec()).collect()
    };
    relative_l2(&of_those(&reals(&rows, VALUE + 3)), &of_those(&expected))
}

/// Noise with as many extra bits as it leaves room for: its means shrink by half an octave a level.
fn of_noise(tokens: usize) -> Vec<i8> {
    (1..=model::Hierarchical::levels(tokens, BLOCK)).map(|level| level as i8 / 2).collect()
}

/// Whether a token counts.
type Counts = Box<dyn Fn(usize) -> bool>;

/// Which tokens count: one of so many, or all but a hole.
fn masks() -> Vec<(String, Counts)> {
    let rare = [2, 3, 8, 17, 64, 300].map(|every| {
        let counts: Counts = Box::new(move |t| t % every == every / 2);
        (format!("one of {every}"), counts)
    });
    let holes = [1, 3, 100].map(|hole| {
        let counts: Counts = Box::new(move |t| !(500..500 + hole).contains(&t));
        (format!("a hole of {hole}"), counts)
    });
    rare.into_iter().chain(holes).collect()
}

/// Runs every mask; none may be more than so many times as inexact as without.
fn check(tokens: usize, causal: bool, extra: &[i8], most: f64) {
    let whole = error(tokens, causal, extra, |_| true);
    println!("causal {causal}, all: {whole:.5}");
    let found = masks().into_iter().map(|(what, counts)| (what, error(tokens, causal, extra, counts)));
    let found: Vec<_> = found.collect();
    found.iter().for_each(|(what, found)| println!("causal {causal}, {what}: {found:.5}"));
    for (what, found) in found {
        assert!(found <= most * whole, "{what}: {found:.5}, {whole:.5} without a mask");
    }
}

/// With the extra bits of rows of all tokens, means saturate: one of 64 is 0.16 off.
#[test]
fn means_of_a_few_tokens_do_not_saturate() {
    check(1024, true, &of_noise(1024), 2.0);
}

/// Relative to rows of all tokens, weights lose a bit a level: one of 300 is 0.011 off.
#[test]
fn weights_of_a_few_tokens_keep_their_bits() {
    check(4096, false, &[], 1.1);
}
