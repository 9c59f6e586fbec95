//! A signal without end, a step at a time: `cargo run --example stream`.
//!
//! After every token the scores are those of a run over everything so far, in memory that does not grow.

use std::error::Error;

use fixformer::host::draw::{Source, last_mark, marks};
use fixformer::{Arena, Streamed};

fixformer::model! {
    /// Marks in noise: the kind of the last one.
    struct Marks = concat!(env!("CARGO_MANIFEST_DIR"), "/models/zoo/marks-hierarchical.fxm")
}

// Does not compile for a model that cannot stream.
static STREAM: Arena<Marks, Streamed> = Arena::new();

/// Pushes noise with a mark now and then, loses some steps, and counts how often the class is that of the last mark.
///
/// # Errors
/// Those of the arena and of the steps.
pub fn main() -> Result<(), Box<dyn Error>> {
    let mut stream = STREAM.take()?;
    println!("{} bytes for up to {} tokens", size_of_val(&STREAM), stream.limit());
    let mut source = Source(7);
    let (mut last, mut right) = (None, 0);
    for step in 0..5000 {
        if step == 1000 {
            // An interrupt came too late: these steps are masked, and time goes on.
            stream.skip(20)?;
        }
        let symbol = marks(&mut source, 1);
        last = last_mark(&symbol).or(last);
        if let Some(scores) = stream.push(&symbol)? {
            right += u32::from(last == Some(scores.best()));
        }
    }
    println!("right after {right} of 5000 steps, at token {}", stream.tokens());
    Ok(())
}
