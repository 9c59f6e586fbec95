//! Any words as a model file, with length and checksum put right: parsed, and run where it is accepted.
#![no_main]

use fixformer::kernels::portable_only;
use fixformer_fuzz::{files, mutate};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let mut words: Vec<u32> =
        bytes.as_chunks().0.iter().map(|bytes: &[u8; 4]| u32::from_le_bytes(*bytes)).collect();
    mutate::mend(&mut words);
    if files::parse(&words) {
        let [portable, here] = [true, false].map(|only| {
            portable_only(only);
            let mut scores = Vec::new();
            files::run(&words, bytes.len() as u64, &mut scores);
            scores
        });
        assert_eq!(portable, here);
    }
});
