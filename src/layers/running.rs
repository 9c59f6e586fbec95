//! Running mean and deviation of each channel: see [`Level`].
//!
//! Two words: samples of a channel that were counted, up to `2^forgetting`; steps at the beginning of the next window that were
//! counted already. Then for each channel its mean, a 64-bit number with [`FINE_MEAN`] fractional bits, and where it is
//! standardized its variance, with [`FINE_VARIANCE`], each as two words, the lower one first.

use super::statistics::{FINE, wide, words};
use crate::memory::{rows, rows_mut};
use crate::model::{Input, Level, Window};
use crate::num::{round_shift_wide, rsqrt};

/// Fractional bits of a mean: a weight of `2^-20` is not lost in its rounding.
const FINE_MEAN: u32 = 32;
/// Fractional bits of the difference of a sample from the mean before it is squared: the square has 60 bits at most.
const FINE_DIFFERENCE: u32 = 14;
/// Fractional bits of a variance.
const FINE_VARIANCE: u32 = 2 * FINE_DIFFERENCE;

/// Words before those of the channels.
const HEADER: usize = 2;

/// Words of a channel.
const fn channel_words(level: Level) -> usize {
    match level {
        Level::RunningCentred { .. } => 2,
        Level::RunningStandardized { .. } => 4,
        Level::Raw | Level::Centred | Level::Standardized => 0,
    }
}

/// Words of the statistics of `channels` channels.
pub(super) const fn length(level: Level, channels: usize) -> usize {
    HEADER + channels * channel_words(level)
}

/// Takes the steps of a window, `[width, channels]`, into the statistics where its token is `seen`, each step once, and frees
/// them of what the statistics say then, into `out`, of the same shape; how many are out of range after the first `old` steps.
#[inline(never)]
pub(super) fn free(
    input: &Input<'_>,
    steps: &[i16],
    seen: bool,
    statistics: &mut [i32],
    old: usize,
    out: &mut [i16],
) -> u32 {
    let Input::Samples { channels, window: Window { width, stride }, shift, level, .. } = *input else {
        return 0;
    };
    let (Level::RunningCentred { forgetting } | Level::RunningStandardized { forgetting, .. }) = level else {
        return 0;
    };
    let [count, counted, of_channels @ ..] = statistics else { return 0 };
    let mut saturated = 0;
    let mut samples = *count as u32;
    for (channel, state) in rows_mut(of_channels, channel_words(level)).enumerate() {
        let of_channel = |step: &[i16]| step.get(channel).copied().unwrap_or_default();
        let mut moments = Moments::load(state);
        if seen {
            samples = *count as u32;
            for step in rows(steps, channels).skip(*counted as usize) {
                samples = (samples + 1).min(1 << forgetting);
                moments.add(of_channel(step), u32::BITS - 1 - (samples | 1).leading_zeros());
            }
            moments.store(state);
        }
        let scale = Scale::of(level, shift, &moments);
        for (index, (out, step)) in rows_mut(out, channels).zip(rows(steps, channels)).enumerate() {
            if let Some(out) = out.get_mut(channel) {
                let value = scale.apply(of_channel(step));
                *out = value.clamp(i64::from(i16::MIN), i64::from(i16::MAX)) as i16;
                saturated += u32::from(index >= old && i64::from(*out) != value);
            }
        }
    }
    *count = samples as i32;
    let counted_now = if seen { width } else { *counted as usize };
    *counted = counted_now.saturating_sub(stride) as i32;
    saturated
}

/// Mean and variance of a channel.
struct Moments {
    mean: i64,
    variance: i64,
}

impl Moments {
    fn load(state: &[i32]) -> Self {
        let (pairs, _) = state.as_chunks();
        let pair = |index: usize| pairs.get(index).map_or(0, |&pair| wide(pair) as i64);
        Self { mean: pair(0), variance: pair(1) }
    }

    fn store(&self, state: &mut [i32]) {
        let values = [self.mean, self.variance];
        state.as_chunks_mut().0.iter_mut().zip(values).for_each(|(pair, value)| *pair = words(value as u64));
    }

    /// Takes in a sample that weighs `2^-weight`.
    fn add(&mut self, sample: i16, weight: u32) {
        let difference = (i64::from(sample) << FINE_MEAN) - self.mean;
        self.mean += round_shift_wide(difference, weight);
        let difference = round_shift_wide(difference, FINE_MEAN - FINE_DIFFERENCE);
        let sum = self.variance + round_shift_wide(difference * difference, weight);
        self.variance = sum - round_shift_wide(sum, weight);
    }
}

/// What frees a sample of the moments of its channel: `((x << up) - mean) * factor >> right`.
struct Scale {
    up: u32,
    mean: i32,
    factor: i32,
    right: u32,
}

impl Scale {
    /// `shift` are the fractional bits of what comes out.
    fn of(level: Level, shift: u32, moments: &Moments) -> Self {
        let mean = |up: u32| round_shift_wide(moments.mean, FINE_MEAN - up) as i32;
        let Level::RunningStandardized { floor, .. } = level else {
            return Self { up: shift, mean: mean(shift), factor: 1, right: 0 };
        };
        // A floor has FINE fractional bits, its square twice as many.
        let least = (u64::from(floor) * u64::from(floor)) << (FINE_VARIANCE - 2 * FINE);
        let inverse = rsqrt((moments.variance as u64).max(least));
        // The root of the variance has half its fractional bits, the difference FINE. Since no deviation is below 2^-8 and no
        // shift above 15, the sum of the shifts is at least 16.
        let right = inverse.exponent + FINE - FINE_VARIANCE / 2 - shift;
        Self { up: FINE, mean: mean(FINE), factor: inverse.mantissa, right }
    }

    fn apply(&self, sample: i16) -> i64 {
        let difference = (i32::from(sample) << self.up) - self.mean;
        round_shift_wide(i64::from(difference) * i64::from(self.factor), self.right)
    }
}
