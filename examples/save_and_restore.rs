//! A stream that ends on one device goes on on another, with the same bits: `cargo run --example save_and_restore`.
//!
//! The state is written in pieces, so that it needs no second copy in RAM, and is checked whole before a word of it is taken.
//! `state_in_flash` keeps it through a loss of power.

use std::error::Error;

use fixformer::{Model, Plan, Stream};

/// A model file in flash, read at run time: two devices with the same firmware.
static WORDS: [u32; BYTES.len() / 4] = fixformer::session::words(BYTES);
const BYTES: &[u8; include_bytes!("../models/zoo/marks-hierarchical.fxm").len()] =
    include_bytes!("../models/zoo/marks-hierarchical.fxm");

/// Hands a state on, whole and damaged.
///
/// # Errors
/// Those of the model, the stream and the state.
pub fn main() -> Result<(), Box<dyn Error>> {
    let model = Model::parse(&WORDS)?;
    let words = Plan::of_stream(&model)?.words();
    let (mut one, mut other) = (vec![0; words], vec![0; words]);
    let mut first = Stream::new(model, &mut one)?;
    for step in 0..200 {
        first.push(&[step % 8])?;
    }
    let mut state = Vec::new();
    first.save(&mut state)?;
    println!("a state of {} bytes after {} tokens", state.len(), first.tokens());

    let mut second = Stream::new(model, &mut other)?;
    second.restore(&mut &state[..])?;
    for step in 0..100 {
        let expected = first.push(&[step % 5])?.map(|scores| scores.raw().to_vec());
        let found = second.push(&[step % 5])?.map(|scores| scores.raw().to_vec());
        assert_eq!(found, expected);
    }
    println!("both say the same after {} tokens", second.tokens());

    // A bit that flipped on the way is found, and costs nothing: the stream stays as it was.
    state[40] ^= 1;
    let refused = second.restore(&mut &state[..]).expect_err("it is damaged");
    println!("refused: {refused}; still at {} tokens", second.tokens());
    Ok(())
}
