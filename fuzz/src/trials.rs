//! Drawn models and recordings as the file of cases that the program `trials` runs on any core: see its documentation.

use fixformer::Model;
use fixformer::session::Plan;

use crate::random::{Source, any};

/// What fills an arena before a run: what a wrong read would make of these differs most.
pub const FILLS: [u32; 6] = [0, 0xffff_ffff, 0x0002_0000, 0xfffe_0000, 0x7fff_8000, 0x8000_7fff];

/// Ways to run a recording: at one go, in slices, as a stream, in passes.
const WAYS: [u32; 4] = [0, 1, 2, 3];

/// Runs of a case.
const RUNS: usize = 6;

/// The words of the case of a seed, the first of which is how many follow: a model with every option at random, and recordings
/// with and without masks, extremes among them, in every way to run.
pub fn case(seed: u64) -> Vec<u32> {
    let mut source = Source(seed);
    let (network, model) = any::model(&mut source);
    let mut words = vec![0, model.len() as u32];
    words.extend(&model);
    let can = |way: &u32| match (way, Model::parse(&model)) {
        (2, Ok(model)) => Plan::of_stream(&model).is_ok(),
        (3, Ok(model)) => Plan::of_passes(&model).is_ok(),
        (_, parsed) => parsed.is_ok(),
    };
    let ways: Vec<u32> = WAYS.into_iter().filter(can).collect();
    for run in 0..RUNS {
        let recording = any::recording(&mut source, &network, run % 2 == 0);
        let tokens = network.tokens(&recording).unwrap_or(0);
        let mask = if run % 3 == 0 { Vec::new() } else { any::mask(&mut source, tokens) };
        let (way, fill) = (ways[run % ways.len()], source.of(&FILLS));
        words.extend([way, fill, recording.len() as u32, mask.len() as u32]);
        words.extend(
            recording
                .chunks(2)
                .map(|pair| pair.iter().rev().fold(0, |word, &value| word << 16 | u32::from(value as u16))),
        );
        words.extend(
            mask.chunks(32)
                .map(|flags| flags.iter().rev().fold(0, |word, &flag| word << 1 | u32::from(flag))),
        );
    }
    words[0] = words.len() as u32 - 1;
    words
}
