//! Mean and deviation of each channel of a recording, gathered some samples at a time.
//!
//! For each of `c` channels: a mean, `[c]`, and a 64-bit sum as two words, `[c, 2]`, whose place the factor and the right shift
//! of the deviation take. Those of a running level are in [`running`].

use core::ops::Range;

use super::running;
use crate::model::{Input, Level, Model};
use crate::num::{mean, rsqrt};

/// Fractional bits of a sample before it is divided by the deviation.
pub(crate) const FINE: u32 = 8;

/// Elements of the statistics of a model.
pub(crate) const fn length(model: &Model<'_>) -> usize {
    match &model.input {
        Input::Samples { channels, level: Level::Raw, .. } => *channels,
        Input::Samples { channels, level, .. } if level.is_running() => running::length(*level, *channels),
        Input::Samples { channels, .. } => 3 * *channels,
        Input::OneHot { .. } | Input::Tokens { .. } => 0,
    }
}

/// How often a recording has to be looked at.
pub(crate) const fn passes(model: &Model<'_>) -> usize {
    match &model.input {
        Input::Samples { level: Level::Centred, .. } => 1,
        Input::Samples { level: Level::Standardized, .. } => 2,
        _ => 0,
    }
}

/// Takes in the samples `range` of a recording of `values`, in pass `pass`; with its last ones the pass is finished.
pub(crate) fn measure(
    model: &Model<'_>,
    samples: &[i16],
    pass: usize,
    (range, values): (Range<usize>, usize),
    statistics: &mut [i32],
) {
    add(model, samples, pass, range.start, statistics);
    if range.end == values {
        finish(model, pass, values / model.input.step_values().max(1), statistics);
    }
}

/// Adds samples, of which value `first` of the recording is the first one, to the sums of their channels.
fn add(model: &Model<'_>, samples: &[i16], pass: usize, first: usize, statistics: &mut [i32]) {
    let Input::Samples { channels, .. } = model.input else { return };
    let Some((means, sums)) = statistics.split_at_mut_checked(channels) else { return };
    let channels = channels.max(1);
    for (index, &sample) in samples.iter().enumerate() {
        let channel = (first + index) % channels;
        let Some([low, high]) = sums.as_chunks_mut().0.get_mut(channel) else { return };
        let sum = wide([*low, *high]);
        let sum = if pass == 0 {
            sum.wrapping_add_signed(sample.into())
        } else {
            let mean = means.get(channel).copied().unwrap_or_default();
            let difference = i64::from((i32::from(sample) << FINE) - mean);
            sum.saturating_add((difference * difference) as u64)
        };
        [*low, *high] = words(sum);
    }
}

/// After a pass over `steps` steps: means, then factors and right shifts.
fn finish(model: &Model<'_>, pass: usize, steps: usize, statistics: &mut [i32]) {
    let Input::Samples { channels, shift, level, .. } = model.input else { return };
    let Some((means, sums)) = statistics.split_at_mut_checked(channels) else { return };
    let fine = if level == Level::Standardized { FINE } else { shift };
    for (channel, sum) in means.iter_mut().zip(sums.as_chunks_mut().0) {
        if pass == 0 {
            *channel = mean((wide(*sum) as i64) << fine, steps as u64);
            *sum = [0, 0];
        } else {
            *sum = reciprocal_deviation(wide(*sum), steps as u64, shift);
        }
    }
}

/// `2^shift / d` as a factor and its right shift, where `d` is the standard deviation with [`FINE`] fractional bits of
/// samples whose squares have this sum.
///
/// The sum of squares holds [`Level::MAX_STEPS`] samples of any value. Its upper 62 bits are divided, so that neither
/// a faint signal nor a short one loses any. The shift is at least 14: a deviation is at least that of one unit in one
/// step.
fn reciprocal_deviation(squares: u64, steps: u64, shift: u32) -> [i32; 2] {
    if squares == 0 {
        return [0, 0];
    }
    let up = squares.leading_zeros() & !1;
    let inverse = rsqrt((squares << up) / steps.max(1));
    [inverse.mantissa, inverse.exponent.saturating_sub(up / 2 + shift) as i32]
}

/// A 64-bit number of two words, the lower one first.
pub(crate) const fn wide([low, high]: [i32; 2]) -> u64 {
    low as u32 as u64 | (high as u32 as u64) << 32
}

/// Its words.
pub(crate) const fn words(sum: u64) -> [i32; 2] {
    [sum as i32, (sum >> 32) as i32]
}
