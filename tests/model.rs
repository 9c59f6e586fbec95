//! The model file at run time: what is written is what is read, and nothing malformed gets in.

use fixformer::host::{import, quantize::*};
use fixformer::model::SectionFault;
use fixformer::session::Plan;
use fixformer::{Model, ModelError, Session};
use proptest::prelude::*;
use std::path::Path;

const CHECKSUM: usize = 3;
/// First word of the network: after the preamble and a table of three sections.
const NETWORK: usize = 4 + 1 + 3 * 4;

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
    assert_eq!((model.name(), model.classes(), model.max_tokens), ("digits", 10, 57));
    assert_eq!((model.horizon, model.sample_scale_bits()), (16_384, &[0.0625_f32.to_bits()][..]));
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
    let tokens = NETWORK;
    assert!(changed(0, 0).starts_with("not a fixformer model"));
    assert_eq!(
        changed(1, 1),
        "version: the file has 1, this build reads 4; quantize the checkpoint again with this release, or use the \
         release of fixformer that made the file"
    );
    assert_eq!(changed(tokens, 0), "max_tokens: 0 is outside 1 ..= 16384");
    assert_eq!(changed(tokens + 1, 56), "horizon: 56 is outside 57 ..= 1073741824");
    assert_eq!(changed(tokens, 58), "positions.table: 57 found, 58 expected");
    assert_eq!(changed(tokens + 3, 65), "head_width (all heads side by side): 1040 is outside 1 ..= 1024");
    assert_eq!(changed(tokens + 4, 20), "block.attention.query: 32 found, 40 expected");
    assert_eq!(changed(tokens + 6, 11), "head: 10 found, 11 expected");
    assert_eq!(changed(tokens + 8, 3), "input.kind: 3 is outside 0 ..= 2");
    let mut damaged = words.clone();
    damaged[100] ^= 1;
    assert!(Model::parse(&damaged).unwrap_err().to_string().starts_with("checksum: 0x"));
}

/// A format can be negative; no size is so large.
#[test]
fn negative_numbers_are_shown_as_such() {
    let words = digits();
    let mut shown = std::collections::BTreeSet::new();
    for index in (NETWORK..words.len()).filter(|index| *index < NETWORK + 60 || index % 7 == 0) {
        let mut words = words.clone();
        words[index] = -16_i32 as u32;
        let error = Model::parse(&sealed(words)).err();
        if let Some(error @ (ModelError::Range { .. } | ModelError::Mismatch { .. })) = error {
            assert!(!error.to_string().contains("42949"), "{error}");
            shown.insert(error.to_string());
        }
    }
    assert!(shown.contains("input.stem: -16 is outside -15 ..= 31"), "{shown:?}");
    let error = ModelError::Mismatch { field: "positions.frac", found: -5_i32 as u32, expected: 9 };
    assert_eq!(error.to_string(), "positions.frac: -5 found, 9 expected");
}

/// What no real value can be divided by, and what is no text.
#[test]
fn units_and_names_that_are_none_are_refused() {
    let all = sections(&digits());
    let with = |tag: &[u8; 4], content: Vec<u32>| {
        let mut other: Vec<Section> = all.iter().filter(|(of, ..)| of != tag).cloned().collect();
        other.push((*tag, 0, content));
        Model::parse(&file(&other)).map(|_| ())
    };
    let refused = |tag: &[u8; 4]| Err(ModelError::Section { tag: *tag, fault: SectionFault::Content });
    for scale in [f32::NAN, 0.0, -0.0, -1.0, f32::INFINITY, f32::NEG_INFINITY] {
        assert_eq!(with(b"UNIT", vec![scale.to_bits()]), refused(b"UNIT"), "{scale}");
    }
    assert_eq!(with(b"UNIT", vec![1.0_f32.to_bits()]), Ok(()));
    // Ten names of one letter, a byte of which is none in UTF-8.
    let names = |byte: u8| -> Vec<u32> {
        let bytes = [[b'a', 0].repeat(9), vec![byte, 0]].concat();
        bytes.as_chunks().0.iter().map(|&word| u32::from_le_bytes(word)).collect()
    };
    assert_eq!(with(b"NAMS", names(b'j')), Ok(()));
    for (tag, content) in [
        (b"NAMS", names(0xff)),
        (b"NAMS", names(0)),
        (b"NAME", vec![0xc0]),
        (b"INUN", vec![0x80]),
        (b"UNTS", vec![0x80]),
    ] {
        assert_eq!(with(tag, content), refused(tag));
    }
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

/// A section: its tag, flags and words.
type Section = ([u8; 4], u32, Vec<u32>);

/// The sections of a file.
fn sections(words: &[u32]) -> Vec<Section> {
    let entries = words[5..].chunks(4).take(words[4] as usize);
    let section = |entry: &[u32]| {
        let (start, length) = (entry[2] as usize, entry[3] as usize);
        (entry[0].to_le_bytes(), entry[1], words[start..start + length].to_vec())
    };
    entries.map(section).collect()
}

/// The file of these sections.
fn file(sections: &[Section]) -> Vec<u32> {
    let mut words = digits()[..4].to_vec();
    words.push(sections.len() as u32);
    let mut offset = 5 + 4 * sections.len();
    for (tag, flags, content) in sections {
        words.extend([u32::from_le_bytes(*tag), *flags, offset as u32, content.len() as u32]);
        offset += content.len();
    }
    words.extend(sections.iter().flat_map(|(_, _, content)| content));
    words[2] = words.len() as u32;
    sealed(words)
}

fn scores(words: &[u32]) -> Vec<i16> {
    let model = Model::parse(words).unwrap();
    let mut memory = vec![0; Plan::of(&model).words()];
    let mut session = Session::new(model, &mut memory).unwrap();
    session.run(&[9; 64]).unwrap().raw().to_vec()
}

#[test]
fn sections_that_are_not_needed_may_be_missing() {
    let words = digits();
    let all = sections(&words);
    assert_eq!(file(&all), words);
    let bare = file(&all[..1]);
    let model = Model::parse(&bare).unwrap();
    assert_eq!((model.name(), model.sample_scale_bits()), ("", &[][..]));
    assert_eq!(scores(&bare), scores(&words));
}

#[test]
fn a_section_in_the_wrong_place_is_refused_by_its_tag() {
    let words = digits();
    let all = sections(&words);
    let refused = |words: &[u32]| Model::parse(words).unwrap_err();
    let error = |tag: &[u8; 4], fault| ModelError::Section { tag: *tag, fault };
    assert_eq!(refused(&file(&all[1..])), error(b"NETW", SectionFault::Missing));
    let needed = [all.clone(), vec![(*b"STEM", 1, vec![1])]].concat();
    assert_eq!(refused(&file(&needed)), error(b"STEM", SectionFault::Unknown));
    assert!(refused(&file(&needed)).to_string().starts_with("section STEM: unknown to this build"));
    for tag in [*b"NAME", *b"NETW"] {
        let again = all.iter().find(|(other, ..)| *other == tag).unwrap().clone();
        assert_eq!(
            refused(&file(&[all.clone(), vec![again]].concat())),
            error(&tag, SectionFault::Duplicate)
        );
    }
    let twice = [all.clone(), vec![(*b"more", 0, vec![]), (*b"more", 0, vec![])]].concat();
    assert_eq!(refused(&file(&twice)), error(b"more", SectionFault::Duplicate));
    for (tag, content) in
        [(b"UNIT", vec![]), (b"UNIT", vec![1, 2]), (b"NAME", vec![0x41; 9]), (b"NAME", vec![0xff])]
    {
        let mut other: Vec<Section> = all.iter().filter(|(of, ..)| of != tag).cloned().collect();
        other.push((*tag, 0, content));
        assert_eq!(refused(&file(&other)), error(tag, SectionFault::Content));
    }
    // Overlapping, apart, outside, and so far outside that the sum has no room in 32 bits.
    let second = 5 + 4;
    for (index, value) in [
        (second + 2, words[second + 2] - 1),
        (second + 2, words[second + 2] + 1),
        (second + 2, u32::MAX),
        (second + 3, words[second + 3] + 9),
        (second + 3, u32::MAX),
    ] {
        let mut words = words.clone();
        words[index] = value;
        assert_eq!(refused(&sealed(words)), error(b"NAME", SectionFault::Place), "{index} {value}");
    }
    // Words after the last section.
    let mut longer = [words, vec![0]].concat();
    longer[2] += 1;
    assert!(matches!(refused(&sealed(longer)), ModelError::Length { .. }));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

    /// What a later release adds and does not mark as needed changes nothing.
    #[test]
    fn an_unknown_section_is_skipped(
        tag in any::<[u8; 4]>(), content in prop::collection::vec(any::<u32>(), 0..40), place in 0_usize..4,
    ) {
        let words = digits();
        let mut all = sections(&words);
        prop_assume!(all.iter().all(|(known, ..)| *known != tag));
        all.insert(place, (tag, 0, content));
        let more = file(&all);
        let [before, after] = [&words, &more].map(|words| Model::parse(words).unwrap());
        prop_assert_eq!((before.name(), before.sample_scale_bits()), (after.name(), after.sample_scale_bits()));
        prop_assert_eq!(format!("{:?}", before.head), format!("{:?}", after.head));
        prop_assert_eq!(scores(&words), scores(&more));
    }

    /// Whatever a file with a valid checksum says, parsing and running it neither panics nor reads outside.
    #[test]
    fn a_forged_file_does_no_harm(changes in prop::collection::vec((4_usize..5800, any::<u32>(), any::<bool>()), 1..4)) {
        let mut words = digits();
        for (index, value, small) in changes {
            let index = if value & 1 == 0 { 4 + index % 70 } else { index % words.len() };
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
