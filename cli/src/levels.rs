//! What a scale leaves of the real values that it rounds.

use std::path::Path;

use anyhow::{Result, bail};
use fixformer::host::data::{Reals, Recordings};
use fixformer::host::scale::SampleScale;

use crate::say::say;

/// Fewest levels of a channel with which nothing is said.
const FEW: f64 = 64.0;
/// A channel that changes by less than this share of its size is a constant: no scale of 16 bits shows that.
const CONSTANT: f64 = 1.0 / 30_000.0;

/// Refuses a scale that rounds all of a channel away, and warns of one that leaves it little.
pub(crate) fn check(path: &Path, recordings: &Recordings, reals: &Reals) -> Result<()> {
    let (Some(scale), path) = (&recordings.scale, path.display()) else { return Ok(()) };
    for channel in 0..recordings.channels {
        let Some([low, high]) = reals.span(channel) else { continue };
        if high - low <= CONSTANT * high.max(-low) {
            continue;
        }
        let raw = |value: f64| (value / scale.of(channel) + 0.5).floor();
        let levels = raw(high) - raw(low) + 1.0;
        let found = format!("{path}: a scale of {}", scale.of(channel));
        let advice = advice(scale, channel, recordings.channels);
        if levels <= 1.0 {
            bail!("{found} rounds channel {channel} (from 0) to {} in every recording; {advice}", raw(low));
        }
        if levels < FEW {
            say(format_args!("warning: {found} leaves channel {channel} (from 0) {levels} levels; {advice}"));
        }
    }
    Ok(())
}

fn advice(scale: &SampleScale, channel: usize, channels: usize) -> String {
    let own = |other| if other == channel { "S".to_owned() } else { scale.of(other).to_string() };
    let scales: Vec<String> = (0..channels).map(own).collect();
    format!(
        "give each channel a scale of its own, its largest magnitude / 16,000: `--scale {}`",
        scales.join(",")
    )
}
