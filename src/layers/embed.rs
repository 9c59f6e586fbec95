//! From a recording to token rows: windows through a stem or a table, positions, norm.

use core::ops::Range;

use super::statistics::FINE;
use super::{InputError, Rare, front};
use crate::kernels::add;
use crate::memory::{rows as rows_of, rows_mut};
use crate::model::{Input, Level, Model, Positions, Window};
use crate::num::{round_shift, round_shift_wide, saturate, sine};
use crate::trace::{Site, Tensor, Tile, Trace};

/// Number of tokens of a recording of so many values, the class token included, at most `max`, if the model can take them.
/// What they are is looked at by [`check_ids`].
pub(crate) fn check(model: &Model<'_>, values: usize, max: usize) -> Result<usize, InputError> {
    if values == 0 {
        return Err(InputError::Empty);
    }
    let tokens = match &model.input {
        Input::Samples { channels, window, .. } => {
            let channels = (*channels).max(1);
            if !values.is_multiple_of(channels) {
                return Err(InputError::Channels { found: values, channels });
            }
            count(*window, values / channels)?
        }
        Input::OneHot { window, .. } => count(*window, values)?,
        Input::Tokens { .. } => values,
    };
    let before = model.tokens_before();
    if tokens + before > max {
        return Err(InputError::TooLong { tokens, max: max - before });
    }
    Ok(tokens + before)
}

/// The values `range` of a recording are known tokens or symbols.
pub(crate) fn check_ids(model: &Model<'_>, input: &[i16], range: Range<usize>) -> Result<(), InputError> {
    let last = match &model.input {
        Input::Samples { .. } => return Ok(()),
        Input::OneHot { symbols, .. } => *symbols,
        Input::Tokens { table } => table.rows - 1,
    };
    let first = range.start;
    let ids = input.get(range).unwrap_or_default();
    match ids.iter().zip(first..).find(|&(&id, _)| usize::try_from(id).map_or(true, |id| id > last)) {
        Some((&found, position)) => Err(InputError::Token { position, found, last }),
        None => Ok(()),
    }
}

fn count(window: Window, steps: usize) -> Result<usize, InputError> {
    match window.tokens(steps) {
        0 => Err(InputError::TooShort { steps, window: window.width }),
        tokens => Ok(tokens),
    }
}

/// What embedding needs besides the recording.
pub(crate) struct Work<'a> {
    /// What of the layers is linked.
    pub(crate) rare: &'a Rare,
    /// Of the channels; see [`super::statistics`].
    pub(crate) statistics: &'a mut [i32],
    /// `[n, stem inputs]`.
    pub(crate) windows: &'a mut [i16],
    /// `[n, width]`.
    pub(crate) rows: &'a mut [i16],
    /// Counts the values that are outside the range of the model.
    pub(crate) saturated: &'a mut u32,
}

/// Tokens `first ..` into `rows`, `[n, width]`, as many as there are rows; returns their fractional bits. `input` begins
/// with the first of them that is not the class token; bit `i` of `seen` says whether token `first + i` counts. Running
/// statistics go on from token to token.
#[inline(never)]
pub(crate) fn embed(
    model: &Model<'_>,
    input: &[i16],
    first: usize,
    seen: u32,
    mut work: Work<'_>,
    rows: &mut [i16],
    trace: &mut impl Trace,
) -> i32 {
    let width = model.width;
    let own = match work.rare.class_token {
        Some(class_token) if first == 0 => class_token(model, rows),
        _ => 0,
    };
    let (of_input, seen) = (rows.get_mut(own..).unwrap_or_default(), seen >> u32::from(own > 0));
    tokens(&model.input, input, (first > model.tokens_before(), seen), &mut work, of_input);
    for (row, x) in rows_mut(rows, width).enumerate() {
        add_position(&model.positions, first + row, model.input.frac(), work.rows, x);
    }
    if let Some(norm) = &model.embedding_norm {
        norm.forward_in_place(rows, work.rows);
    }
    let frac = frac(model);
    let tile = Tile { row: first, column: 0, width, tensor_width: width, values: rows, frac };
    trace.tile(Site { block: None, tensor: Tensor::Embedding }, tile);
    frac
}

/// Puts the class token at the front of `rows`; returns its elements.
pub(super) fn class_token(model: &Model<'_>, rows: &mut [i16]) -> usize {
    let class = model.class_token.unwrap_or_default();
    rows.iter_mut().zip(class).for_each(|(out, &x)| *out = x);
    class.len()
}

/// Fractional bits of an embedded token.
pub(crate) fn frac(model: &Model<'_>) -> i32 {
    model.embedding_norm.as_ref().map_or(model.input.frac(), |norm| norm.frac)
}

/// Tokens into `rows`, `[n, width]`; whether others came before them, and which of them are seen.
fn tokens(
    model: &Input<'_>,
    input: &[i16],
    (follow, seen): (bool, u32),
    work: &mut Work<'_>,
    rows: &mut [i16],
) {
    let Work { rare, statistics, windows, saturated, .. } = work;
    let (window, stem) = match model {
        Input::Samples { window, stem, .. } | Input::OneHot { window, stem, .. } => (window, stem),
        Input::Tokens { table } => {
            for (row, &id) in rows_mut(rows, table.width).zip(input) {
                table.lookup(id as usize, row);
            }
            return;
        }
    };
    let rows_here = rows.len() / stem.outputs.max(1);
    let gathered = front(windows, rows_here * stem.inputs);
    let step = model.step_values();
    for (row, x) in rows_mut(gathered, stem.inputs).enumerate() {
        let start = row * window.stride * step;
        let steps = input.get(start..start + window.width * step).unwrap_or_default();
        // Steps that the window before it has too.
        let old = if follow || row > 0 { window.width.saturating_sub(window.stride) } else { 0 };
        **saturated += match *model {
            Input::Samples { channels, level: Level::Standardized, .. } => {
                rare.standardize.map_or(0, |standardize| standardize(steps, channels, statistics, old, x))
            }
            Input::Samples { level, .. } if level.is_running() => {
                rare.free.map_or(0, |free| free(model, steps, seen >> row & 1 == 1, statistics, old, x))
            }
            Input::Samples { channels, shift, .. } => samples(steps, channels, shift, statistics, old, x),
            Input::OneHot { symbols, shift, .. } => {
                one_hot(steps, symbols, shift, x);
                0
            }
            Input::Tokens { .. } => 0,
        }
    }
    stem.forward(gathered, rows);
}

/// Raw samples `[steps, channels]`, shifted up and freed of the channels' means; how many are out of range after the first
/// `old` steps.
fn samples(steps: &[i16], channels: usize, shift: u32, means: &[i32], old: usize, out: &mut [i16]) -> u32 {
    let mut saturated = 0;
    for (index, (out, step)) in rows_mut(out, channels).zip(rows_of(steps, channels)).enumerate() {
        for ((&sample, &mean), out) in step.iter().zip(means).zip(out) {
            let value = (i32::from(sample) << shift) - mean;
            *out = saturate(value);
            saturated += u32::from(index >= old && i32::from(*out) != value);
        }
    }
    saturated
}

/// Raw samples `[steps, channels]`, freed of the channels' means and divided by their deviations: all of `statistics`; how
/// many are out of range after the first `old` steps.
#[inline(never)]
pub(super) fn standardize(
    steps: &[i16],
    channels: usize,
    statistics: &[i32],
    old: usize,
    out: &mut [i16],
) -> u32 {
    let (means, rest) = statistics.split_at_checked(channels).unwrap_or_default();
    let mut saturated = 0;
    for (index, (out, step)) in rows_mut(out, channels).zip(rows_of(steps, channels)).enumerate() {
        let channels = means.iter().zip(rest.as_chunks::<2>().0);
        for ((&sample, (&mean, &[factor, right])), out) in step.iter().zip(channels).zip(out) {
            let difference = (i32::from(sample) << FINE) - mean;
            let value = round_shift_wide(i64::from(difference) * i64::from(factor), right as u32);
            *out = value.clamp(i64::from(i16::MIN), i64::from(i16::MAX)) as i16;
            saturated += u32::from(index >= old && i64::from(*out) != value);
        }
    }
    saturated
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
