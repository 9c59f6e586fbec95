//! A model that is part of the program classifies a recording: `cargo run --example classify`.
//!
//! This is all that a firmware does. The arena lies in a `static` and is exactly as large as the model needs.

use std::error::Error;

use fixformer::{Arena, Embedded};

fixformer::model! {
    /// Handwritten digits: 64 pixels of 0 to 16, row by row, to 10 classes.
    struct Digits = concat!(env!("CARGO_MANIFEST_DIR"), "/models/digits.fxm")
}

static ARENA: Arena<Digits> = Arena::new();

/// A zero.
#[rustfmt::skip]
pub const IMAGE: [i16; 64] = [
    0, 0,  5, 13,  9,  1, 0, 0,
    0, 0, 13, 15, 10, 15, 5, 0,
    0, 3, 15,  2,  0, 11, 8, 0,
    0, 4, 12,  0,  0,  8, 8, 0,
    0, 5,  8,  0,  0,  9, 8, 0,
    0, 4, 11,  0,  1, 12, 7, 0,
    0, 2, 14,  5, 10, 12, 0, 0,
    0, 0,  6, 13, 10,  0, 0, 0,
];

/// Classifies the image.
///
/// # Errors
/// Those of the arena, which is taken once, and of the recording.
pub fn main() -> Result<(), Box<dyn Error>> {
    let mut net = ARENA.take()?;
    let scores = net.run(&IMAGE)?;
    let best = scores.best();
    println!("a {best}, with a probability of {:.3}", scores.probability(best));
    println!("{} bytes of arena, {} of model", Digits::PLAN.bytes(), Digits::MODEL.bytes());
    Ok(())
}
