//! The host, whose processor is known only at run time: the best backend that it has, else the portable kernels.
#![cfg_attr(any(target_arch = "aarch64", target_arch = "x86_64"), allow(unsafe_code))] // Calls of what not every processor can execute.

mod backend;

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(any(target_arch = "aarch64", target_arch = "x86_64"))]
mod mantissa;
#[cfg(target_arch = "aarch64")]
mod neon;

pub use backend::{Backend, backend, choose, portable_only};

#[cfg(any(target_arch = "aarch64", target_arch = "x86_64"))]
use super::domain;
use super::linear::{self, ChannelPairs};
use super::{Channels, Weight, portable};
use crate::num::Requant;
#[cfg(any(target_arch = "aarch64", target_arch = "x86_64"))]
use backend::chosen;

/// See [`portable::linear`].
pub fn linear<W: Weight>(x: &[i16], weights: ChannelPairs<'_, W>, channels: Channels<'_>, out: &mut [i16]) {
    #[cfg(target_arch = "x86_64")]
    if chosen() >= Backend::Avx2 {
        debug_assert!(domain::linear(channels));
        // SAFETY: the processor has AVX2.
        return unsafe { avx2::linear(x, weights, channels, out) };
    }
    linear::linear(x, weights, channels, out);
}

/// See [`portable::dots`].
pub fn dots(q: &[i16], keys: &[i16], out: &mut [i32]) {
    #[cfg(target_arch = "x86_64")]
    {
        debug_assert!(domain::dots(q, keys));
        match chosen() {
            // SAFETY: the processor has AVX-512.
            Backend::Avx512 => return unsafe { avx512::dots(q, keys, out) },
            // SAFETY: the processor has AVX2.
            Backend::Avx2 => return unsafe { avx2::dots(q, keys, out) },
            _ => {}
        }
    }
    #[cfg(target_arch = "aarch64")]
    if chosen() == Backend::Neon {
        debug_assert!(domain::dots(q, keys));
        // SAFETY: every processor of aarch64 has NEON.
        return unsafe { neon::dots(q, keys, out) };
    }
    portable::dots(q, keys, out);
}

/// See [`portable::dots_of_rows`].
pub fn dots_of_rows<const R: usize>(rows: [&[i16]; R], keys: &[i16], out: [&mut [i32]; R]) {
    #[cfg(target_arch = "x86_64")]
    {
        debug_assert!(rows.iter().all(|row| domain::dots(row, keys)));
        debug_assert!(rows.iter().zip(&out).all(|(row, out)| out.len() * row.len() <= keys.len()));
        match chosen() {
            // SAFETY: the processor has AVX-512.
            Backend::Avx512 => return unsafe { avx512::dots_of_rows(rows, keys, out) },
            // SAFETY: the processor has AVX2.
            Backend::Avx2 => return unsafe { avx2::dots_of_rows(rows, keys, out) },
            _ => {}
        }
    }
    rows.into_iter().zip(out).for_each(|(row, out)| dots(row, keys, out));
}

/// See [`portable::softmax_weights`].
pub fn softmax_weights(dots: &[i32], scale: Requant, top: i32, weights: &mut [i16]) -> Result<u32, i32> {
    #[cfg(target_arch = "x86_64")]
    {
        debug_assert!(domain::softmax_weights(scale, top));
        match chosen() {
            // SAFETY: the processor has AVX-512.
            Backend::Avx512 => return unsafe { avx512::softmax_weights(dots, scale, top, weights) },
            // SAFETY: the processor has AVX2.
            Backend::Avx2 => return unsafe { avx2::softmax_weights(dots, scale, top, weights) },
            _ => {}
        }
    }
    #[cfg(target_arch = "aarch64")]
    if chosen() == Backend::Neon {
        debug_assert!(domain::softmax_weights(scale, top));
        // SAFETY: every processor of aarch64 has NEON.
        return unsafe { neon::softmax_weights(dots, scale, top, weights) };
    }
    portable::softmax_weights(dots, scale, top, weights)
}

/// See [`portable::weighted_sum`].
pub fn weighted_sum(weights: &[i16], values: &[i16], run: usize, shift: u32, sum: &mut [i32]) {
    #[cfg(target_arch = "x86_64")]
    {
        debug_assert!(domain::weighted_sum(weights, values, run, shift, sum.len()));
        match chosen() {
            // SAFETY: the processor has AVX-512.
            Backend::Avx512 => return unsafe { avx512::weighted_sum(weights, values, run, shift, sum) },
            // SAFETY: the processor has AVX2.
            Backend::Avx2 => return unsafe { avx2::weighted_sum(weights, values, run, shift, sum) },
            _ => {}
        }
    }
    #[cfg(target_arch = "aarch64")]
    if chosen() == Backend::Neon {
        debug_assert!(domain::weighted_sum(weights, values, run, shift, sum.len()));
        // SAFETY: every processor of aarch64 has NEON.
        return unsafe { neon::weighted_sum(weights, values, run, shift, sum) };
    }
    portable::weighted_sum(weights, values, run, shift, sum);
}

/// See [`portable::weighted_sum_of_rows`].
pub fn weighted_sum_of_rows<const R: usize>(
    weights: [&[i16]; R],
    values: &[i16],
    run: usize,
    shift: u32,
    sums: [&mut [i32]; R],
) {
    #[cfg(target_arch = "x86_64")]
    if chosen() == Backend::Avx512 {
        // SAFETY: the processor has AVX-512.
        return unsafe { avx512::weighted_sum_of_rows(weights, values, run, shift, sums) };
    }
    weights.into_iter().zip(sums).for_each(|(weights, sum)| weighted_sum(weights, values, run, shift, sum));
}

/// See [`portable::offset_exponents`].
pub fn offset_exponents(products: &mut [i32], scale: Requant, offsets: &[i32], base: i32) -> i32 {
    #[cfg(target_arch = "x86_64")]
    match chosen() {
        // SAFETY: the processor has AVX-512.
        Backend::Avx512 => return unsafe { avx512::offset_exponents(products, scale, offsets, base) },
        // SAFETY: the processor has AVX2.
        Backend::Avx2 => return unsafe { avx2::offset_exponents(products, scale, offsets, base) },
        _ => {}
    }
    portable::offset_exponents(products, scale, offsets, base)
}

/// See [`portable::gather`].
pub fn gather(keys: &[i16], values: &[i16], numbers: &[u16], width: usize, out: [&mut [i16]; 2]) {
    #[cfg(target_arch = "x86_64")]
    if chosen() == Backend::Avx512 {
        // SAFETY: the processor has AVX-512.
        return unsafe { avx512::gather(keys, values, numbers, width, out) };
    }
    portable::gather(keys, values, numbers, width, out);
}

/// Whether all of these rows are there.
fn listed(numbers: &[u16], width: usize, rows: &[i16]) -> bool {
    numbers.iter().all(|&number| (usize::from(number) + 1) * width <= rows.len())
}

/// See [`portable::dots_of_listed`].
pub fn dots_of_listed(q: &[i16], keys: &[i16], numbers: &[u16], out: &mut [i32]) {
    debug_assert!(out.len() == numbers.len() && listed(numbers, q.len(), keys));
    #[cfg(target_arch = "x86_64")]
    match chosen() {
        // SAFETY: the processor has AVX-512.
        Backend::Avx512 => return unsafe { avx512::dots_of_listed(q, keys, numbers, out) },
        // SAFETY: the processor has AVX2.
        Backend::Avx2 => return unsafe { avx2::dots_of_listed(q, keys, numbers, out) },
        _ => {}
    }
    portable::dots_of_listed(q, keys, numbers, out);
}

/// See [`portable::weighted_sum_of_listed`].
pub fn weighted_sum_of_listed(
    weights: &[i16],
    values: &[i16],
    numbers: &[u16],
    run: usize,
    shift: u32,
    sum: &mut [i32],
) {
    debug_assert!(weights.len() == numbers.len() && listed(numbers, sum.len(), values));
    #[cfg(target_arch = "x86_64")]
    match chosen() {
        Backend::Avx512 => {
            // SAFETY: the processor has AVX-512.
            return unsafe { avx512::weighted_sum_of_listed(weights, values, numbers, run, shift, sum) };
        }
        Backend::Avx2 => {
            // SAFETY: the processor has AVX2.
            return unsafe { avx2::weighted_sum_of_listed(weights, values, numbers, run, shift, sum) };
        }
        _ => {}
    }
    portable::weighted_sum_of_listed(weights, values, numbers, run, shift, sum);
}

/// See [`portable::exp2_weights`].
pub fn exp2_weights(dots: &[i32], scale: Requant, top: i32, weights: &mut [i16]) -> u32 {
    softmax_weights(dots, scale, top, weights).unwrap_or_default()
}
