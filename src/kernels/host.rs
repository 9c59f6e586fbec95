//! The host, whose processor is known only at run time: AVX2 where it has that, else the portable kernels.
#![cfg_attr(target_arch = "x86_64", allow(unsafe_code))] // Calls of what not every processor can execute.

use std::env;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

#[cfg(target_arch = "x86_64")]
mod avx2;

#[cfg(target_arch = "x86_64")]
use super::domain;
use super::linear::{self, ChannelPairs};
use super::{Channels, Weight, portable};
use crate::num::Requant;

/// What this process uses: one of those below.
static BACKEND: AtomicU8 = AtomicU8::new(UNKNOWN);
const UNKNOWN: u8 = 0;
const PORTABLE: u8 = 1;
const AVX2: u8 = 2;

/// The backend that this process uses: `"avx2"` or `"portable"`.
pub fn backend() -> &'static str {
    if has_avx2() { "avx2" } else { super::BACKEND }
}

/// From now on every thread uses the portable kernels, or again what the processor can do. The results are the same.
///
/// A process with the environment variable `FIXFORMER_PORTABLE` has no others.
pub fn portable_only(only: bool) {
    BACKEND.store(if only { PORTABLE } else { UNKNOWN }, Relaxed);
}

fn has_avx2() -> bool {
    match BACKEND.load(Relaxed) {
        UNKNOWN => {
            let found =
                if detected() && env::var_os("FIXFORMER_PORTABLE").is_none() { AVX2 } else { PORTABLE };
            // What another thread has chosen meanwhile holds.
            let chosen = BACKEND.compare_exchange(UNKNOWN, found, Relaxed, Relaxed);
            chosen.map_or_else(|chosen| chosen, |_| found) == AVX2
        }
        known => known == AVX2,
    }
}

#[cfg(target_arch = "x86_64")]
fn detected() -> bool {
    std::is_x86_feature_detected!("avx2")
}

#[cfg(not(target_arch = "x86_64"))]
const fn detected() -> bool {
    false
}

/// See [`portable::linear`].
pub fn linear<W: Weight>(x: &[i16], weights: ChannelPairs<'_, W>, channels: Channels<'_>, out: &mut [i16]) {
    #[cfg(target_arch = "x86_64")]
    if has_avx2() {
        debug_assert!(domain::linear(channels));
        // SAFETY: the processor has AVX2.
        return unsafe { avx2::linear(x, weights, channels, out) };
    }
    linear::linear(x, weights, channels, out);
}

/// See [`portable::dots`].
pub fn dots(q: &[i16], keys: &[i16], out: &mut [i32]) {
    #[cfg(target_arch = "x86_64")]
    if has_avx2() {
        debug_assert!(domain::dots(q, keys));
        // SAFETY: the processor has AVX2.
        return unsafe { avx2::dots(q, keys, out) };
    }
    portable::dots(q, keys, out);
}

/// See [`portable::softmax_weights`].
pub fn softmax_weights(dots: &[i32], scale: Requant, top: i32, weights: &mut [i16]) -> Result<u32, i32> {
    #[cfg(target_arch = "x86_64")]
    if has_avx2() {
        debug_assert!(domain::softmax_weights(scale, top));
        // SAFETY: the processor has AVX2.
        return unsafe { avx2::softmax_weights(dots, scale, top, weights) };
    }
    portable::softmax_weights(dots, scale, top, weights)
}

/// See [`portable::weighted_sum`].
pub fn weighted_sum(weights: &[i16], values: &[i16], run: usize, shift: u32, sum: &mut [i32]) {
    #[cfg(target_arch = "x86_64")]
    if has_avx2() {
        debug_assert!(domain::weighted_sum(weights, values, run, shift, sum.len()));
        // SAFETY: the processor has AVX2.
        return unsafe { avx2::weighted_sum(weights, values, run, shift, sum) };
    }
    portable::weighted_sum(weights, values, run, shift, sum);
}
