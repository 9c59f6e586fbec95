//! Drawn streams, cut anywhere, and states that are damaged.
#![no_main]

use fixformer_fuzz::streams::{cut, state};

libfuzzer_sys::fuzz_target!(|seed: u64| {
    cut(seed);
    state(seed);
});
