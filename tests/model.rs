//! The model file at run time: what is written is what is read, and nothing malformed gets in.

use fixformer::host::{import, quantize::*};
use fixformer::session::Plan;
use fixformer::{Model, ModelError, Session};
use proptest::prelude::*;
use std::path::Path;

const CHECKSUM: usize = 3;

fn digits() -> Vec<u32> {
    let bytes = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/models/digits.fxm")).unwrap();
    bytes.chunks(4).map(|word| u32::from_le_bytes(word.try_into().unwrap())).collect()
}

/// The checksum by another library, over all words after the first four.
fn checksum(words: &[u32]) -> u32 {
    let bytes: Vec<u8> = words[CHECKSUM + 1..].iter().flat_map(|word| word.to_le_bytes()).collect();
    crc32fast::hash(&bytes)
}

fn sealed(mut words: Vec<u32>) -> Vec<u32> {
    words[CHECKSUM] = checksum(&words);
    words
}

#[test]
fn the_checksum_is_crc_32() {
    let words = digits();
    assert_eq!(words[CHECKSUM], checksum(&words));
}

#[test]
fn a_file_has_what_its_checkpoint_has() {
    let words = digits();
    let model = Model::parse(&words).unwrap();
    assert_eq!((model.name(), model.classes, model.max_tokens), ("digits", 10, 57));
    assert_eq!((model.width, model.heads, model.block_count, model.hidden), (32, 2, 2, 64));
    assert_eq!(model.max_input(), 64);
    assert_eq!(model.blocks().count(), 2);
    assert_eq!(model.bytes(), words.len() * 4);
}

#[test]
fn a_truncated_file_is_refused_wherever_it_ends() {
    let words = digits();
    for end in 0..words.len() {
        let error = Model::parse(&words[..end]).unwrap_err();
        assert!(matches!(error, ModelError::Length { .. }), "{end}: {error}");
    }
    // The same with a header and a checksum that fit what is left.
    for end in 4..words.len() {
        let mut cut = words[..end].to_vec();
        cut[2] = end as u32;
        assert!(Model::parse(&sealed(cut)).is_err(), "{end}");
    }
    let longer = [words.as_slice(), &[0]].concat();
    assert!(matches!(Model::parse(&longer), Err(ModelError::Length { .. })));
}

#[test]
fn every_flipped_bit_is_noticed() {
    let mut words = digits();
    for index in 0..words.len() {
        let bit = 1 << (index * 7 % 32);
        words[index] ^= bit;
        assert!(Model::parse(&words).is_err(), "bit {bit:#x} of word {index}");
        words[index] ^= bit;
    }
    assert!(Model::parse(&words).is_ok());
}

#[test]
fn errors_name_what_was_found_and_what_was_expected() {
    let words = digits();
    let changed = |index: usize, value: u32| {
        let mut words = words.clone();
        words[index] = value;
        Model::parse(&sealed(words)).unwrap_err().to_string()
    };
    let tokens = 4 + 8;
    assert!(changed(0, 0).starts_with("not a fixformer model"));
    assert_eq!(
        changed(1, 1),
        "version: the file has 1, this build reads 3; quantize the model again with the same release of fixformer"
    );
    assert_eq!(changed(tokens, 0), "max_tokens: 0 is outside 1 ..= 16384");
    assert_eq!(changed(tokens, 58), "positions.table: 57 found, 58 expected");
    assert_eq!(changed(tokens + 2, 65), "head_width (all heads side by side): 1040 is outside 1 ..= 1024");
    assert_eq!(changed(tokens + 3, 20), "block.attention.query: 32 found, 40 expected");
    assert_eq!(changed(tokens + 5, 11), "head: 10 found, 11 expected");
    assert_eq!(changed(tokens + 8, 3), "input.kind: 3 is outside 0 ..= 2");
    let mut damaged = words.clone();
    damaged[100] ^= 1;
    assert!(Model::parse(&damaged).unwrap_err().to_string().starts_with("checksum: 0x"));
}

#[test]
fn weights_that_could_overflow_an_accumulator_are_refused() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("models");
    let network =
        import::network(&directory.join("digits.toml"), &directory.join("digits.safetensors")).unwrap();
    let recordings = vec![vec![7; 64]];
    let quantized = quantize(&network, &recordings, Settings::default(), |_| {}).unwrap();
    let mut file = quantized.file;
    file.blocks[1].expand.bias[5] = i32::MAX;
    let words = file.words();
    let error = Model::parse(&words).unwrap_err();
    assert_eq!(error, ModelError::Accumulator { field: "block.feed_forward.expand", channel: 5 });
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

    /// Whatever a file with a valid checksum says, parsing and running it neither panics nor reads outside.
    #[test]
    fn a_forged_file_does_no_harm(changes in prop::collection::vec((4_usize..5800, any::<u32>(), any::<bool>()), 1..4)) {
        let mut words = digits();
        for (index, value, small) in changes {
            let index = if value & 1 == 0 { 4 + index % 60 } else { index % words.len() };
            words[index.max(4)] = if small { value % 64 } else { value };
        }
        let words = sealed(words);
        if let Ok(model) = Model::parse(&words) {
            let mut memory = vec![0; Plan::of(&model).words().min(1 << 20)];
            if let Ok(mut session) = Session::new(model, &mut memory) {
                let _ = session.run(&[9; 64]);
            }
        }
    }
}
