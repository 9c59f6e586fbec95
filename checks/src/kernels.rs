//! Rows whose results are known by hand.

use crate::checks;
use crate::outcome::{equal, holds, rows};
use fixformer::kernels::{
    ChannelPairs, Channels, NormParameters, add, clamp, dot_limit, dots, layer_norm, linear, normalised_frac,
    weighted_sum,
};

/// Channels `[1, 2, 3]`, `[-1, 0, 1]` and `[4, -5, 6]`, in zipped pairs of an even number of columns.
const WEIGHTS: [i8; 16] = [1, -1, 2, 0, 3, 1, 0, 0, 4, 0, -5, 0, 6, 0, 0, 0];
/// What is scaled is divided by eight.
const CHANNELS: Channels<'_> = Channels { bias: &[0, 8, -8], multipliers: &[1 << 14; 3], shift: 1 };

/// Four equal gains of one, and a shift that makes of a normalised one 256.
fn norm(bias: &[i32; 4]) -> NormParameters<'_> {
    NormParameters { gain: &[1; 4], bias, shift: normalised_frac(4) - 8, epsilon: 1 }
}

checks! { "kernels", 3072,
    fn linear_by_hand() {
        let mut out = [0; 6];
        linear(&[16, 32, -8, 1, 1, 1], ChannelPairs::new(&WEIGHTS, 3, 0), CHANNELS, &mut out);
        rows(&out, &[7, -2, -19, 1, 1, 0], 0)?;
    }

    fn linear_with_wide_weights_is_the_same() {
        let (x, weights) = ([300, -200, 100, 5, 6, 7, 9, 9, 9, 0, 1, 0, -7, 2, 2], WEIGHTS.map(i16::from));
        let (mut narrow, mut wide) = ([0; 15], [0; 15]);
        linear(&x, ChannelPairs::new(&WEIGHTS, 3, 0), CHANNELS, &mut narrow);
        linear(&x, ChannelPairs::new(&weights, 3, 0), CHANNELS, &mut wide);
        rows(&wide, &narrow, 0)?;
        rows(&narrow[..3], &[25, -24, 349], 0)?;
    }

    fn linear_begins_at_an_odd_channel() {
        let channels = Channels { bias: &[8, -8], multipliers: &[1 << 14; 2], shift: 1 };
        let mut out = [0; 2];
        linear(&[16, 32, -8], ChannelPairs::new(&WEIGHTS, 3, 1), channels, &mut out);
        rows(&out, &[-2, -19], 0)?;
    }

    fn linear_saturates() {
        let channels = Channels { multipliers: &[i16::MAX; 3], ..CHANNELS };
        let mut out = [0; 3];
        linear(&[32_767, 32_767, 32_767], ChannelPairs::new(&WEIGHTS, 3, 0), channels, &mut out);
        rows(&out, &[32_767, 2, 32_767], 0)?;
    }

    fn dots_by_hand() {
        let mut out = [0; 3];
        dots(&[1, -2, 3], &[4, 5, 6, -7, 8, 9, 0, 0, 1], &mut out);
        rows(&out, &[12, 4, 3], 0)?;
    }

    /// No product of rows within the limit overflows, and a limit larger by one would let it, or the difference of two.
    fn dot_limit_is_tight() {
        for width in [2, 3, 4, 16, 31, 64, 1024] {
            let limit = i64::from(dot_limit(width));
            holds(width as i64 * limit * limit < 1 << 31)?;
            holds(limit == 16_383 || width as i64 * (limit + 1) * (limit + 1) >= 1 << 31)?;
        }
        equal(dot_limit(0), 16_383)?;
    }

    /// Two rows zipped, and the last as it is.
    fn weighted_sum_by_hand() {
        let mut sum = [5, 6];
        weighted_sum(&[1 << 14, 1 << 13, 1 << 12], &[100, 300, 200, 400, 40, 80], 16, 10, &mut sum);
        rows(&sum, &[5 + 1600 + 2400 + 160, 6 + 3200 + 3200 + 320], 0)?;
    }

    fn layer_norm_of_equal_columns_is_the_bias() {
        let mut out = [0; 4];
        layer_norm(&[-700; 4], norm(&[64, 0, -640, 6400]), &mut out);
        rows(&out, &[1, 0, -10, 100], 0)?;
    }

    /// Mean 5, deviation 1: whatever the scale.
    fn layer_norm_takes_mean_and_scale_away() {
        for scale in [1, 7, 3_000] {
            let mut out = [0; 4];
            layer_norm(&[4, 6, 4, 6].map(|x| x * scale), norm(&[0; 4]), &mut out);
            // Epsilon is a sixteenth of the variance of the smallest.
            rows(&out, &[-256, 256, -256, 256], if scale == 1 { 8 } else { 1 })?;
        }
    }

    fn addition_aligns_and_saturates() {
        let mut x = [101, -101, 32_000, -32_000];
        add(&mut x, 1, &[1, 1, 20_000, -20_000]);
        rows(&x, &[52, -49, 32_767, -32_768], 0)?;
        add(&mut x, -2, &[0, 0, 1, -1]);
        rows(&x, &[208, -196, 32_767, -32_768], 0)?;
    }

    fn clamp_is_symmetric() {
        let mut x = [-32_768, -101, -100, 0, 100, 101, 32_767];
        clamp(&mut x, 100);
        rows(&x, &[-100, -100, -100, 0, 100, 100, 100], 0)?;
        clamp(&mut x, -1);
        rows(&x[..2], &[-100, -100], 0)?;
    }

    fn an_empty_row_is_no_fault() {
        dots(&[], &[1, 2], &mut [0; 2]);
        linear(&[], ChannelPairs::<i8>::new(&[], 0, 0), CHANNELS, &mut []);
        layer_norm(&[], NormParameters { gain: &[], bias: &[], shift: 1, epsilon: 1 }, &mut []);
        weighted_sum(&[], &[], 16, 10, &mut []);
    }
}
