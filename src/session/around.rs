//! What is done before, between and after the blocks.

use super::Manner;
use super::order::Task;
use super::plan::Name;
use super::running::Running;
use crate::attention::{Budget, ROW_TILE};
use crate::layers::{InputError, embed, head, pool, statistics};
use crate::memory::{i16s_in, i32s_mut};
use crate::trace::Trace;

/// Values of a recording that are looked at together.
const VALUES: usize = 256;

/// Does a task before, between or after the blocks; whether it is done.
// Here and below: what is not inlined does not lie on the stack beside what runs deeper.
#[inline(never)]
pub(super) fn around_blocks<W: Manner>(
    run: &mut Running<'_, W>,
    budget: &mut Budget,
    trace: &mut impl Trace,
) -> Result<bool, InputError> {
    Ok(match run.place.task {
        Task::Check => check(run, budget)?,
        Task::Measure => measure(run, budget),
        Task::Embed => embed_tile(run, budget, trace),
        Task::Pool => pool_tile(run, budget, trace),
        // Each token has its scores.
        _ if run.model.is_per_token() => true,
        _ => {
            score(run, 0, true, trace);
            true
        }
    })
}

/// Makes the scores of the pooled row, number `row` of those that have scores; zeros where it does not count.
#[inline(never)]
fn score<W: Manner>(run: &mut Running<'_, W>, row: usize, counts: bool, trace: &mut impl Trace) {
    let (model, outputs) = (run.model, run.model.outputs());
    let names = [Name::Pooled, Name::Scores, Name::Hidden, Name::PooledNorm];
    let [pooled, scores, hidden, normed] = run.plan.take(run.memory, names);
    let pooled = i16s_in(pooled, 0..model.output_width());
    let between = [i16s_in(normed, 0..pooled.len()), i16s_in(hidden, 0..model.hidden)];
    // A stream keeps those of the newest token.
    let place = if W::STREAMS { 0 } else { row };
    let scores = i16s_in(scores, place * outputs..(place + 1) * outputs);
    if counts {
        head((model, &run.links.rare), pooled, between, scores, row, trace);
    } else {
        scores.fill(0);
    }
}

/// Looks at some ids, or for a token that is not masked.
fn check<W: Manner>(run: &mut Running<'_, W>, budget: &mut Budget) -> Result<bool, InputError> {
    let (first, ids) = (run.place.row, run.input.len());
    budget.charge(8 * VALUES);
    if first < ids {
        // After an error the run stays where it is, however often it is called.
        embed::check_ids(run.model, run.input, first..ids.min(first + VALUES))?;
        run.place.row = first + VALUES;
        return Ok(false);
    }
    let Some(mask) = run.mask else { return Ok(true) };
    run.place.row = first + VALUES;
    let pooled = first_pooled(run);
    // The class token has no flag.
    let flag = pooled.saturating_sub(run.model.tokens_before());
    let mut rest = mask.iter().skip(flag + first - ids.next_multiple_of(VALUES));
    if rest.len() == 0 {
        return Err(nothing_counts(pooled));
    }
    Ok(rest.by_ref().take(VALUES).any(|&seen| seen))
}

/// Takes some samples into the statistics of their channels.
fn measure<W: Manner>(run: &mut Running<'_, W>, budget: &mut Budget) -> bool {
    let values = run.input.len();
    let [of_channels] = run.plan.take(run.memory, [Name::Statistics]);
    let of_channels = i32s_mut(of_channels);
    let (pass, first) = (run.place.row / values.max(1), run.place.row % values.max(1));
    if run.place.row == 0 {
        of_channels.fill(0);
    }
    let Some(measure) = run.links.rare.measure.filter(|_| pass < statistics::passes(run.model)) else {
        return true;
    };
    let last = values.min(first + VALUES);
    let samples = run.input.get(first..last).unwrap_or_default();
    measure(run.model, samples, pass, (first..last, values), of_channels);
    budget.charge(40 * (last - first));
    run.place.row += last - first;
    false
}

/// Embeds a tile, or a token of it where a tile is too much at a time.
fn embed_tile<W: Manner>(run: &mut Running<'_, W>, budget: &mut Budget, trace: &mut impl Trace) -> bool {
    let (model, width, end) = (run.model, run.model.width, run.place.tile_end(run.course));
    let first = if run.place.resumed { run.place.row } else { run.place.tile };
    let stem_inputs = model.input.stem_inputs();
    let of_row = width * (stem_inputs + 60);
    let last = if budget.allows((end - first) * of_row) { end } else { first + 1 };
    let (at, seen) = (run.residual_row(first) * width, run.visible(first..last));
    let names = [Name::Residual, Name::Second, Name::Samples, Name::Statistics, Name::Windows, Name::Normed];
    let [residual, second, samples, statistics, windows, work] = run.plan.take(run.memory, names);
    let elements = (last - first) * width;
    let rows = i16s_in(residual, at..at + elements);
    let windows = i16s_in(windows, 0..(last - first) * stem_inputs);
    let work = i16s_in(work, 0..elements);
    let buffers = embed::Work {
        rare: &run.links.rare,
        statistics: i32s_mut(statistics),
        windows,
        rows: work,
        saturated: &mut run.saturated,
    };
    let (input, origin) = match W::PASSES {
        true => (&*i16s_in(samples, 0..model.input.values_of(ROW_TILE)), run.place.span),
        false => (run.input, 0),
    };
    let window = (first - origin).saturating_sub(model.tokens_before());
    let input = input.get(window * model.input.token_values()..).unwrap_or_default();
    let frac = embed::embed(model, input, first, seen, buffers, rows, trace);
    let copies = i16s_in(second, at..at + elements);
    copies.iter_mut().zip(rows.iter()).for_each(|(copy, &x)| *copy = x);
    run.fracs = [frac; 2];
    budget.charge((last - first) * of_row);
    run.place.row = last;
    last == end
}

/// The error where no token counts from the first one on that is pooled.
pub(super) fn nothing_counts(first: usize) -> InputError {
    if first > 0 { InputError::WindowMasked { first } } else { InputError::AllMasked }
}

/// The first token that a whole run pools. A stream does not know where it ends: it keeps the blocks of its window.
pub(super) fn first_pooled<W: Manner>(run: &Running<'_, W>) -> usize {
    match run.links.rare.first_pooled {
        Some(first) if !W::STREAMS => first(run.model, run.course.tokens),
        _ => 0,
    }
}

/// Adds the rows of a tile to what is pooled.
fn pool_tile<W: Manner>(run: &mut Running<'_, W>, budget: &mut Budget, trace: &mut impl Trace) -> bool {
    let (model, width, end) = (run.model, run.model.width, run.place.tile_end(run.course));
    let is_per_token = model.is_per_token();
    let first = if run.place.resumed { run.place.row } else { run.place.tile };
    let (at, seen) = (run.residual_row(first), run.visible(first..end));
    let first_pooled = first_pooled(run);
    let names = [Name::Residual, Name::Second, Name::Totals, Name::Recent, Name::Pooled, Name::Row];
    let [residual, second, totals, recent, pooled, work] = run.plan.take(run.memory, names);
    let totals = i32s_mut(totals);
    if first == 0 {
        run.pooled = 0;
        totals.fill(0);
    }
    let work = i16s_in(work, 0..2 * model.output_width());
    let pooled = i16s_in(pooled, 0..model.output_width());
    let rare = &run.links.rare;
    let mut pool = pool::Pool { rare, totals, pooled, recent, first: first_pooled, count: &mut run.pooled };
    for (row, token) in (first..end).enumerate() {
        let elements = (at + row) * width..(at + row + 1) * width;
        let residuals = [
            (&*i16s_in(residual, elements.clone()), run.fracs[0]),
            (&*i16s_in(second, elements), run.fracs[1]),
        ];
        pool::add(model, token, residuals, seen >> row & 1 == 1, work, &mut pool, trace);
        budget.charge(50 * model.output_width());
        run.place.row = token + 1;
        if budget.is_spent() || is_per_token {
            break;
        }
    }
    if is_per_token {
        run.pooled = (seen & 1) as usize;
        score(run, first, seen & 1 == 1, trace);
        budget.charge(model.output_width().max(model.hidden) * model.hidden.max(model.outputs()));
    } else if run.place.row == run.course.tokens {
        pool::finish(model, run.fracs, &mut pool, trace);
    }
    run.place.row == end
}
