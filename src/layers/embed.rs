//! From a recording to token rows: windows through a stem or a table, positions, norm.

use super::{InputError, ROW_TILE, Shape, Workspace, front, rows_mut, tiles_mut};
use crate::kernels::add;
use crate::model::{Input, Level, Model, Positions, Window};
use crate::num::{round_shift, round_shift_wide, rsqrt, saturate, sine};
use crate::trace::{Site, Tensor, Tile, Trace};

/// Number of tokens of a recording, if the model can take it.
pub(crate) fn check(model: &Model<'_>, input: &[i16]) -> Result<usize, InputError> {
    if input.is_empty() {
        return Err(InputError::Empty);
    }
    let tokens = match &model.input {
        Input::Samples { channels, window, .. } => {
            let channels = (*channels).max(1);
            if !input.len().is_multiple_of(channels) {
                return Err(InputError::Channels { found: input.len(), channels });
            }
            count(*window, input.len() / channels)?
        }
        Input::OneHot { symbols, window, .. } => {
            check_ids(input, *symbols)?;
            count(*window, input.len())?
        }
        Input::Tokens { table } => {
            check_ids(input, table.rows - 1)?;
            input.len()
        }
    };
    if tokens > model.max_tokens {
        return Err(InputError::TooLong { tokens, max: model.max_tokens });
    }
    Ok(tokens)
}

fn count(window: Window, steps: usize) -> Result<usize, InputError> {
    match window.tokens(steps) {
        0 => Err(InputError::TooShort { steps, window: window.width }),
        tokens => Ok(tokens),
    }
}

fn check_ids(input: &[i16], last: usize) -> Result<(), InputError> {
    match input.iter().position(|&id| usize::try_from(id).map_or(true, |id| id > last)) {
        Some(position) => {
            let found = input.get(position).copied().unwrap_or_default();
            Err(InputError::Token { position, found, last })
        }
        None => Ok(()),
    }
}

/// Fills the stream with embedded tokens, and the second one if there is one; returns their fractional bits.
#[inline(never)]
pub(crate) fn embed(
    model: &Model<'_>,
    shape: Shape,
    input: &[i16],
    work: &mut Workspace<'_>,
    trace: &mut impl Trace,
) -> i32 {
    let Workspace { stream, second, narrow, wide, totals: statistics, .. } = work;
    if let Input::Samples { channels, shift, level, .. } = model.input {
        measure(input, channels, shift, level, statistics);
    }
    let frac = model.embedding_norm.as_ref().map_or(model.input.frac(), |norm| norm.frac);
    let rows = front(stream, shape.elements());
    for (tile, rows) in tiles_mut(rows, shape.width).enumerate() {
        let first = tile * ROW_TILE;
        tokens(&model.input, input, first, statistics, wide, rows);
        for (row, x) in rows_mut(rows, shape.width).enumerate() {
            add_position(&model.positions, first + row, model.input.frac(), narrow, x);
        }
        if let Some(norm) = &model.embedding_norm {
            norm.forward_in_place(rows, narrow);
        }
        let tile =
            Tile { row: first, column: 0, width: shape.width, tensor_width: shape.width, values: rows, frac };
        trace.tile(Site { block: None, tensor: Tensor::Embedding }, tile);
    }
    second.iter_mut().zip(stream.iter()).for_each(|(copy, &x)| *copy = x);
    frac
}

/// Tokens `first ..` into `rows`, `[n, width]`.
fn tokens(
    model: &Input<'_>,
    input: &[i16],
    first: usize,
    statistics: &[i32],
    wide: &mut [i16],
    rows: &mut [i16],
) {
    let (window, stem) = match model {
        Input::Samples { window, stem, .. } | Input::OneHot { window, stem, .. } => (window, stem),
        Input::Tokens { table } => {
            let ids = input.iter().skip(first);
            for (row, &id) in rows_mut(rows, table.width).zip(ids) {
                table.lookup(id as usize, row);
            }
            return;
        }
    };
    let rows_here = rows.len() / stem.outputs.max(1);
    let gathered = front(wide, rows_here * stem.inputs);
    let step = model.step_values();
    let windows = rows_mut(gathered, stem.inputs).enumerate().map(|(row, x)| {
        let start = (first + row) * window.stride * step;
        (input.get(start..start + window.width * step).unwrap_or_default(), x)
    });
    match *model {
        Input::Samples { channels, level: Level::Standardized, .. } => {
            windows.for_each(|(steps, x)| standardized(steps, channels, statistics, x));
        }
        Input::Samples { channels, shift, .. } => {
            windows.for_each(|(steps, x)| samples(steps, channels, shift, statistics, x));
        }
        Input::OneHot { symbols, shift, .. } => {
            windows.for_each(|(steps, x)| one_hot(steps, symbols, shift, x));
        }
        Input::Tokens { .. } => {}
    }
    stem.forward(gathered, rows);
}

/// Raw samples `[steps, channels]`, shifted up and freed of the channels' means.
fn samples(steps: &[i16], channels: usize, shift: u32, means: &[i32], out: &mut [i16]) {
    let mut steps = steps.chunks_exact(channels.max(1));
    for out in rows_mut(out, channels) {
        let Some(step) = steps.next() else { return };
        for ((&sample, &mean), out) in step.iter().zip(means).zip(out) {
            *out = saturate((i32::from(sample) << shift) - mean);
        }
    }
}

/// Fractional bits of a sample before it is divided by the deviation.
const FINE: u32 = 8;

/// Raw samples `[steps, channels]`, freed of the channels' means and divided by their deviations: all of `statistics`.
#[inline(never)]
fn standardized(steps: &[i16], channels: usize, statistics: &[i32], out: &mut [i16]) {
    let (means, rest) = statistics.split_at_checked(channels).unwrap_or_default();
    let (factors, shifts) = rest.split_at_checked(channels).unwrap_or_default();
    let mut steps = steps.chunks_exact(channels.max(1));
    for out in rows_mut(out, channels) {
        let Some(step) = steps.next() else { return };
        let channels = means.iter().zip(factors.iter().zip(shifts));
        for ((&sample, (&mean, (&factor, &right))), out) in step.iter().zip(channels).zip(out) {
            let difference = (i32::from(sample) << FINE) - mean;
            let value = round_shift_wide(i64::from(difference) * i64::from(factor), right as u32);
            *out = value.clamp(i64::from(i16::MIN), i64::from(i16::MAX)) as i16;
        }
    }
}

/// One-hot codes `[steps, symbols]`; the value `symbols` is a row of zeros.
fn one_hot(steps: &[i16], symbols: usize, shift: u32, out: &mut [i16]) {
    out.fill(0);
    for (&symbol, code) in steps.iter().zip(rows_mut(out, symbols)) {
        if let Some(one) = code.get_mut(symbol as usize) {
            *one = 1 << shift;
        }
    }
}

/// What `samples` needs of each channel: all means; for `standardized` behind them all factors, then all right shifts
/// of them.
fn measure(input: &[i16], channels: usize, shift: u32, level: Level, statistics: &mut [i32]) {
    match level {
        Level::Raw => statistics.fill(0),
        Level::Centred => means(input, channels, shift, statistics),
        Level::Standardized => {
            let (all, rest) = statistics.split_at_mut_checked(channels).unwrap_or_default();
            let (factors, shifts) = rest.split_at_mut_checked(channels).unwrap_or_default();
            means(input, channels, FINE, all);
            let scales = all.iter().zip(factors.iter_mut().zip(shifts));
            for (channel, (&mean, (factor, right))) in scales.enumerate() {
                let samples = input.iter().skip(channel).step_by(channels.max(1));
                [*factor, *right] = reciprocal_deviation(samples, mean, shift);
            }
        }
    }
}

/// `2^shift / d` as a factor and its right shift, where `d` is the standard deviation of `samples` with [`FINE`]
/// fractional bits.
///
/// The sum of squares holds [`Level::MAX_STEPS`] samples of any value. Its upper 62 bits are divided, so that neither
/// a faint signal nor a short one loses any. The shift is at least 14: a deviation is at least that of one unit in one
/// step.
fn reciprocal_deviation<'s>(samples: impl Iterator<Item = &'s i16>, mean: i32, shift: u32) -> [i32; 2] {
    let (mut squares, mut steps) = (0_u64, 0_u64);
    for &sample in samples {
        let difference = i64::from((i32::from(sample) << FINE) - mean);
        squares = squares.saturating_add((difference * difference) as u64);
        steps += 1;
    }
    if squares == 0 {
        return [0, 0];
    }
    let up = squares.leading_zeros() & !1;
    let inverse = rsqrt((squares << up) / steps.max(1));
    [inverse.mantissa, inverse.exponent.saturating_sub(up / 2 + shift) as i32]
}

/// Mean of each channel over the recording, with `shift` fractional bits, rounded to nearest.
#[inline(never)]
fn means(input: &[i16], channels: usize, shift: u32, means: &mut [i32]) {
    let channels = channels.max(1);
    let steps = (input.len() / channels) as i64;
    for (channel, mean) in means.iter_mut().enumerate().take(channels) {
        let samples = input.iter().skip(channel).step_by(channels);
        let sum = samples.map(|&sample| i64::from(sample)).sum::<i64>() << shift;
        *mean = (2 * sum + steps).div_euclid((2 * steps).max(1)) as i32;
    }
}

fn add_position(positions: &Positions<'_>, token: usize, frac: i32, scratch: &mut [i16], x: &mut [i16]) {
    let position = front(scratch, x.len());
    match positions {
        Positions::None => return,
        Positions::Learned(table) => table.lookup(token, position),
        Positions::Axial([rows, columns]) => {
            let Some((first, second)) = position.split_at_mut_checked(rows.width) else { return };
            let count = columns.rows.max(1);
            rows.lookup(token / count, first);
            columns.lookup(token % count, second);
        }
        Positions::Sinusoidal(steps) => {
            const QUARTER: u32 = 1 << 30;
            let down = 15_u32.saturating_sub(frac as u32);
            for (pair, &step) in position.chunks_mut(2).zip(*steps) {
                let phase = step.wrapping_mul(token as u32);
                for (out, phase) in pair.iter_mut().zip([phase, phase.wrapping_add(QUARTER)]) {
                    *out = round_shift(i32::from(sine(phase).to_bits()), down) as i16;
                }
            }
        }
    }
    add(x, 0, position);
}
