//! Any bytes as the description of a network.
#![no_main]

use std::path::Path;

use fixformer_fuzz::readers::description;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    description(bytes, &Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/digits.safetensors"));
});
