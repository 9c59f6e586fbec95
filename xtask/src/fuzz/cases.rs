//! Drawn models and recordings, as the cases that the program `trials` runs.

use fixformer::Model;
use fixformer::session::Plan;
use fixformer_boards::trials::{Run, Way, write};
use fixformer_fuzz::FILLS;
use fixformer_fuzz::random::{Source, any};

/// Runs of a case.
const RUNS: usize = 6;

/// The case of a seed: a model with every option at random, and recordings with and without masks, extremes among them, in
/// every way in which it runs.
pub(super) fn case(seed: u64) -> Vec<u32> {
    let mut source = Source(seed);
    let (network, words) = any::model(&mut source);
    let model = Model::parse(&words).expect("a drawn model is one that the engine takes");
    let runs_as = |way: &Way| match way {
        Way::Whole | Way::Slices => true,
        Way::Stream => Plan::of_stream(&model).is_ok(),
        Way::Passes => Plan::of_passes(&model).is_ok(),
    };
    let ways: Vec<Way> = Way::ALL.into_iter().filter(runs_as).collect();
    let mut run = |number: usize| {
        let values = any::recording(&mut source, &network, number.is_multiple_of(2));
        let tokens = network.tokens(&values).unwrap_or(0);
        let mask = if number.is_multiple_of(3) { Vec::new() } else { any::mask(&mut source, tokens) };
        Run { way: ways[number % ways.len()], fill: source.of(&FILLS), values, mask }
    };
    let runs: Vec<Run> = (0..RUNS).map(&mut run).collect();
    write(&words, &runs)
}
