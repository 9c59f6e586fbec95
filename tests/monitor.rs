//! A small model with all that is for streams without end, embedded: standardized by the samples so far, pooled over a window.

use fixformer::host::calibrate::calibrate;
use fixformer::host::quantize::{Precision, integers};
use fixformer::host::reference::{Input, Level, Network, Pooling, PoolingWindow, Positions};
use fixformer::{Arena, Embedded, Model, Plan, Session, Stream, Streamed};
use fixformer_fuzz::random::Source;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/models/monitor.fxm");

fixformer::model! {
    /// Three channels to five classes, with random weights.
    struct Monitor = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/models/monitor.fxm")
}
static STREAM: Arena<Monitor, Streamed> = Arena::new();
static WHOLE: Arena<Monitor> = Arena::new();

const STEPS: usize = 250;

fn recording(source: &mut Source) -> Vec<i16> {
    (0..3 * STEPS).map(|index| (500.0 * source.normal() + 8.0 * index as f64) as i16).collect()
}

fn network(source: &mut Source) -> Network {
    let pooling = Pooling::WindowMax(PoolingWindow { block: 8, blocks: 4 });
    let mut network = fixformer_fuzz::random::causal::network(source, 15, false, pooling);
    network.name = String::from("monitor");
    network.positions = Positions::None;
    if let Input::Samples { level, .. } = &mut network.input {
        *level = Level::RunningStandardized { forgetting: 6, floor: 0.5 };
    }
    network
}

/// Makes the model file: `cargo test --test monitor -- --ignored`.
#[test]
#[ignore = "writes the model file"]
fn write_the_model() {
    let mut source = Source(81);
    let network = network(&mut source);
    let recordings = [recording(&mut source), recording(&mut source)];
    let ranges = calibrate(&network, &recordings, || {}).unwrap();
    let file = integers(&network, &ranges, &Precision::new()).unwrap();
    assert!(Model::parse(&file.words()).is_ok());
    std::fs::write(FILE, file.bytes()).unwrap();
}

#[test]
fn an_embedded_stream_is_the_whole_and_what_is_read_at_run_time() {
    let recording = recording(&mut Source(82));
    let mut stream = STREAM.take().unwrap();
    let mut whole = WHOLE.take().unwrap();
    let model = Monitor::MODEL;
    let mut memory = vec![0; Plan::of_stream(&model).unwrap().words()];
    let mut other = Stream::new(model, &mut memory).unwrap();
    let mut memory = vec![0; Plan::of(&model).words()];
    let mut session = Session::new(model, &mut memory).unwrap();
    for (index, step) in recording.chunks(3).enumerate() {
        let scores = stream.push(step).unwrap().map(|scores| scores.raw().to_vec());
        assert_eq!(other.push(step).unwrap().map(|scores| scores.raw().to_vec()), scores);
        let Some(scores) = scores else { continue };
        let input = &recording[..3 * (index + 1)];
        assert_eq!(whole.run(input).unwrap().raw(), scores);
        assert_eq!(session.run(input).unwrap().raw(), scores);
    }
    assert!(stream.tokens() > 100);
    assert_eq!(stream.plan().words(), Plan::of_stream(&model).unwrap().words());
}

/// The state of a stream does not grow, however long it runs, and it decides about the last tokens: what was before the
/// window is forgotten by the pooling, and by the statistics in the end.
#[test]
fn the_same_signal_long_after_another_gives_nearly_the_same() {
    let bytes = std::fs::read(FILE).unwrap();
    let words: Vec<u32> = bytes.chunks(4).map(|word| u32::from_le_bytes(word.try_into().unwrap())).collect();
    let model = Model::parse(&words).unwrap();
    let mut source = Source(83);
    let pattern: Vec<i16> = (0..3 * 600).map(|_| (400.0 * source.normal()) as i16).collect();
    let mut after = |offset: i16| {
        let mut memory = vec![0; Plan::of_stream(&model).unwrap().words()];
        let mut stream = Stream::new(model, &mut memory).unwrap();
        for _ in 0..600 {
            stream.push(&[offset, -offset, offset / 2]).unwrap();
        }
        for step in pattern.chunks(3) {
            stream.push(step).unwrap();
        }
        stream.scores().unwrap().to_f64().collect::<Vec<_>>()
    };
    let [calm, wild] = [0, 20_000].map(&mut after);
    for (calm, wild) in calm.iter().zip(&wild) {
        assert!((calm - wild).abs() < 0.05 * (1.0 + calm.abs()), "{calm} {wild}");
    }
}
