//! Any bytes as a file of data, the first of them saying of which kind.
#![no_main]

use fixformer_fuzz::readers::{DATA, data};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Some((kind, bytes)) = bytes.split_first() {
        data(DATA[usize::from(*kind) % DATA.len()], bytes);
    }
});
