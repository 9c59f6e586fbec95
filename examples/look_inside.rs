//! The tensors between the layers, without a second copy of them in memory: `cargo run --example look_inside`.
//!
//! A trace costs nothing where there is none. On a device it is how a log is written that `fixformer diff` compares with the
//! host.

use std::collections::BTreeMap;
use std::error::Error;

use fixformer::Arena;
use fixformer::trace::{Site, Tile, Trace};

fixformer::model! {
    /// Handwritten digits.
    struct Digits = concat!(env!("CARGO_MANIFEST_DIR"), "/models/digits.fxm")
}

static ARENA: Arena<Digits> = Arena::new();

/// The largest magnitude of each tensor, in real units.
#[derive(Default)]
struct Peaks(BTreeMap<String, f64>);

impl Trace for Peaks {
    fn tile(&mut self, site: Site, tile: Tile<'_>) {
        let largest = tile.values.iter().map(|value| value.unsigned_abs()).max().unwrap_or(0);
        let peak = self.0.entry(site.to_string()).or_default();
        *peak = peak.max(f64::from(largest) * f64::powi(0.5, tile.frac));
    }
}

/// Prints the largest magnitude of each tensor.
///
/// # Errors
/// Those of the arena and of the recording.
pub fn main() -> Result<(), Box<dyn Error>> {
    let image: [i16; 64] = std::array::from_fn(|pixel| (pixel as i16 * 5) % 17);
    let mut peaks = Peaks::default();
    let scores = ARENA.take()?.run_traced(&image, None, &mut peaks)?.raw().to_vec();
    peaks.0.iter().for_each(|(site, peak)| println!("{site:20} {peak:8.3}"));
    println!("scores               {scores:?}");
    Ok(())
}
