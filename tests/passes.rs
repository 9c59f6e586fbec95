//! Passes give what a whole run gives, bit by bit, in memory that does not depend on the length of the recording.

use std::task::Poll;

use fixformer::host::calibrate::calibrate;
use fixformer::host::quantize::integers;
use fixformer::host::reference::attention::favor::Offsets;
use fixformer::host::reference::{AttentionKind, Input, Level, Network, Pooling, PoolingWindow, Positions};
use fixformer::session::{Impassable, ShortRecording, Stage};
use fixformer::{InputError, Model, PassError, Passes, PassesError, Plan, Recording, Session};
use fixformer_fuzz::random::kinds::{KINDS, MAX_TOKENS, kinds, options};
use fixformer_fuzz::random::{Source, all_wide, length, mask, network};

/// Mechanisms of [`kinds`] whose bidirectional form keeps nothing of the length.
const BIDIRECTIONAL: [usize; 4] = [8, 9, 10, 11];
/// Those whose causal form does.
const CAUSAL: [usize; 4] = [0, 8, 10, 15];

/// A network of some layers, each a mechanism and whether it is causal, and its model file.
fn model(source: &mut Source, i: usize, layers: &[(usize, bool)], level: Level) -> (Network, Vec<u32>) {
    let mut options = options(i, false);
    let window = PoolingWindow { block: 5, blocks: 3 };
    options.pooling = [
        Pooling::Mean,
        Pooling::Max,
        Pooling::WindowMean(window),
        Pooling::First,
        Pooling::WindowMax(window),
        Pooling::Last,
    ][i / 2 % 6];
    let mut network = network(source, options);
    while network.blocks.len() < layers.len() {
        network.blocks.push(network.blocks[0].clone());
    }
    network.blocks.truncate(layers.len());
    if let Input::Samples { level: of, .. } = &mut network.input {
        *of = level;
    }
    for (layer, (block, &(kind, causal))) in network.blocks.iter_mut().zip(layers).enumerate() {
        let width = options.width / options.heads;
        let mut kind = kinds(source, options.heads, width, layer).swap_remove(kind);
        if let (AttentionKind::Favor(favor), true) = (&mut kind, causal) {
            favor.offsets = Offsets::Seen;
        }
        (block.attention.kind, block.attention.causal) = (kind, causal);
    }
    let recordings: Vec<Vec<i16>> =
        (1..8).map(|i| source.recording(length(&network, 20 * i), &network.input)).collect();
    let ranges = calibrate(&network, &recordings, || {}).unwrap();
    let words = integers(&network, &ranges, &all_wide()).unwrap().words();
    (network, words)
}

/// A recording on a card that can be read in order alone, and may fail.
#[derive(Default)]
struct Card {
    values: Vec<i16>,
    mask: Vec<bool>,
    /// The value that comes next.
    next: usize,
    calls: usize,
    fails_at: Option<usize>,
}

impl Card {
    fn of(values: &[i16]) -> Self {
        Self { values: values.to_vec(), ..Self::default() }
    }

    fn call(&mut self) -> Result<(), usize> {
        self.calls += 1;
        if self.fails_at == Some(self.calls - 1) { Err(self.calls - 1) } else { Ok(()) }
    }
}

impl Recording for Card {
    type Error = usize;

    fn values(&mut self) -> Result<usize, usize> {
        self.call()?;
        Ok(self.values.len())
    }

    fn read(&mut self, first: usize, values: &mut [i16]) -> Result<(), usize> {
        self.call()?;
        // In order, but for what is asked once more after a failure.
        let in_order = first == 0 || first >= self.next;
        assert!(in_order, "value {first} again, after {}", self.next);
        assert!(!values.is_empty());
        values.copy_from_slice(&self.values[first..first + values.len()]);
        self.next = first + values.len();
        Ok(())
    }

    fn counts(&mut self, token: usize) -> Result<bool, usize> {
        self.call()?;
        Ok(self.mask.is_empty() || self.mask[token])
    }
}

/// Layers of each kind, from one to three, and how the samples are levelled.
fn cases(i: usize) -> Vec<(usize, bool)> {
    let of = |index: usize| (BIDIRECTIONAL[(i + index) % 4], false);
    match i % 6 {
        0 => vec![of(0)],
        1 => vec![of(0), of(0)],
        2 => vec![of(0), of(1), of(2)],
        3 => vec![of(0), (CAUSAL[i / 6 % 4], true), of(1)],
        4 => vec![(CAUSAL[i / 6 % 4], true), of(0)],
        _ => vec![of(0), (CAUSAL[i / 6 % 4], true)],
    }
}

#[test]
fn passes_are_a_whole_run() {
    let mut source = Source(31);
    for i in 0..36 {
        let level = [
            Level::Raw,
            Level::Centred,
            Level::RunningStandardized { forgetting: 5, floor: 0.25 },
            Level::Standardized,
            Level::RunningCentred { forgetting: 7 },
        ][i / 3 % 5];
        let (network, words) = model(&mut source, i, &cases(i), level);
        let model = Model::parse(&words).unwrap();
        let mut memory = vec![0xdead_beef; Plan::of(&model).words()];
        let mut session = Session::new(model, &mut memory).unwrap();
        let mut memory = vec![0xdead_beef; Plan::of_passes(&model).unwrap().words()];
        let mut passes = Passes::new(model, &mut memory).unwrap();
        for round in 0..6 {
            let tokens = [1, 2 + source.below(6), 64, 65, 1 + source.below(MAX_TOKENS), MAX_TOKENS][round];
            let mut recording = source.recording(length(&network, tokens), &network.input);
            if let Input::Samples { channels, .. } = network.input {
                // Steps with which no token begins count in the mean.
                recording.extend(source.recording(channels, &network.input));
            }
            let mut card = Card::of(&recording);
            let whole = if round % 2 == 1 {
                card.mask = mask(i + round, tokens);
                session.run_masked(&recording, &card.mask)
            } else {
                session.run(&recording)
            };
            let whole = whole.unwrap().raw();
            assert_eq!(passes.run(&mut card).unwrap().raw(), whole, "{i}: {:?}, {tokens} tokens", cases(i));
            let mut steps = 0;
            let mut passing = passes.start(&mut card).unwrap();
            while passing.step().unwrap().is_pending() {
                steps += 1;
            }
            assert!(steps >= tokens / 4, "{steps} steps for {tokens} tokens");
            assert_eq!(passing.scores().unwrap().raw(), whole);
        }
    }
}

#[test]
fn values_in_memory_are_a_recording() {
    let mut source = Source(32);
    let (network, words) = model(&mut source, 2, &[(8, false)], Level::Raw);
    let model = Model::parse(&words).unwrap();
    let mut memory = vec![0; Plan::of_passes(&model).unwrap().words()];
    let mut passes = Passes::new(model, &mut memory).unwrap();
    let recording = source.recording(length(&network, 30), &network.input);
    let from_card = passes.run(&mut Card::of(&recording)).unwrap().raw().to_vec();
    assert_eq!(passes.run(&mut &recording[..]).unwrap().raw(), from_card);
    assert_eq!((&recording[..]).read(recording.len(), &mut [0]), Err(ShortRecording));
}

#[test]
fn a_recording_that_cannot_be_read_leaves_the_model_usable() {
    let mut source = Source(33);
    for (i, level) in [(2, Level::Raw), (6, Level::Standardized)] {
        let (network, words) = model(&mut source, i, &[(8, false), (9, false)], level);
        let model = Model::parse(&words).unwrap();
        let mut memory = vec![0; Plan::of_passes(&model).unwrap().words()];
        let mut passes = Passes::new(model, &mut memory).unwrap();
        let recording = source.recording(length(&network, 21), &network.input);
        let mut card = Card::of(&recording);
        let expected = passes.run(&mut card).unwrap().raw().to_vec();
        for call in 0..card.calls {
            let mut broken = Card { fails_at: Some(call), ..Card::of(&recording) };
            assert_eq!(passes.run(&mut broken).err(), Some(PassError::Recording(call)));
            assert_eq!(passes.run(&mut Card::of(&recording)).unwrap().raw(), expected, "after call {call}");
            // A card that is put back: the run goes on where it was.
            if call > 0 {
                let mut broken = Card { fails_at: Some(call), ..Card::of(&recording) };
                let mut passing = passes.start(&mut broken).unwrap();
                let mut failed = 0;
                loop {
                    match passing.step() {
                        Ok(Poll::Ready(())) => break,
                        Ok(Poll::Pending) => {}
                        Err(error) => {
                            assert_eq!(error, PassError::Recording(call));
                            failed += 1;
                        }
                    }
                }
                assert_eq!((failed, passing.scores().unwrap().raw()), (1, &expected[..]));
            }
        }
    }
}

#[test]
fn memory_does_not_depend_on_the_length() {
    let mut source = Source(34);
    for i in BIDIRECTIONAL {
        let (_, words) = model(&mut source, i, &[(i, false); 2], Level::Raw);
        let mut model = Model::parse(&words).unwrap();
        let plan = Plan::of_passes(&model).unwrap();
        for tokens in [8, 1_000, 16_384] {
            model.max_tokens = tokens;
            assert_eq!(Plan::of_passes(&model).unwrap().words(), plan.words());
        }
        let state = plan.buffers().find(|buffer| buffer.name == "memory").unwrap();
        assert!(plan.is_passes() && state.lives == [Stage::Embed, Stage::Pool]);
    }
}

#[test]
fn what_cannot_run_in_passes_says_why() {
    let mut source = Source(35);
    for i in (0..KINDS).filter(|i| !BIDIRECTIONAL.contains(i)) {
        let (_, words) = model(&mut source, i, &[(8, false), (i, false)], Level::Raw);
        let error = Passes::new(Model::parse(&words).unwrap(), &mut [0; 100_000]).unwrap_err();
        assert!(matches!(error, PassesError::Impassable(Impassable::Grows { block: 1, .. })), "{i}: {error}");
        assert!(error.to_string().contains("grows with the length"), "{error}");
    }
    let (network, _) = model(&mut source, 2, &[(8, false), (9, true)], Level::Raw);
    let mut network = network;
    if let AttentionKind::Favor(favor) = &mut network.blocks[1].attention.kind {
        favor.offsets = Offsets::Projection;
    }
    let recordings = [source.recording(length(&network, 20), &network.input)];
    let ranges = calibrate(&network, &recordings, || {}).unwrap();
    let words = integers(&network, &ranges, &all_wide()).unwrap().words();
    let error = Passes::new(Model::parse(&words).unwrap(), &mut []).unwrap_err();
    assert!(matches!(error, PassesError::Impassable(Impassable::LooksAhead { block: 1, .. })), "{error}");
}

#[test]
fn bad_recordings_are_named() {
    let mut source = Source(36);
    let (network, words) = model(&mut source, 2, &[(8, false)], Level::Raw);
    assert!(matches!(network.input, Input::Tokens { .. }));
    let model = Model::parse(&words).unwrap();
    let needed = Plan::of_passes(&model).unwrap().words();
    let error = Passes::new(model, &mut vec![0; needed - 1]).unwrap_err();
    assert!(error.to_string().contains(&needed.to_string()), "{error}");
    let mut memory = vec![0; needed];
    let mut passes = Passes::new(model, &mut memory).unwrap();
    let input = |error| Some(PassError::Input(error));
    assert_eq!(passes.run(&mut Card::of(&[])).err(), input(InputError::Empty));
    // Options number 2 have learned positions.
    assert_eq!(passes.limit(), MAX_TOKENS);
    let error = InputError::TooLong { tokens: MAX_TOKENS + 1, max: MAX_TOKENS };
    assert_eq!(passes.run(&mut Card::of(&[0; MAX_TOKENS + 1])).err(), input(error));
    let mut unknown = [3; 50];
    unknown[37] = 99;
    let error = InputError::Token { position: 37, found: 99, last: 20 };
    assert_eq!(passes.run(&mut Card::of(&unknown)).err(), input(error));
    let mut masked = Card { mask: vec![false; 50], ..Card::of(&[3; 50]) };
    assert_eq!(passes.run(&mut masked).err(), input(InputError::AllMasked));
    assert!(passes.run(&mut Card::of(&[3; 50])).is_ok());
}

/// Where only the end is pooled and all of it is masked, passes say the same as a whole run.
#[test]
fn a_window_without_tokens_is_named() {
    let mut source = Source(38);
    let (network, words) = model(&mut source, 4, &[(8, false)], Level::Raw);
    assert!(matches!(network.pooling, Pooling::WindowMean(_)));
    let model = Model::parse(&words).unwrap();
    let recording = source.recording(length(&network, 50), &network.input);
    let mask: Vec<bool> = (0..50).map(|token| token < 35).collect();
    let mut memory = vec![0; Plan::of(&model).words()];
    let error = Session::new(model, &mut memory).unwrap().run_masked(&recording, &mask).unwrap_err();
    assert_eq!(error, InputError::WindowMasked { first: 35 });
    let mut memory = vec![0; Plan::of_passes(&model).unwrap().words()];
    let mut passes = Passes::new(model, &mut memory).unwrap();
    let mut card = Card { mask, ..Card::of(&recording) };
    assert_eq!(passes.run(&mut card).err(), Some(PassError::Input(error)));
}

#[test]
fn a_recording_may_be_longer_than_a_whole_run() {
    let mut source = Source(37);
    // Steps of three channels; what tells tokens apart is no table.
    let (network, words) = model(&mut source, 12, &[(8, false), (8, false)], Level::Centred);
    assert!(matches!(network.positions, Positions::None | Positions::Sinusoidal));
    let model = Model::parse(&words).unwrap();
    let mut memory = vec![0; Plan::of_passes(&model).unwrap().words()];
    let mut passes = Passes::new(model, &mut memory).unwrap();
    let recording = source.recording(length(&network, 20_000), &network.input);
    let first = passes.run(&mut Card::of(&recording)).unwrap().raw().to_vec();
    assert_eq!(passes.run(&mut Card::of(&recording)).unwrap().raw(), first);
}
