//! What only a host does: rows that share what they load, rows read where they lie, and every power of two.

use std::vec;
use std::vec::Vec;

use super::{Comparison, Mismatch, Source, each};
use crate::kernels::{self, KEY_TILE, SAFE_KEYS, SUM_SHIFT, VALUE_LIMIT, dot_limit, portable};
use crate::num::Requant;

const WIDEST: usize = 66;
/// As many as a tile has, and two more.
const KEYS: usize = KEY_TILE + 2;
const ROWS: usize = 4;
const GUARD: i32 = 0x5a5a_5a5a;

/// Runs the checks of what only a host does.
pub fn of_host(report: &mut impl FnMut(&'static str, Result<(), Mismatch>)) {
    each(&[("rows", rows), ("listed", listed), ("distances", distances)], report);
}

/// Products and sums of some rows, of every number of keys.
fn rows() -> Result<(), Mismatch> {
    let (mut source, mut comparison) = (Source(21), Comparison::new());
    for width in [1, 8, 15, 16, 17, 31, 32, 33, 48, 64, WIDEST] {
        for keys in 0..=KEYS {
            let at = keys % 3;
            let mut rows = [[0; WIDEST]; ROWS];
            let (mut k, mut v) = (vec![0; at + width * keys], vec![0; at + width * keys.next_multiple_of(2)]);
            rows.iter_mut().for_each(|row| source.fill(row, dot_limit(width) - 1));
            source.fill(&mut k, dot_limit(width) - 1);
            source.fill(&mut v, VALUE_LIMIT - 1);
            let (k, v) = (&k[at..], &v[at..]);
            let rows = rows.each_ref().map(|row| &row[..width]);
            let mut products = [[[GUARD; KEYS + 1]; ROWS]; 2];
            let [expected, found] = &mut products;
            portable::dots_of_rows(rows, k, expected.each_mut().map(|row| &mut row[..keys]));
            kernels::dots_of_rows(rows, k, found.each_mut().map(|row| &mut row[..keys]));
            comparison.compare(&products[0], &products[1]);

            let mut weights = [[0; KEYS + 1]; ROWS];
            weights.iter_mut().for_each(|row| draw_weights(&mut source, row));
            let weights = weights.each_ref().map(|row| &row[..keys.next_multiple_of(2)]);
            let run = if keys % 2 == 0 { SAFE_KEYS } else { 6 };
            let mut sums = [[[-12_345; WIDEST + 1]; ROWS]; 2];
            let [expected, found] = &mut sums;
            let slices = expected.each_mut().map(|row| &mut row[..width]);
            portable::weighted_sum_of_rows(weights, v, run, SUM_SHIFT, slices);
            let slices = found.each_mut().map(|row| &mut row[..width]);
            kernels::weighted_sum_of_rows(weights, v, run, SUM_SHIFT, slices);
            comparison.compare(&sums[0], &sums[1]);
        }
    }
    comparison.agreed()
}

/// Products and sums of rows that lie anywhere.
fn listed() -> Result<(), Mismatch> {
    const THERE: usize = 50;
    let (mut source, mut comparison) = (Source(22), Comparison::new());
    for width in [1, 8, 15, 16, 17, 31, 32, 33, 48, 64, WIDEST] {
        for count in 0..=KEYS {
            let at = count % 3;
            let mut q = [0; WIDEST];
            let (mut k, mut v) = (vec![0; at + width * THERE], vec![0; at + width * THERE]);
            source.fill(&mut q, dot_limit(width) - 1);
            source.fill(&mut k, dot_limit(width) - 1);
            source.fill(&mut v, VALUE_LIMIT - 1);
            let (q, k, v) = (&q[..width], &k[at..], &v[at..]);
            let numbers: Vec<_> = (0..count).map(|_| (source.next() % THERE as u32) as u16).collect();
            let mut products = [[GUARD; KEYS + 1]; 2];
            portable::dots_of_listed(q, k, &numbers, &mut products[0][..count]);
            kernels::dots_of_listed(q, k, &numbers, &mut products[1][..count]);
            comparison.compare(&products[0], &products[1]);

            let mut weights = [0; KEYS];
            draw_weights(&mut source, &mut weights);
            let (weights, run) = (&weights[..count], if count % 2 == 0 { SAFE_KEYS } else { 6 });
            let mut sums = [[-12_345; WIDEST + 1]; 2];
            portable::weighted_sum_of_listed(weights, v, &numbers, run, SUM_SHIFT, &mut sums[0][..width]);
            kernels::weighted_sum_of_listed(weights, v, &numbers, run, SUM_SHIFT, &mut sums[1][..width]);
            comparison.compare(&sums[0], &sums[1]);
        }
    }
    comparison.agreed()
}

/// The weight of every distance from the top of which anything is left, and of some beyond.
fn distances() -> Result<(), Mismatch> {
    const AT_ONCE: usize = 61;
    let mut comparison = Comparison::new();
    // A product is minus eight times its distance in units of log2.
    let eighth = Requant { multiplier: 1 << 14, shift: 1 };
    let mut distance = 0;
    while distance < 1 << 17 {
        let mut products = [0; AT_ONCE];
        for product in &mut products {
            *product = -8 * distance;
            distance += if distance < 1 << 15 { 1 } else { 17 };
        }
        let mut weights = [[0; AT_ONCE]; 2];
        let sums = [
            portable::softmax_weights(&products, eighth, 0, &mut weights[0]),
            kernels::softmax_weights(&products, eighth, 0, &mut weights[1]),
        ];
        comparison.compare(&sums[..1], &sums[1..]);
        comparison.compare(&weights[0], &weights[1]);
    }
    comparison.agreed()
}

/// Weights of at most one.
fn draw_weights(source: &mut Source, weights: &mut [i16]) {
    weights.iter_mut().for_each(|weight| *weight = (source.next() % 16_385) as i16);
}
