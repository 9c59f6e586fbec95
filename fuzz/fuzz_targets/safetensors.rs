//! Any bytes as the weights of a network.
#![no_main]

use std::path::Path;

use fixformer_fuzz::readers::safetensors;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    safetensors(bytes, &Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/digits.toml"));
});
