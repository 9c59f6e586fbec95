//! A long run in steps of bounded work, between which other things happen: `cargo run --example in_slices`.
//!
//! On a device a watchdog is fed there, an executor yields, a tick is served. The scores are those of `run`.

use std::collections::BTreeMap;
use std::error::Error;

use fixformer::Arena;

fixformer::model! {
    /// Which of two marks in noise came first, from 1,536 symbols.
    struct Needle = concat!(env!("CARGO_MANIFEST_DIR"), "/models/zoo/needle-hierarchical.fxm")
}

static ARENA: Arena<Needle> = Arena::new();

/// Runs once at one go and once in steps.
///
/// # Errors
/// Those of the arena and of the recording.
pub fn main() -> Result<(), Box<dyn Error>> {
    let recording: [i16; Needle::MAX_INPUT] = std::array::from_fn(|step| (step * step % 7) as i16);
    let mut net = ARENA.take()?;
    let expected = net.run(&recording)?.raw().to_vec();

    let mut running = net.start(&recording)?;
    let mut steps = BTreeMap::new();
    loop {
        *steps.entry(running.stage().to_string()).or_insert(0) += 1;
        if running.step()?.is_ready() {
            break;
        }
        // A watchdog is fed here.
    }
    let scores = running.scores().ok_or("a run that ended has scores")?;
    assert_eq!(scores.raw(), expected);
    println!("the same scores, in steps of each stage: {steps:?}");
    Ok(())
}
