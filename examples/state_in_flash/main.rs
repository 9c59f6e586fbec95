//! A stream whose state outlives a loss of power: `cargo run --example state_in_flash`.
//!
//! `slots.rs` is the part for a device. `flash.rs` stands for its flash here.

pub mod flash;
pub mod slots;

use std::error::Error;

use fixformer::{Arena, Stream, Streamed};

use flash::{Flash, Loss};
use slots::Slots;

fixformer::model! {
    /// Which of two marks came first, in a long signal.
    struct Needle = concat!(env!("CARGO_MANIFEST_DIR"), "/models/zoo/needle-hierarchical.fxm")
}

static STREAM: Arena<Needle, Streamed> = Arena::new();

/// Bytes that the flash erases at a time.
const PAGE: usize = 4096;

/// Steps of a token.
const WINDOW: usize = 16;

/// Runs a stream, takes its power away while it saves, and goes on.
///
/// # Errors
/// Those of the stream, the slots and the flash, other than the one that is made here.
pub fn main() -> Result<(), Box<dyn Error>> {
    let mut stream = STREAM.take()?;
    println!("a state has {} bytes", stream.saved_bytes());

    // What the scores are if nothing happens.
    let undisturbed = push(&mut stream, 0..960)?;
    stream.reset();

    // Room for a state and 64 bytes in front of it, in whole pages.
    let size = (64 + stream.saved_bytes()).next_multiple_of(PAGE) as u32;
    let mut flash = Flash::<1, 4, PAGE>::new(2 * size as usize);
    let places = [0, size];

    let mut slots = Slots::new(&mut flash, places, size)?;
    println!("at first, a state was found: {}", slots.restore(&mut stream)?);
    push(&mut stream, 0..320)?;
    slots.save(&stream)?;
    println!("saved after {} tokens", stream.tokens());
    push(&mut stream, 320..480)?;
    slots.save(&stream)?;
    println!("saved after {} tokens", stream.tokens());

    push(&mut stream, 480..640)?;
    flash.lose_power_after(100, Loss::Half);
    let lost = Slots::new(&mut flash, places, size)?.save(&stream).expect_err("there is no power");
    println!("not saved after {} tokens: {lost}", stream.tokens());

    // The device starts again: its memory is empty, its flash is not.
    stream.reset();
    flash.power_on();
    let mut slots = Slots::new(&mut flash, places, size)?;
    println!("after the loss, a state was found: {}", slots.restore(&mut stream)?);
    println!("goes on after {} tokens", stream.tokens());
    let next = stream.tokens() * WINDOW;
    let scores = push(&mut stream, next..960)?;
    slots.save(&stream)?;
    println!("saved after {} tokens", stream.tokens());
    println!("the scores are those without a loss: {}", scores == undisturbed);
    Ok(())
}

/// Pushes some steps of a signal, and gives the scores after them.
fn push(stream: &mut Stream<'_>, steps: std::ops::Range<usize>) -> Result<Vec<i16>, Box<dyn Error>> {
    for step in steps {
        stream.push(&[(step * step % 11 % 10) as i16])?;
    }
    Ok(stream.scores().ok_or("no token is complete")?.raw().to_vec())
}
