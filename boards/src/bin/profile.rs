//! Executed instructions of each stage, the scores and an error as defmt frames: `cargo xtask profile` decodes them.
//! On a board on a desk the same calls go over RTT.

#![cfg_attr(target_os = "none", no_std, no_main)]

fixformer_boards::entry!(board::main);

#[cfg(target_os = "none")]
mod board {
    use core::convert::Infallible;
    use defmt_semihosting as _;
    use fixformer::{Arena, Embedded, memory::Once};
    use fixformer_boards::counter;
    use fixformer_boards::profile::Profile;

    fixformer::model! {
        /// The model of this build.
        struct Net = env!("FIXFORMER_MODEL")
    }

    static ARENA: Arena<Net> = Arena::new();
    static INPUT: Once<[i16; Net::MAX_INPUT]> = Once::new([0; Net::MAX_INPUT]);
    static PROFILE: Once<Profile<{ Net::BLOCKS.len() }>> = Once::new(Profile::new());

    pub(crate) fn main() -> Result<(), Infallible> {
        let (Ok(mut net), Some(input), Some(profile)) = (ARENA.take(), INPUT.take(), PROFILE.take()) else {
            defmt::error!("taken");
            return Ok(());
        };
        // A ramp within the range of any kind of input.
        input.iter_mut().zip((0..4_i16).cycle()).for_each(|(value, next)| *value = next);
        let start = counter::now();
        match net.start(input).and_then(|running| profile.run(running)) {
            Ok(scores) => {
                let instructions = counter::now() - start;
                defmt::info!("instructions {=u64} {}", instructions, scores);
            }
            Err(error) => defmt::error!("{}", error),
        }
        profile.each(|part, instructions| defmt::info!("layer {} {=u64}", part, instructions));
        if let Err(error) = net.run(&[]) {
            defmt::warn!("{}", error);
        }
        Ok(())
    }
}
