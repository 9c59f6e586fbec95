//! The model of this build: as a whole, and stage by stage.

use crate::workload::Source;
use fixformer::model::Input;
use fixformer::{Arena, Embedded, InputError, memory::Once};
use fixformer_boards::{counter, println, profile::Profile};

fixformer::model! {
    /// The model of this build.
    struct Net = env!("FIXFORMER_MODEL")
}

static ARENA: Arena<Net> = Arena::new();
static INPUT: Once<[i16; Net::MAX_INPUT]> = Once::new([0; Net::MAX_INPUT]);
static PROFILE: Once<Profile<{ Net::BLOCKS.len() }>> = Once::new(Profile::new());

/// A drawn recording as long as the model takes.
pub(crate) fn measure() -> Result<(), InputError> {
    let (Ok(mut net), Some(input), Some(profile)) = (ARENA.take(), INPUT.take(), PROFILE.take()) else {
        return Ok(());
    };
    let mut source = Source::new(3);
    let ids = match Net::MODEL.input {
        Input::Samples { .. } => 16,
        Input::OneHot { symbols, .. } => symbols,
        Input::Tokens { table } => table.rows,
    };
    input.iter_mut().for_each(|x| *x = source.next().rem_euclid(ids as i16));

    let name = Net::NAME;
    let (result, instructions) = counter::measure(|| net.run(input).map(|_| ()));
    result?;
    println!("model {name} instructions {instructions}");

    profile.run(net.start(input)?)?;
    profile.each(|part, instructions| println!("layer {name} layer {part} instructions {instructions}"));
    Ok(())
}
