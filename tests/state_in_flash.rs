//! The example `state_in_flash`: at whatever moment power is lost, one of the last two states is left, whole.

#[path = "../examples/state_in_flash/main.rs"]
pub mod example;

use std::ops::Range;

use embedded_storage::nor_flash::{ErrorType, NorFlash, ReadNorFlash};
use example::flash::{Flash, FlashError, Loss};
use example::slots::{Error, Slots};
use fixformer::host::calibrate::calibrate;
use fixformer::host::quantize::integers;
use fixformer::session::StateError;
use fixformer::{Model, Plan, Stream};
use fixformer_fuzz::random::kinds::options;
use fixformer_fuzz::random::{Options, Source, all_wide, network};

/// Calls `check` with a stream of a small model, another one for every seed, and a source of tokens.
fn with_stream(seed: u64, check: impl FnOnce(&mut Stream<'_>, &mut Source)) {
    let mut source = Source(seed);
    let options = Options { input: 2, width: 8, max_tokens: 12, ..options(0, true) };
    let network = network(&mut source, options);
    let recordings = [source.recording(12, &network.input)];
    let ranges = calibrate(&network, &recordings, || {}).unwrap();
    let words = integers(&network, &ranges, &all_wide()).unwrap().words();
    let model = Model::parse(&words).unwrap();
    let mut memory = vec![0; Plan::of_stream(&model).unwrap().words()];
    check(&mut Stream::new(model, &mut memory).unwrap(), &mut source);
}

fn saved(stream: &Stream<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    stream.save(&mut bytes).unwrap();
    bytes
}

/// Pushes some tokens, and gives the state.
fn go_on(stream: &mut Stream<'_>, source: &mut Source, tokens: usize) -> Vec<u8> {
    if stream.tokens() + tokens > stream.limit() {
        stream.reset();
    }
    (0..tokens).for_each(|_| _ = stream.push(&[source.below(21) as i16]).unwrap());
    saved(stream)
}

/// Bytes of a slot.
fn size(stream: &Stream<'_>, page: usize) -> u32 {
    (64 + stream.saved_bytes()).next_multiple_of(page) as u32
}

/// A flash with a page before, between and behind two slots, and their places.
fn slots<const READ: usize, const WRITE: usize, const PAGE: usize>(
    stream: &Stream<'_>,
) -> (Flash<READ, WRITE, PAGE>, [u32; 2], u32) {
    let (size, page) = (size(stream, PAGE), PAGE as u32);
    (Flash::new(2 * size as usize + 3 * PAGE), [page, size + 2 * page], size)
}

/// What a program that starts anew finds, by the bytes of its state; the stream has another state before.
fn found<const READ: usize, const WRITE: usize, const PAGE: usize>(
    flash: &mut Flash<READ, WRITE, PAGE>,
    places: [u32; 2],
    stream: &mut Stream<'_>,
) -> Option<Vec<u8>> {
    stream.reset();
    stream.push(&[3]).unwrap();
    let (before, size) = (saved(stream), size(stream, PAGE));
    let found = Slots::new(flash, places, size).unwrap().restore(stream).unwrap();
    assert!(found || saved(stream) == before);
    found.then(|| saved(stream))
}

/// Loses power in every operation of a save after `saves` earlier ones.
fn every_moment<const READ: usize, const WRITE: usize, const PAGE: usize>(saves: usize) {
    with_stream(41, |stream, source| {
        let (mut flash, places, size) = slots::<READ, WRITE, PAGE>(stream);
        let mut older = None;
        for _ in 0..saves {
            older = Some(go_on(stream, source, 3));
            Slots::new(&mut flash, places, size).unwrap().save(stream).unwrap();
        }
        let newer = go_on(stream, source, 3);
        let mut whole = flash.clone();
        Slots::new(&mut whole, places, size).unwrap().save(stream).unwrap();
        let operations = whole.operations - flash.operations;
        assert_eq!(operations, (size as usize / PAGE) + (64 + newer.len()).next_multiple_of(64) / WRITE);

        let mut committed = 0;
        for after in 0..operations {
            let losses = [Loss::Before, Loss::Half, Loss::Garbage(after as u64), Loss::After];
            for loss in losses {
                let mut flash = flash.clone();
                flash.lose_power_after(after, loss);
                stream.restore(&mut &newer[..]).unwrap();
                let error = Slots::new(&mut flash, places, size).unwrap().save(stream);
                assert_eq!(error, Err(Error::Flash(FlashError::NoPower)));
                assert_eq!(saved(stream), newer);
                flash.power_on();
                let found = found(&mut flash, places, stream);
                let is_newer = found.as_ref() == Some(&newer);
                assert!(is_newer || found == older, "{loss:?} in operation {after} of {operations}");
                assert!(!is_newer || after >= operations - 64 / WRITE, "{loss:?} in operation {after}");
                committed += usize::from(is_newer);

                // The next save finds its place.
                stream.restore(&mut &newer[..]).unwrap();
                Slots::new(&mut flash, places, size).unwrap().save(stream).unwrap();
                assert_eq!(self::found(&mut flash, places, stream).as_ref(), Some(&newer));
                let [a, b] = places.map(|place| place as usize);
                let outside = [0..a, a + size as usize..b, b + size as usize..flash.bytes.len()];
                for bytes in outside.map(|range| &flash.bytes[range]) {
                    assert!(!bytes.is_empty() && bytes.iter().all(|&byte| byte == 0xff));
                }
            }
        }
        assert!(committed > 0);
    });
}

#[test]
fn no_moment_of_a_save_costs_a_state() {
    every_moment::<1, 4, 4096>(2);
    every_moment::<4, 8, 256>(3);
    every_moment::<64, 64, 1024>(2);
    // Where one state was saved, and where none was.
    every_moment::<1, 8, 2048>(1);
    every_moment::<8, 8, 512>(0);
}

#[test]
fn no_byte_of_a_save_costs_a_state() {
    every_moment::<2, 1, 512>(2);
}

#[test]
fn a_long_series_of_losses_never_goes_back() {
    with_stream(41, |stream, source| {
        let (mut flash, places, size) = slots::<4, 4, 1024>(stream);
        let mut last = None;
        for round in 0..150 {
            let next = go_on(stream, source, 3);
            let operations = (size as usize / 1024) + 16 + next.len() / 4;
            let loss = [Loss::Before, Loss::Half, Loss::Garbage(round), Loss::After][source.below(4)];
            // Now and then all of it is done.
            flash.lose_power_after(source.below(operations + operations / 8), loss);
            let done = Slots::new(&mut flash, places, size).unwrap().save(stream);
            flash.power_on();
            let found = found(&mut flash, places, stream);
            assert!(found.as_ref() == Some(&next) || done.is_err() && found == last, "round {round}");
            last = found;
        }
        assert!(last.is_some());
    });
}

#[test]
fn without_a_state_a_stream_is_as_it_was() {
    with_stream(41, |stream, source| {
        let (mut flash, places, _) = slots::<1, 4, 4096>(stream);
        assert_eq!(found(&mut flash, places, stream), None);
        flash.bytes.fill(0);
        assert_eq!(found(&mut flash, places, stream), None);
        flash.bytes.fill_with(|| source.below(256) as u8);
        assert_eq!(found(&mut flash, places, stream), None);
    });
}

#[test]
fn a_flipped_bit_costs_one_state_and_the_next_save_not_the_other() {
    with_stream(41, |stream, source| {
        let (mut flash, places, size) = slots::<1, 8, 4096>(stream);
        let states = [(); 2].map(|()| {
            let state = go_on(stream, source, 3);
            Slots::new(&mut flash, places, size).unwrap().save(stream).unwrap();
            state
        });
        let [a, b] = places.map(|place| place as usize);
        let meant = (0..12).chain(64..64 + states[0].len());
        for at in meant {
            let mut flash = flash.clone();
            flash.bytes[b + at] ^= 1 << (at % 8);
            assert_eq!(found(&mut flash, places, stream).as_ref(), Some(&states[0]), "byte {at}");
            let kept = flash.bytes[a..a + size as usize].to_vec();
            let next = go_on(stream, source, 1);
            Slots::new(&mut flash, places, size).unwrap().save(stream).unwrap();
            assert!(flash.bytes[a..].starts_with(&kept));
            assert_eq!(found(&mut flash, places, stream), Some(next));

            let mut flash = flash.clone();
            [a, b].iter().for_each(|slot| flash.bytes[slot + at] ^= 0x80);
            assert_eq!(found(&mut flash, places, stream), None);
        }
        // Bytes that mean nothing.
        flash.bytes[b + 12..b + 64].fill(0);
        assert_eq!(found(&mut flash, places, stream).as_ref(), Some(&states[1]));
    });
}

#[test]
fn a_state_of_another_model_is_refused() {
    with_stream(42, |other, others| {
        with_stream(41, |stream, source| {
            let larger = size(stream, 4096).max(size(other, 4096));
            let (places, mut flash) = ([0, larger], Flash::<1, 4, 4096>::new(2 * larger as usize));
            let mut slots = Slots::new(&mut flash, places, larger).unwrap();
            let before = go_on(stream, source, 3);
            with_stream(43, |third, thirds| {
                go_on(other, others, 2);
                go_on(third, thirds, 2);
                // Alone, behind the other, and in front of it.
                for newest in [&*other, third, other] {
                    slots.save(newest).unwrap();
                    let error = slots.restore(stream).unwrap_err();
                    let found = newest.model().checksum();
                    let expected = stream.model().checksum();
                    assert_eq!(error, Error::Refused(StateError::Model { found, expected }));
                    assert_eq!(saved(stream), before);
                }
            });
            // Whichever is newer, each finds its own.
            slots.save(stream).unwrap();
            let state = saved(other);
            for _ in 0..2 {
                stream.reset();
                other.reset();
                assert_eq!((slots.restore(stream), slots.restore(other)), (Ok(true), Ok(true)));
                assert_eq!((saved(stream), saved(other)), (before.clone(), state.clone()));
                slots.save(other).unwrap();
                slots.save(stream).unwrap();
            }
        });
    });
}

#[test]
fn sequence_numbers_wrap() {
    with_stream(41, |stream, source| {
        for first in [u32::MAX - 2, u32::MAX - 1, u32::MAX, i32::MAX as u32 - 1, i32::MAX as u32] {
            let (mut flash, places, size) = slots::<1, 4, 1024>(stream);
            stream.reset();
            let state = go_on(stream, source, 3);
            Slots::new(&mut flash, places, size).unwrap().save(stream).unwrap();
            // That the sequence began elsewhere.
            let slot = &mut flash.bytes[places[0] as usize..];
            assert_eq!(slot[..8], [[0; 4], (state.len() as u32).to_le_bytes()].concat());
            slot[..4].copy_from_slice(&first.to_le_bytes());
            let crc = crc32fast::hash(&[&slot[..8], &state].concat());
            slot[8..12].copy_from_slice(&crc.to_le_bytes());
            assert_eq!(found(&mut flash, places, stream), Some(state));
            for number in 1..5 {
                let next = go_on(stream, source, 3);
                Slots::new(&mut flash, places, size).unwrap().save(stream).unwrap();
                let slot = &flash.bytes[places[number % 2] as usize..];
                assert_eq!(slot[..4], first.wrapping_add(number as u32).to_le_bytes());
                assert_eq!(found(&mut flash, places, stream), Some(next), "{first} + {number}");
            }
        }
    });
}

#[test]
fn places_that_do_not_do_are_refused_and_nothing_is_written() {
    with_stream(41, |stream, _| {
        let (mut flash, [a, b], size) = slots::<1, 4, 256>(stream);
        let all = flash.bytes.len() as u32;
        let mut refused = |places, size| Slots::new(&mut flash, places, size).unwrap_err();
        for (places, size) in [([a + 4, b], size), ([a, b + 128], size), ([a, b], size - 64)] {
            assert_eq!(refused(places, size), Error::Misaligned);
        }
        for places in [[a, all - size + 256], [all, a], [a, u32::MAX / 256 * 256]] {
            assert_eq!(refused(places, size), Error::Outside);
        }
        for places in [[a, a], [a, a + size - 256], [a + size - 256, a]] {
            assert_eq!(refused(places, size), Error::Overlapping);
        }
        let needed = stream.saved_bytes();
        for size in [0, 256, size - 256] {
            let mut slots = Slots::new(&mut flash, [a, b], size).unwrap();
            let room = (size as usize).saturating_sub(64);
            assert_eq!(slots.save(stream), Err(Error::TooSmall { room, needed }));
            assert_eq!(slots.restore(stream), Err(Error::TooSmall { room, needed }));
        }
        assert_eq!(flash.operations, 0);
        // Next to each other, either first.
        for places in [[a, a + size], [a + size, a]] {
            let mut slots = Slots::new(&mut flash, places, size).unwrap();
            slots.save(stream).unwrap();
            slots.save(stream).unwrap();
            assert_eq!(slots.restore(stream), Ok(true));
        }
    });
}

/// A flash of which some bytes cannot be read, or read wrong.
struct Worn(Flash<1, 4, 1024>, Range<u32>, bool);

impl ErrorType for Worn {
    type Error = FlashError;
}

impl ReadNorFlash for Worn {
    const READ_SIZE: usize = 1;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), FlashError> {
        self.0.read(offset, bytes)?;
        for (at, byte) in (offset..).zip(bytes) {
            match self.2 {
                _ if !self.1.contains(&at) => {}
                true => return Err(FlashError::NoPower),
                false => *byte ^= 4,
            }
        }
        Ok(())
    }

    fn capacity(&self) -> usize {
        self.0.capacity()
    }
}

impl NorFlash for Worn {
    const WRITE_SIZE: usize = 4;
    const ERASE_SIZE: usize = 1024;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), FlashError> {
        self.0.erase(from, to)
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), FlashError> {
        self.0.write(offset, bytes)
    }
}

#[test]
fn a_slot_that_is_worn_out_is_noticed_and_the_other_one_kept() {
    with_stream(41, |stream, source| {
        for unreadable in [true, false] {
            for bad in [0, 1] {
                let (flash, places, size) = slots::<1, 4, 1024>(stream);
                let mut flash = Worn(flash, 0..0, unreadable);
                let states = [(); 2].map(|()| {
                    let state = go_on(stream, source, 3);
                    Slots::new(&mut flash, places, size).unwrap().save(stream).unwrap();
                    state
                });
                flash.1 = places[bad] + 100..places[bad] + 101;
                let mut slots = Slots::new(&mut flash, places, size).unwrap();
                for _ in 0..2 {
                    assert_eq!(slots.restore(stream), Ok(true));
                    assert_eq!(saved(stream), states[1 - bad]);
                    go_on(stream, source, 1);
                    assert_eq!(slots.save(stream), Err(Error::NotKept));
                }
                flash.1 = 0..u32::MAX;
                let before = saved(stream);
                let expected = if unreadable { Err(Error::Flash(FlashError::NoPower)) } else { Ok(false) };
                assert_eq!(Slots::new(&mut flash, places, size).unwrap().restore(stream), expected);
                assert_eq!(saved(stream), before);
            }
        }
    });
}

#[test]
fn the_flash_of_the_tests_is_strict() {
    let mut flash = Flash::<4, 4, 256>::new(512);
    flash.write(8, &[0xff; 8]).unwrap();
    assert_eq!(flash.write(12, &[0; 4]), Err(FlashError::Rewritten));
    flash.bytes[16] = 0xfe;
    assert_eq!(flash.write(16, &[1; 4]), Err(FlashError::Rewritten));
    flash.erase(0, 256).unwrap();
    flash.write(12, &[0; 4]).unwrap();
    for (offset, bytes) in [(2, 4), (4, 2), (508, 8)] {
        assert!(matches!(flash.write(offset, &[0; 8][..bytes]), Err(FlashError::Place(_))));
        assert!(matches!(flash.read(offset, &mut [0; 8][..bytes]), Err(FlashError::Place(_))));
    }
    assert!(matches!(flash.erase(0, 128), Err(FlashError::Place(_))));
    flash.lose_power_after(0, Loss::Garbage(1));
    assert_eq!(flash.erase(0, 256), Err(FlashError::NoPower));
    assert_eq!(flash.read(0, &mut [0; 4]), Err(FlashError::NoPower));
    flash.power_on();
    assert_eq!(flash.write(0, &[0; 4]), Err(FlashError::Rewritten));
}

#[test]
fn the_example_runs() {
    example::main().unwrap();
}
